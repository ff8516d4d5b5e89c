package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker, -ldflags "-X main.version=v1.2.3", for builds
// from a source archive, where there is no repository to tell it. It is the one
// package variable here: the linker can set nothing else. Nobody writes it.
var version string

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			info, _ := debug.ReadBuildInfo()
			return write(c.out, []byte(versionLine(version, info)))
		},
	}
}

// versionLine names the program: the linker's word first, then what the go
// command stamped. info may be nil.
func versionLine(linked string, info *debug.BuildInfo) string {
	v, commit := linked, ""
	if info != nil {
		if v == "" {
			v = info.Main.Version
		}
		settings := map[string]string{}
		for _, s := range info.Settings {
			settings[s.Key] = s.Value
		}
		if rev := settings["vcs.revision"]; len(rev) >= 12 {
			commit = ", commit " + rev[:12]
			if settings["vcs.modified"] == "true" {
				commit += " (modified)"
			}
		}
	}
	if v == "" {
		v = "(unknown)"
	}
	return fmt.Sprintf("cuepod %s%s, %s, %s/%s\n", v, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
