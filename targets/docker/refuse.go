package docker

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// refuse records what must not or cannot run here at all, at the user's line.
func (r *renderer) refuse(pos app.Pos, format string, args ...any) {
	r.refusals = append(r.refusals, pos.String()+": "+fmt.Sprintf(format, args...))
}

// refused joins the refusals, each once: replicas repeat them.
func (r *renderer) refused() error {
	var lines []string
	for _, line := range r.refusals {
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return errors.New(strings.Join(lines, "\n"))
}
