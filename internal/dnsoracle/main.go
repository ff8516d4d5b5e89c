package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	queries := flag.Int("queries", 6000, "how many questions to ask")
	seed := flag.Uint64("seed", 1, "what the services and the questions are made of")
	bench := flag.Bool("bench", false, "measure both instead, over loopback")
	flag.Parse()
	if *bench {
		if err := measure(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
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
