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

	// Components is the import path of the package of components.
	Components = "cuepod.dev/components"

	// release is the version in which this module is, or will be, published.
	// A "-dev" suffix marks a version that is still changing.
	release = "v0.1.0-dev"

	// devSuffix is what a changing release ends with.
	devSuffix = "-dev"
)

//go:embed cue.mod/module.cue core/*.cue components/*.cue
var files embed.FS

//go:embed outline/core/core.cue outline/wide/core.cue
var outlines embed.FS

// Files is the module's content: cue.mod/module.cue and the packages.
func Files() fs.FS { return files }

// Outline is the module with an outline in the place of package core: the same
// definitions, of which structs are open and hold only the maps that are always
// there. A wide outline has the structs that people write, too, for definitions
// that unify the schema's with their own. The compiler evaluates with an outline
// where it checks the fields itself.
func Outline(wide bool) fs.FS {
	if wide {
		return outlined("outline/wide")
	}
	return outlined("outline/core")
}

// outlined has core from a directory of outlines, and all else from the module.
type outlined string

func (dir outlined) Open(name string) (fs.File, error) {
	if rest, ok := strings.CutPrefix(name, "core"); ok && (rest == "" || rest[0] == '/') {
		return outlines.Open(string(dir) + rest)
	}
	return files.Open(name)
}

// Version is the module's version. CUE caches modules by version only, so a
// development version carries the hash of its content: v0.1.0-dev.1f2e3d4c5b6a.
func Version() string {
	if !strings.HasSuffix(release, devSuffix) {
		return release
	}
	return release + ".h" + contentHash(Files())
}

// OutlineVersion is the version of an outline, which has no releases.
func OutlineVersion(wide bool) string { return release + "-outline.h" + contentHash(Outline(wide)) }

// Release is the release that a version belongs to: the version without the
// content hash of a development version.
func Release(version string) string {
	if i := strings.Index(version, devSuffix+"."); i >= 0 {
		return version[:i+len(devSuffix)]
	}
	return version
}

// contentHash is a short hash of every file's path and content.
func contentHash(files fs.FS) string {
	h := sha256.New()
	walk := func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, path)
		h.Write([]byte(path + "\x00" + string(data) + "\x00"))
		return err
	}
	if err := fs.WalkDir(files, ".", walk); err != nil {
		panic("schema: the embedded module cannot be read: " + err.Error())
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}
