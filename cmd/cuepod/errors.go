package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/targets"
	"github.com/cuepod/cuepod/targets/docker"
)

// Exit codes. Scripts depend on them.
const (
	exitOK          = 0
	exitFailure     = 1   // something went wrong while running
	exitInvalid     = 2   // the definition or the command line is wrong
	exitNotReady    = 3   // not ready in time
	exitDifferences = 4   // plan and diff --exit-code found something, or fmt --check did
	exitInterrupted = 130 // Ctrl-C, as shells have it: 128 + SIGINT
)

// usageError is a mistake on the command line.
type usageError struct {
	command string // "cuepod compile"
	message string
}

func (e *usageError) Error() string { return e.message }

// exitError ends the program with a code. It prints text as it is, which may be
// nothing: exec passes on the code of what it ran.
type exitError struct {
	code int
	text string
}

func (e *exitError) Error() string { return e.text }

// report prints an error once and returns the exit code.
func (c *cli) report(err error) int {
	code, text := explainError(err)
	if text != "" {
		fmt.Fprintln(c.err, text)
	}
	return code
}

// explainError gives the exit code of an error and what a person should read:
// what failed, why, and what to do next.
func explainError(err error) (code int, text string) {
	var (
		invalid  *compiler.Error
		clash    *targets.ContradictionError
		refused  *docker.RefusedError
		usage    *usageError
		exit     *exitError
		notReady *runner.NotReadyError
	)
	switch {
	case err == nil:
		return exitOK, ""
	case errors.As(err, &exit):
		return exit.code, exit.text
	case errors.As(err, &invalid):
		return exitInvalid, invalid.Error()
	case errors.As(err, &clash):
		return exitInvalid, clash.Error()
	case errors.As(err, &refused):
		return exitInvalid, refused.Error()
	case errors.As(err, &usage):
		return exitInvalid, fmt.Sprintf("cuepod: %s\nrun '%s --help' for how to use it", usage.message, usage.command)
	case errors.As(err, &notReady):
		return exitNotReady, "cuepod: " + notReady.Error() + "\n" + nextSteps
	}
	text = "cuepod: " + err.Error()
	if hint := engineHint(err); hint != "" {
		text += "\n  " + hint
	}
	return exitFailure, text
}

// nextSteps is what to do with an app that runs but is not ready.
const nextSteps = "it is left running: look at 'cuepod ps' and 'cuepod logs', take it down with 'cuepod down'"

// engineHint says what to do about an engine's error, where whoever met it
// cannot: the runner explains what it was doing itself.
func engineHint(err error) string {
	switch engine.KindOf(err) {
	case engine.Unreachable:
		return "start the container engine, or name another one with DOCKER_HOST or DOCKER_CONTEXT"
	case engine.SubnetTaken:
		return "remove networks that nobody uses: docker network prune"
	default:
		return ""
	}
}

// flagNames are the long names of the flags a command takes.
func flagNames(cmd *cobra.Command) []string {
	var names []string
	add := func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	}
	cmd.Flags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	return names
}

// nearest is the candidate that word is most likely a misspelling of, or "".
func nearest(word string, candidates []string) string {
	best, bestDistance := "", 3 // two slips are a misspelling, three another word
	for _, c := range candidates {
		d := distance(strings.ToLower(word), strings.ToLower(c))
		if strings.HasPrefix(c, word) && len(word) > 1 {
			d = min(d, 1)
		}
		if d < bestDistance && d <= max(len(word), len(c))/2 {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the number of insertions, deletions and replacements between two
// words (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
