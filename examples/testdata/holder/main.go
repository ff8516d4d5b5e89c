// Command holder is what the image behind a Compose file's own services runs.
package main

import (
	"os"

	"github.com/cuepod/cuepod/targets/compose/holder"
)

func main() { os.Exit(holder.Run(os.Args[1:])) }
