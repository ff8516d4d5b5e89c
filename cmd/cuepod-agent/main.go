// Command cuepod-agent is the program of the containers that hold an app up.
package main

import (
	"os"

	"github.com/cuepod/cuepod/runner/agent"
)

func main() { os.Exit(agent.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
