package docker

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// RefusedError is what Render returns for an app that says what a local run
// must not or cannot do at all.
type RefusedError struct {
	Lines []string // one for each place, which begins with the user's position
}

// Error joins the lines.
func (e *RefusedError) Error() string { return strings.Join(e.Lines, "\n") }

// refuse records a line once: replicas repeat it.
func (r *renderer) refuse(pos app.Pos, format string, args ...any) {
	line := pos.String() + ": " + fmt.Sprintf(format, args...)
	if !slices.Contains(r.refusals, line) {
		r.refusals = append(r.refusals, line)
	}
}
