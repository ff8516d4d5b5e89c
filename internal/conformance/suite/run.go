package suite

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Run is a case that is looked at. Its methods give up on the case when what
// they want does not come in time.
type Run struct {
	Case  Case
	world *world
	since time.Time
}

// failure is what ends a check early.
type failure struct{ text string }

// Fatalf gives up on the case.
func (r *Run) Fatalf(format string, args ...any) {
	panic(failure{fmt.Sprintf(format, args...)})
}

// look runs a check and gives what it found wrong, or "".
func look(r *Run, check func(*Run)) (text string) {
	defer func() {
		if v := recover(); v != nil {
			f, ok := v.(failure)
			if !ok {
				panic(v)
			}
			text = f.text
		}
	}()
	r.since = time.Now()
	check(r)
	return ""
}

// Wait tries whenever something has changed, until it succeeds.
func (r *Run) Wait(what string, try func() error) {
	deadline := r.world.deadline(r.since)
	for {
		changed := r.world.changed()
		err := try()
		if err == nil {
			return
		}
		select {
		case <-changed:
		case <-r.world.ended:
			r.Fatalf("%s: cuepod up has ended: %v", what, err)
		case <-time.After(time.Until(deadline)):
			r.Fatalf("%s: not in time: %v", what, err)
		}
	}
}

// Pod is the pod of that name, or nil.
func (r *Run) Pod(name string) *Pod {
	for _, p := range r.world.status().Pods {
		if p.Name == name {
			return &p
		}
	}
	return nil
}

// Pods are those of a workload.
func (r *Run) Pods(workload string) []Pod {
	var out []Pod
	for _, p := range r.world.status().Pods {
		if p.Workload == workload {
			out = append(out, p)
		}
	}
	return out
}

// WaitPod waits until a pod is as wanted.
func (r *Run) WaitPod(name, what string, is func(Pod) bool) Pod {
	var got Pod
	r.Wait(name+" "+what, func() error {
		p := r.Pod(name)
		if p == nil {
			return fmt.Errorf("there is no pod %s", name)
		}
		got = *p
		if !is(got) {
			return fmt.Errorf("it is %+v", got)
		}
		return nil
	})
	return got
}

// Phase waits for a pod's phase.
func (r *Run) Phase(name, phase string) Pod {
	return r.WaitPod(name, "is "+phase, func(p Pod) bool { return p.Phase == phase })
}

// Ready waits until a pod is ready.
func (r *Run) Ready(name string) Pod {
	return r.WaitPod(name, "is ready", func(p Pod) bool { return p.Ready })
}

// Restarted waits until a container was restarted that often.
func (r *Run) Restarted(pod, container string, n int) {
	r.WaitPod(pod, fmt.Sprintf("has container %s restarted %d times", container, n), func(p Pod) bool {
		return p.Container(container).Restarts >= n
	})
}

// Job waits for a job's status: "Complete" or "Failed".
func (r *Run) Job(name, status string) Job {
	var got Job
	r.Wait("job "+name+" is "+status, func() error {
		for _, j := range r.world.status().Jobs {
			if j.Name == name || j.CronJob == name {
				got = j
				if j.Status == status {
					return nil
				}
			}
		}
		return fmt.Errorf("it is %+v", got)
	})
	return got
}

// Log is what a container has said so far, all its instances one after the
// other. Without a slash it is that of the container main.
func (r *Run) Log(container string) []string {
	return r.world.log(full(container))
}

func full(container string) string {
	if strings.Contains(container, "/") {
		return container
	}
	return container + "/main"
}

// Logs waits until a container has said all these lines, in any order.
func (r *Run) Logs(container string, lines ...string) {
	r.Wait(full(container)+" says what it should", func() error {
		got := r.Log(container)
		for _, line := range lines {
			if !slices.Contains(got, line) {
				return fmt.Errorf("it does not say %q, but:\n%s", line, strings.Join(got, "\n"))
			}
		}
		return nil
	})
}

// LogsTimes waits until a container has said a line that often.
func (r *Run) LogsTimes(n int, container, beginning string) {
	r.Wait(fmt.Sprintf("%s says %q %d times", full(container), beginning, n), func() error {
		got := 0
		for _, line := range r.Log(container) {
			if strings.HasPrefix(line, beginning) {
				got++
			}
		}
		if got < n {
			return fmt.Errorf("it does %d times", got)
		}
		return nil
	})
}

// LogsNo fails when a container has said a line that begins so.
func (r *Run) LogsNo(container string, beginnings ...string) {
	for _, line := range r.Log(container) {
		for _, b := range beginnings {
			if strings.HasPrefix(line, b) {
				r.Fatalf("%s says %q", full(container), line)
			}
		}
	}
}

// Never fails when any status so far had a pod like that.
func (r *Run) Never(what string, is func(Pod) bool) {
	for _, p := range r.world.seen() {
		if is(p) {
			r.Fatalf("it was seen that %s: %+v", what, p)
		}
	}
}

// Exec runs the witness' steps in a container and gives what it prints.
func (r *Run) Exec(container string, steps ...string) string {
	out, err := r.world.cuepod(append([]string{"exec", "-C", r.world.dir, full(container), "--", "/witness"}, steps...)...)
	if err != nil {
		r.Fatalf("exec in %s: %v\n%s", full(container), err, out)
	}
	return out
}

// Cuepod runs a command of cuepod's on the app and gives what it prints.
func (r *Run) Cuepod(args ...string) (string, error) { return r.world.cuepod(args...) }

// Dir is the module's directory.
func (r *Run) Dir() string { return r.world.dir }

// Edit replaces the case's file of the definition, which cuepod up follows.
func (r *Run) Edit(old, new string) {
	if !strings.Contains(r.Case.CUE, old) {
		r.Fatalf("the definition has no %q", old)
	}
	r.Case.CUE = strings.ReplaceAll(r.Case.CUE, old, new)
	if err := r.world.write(r.Case); err != nil {
		r.Fatalf("edit: %v", err)
	}
	r.since = time.Now()
}

// Gone waits until there is no pod of that name.
func (r *Run) Gone(name string) {
	r.Wait("pod "+name+" is gone", func() error {
		if p := r.Pod(name); p != nil {
			return fmt.Errorf("it is %+v", *p)
		}
		return nil
	})
}

// KillSandbox kills what holds a pod together, as a fault of the machine would.
func (r *Run) KillSandbox(pod string) {
	ctx := context.Background()
	ids, err := command(ctx, nil, "docker", "ps", "--quiet", "--filter", "label=dev.cuepod.app="+r.world.app, "--filter", "label=dev.cuepod.pod="+pod, "--filter", "label=dev.cuepod.role=infra")
	if err != nil || len(strings.Fields(ids)) != 1 {
		r.Fatalf("the sandbox of %s: %q, %v", pod, ids, err)
	}
	if _, err := command(ctx, nil, "docker", "kill", strings.TrimSpace(ids)); err != nil {
		r.Fatalf("%v", err)
	}
}

// Matches waits until a container has said a line that matches.
func (r *Run) Matches(container, pattern string) {
	match := regexp.MustCompile(pattern)
	r.Wait(full(container)+" says "+pattern, func() error {
		if got := r.Log(container); !slices.ContainsFunc(got, match.MatchString) {
			return fmt.Errorf("it does not, but:\n%s", strings.Join(got, "\n"))
		}
		return nil
	})
}
