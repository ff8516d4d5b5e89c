// Command cuepod-agent is the program of the containers that hold an app up: on
// an engine under cuepod, and in a Compose file that runs without it.
package main

import (
	"os"

	"github.com/cuepod/cuepod/runner/agent"
	"github.com/cuepod/cuepod/targets/compose/holder"
)

func main() {
	args := os.Args[1:]
	if len(args) > 0 {
		switch args[0] {
		case "hold", "check", "fill":
			os.Exit(holder.Run(args))
		}
	}
	os.Exit(agent.Main(args, os.Stdin, os.Stdout, os.Stderr))
}
