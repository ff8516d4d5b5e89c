package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	queries := flag.Int("queries", 6000, "how many questions to ask")
	seed := flag.Uint64("seed", 1, "what the services and the questions are made of")
	flag.Parse()
	result, err := Compare(*seed, *queries)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Print(result)
	if len(result.Unlisted) > 0 {
		os.Exit(1)
	}
}
