package fake

import (
	"context"
	"testing"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/enginetest"
	"github.com/cuepod/cuepod/runner/engine/enginetest/program"
)

func TestConformance(t *testing.T) {
	t.Run("new", func(t *testing.T) { conformance(t, New()) })
	t.Run("old", func(t *testing.T) {
		e := New()
		e.SetOld(true)
		conformance(t, e)
	})
}

func conformance(t *testing.T, e *Engine) {
	defer e.Shutdown()
	run := func(ctx context.Context, p Process) int { return runProgram(ctx, p, p.Args) }
	e.AddRemote(enginetest.Ref, Image{Run: run, Exec: run, Refuse: refuse})
	archive, err := enginetest.Archive([]byte("its content is of no importance"))
	if err != nil {
		t.Fatal(err)
	}
	enginetest.Run(t, enginetest.Subject{Engine: e, Archive: archive})
}

// refuse knows one program.
func refuse(spec engine.ContainerSpec) string {
	if len(spec.Entrypoint) > 0 && spec.Entrypoint[0] != "/testprog" {
		return spec.Entrypoint[0] + ": no such file"
	}
	return ""
}

// runProgram runs the suite's program if args name it.
func runProgram(ctx context.Context, p Process, args []string) int {
	if args[0] != "/testprog" {
		return exitNotFound
	}
	return program.Run(program.World{
		Args: args[1:], Env: p.Env, Stdin: p.Stdin, Stdout: p.Stdout, Stderr: p.Stderr,
		Stop: ctx.Done(), Signals: p.Signals, Killed: p.Killed, ReadFile: p.ReadFile, WriteFile: p.WriteFile,
	})
}
