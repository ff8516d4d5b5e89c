// Package sandbox compiles definitions within limits.
//
// CUE cannot be interrupted, and a definition of a few lines can ask for more
// than any machine has: a list of ten references to a list of ten references,
// seven times over. So an evaluation that reaches a limit is given up, with a
// diagnostic that says so at the definition. There are two ways:
//
//   - Within runs it in this process and costs nothing. What was given up goes
//     on until the process ends, which suits a command that ends on an error.
//   - Apart runs it in a child process and kills that. It costs the start of a
//     process, and suits one that goes on, and definitions that nobody trusts:
//     the kernel holds the child to its memory however fast it grows. A Worker
//     keeps the child for the next compile, which then evaluates what changed.
//
// Both end at once when their context does.
package sandbox

import (
	"context"
	"fmt"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/cuepod/cuepod/compiler"
)

// Limits bound one compile. A zero means no limit.
type Limits struct {
	Time   time.Duration // on the clock
	Memory int64         // bytes of the whole process
}

// Defaults are generous: a thousand pods take about two seconds and 400 MiB.
func Defaults() Limits {
	return Limits{Time: 30 * time.Second, Memory: 2 << 30}
}

// Compile is compiler.Compile, or what stands in for it.
type Compile func(context.Context, compiler.Options) (*compiler.Result, error)

// memoryLook is the time between two looks at the memory. An evaluation
// allocates about a gigabyte in a second: 20 ms is 20 MiB too late.
const memoryLook = 20 * time.Millisecond

// Within compiles in this process. A limit that is reached comes back as a
// *compiler.Error; the evaluation then goes on in the background, as it does
// when ctx ends. It replaces opts.Found.
func Within(ctx context.Context, opts compiler.Options, limits Limits, compile Compile) (*compiler.Result, error) {
	type outcome struct {
		result *compiler.Result
		err    error
	}
	var found atomic.Pointer[compiler.Found]
	found.Store(&compiler.Found{})
	tell := opts.Found
	opts.Found = func(f compiler.Found) {
		found.Store(&f)
		if tell != nil {
			tell(f)
		}
	}
	done := make(chan outcome, 1)
	go func() {
		result, err := compile(ctx, opts)
		done <- outcome{result, err}
	}()
	var late <-chan time.Time
	if limits.Time > 0 {
		timer := time.NewTimer(limits.Time)
		defer timer.Stop()
		late = timer.C
	}
	look := time.NewTicker(memoryLook)
	defer look.Stop()
	for {
		select {
		case o := <-done:
			return o.result, o.err
		case <-late:
			return nil, tooLong(opts.Dir, *found.Load(), limits, limits.Memory > 0 && memory() > collectAt(limits))
		case <-look.C:
			if limits.Memory > 0 && memory() > limits.Memory {
				return nil, tooLarge(opts.Dir, *found.Load(), limits)
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// memory is what the Go runtime of this process holds, in bytes.
func memory() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}

// Tune sets the garbage collector of this process for a compile and little
// else: it lets the heap grow to five times what is alive before it collects,
// in place of twice, but collects in time to stay below three quarters of the
// memory limit. What is above that is alive.
func Tune(limits Limits) {
	debug.SetGCPercent(400)
	if limits.Memory > 0 {
		debug.SetMemoryLimit(collectAt(limits))
	}
}

// collectAt is where Tune keeps the memory while that is possible, in bytes.
func collectAt(limits Limits) int64 { return limits.Memory / 4 * 3 }

// tooLong is the mistake of a definition that does not come to an end. With
// collecting, the time went into keeping the memory below its limit.
func tooLong(dir string, found compiler.Found, limits Limits, collecting bool) error {
	remedy := "--compile-timeout allows more time"
	if collecting {
		remedy = "it is short of memory, and --compile-memory allows more"
	}
	return breach(dir, found, fmt.Sprintf("the definition takes longer than %s to evaluate", limits.Time), remedy)
}

// tooLarge is the mistake of a definition that grows without end.
func tooLarge(dir string, found compiler.Found, limits Limits) error {
	return breach(dir, found, fmt.Sprintf("the definition needs more than %s of memory to evaluate", Size(limits.Memory)),
		"--compile-memory allows more")
}

func breach(dir string, found compiler.Found, message, remedy string) error {
	d := compiler.Diagnostic{
		Pos:     found.Pos,
		Message: message,
		Hint:    "look for what multiplies: comprehensions within comprehensions, lists or strings made of themselves; " + remedy,
	}
	if !d.Pos.IsValid() {
		d.Message = dir + ": " + message
	}
	return &compiler.Error{Diagnostics: []compiler.Diagnostic{d}, Inputs: found.Inputs}
}

// Size writes bytes as a Kubernetes quantity: 2Gi, 1536Mi, 1000.
func Size(bytes int64) string {
	for _, unit := range []struct {
		suffix string
		shift  uint
	}{{"Gi", 30}, {"Mi", 20}, {"Ki", 10}} {
		if whole := bytes >> unit.shift; whole > 0 && whole<<unit.shift == bytes {
			return strconv.FormatInt(whole, 10) + unit.suffix
		}
	}
	return strconv.FormatInt(bytes, 10)
}
