//go:build linux

// Witness is what runs in the containers of the conformance suite: it does
// what its arguments say, one step each, and tells what it sees.
//
//	witness "mark up" "cat /etc/hosts" "serve 8080" wait
//
// When it has done all steps it exits with 0; a step that fails ends it with 1.
// It takes TERM at any time: it marks it, does the steps that were set with
// "trap", and exits with 0.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	w := &witness{name: os.Getenv("WITNESS"), timeline: os.Getenv("TIMELINE")}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGQUIT)
	go w.obey(signals)
	if err := w.do(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "witness:", err)
		os.Exit(1)
	}
}

// witness is one run.
type witness struct {
	name     string // who it is in a timeline
	timeline string // the file that marks go to; "" is standard output alone

	mu   sync.Mutex
	trap []string // steps on TERM; "ignore" stays
}

// obey ends the program on a signal.
func (w *witness) obey(signals <-chan os.Signal) {
	for s := range signals {
		w.mark(map[os.Signal]string{syscall.SIGTERM: "term", syscall.SIGINT: "int", syscall.SIGUSR1: "usr1", syscall.SIGQUIT: "quit"}[s])
		w.mu.Lock()
		steps := slices.Clone(w.trap)
		w.mu.Unlock()
		if slices.Contains(steps, "ignore") {
			continue
		}
		if err := w.do(steps); err != nil {
			fmt.Fprintln(os.Stderr, "witness:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// do carries out steps, in order.
func (w *witness) do(steps []string) error {
	for _, step := range steps {
		word, rest, _ := strings.Cut(step, " ")
		f, ok := w.steps()[word]
		if !ok {
			return fmt.Errorf("unknown step %q", step)
		}
		if err := f(rest); err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
	}
	return nil
}

// steps are all that it can do. A step that serves goes on beside the others.
func (w *witness) steps() map[string]func(string) error {
	return map[string]func(string) error{
		"argv":       func(string) error { printJSON(os.Args); os.Exit(0); return nil },
		"argv0":      func(string) error { fmt.Println(os.Args[0]); return nil },
		"say":        func(text string) error { fmt.Println(text); return nil },
		"complain":   func(text string) error { fmt.Fprintln(os.Stderr, text); return nil },
		"mark":       func(event string) error { w.mark(event); return nil },
		"env":        env,
		"id":         func(string) error { return identity() },
		"rights":     func(string) error { return rights() },
		"exit":       exit,
		"wait":       func(string) error { select {} },
		"sleep":      sleep,
		"trap":       w.setTrap,
		"try":        w.try,
		"loop":       w.loop,
		"background": w.background,
		"ps":         func(string) error { return processes() },
		"allocate":   allocate,
		"child":      child,
		"host":       func(string) error { return host() },
		"cwd":        func(string) error { dir, err := os.Getwd(); fmt.Println(dir); return err },
		"cat":        cat,
		"hex":        hex,
		"stat":       stat,
		"ls":         list,
		"fs":         filesystem,
		"make":       create,
		"write":      write,
		"append":     appendLine,
		"mkdir":      func(path string) error { return os.MkdirAll(path, 0o755) },
		"link":       link,
		"rm":         os.RemoveAll,
		"exists":     exists,
		"missing":    missing,
		"await":      await,
		"until":      until,
		"follow":     follow,
		"attempt":    attempt,
		"serve":      w.serve,
		"serve-tls":  w.serveTLS,
		"serve-tcp":  serveTCP,
		"serve-udp":  serveUDP,
		"serve-grpc": serveGRPC,
		"get":        get,
		"dial":       dial,
		"lookup":     lookup,
		"udp":        udp,
		"reach":      w.reach,
	}
}

func printJSON(v any) {
	text, _ := json.Marshal(v) // strings always can be
	fmt.Println(string(text))
}

// env prints all variables, or those whose names begin with a prefix, sorted.
func env(prefix string) error {
	all := os.Environ()
	slices.Sort(all)
	for _, kv := range all {
		if strings.HasPrefix(kv, prefix) {
			fmt.Println(kv)
		}
	}
	return nil
}

func exit(code string) error {
	n, err := strconv.Atoi(code)
	if err != nil {
		return err
	}
	os.Exit(n)
	return nil
}

func sleep(text string) error {
	d, err := time.ParseDuration(text)
	time.Sleep(d)
	return err
}

// setTrap adds a step to those done on TERM.
func (w *witness) setTrap(step string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trap = append(w.trap, step)
	return nil
}

// try does a step and tells how it went.
func (w *witness) try(step string) error {
	if err := w.do([]string{step}); err != nil {
		fmt.Printf("failed: %v\n", err)
		return nil
	}
	fmt.Printf("done: %s\n", step)
	return nil
}

// loop does a step over and over, pausing in between: "loop 100ms mark alive".
func (w *witness) loop(text string) error {
	pause, step, _ := strings.Cut(text, " ")
	d, err := time.ParseDuration(pause)
	if err != nil {
		return err
	}
	go func() {
		for {
			if err := w.do([]string{step}); err != nil {
				fmt.Println("failed:", err)
			}
			time.Sleep(d)
		}
	}()
	return nil
}

// background does a step beside those that follow.
func (w *witness) background(step string) error {
	go func() {
		if err := w.do([]string{step}); err != nil {
			fmt.Println("failed:", err)
		}
	}()
	return nil
}

// mark tells that something happened now: "who what nanoseconds", in one
// write, so that what several containers write to one file does not mix.
func (w *witness) mark(event string) {
	line := fmt.Sprintf("%s %s %d\n", w.name, event, now())
	if w.timeline != "" {
		f, err := os.OpenFile(w.timeline, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
		if err != nil {
			fmt.Fprintln(os.Stderr, "witness:", err)
			os.Exit(1)
		}
		defer f.Close()
		if _, err := f.WriteString(line); err != nil {
			fmt.Fprintln(os.Stderr, "witness:", err)
			os.Exit(1)
		}
	}
	fmt.Print(line)
}
