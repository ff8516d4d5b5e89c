package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/compiler/sandbox"
)

// evaluation is how far a definition may go. A command that ends on an error
// evaluates in its own process, which costs nothing. In a process apart it
// costs about as much again as the smallest compile: up does it, which has to
// survive, and whoever asks for it, as CI does.
type evaluation struct {
	timeout time.Duration
	memory  string // a Kubernetes quantity
	sandbox bool   // --sandbox
	asked   *pflag.Flag
	lasting bool // the command lives on when a compile is given up
	again   *again
}

func (e *evaluation) flags(cmd *cobra.Command) {
	limits := sandbox.Defaults()
	flags := cmd.Flags()
	flags.DurationVar(&e.timeout, "compile-timeout", limits.Time, "how long evaluating the definition may take; 0 means for ever")
	flags.StringVar(&e.memory, "compile-memory", sandbox.Size(limits.Memory), "how much memory evaluating the definition may take; 0 means any")
	flags.BoolVar(&e.sandbox, "sandbox", false, "evaluate the definition in a process of its own; default in CI, where $CI is true")
	e.asked = flags.Lookup("sandbox")
}

// limits are as the flags say. Without flags, as in tests, there are none.
func (e *evaluation) limits() (sandbox.Limits, error) {
	limits := sandbox.Limits{Time: e.timeout}
	if e.timeout < 0 {
		return limits, &usageError{"cuepod", fmt.Sprintf("--compile-timeout %s: it is a duration such as 30s, or 0", e.timeout)}
	}
	if e.memory == "" {
		return limits, nil
	}
	bytes, err := app.Quantity(e.memory).Value()
	if err != nil || bytes < 0 || bytes > math.MaxInt64/2 {
		return limits, &usageError{"cuepod", fmt.Sprintf("--compile-memory %s: it is a size such as 512Mi or 2Gi, or 0", e.memory)}
	}
	limits.Memory = bytes
	return limits, nil
}

// apart reports whether to evaluate in a process of its own.
func (e *evaluation) apart(ci bool) bool {
	if e.asked != nil && e.asked.Changed {
		return e.sandbox
	}
	return e.lasting || ci
}

// again is what a command that compiles one definition again and again keeps from
// one time to the next. A compile begins when the one before has ended.
type again struct {
	mu     sync.Mutex
	worker *sandbox.Worker // for evaluation in a process apart, made when it is needed
	cache  *compiler.Cache // for evaluation in this process
}

func (a *again) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.worker != nil {
		a.worker.Close()
	}
}

// evaluate compiles within the limits.
func (c *cli) evaluate(ctx context.Context, e evaluation, opts compiler.Options) (*compiler.Result, error) {
	limits, err := e.limits()
	if err != nil {
		return nil, err
	}
	apart := c.compileApart != nil && e.apart(c.env["CI"] == "true")
	switch {
	case apart && e.again != nil:
		return c.evaluateAgain(ctx, e.again, limits, opts)
	case apart:
		return c.compileApart(ctx, opts, limits, environ(c.env))
	case e.again != nil:
		return c.evaluateHere(ctx, e.again, limits, opts)
	case !e.lasting:
		sandbox.Tune(limits)
	}
	return sandbox.Within(ctx, opts, limits, c.compile)
}

// evaluateAgain compiles in a process that lives on.
func (c *cli) evaluateAgain(ctx context.Context, a *again, limits sandbox.Limits, opts compiler.Options) (*compiler.Result, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.worker == nil {
		w, err := c.worker(limits, environ(c.env))
		if err != nil {
			return nil, err
		}
		a.worker = w
	}
	return a.worker.Compile(ctx, opts)
}

// evaluateHere compiles in this process with the cache.
func (c *cli) evaluateHere(ctx context.Context, a *again, limits sandbox.Limits, opts compiler.Options) (*compiler.Result, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	opts.Cache = a.cache
	var done atomic.Bool
	result, err := sandbox.Within(ctx, opts, limits, func(ctx context.Context, opts compiler.Options) (*compiler.Result, error) {
		defer done.Store(true)
		return c.compile(ctx, opts)
	})
	if !done.Load() { // it was given up, goes on, and has the cache
		a.cache = &compiler.Cache{}
	}
	return result, err
}

// newWorker is compileInChild for one definition again and again.
func newWorker(limits sandbox.Limits, environ []string) (*sandbox.Worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return sandbox.NewWorker(limits, self, environ), nil
}

// compileInChild runs this program again as the child of a sandbox.
func compileInChild(ctx context.Context, opts compiler.Options, limits sandbox.Limits, environ []string) (*compiler.Result, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return sandbox.Apart(ctx, opts, limits, self, environ)
}
