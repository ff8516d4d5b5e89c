package agent

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/agent/volume"
)

// makeSubPath is the role that prepares one sub-path of a volume, for a
// container that is about to start; it says what is there.
func makeSubPath(args []string, stdout io.Writer) error {
	if len(args) != 2 {
		return errors.New("it takes the directory of a volume and a path in it")
	}
	isDir, err := volume.MakeSubPath(args[0], args[1])
	if err != nil {
		return err
	}
	kind := api.SubPathFile
	if isDir {
		kind = api.SubPathDir
	}
	_, err = fmt.Fprintln(stdout, kind)
	return err
}

// compareSubPaths is the role that makes sure that what the engine found at
// sub-paths is what is there: triples of a volume's directory, a path in it, and
// where the engine shows it.
func compareSubPaths(args []string) error {
	if len(args)%3 != 0 {
		return errors.New("it takes triples of a volume, a path in it, and what is shown")
	}
	var errs []error
	for ; len(args) > 0; args = args[3:] {
		errs = append(errs, volume.SameSubPath(args[0], args[1], args[2]))
	}
	return errors.Join(errs...)
}

// longestHold is how long sub-paths are held for a container that is about to
// start: longer than any start takes that works. The supervisor ends it before.
const longestHold = 10 * time.Minute

// hold is the role that keeps what the engine found at sub-paths mounted until a
// container has it.
func hold() error {
	ctx, stop := untilTerminated()
	defer stop()
	select {
	case <-ctx.Done():
	case <-time.After(longestHold):
	}
	return nil
}
