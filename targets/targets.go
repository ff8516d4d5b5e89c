// Package targets says what a target is: a pure function from an app to files
// and findings. A finding is a place where the target cannot say exactly what
// the definition means; nothing is ever dropped without one.
package targets

import (
	"fmt"

	"github.com/cuepod/cuepod/compiler/app"
)

// File is one file of output.
type File struct {
	Name string // relative, with slashes
	Data []byte
}

// Level says how well a target keeps the meaning of a field.
type Level string

const (
	// Emulated means the meaning is kept by other means, visible in the output.
	Emulated Level = "emulated"
	// Cannot means the target has no way to say it; --strict makes it an error.
	Cannot Level = "cannot"
)

// Finding is one loss or emulation, with the user's line.
type Finding struct {
	Code    string // stable, target prefix and number: "compose/replicas-unrolled"
	Level   Level
	Path    string // in the definition: "pods.web.containers.api.resources"
	Pos     app.Pos
	Message string // what happens instead
	Hint    string // what the user can do about it; may be empty
}

// String gives one line: position, level, code and message.
func (f Finding) String() string {
	s := fmt.Sprintf("%s: %s: %s [%s]", f.Pos, f.Path, f.Message, f.Code)
	if f.Hint != "" {
		s += "; " + f.Hint
	}
	return s
}

// Output is what a target makes of an app. Equal apps give equal bytes.
type Output struct {
	Files    []File    // by name
	Findings []Finding // by position, then path
}
