package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/compiler/sandbox"
)

// TestEvaluate_AgainKeepsTheCacheUntilACompileIsGivenUp compiles in this process:
// each compile has the cache of the one before, and one that goes on in the
// background takes its cache along.
func TestEvaluate_AgainKeepsTheCacheUntilACompileIsGivenUp(t *testing.T) {
	caches := make(chan *compiler.Cache, 4)
	wait := make(chan struct{})
	defer close(wait)
	c := &cli{services: services{compile: func(_ context.Context, opts compiler.Options) (*compiler.Result, error) {
		caches <- opts.Cache
		if opts.Dir == "hang" {
			<-wait
		}
		return nil, errors.New("a mistake")
	}}}
	e := evaluation{again: &again{cache: &compiler.Cache{}}}
	defer e.again.close()
	compile := func(dir string) error {
		_, err := c.evaluate(t.Context(), e, compiler.Options{Dir: dir})
		return err
	}
	for range 2 {
		if err := compile("a"); err == nil || err.Error() != "a mistake" {
			t.Fatal(err)
		}
	}
	e.timeout = 20 * time.Millisecond
	var bad *compiler.Error
	if err := compile("hang"); !errors.As(err, &bad) {
		t.Fatal(err)
	}
	e.timeout = 0
	if err := compile("a"); err == nil || err.Error() != "a mistake" {
		t.Fatal(err)
	}
	first, second, third, fourth := <-caches, <-caches, <-caches, <-caches
	if first == nil || second != first || third != first {
		t.Error("the cache was not kept")
	}
	if fourth == nil || fourth == first {
		t.Error("a compile that was given up still has the cache of the next")
	}
}

// TestEvaluate_AgainKeepsOneWorker compiles apart with the worker in the place of
// a process for each compile.
func TestEvaluate_AgainKeepsOneWorker(t *testing.T) {
	made := 0
	c := &cli{services: services{
		compileApart: func(context.Context, compiler.Options, sandbox.Limits, []string) (*compiler.Result, error) {
			t.Error("a process was made for one compile")
			return nil, nil
		},
		worker: func(limits sandbox.Limits, environ []string) (*sandbox.Worker, error) {
			made++
			return sandbox.NewWorker(limits, "/no/such/program", environ), nil
		},
	}}
	e := evaluation{again: &again{cache: &compiler.Cache{}}, lasting: true}
	defer e.again.close()
	for range 2 {
		if _, err := c.evaluate(t.Context(), e, compiler.Options{}); err == nil {
			t.Error("it compiled without a program")
		}
	}
	if made != 1 {
		t.Errorf("%d workers were made", made)
	}
}
