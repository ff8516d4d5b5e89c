//go:build !embedagent

package image

import (
	"embed"
	"io/fs"
)

// embedded is empty: this build carries no agent.
func embedded() fs.FS { return embed.FS{} }
