// Package schema holds the published CUE module cuepod.dev@v0, which users
// import as "cuepod.dev/core": the app model with its allowed values. The
// compiler serves it from memory, so that it needs no network.
package schema

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"strings"
)

const (
	// Module is the module's path with its major version.
	Module = "cuepod.dev@v0"

	// Core is the import path of the package that defines #App.
	Core = "cuepod.dev/core"

	// release is the version in which this module is, or will be, published.
	// A "-dev" suffix marks a version that is still changing.
	release = "v0.1.0-dev"

	// devSuffix is what a changing release ends with.
	devSuffix = "-dev"
)

//go:embed cue.mod/module.cue core/*.cue
var files embed.FS

// Files is the module's content: cue.mod/module.cue and the packages.
func Files() fs.FS { return files }

// Version is the module's version. CUE caches modules by version only, so a
// development version carries the hash of its content: v0.1.0-dev.1f2e3d4c5b6a.
func Version() string {
	if !strings.HasSuffix(release, devSuffix) {
		return release
	}
	return release + ".h" + contentHash()
}

// Release is the release that a version belongs to: the version without the
// content hash of a development version.
func Release(version string) string {
	if i := strings.Index(version, devSuffix+"."); i >= 0 {
		return version[:i+len(devSuffix)]
	}
	return version
}

// contentHash is a short hash of every file's path and content.
func contentHash() string {
	h := sha256.New()
	walk := func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := files.ReadFile(path)
		h.Write([]byte(path + "\x00" + string(data) + "\x00"))
		return err
	}
	if err := fs.WalkDir(files, ".", walk); err != nil {
		panic("schema: the embedded module cannot be read: " + err.Error())
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}
