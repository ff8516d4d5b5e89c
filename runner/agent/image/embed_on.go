//go:build embedagent

package image

import (
	"embed"
	"io/fs"
)

//go:embed bin/cuepod-agent-linux-*
var binaries embed.FS

// embedded holds the agents that were built before this program, one for each
// architecture.
func embedded() fs.FS { return binaries }
