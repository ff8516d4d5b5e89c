package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/internal/sockfault"
)

// endpoint is a kind of request: its method, and its path with * for names.
type endpoint struct{ method, path string }

// endpointOf forgets which object a request is about.
func endpointOf(q sockfault.Request) endpoint {
	parts := strings.Split(strings.Trim(q.Path, "/"), "/")
	if len(parts) > 1 && slices.Contains([]string{"containers", "images", "volumes", "networks", "exec"}, parts[0]) &&
		!slices.Contains([]string{"json", "create", "load", "prune"}, parts[1]) {
		last := parts[len(parts)-1]
		parts = []string{parts[0], "*"}
		if slices.Contains([]string{"json", "start", "stop", "wait", "attach", "archive", "logs", "kill", "rename", "exec"}, last) {
			parts = append(parts, last)
		}
	}
	return endpoint{q.Method, "/" + strings.Join(parts, "/")}
}

// faults are the ways in which an answer goes wrong.
func faults() []sockfault.Rule {
	return []sockfault.Rule{
		{Action: sockfault.Delay, Delay: 2 * time.Second}, {Action: sockfault.Hang},
		{Action: sockfault.Status, Status: 500}, {Action: sockfault.Status, Status: 503},
		{Action: sockfault.Status, Status: 409}, {Action: sockfault.Status, Status: 404},
		{Action: sockfault.Lose}, {Action: sockfault.Truncate}, {Action: sockfault.Reset},
	}
}

// brokenAnswer is one case: the first request of an endpoint in a verb goes wrong.
type brokenAnswer struct {
	shape string
	verb  verb
	rule  sockfault.Rule
}

func (f brokenAnswer) String() string {
	return fmt.Sprintf("%s/%s/%s", f.shape, f.verb, strings.ReplaceAll(f.rule.String(), " ", "_"))
}

// endpoints are those that a verb asks, found by listening.
func (b *bench) endpoints(ctx context.Context, a *app) (map[verb][]endpoint, error) {
	out := map[verb][]endpoint{}
	collect := func(v verb) {
		seen := map[endpoint]bool{}
		for _, q := range b.proxy.Requests() {
			seen[endpointOf(q)] = true
		}
		out[v] = slices.SortedFunc(maps.Keys(seen), func(x, y endpoint) int { return strings.Compare(x.path+x.method, y.path+y.method) })
	}
	for _, v := range []verb{up, down} {
		args := []string{"up", "--once", "--timeout", "2m", a.dir}
		if v == down {
			args = []string{"down", "--volumes", a.dir}
		}
		if _, err := b.must(ctx, args...); err != nil {
			return nil, err
		}
		collect(v)
	}
	return out, nil
}

// broken lists the cases of an app.
func (b *bench) broken(ctx context.Context, a *app) ([]brokenAnswer, error) {
	endpoints, err := b.endpoints(ctx, a)
	if err != nil {
		return nil, err
	}
	var out []brokenAnswer
	for _, v := range []verb{up, down} {
		for _, e := range endpoints[v] {
			list := faults()
			if e.path == "/events" {
				list = append(list, sockfault.Rule{Action: sockfault.Duplicate}, sockfault.Rule{Action: sockfault.Drop})
			}
			for _, rule := range list {
				rule.Method, rule.Path, rule.Nth = e.method, e.path, 1
				out = append(out, brokenAnswer{a.shape, v, rule})
			}
		}
	}
	return out, nil
}

// breakAnswer runs one case and cleans up.
func (b *bench) breakAnswer(ctx context.Context, a *app, ref *reference, f brokenAnswer) outcome {
	o := outcome{point: point{shape: f.shape, verb: f.verb, side: f.rule.Action}, label: f.String()}
	o.err = b.breakIt(ctx, a, ref, f, &o)
	b.proxy.Set()
	if _, err := b.must(ctx, "down", "--volumes", "--now", a.dir); err != nil {
		o.err = join(o.err, err)
	}
	return o
}

func (b *bench) breakIt(ctx context.Context, a *app, ref *reference, f brokenAnswer, o *outcome) error {
	if f.verb == down {
		if _, err := b.converge(ctx, a); err != nil {
			return err
		}
	}
	b.proxy.Set(f.rule)
	args := []string{"up", "--once", "--timeout", "40s", a.dir}
	if f.verb == down {
		args = []string{"down", "--volumes", a.dir}
	}
	r, err := b.run(ctx, args...)
	if err != nil {
		return fmt.Errorf("I2: %w", err)
	}
	o.met = b.proxy.Met()
	if err := checkMessage(r); err != nil {
		return err
	}
	if f.verb == down {
		if r.code == 0 {
			return b.checkGone(ctx, a)
		}
		if r, err = b.must(ctx, "down", "--volumes", a.dir); err != nil {
			return fmt.Errorf("I2: %w", err)
		}
		o.calls = r.calls
		return b.checkGone(ctx, a)
	}
	if r.code == 0 {
		o.calls = r.calls
		return b.checkRunning(ctx, a, ref, "a")
	}
	return b.recover(ctx, a, ref, "a", o)
}

// checkMessage holds what was said of a failure against I5: it says something,
// and nothing of our own insides.
func checkMessage(r result) error {
	for _, word := range []string{"panic:", "goroutine ", "runtime error", "%!"} {
		if strings.Contains(r.out, word) {
			return fmt.Errorf("I5: it said:\n%s", r.out)
		}
	}
	if r.code != 0 && len(strings.TrimSpace(r.out)) < 20 {
		return fmt.Errorf("I5: exit code %d, and all it said was %q", r.code, r.out)
	}
	return nil
}

// descriptors counts the open files of a process.
func descriptors(pid int) (int, error) {
	list, err := os.ReadDir(filepath.Join("/proc", fmt.Sprint(pid), "fd"))
	return len(list), err
}
