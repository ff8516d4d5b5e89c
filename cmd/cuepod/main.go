// Command cuepod compiles CUE definitions of pods and services, and runs them.
//
// Each file is one command. A command parses its flags, calls the compiler, a
// target or the runner, and prints: results on standard output, talk on
// standard error. What it decides is in small pure functions beside it.
package main

import (
	"context"
	"io"
	"os"
	"strings"
	_ "time/tzdata" // schedules name time zones, and not every machine knows them

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/compiler/sandbox"
	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/agent"
	"github.com/cuepod/cuepod/runner/agent/image"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/dockerapi"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}

// run is main without the process around it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) int {
	if len(args) > 0 && args[0] == image.Subcommand { // before anything that costs start-up time
		return agent.Main(args[1:], stdin, stdout, stderr)
	}
	if len(args) > 0 && args[0] == sandbox.Subcommand {
		return sandbox.Serve(stdin, stdout, stderr, compiler.Compile)
	}
	c := &cli{in: stdin, out: stdout, err: stderr, env: map[string]string{}, services: realServices()}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		c.env[name] = value
	}
	c.screen = newScreen(stderr, c.env["TERM"] == "dumb")
	return c.run(ctx, args)
}

// realServices joins the compiler, the runner and the engine.
func realServices() services {
	return services{
		compile:      compiler.Compile,
		compileApart: compileInChild,
		worker:       newWorker,
		engine: func(lookupEnv func(string) (string, bool)) (engine.Engine, error) {
			return dockerapi.New(dockerapi.Options{LookupEnv: lookupEnv})
		},
		agent:  image.Build,
		holder: image.Holder,
		up:     runner.Up,
		plan:   runner.Plan,
		down:   runner.Down,
		status: runner.GetStatus,
		logs:   runner.Logs,
		exec:   runner.Exec,
		list:   runner.List,
		built:  runner.ListBuilt,
		runJob: runner.RunJob,
	}
}
