package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// Status is how an app is, for ps.
type Status struct {
	App        string `json:"app"`
	Root       string `json:"root"`
	Supervised bool   `json:"supervised"` // unset by the runner; the command knows
	// Unknown is why the gateway's word is missing, and with it what is ready; ""
	// when it is there, or when no gateway runs.
	Unknown  string          `json:"unknown,omitempty"`
	Pods     []PodStatus     `json:"pods"`
	Jobs     []JobStatus     `json:"jobs,omitempty"` // runs, those of CronJobs included
	CronJobs []CronJobStatus `json:"cronJobs,omitempty"`
	Services []ServiceStatus `json:"services"`
}

// JobStatus is one run of a job.
type JobStatus struct {
	Name        string `json:"name"`
	CronJob     string `json:"cronJob,omitempty"` // whose run it is
	Status      string `json:"status"`            // Pending, Running, Suspended, Complete, Failed
	Reason      string `json:"reason,omitempty"`  // of Failed; SuccessPolicy of a job that was Complete by it
	Active      int    `json:"active"`
	Succeeded   int    `json:"succeeded"`
	Failed      int    `json:"failed"`
	Completions *int   `json:"completions,omitempty"` // nil for a work queue
	// Of an indexed job, as Kubernetes writes them: "0,2-4".
	CompletedIndexes string    `json:"completedIndexes,omitempty"`
	FailedIndexes    string    `json:"failedIndexes,omitempty"`
	Started          time.Time `json:"started,omitzero"`
	Finished         time.Time `json:"finished,omitzero"`
}

// CronJobStatus is one CronJob.
type CronJobStatus struct {
	Name         string    `json:"name"`
	Schedule     string    `json:"schedule"`
	TimeZone     string    `json:"timeZone,omitempty"`
	Suspend      bool      `json:"suspend,omitempty"`
	Active       int       `json:"active"`
	LastSchedule time.Time `json:"lastSchedule,omitzero"`
	Next         time.Time `json:"next,omitzero"`
}

// ServiceStatus is one service.
type ServiceStatus struct {
	Name string `json:"name"`
	VIP  string `json:"vip,omitempty"`
	// ExternalName is what the service is another name for; it has nothing else then.
	ExternalName string   `json:"externalName,omitempty"`
	Ports        []string `json:"ports"`     // "80/TCP"
	Endpoints    int      `json:"endpoints"` // ready
	Total        int      `json:"total"`
	URLs         []string `json:"urls,omitempty"` // from the host
}

// ErrNoApp means that nothing of the app is on the engine.
var ErrNoApp = errors.New("the app is not on this engine")

// List finds every app on an engine, by name, then root.
func List(ctx context.Context, eng engine.Engine) ([]App, error) {
	containers, err := eng.ListContainers(ctx, nil)
	if err != nil {
		return nil, err
	}
	volumes, err := eng.ListVolumes(ctx, nil)
	if err != nil {
		return nil, err
	}
	networks, err := eng.ListNetworks(ctx, nil)
	if err != nil {
		return nil, err
	}
	var apps []App
	add := func(labels map[string]string) {
		if labels[labelID] != "" {
			apps = append(apps, App{Name: labels[labelApp], Root: labels[labelRoot]})
		}
	}
	for _, c := range containers {
		add(c.Labels)
	}
	for _, v := range volumes {
		add(v.Labels)
	}
	for _, n := range networks { // the last to go: it may be all that a killed down left
		add(n.Labels)
	}
	return sortedApps(apps), nil
}

// ListBuilt finds every app that images were built for on an engine, by name, then
// root. They outlive the rest of it: the next run needs them.
func ListBuilt(ctx context.Context, eng engine.Engine) ([]App, error) {
	images, err := eng.ListImages(ctx, nil)
	if err != nil {
		return nil, err
	}
	var apps []App
	for _, img := range images {
		// What somebody else built from one of ours has its labels too.
		ours := slices.ContainsFunc(img.Refs, func(ref string) bool { return strings.HasPrefix(ref, builtPrefix) })
		if ours && img.Labels[labelID] != "" {
			apps = append(apps, App{Name: img.Labels[labelApp], Root: img.Labels[labelRoot]})
		}
	}
	return sortedApps(apps), nil
}

func sortedApps(apps []App) []App {
	slices.SortFunc(apps, func(a, b App) int {
		return strings.Compare(a.Name+"\x00"+a.Root, b.Name+"\x00"+b.Root)
	})
	return slices.Compact(apps)
}

// gatewayPatience is how long status waits for the gateway's word. One that is
// well says it at once; a machine may be slow.
const gatewayPatience = 10 * time.Second

// GetStatus tells how an app is, in Kubernetes' words. Readiness is the
// gateway's word; without a gateway nothing is ready.
func GetStatus(ctx context.Context, eng engine.Engine, id Identity) (Status, error) {
	seen, err := observe(ctx, eng, id, nil, "")
	if err != nil {
		return Status{}, err
	}
	if len(seen.all) == 0 {
		return Status{}, fmt.Errorf("app %s: %w", id.App, ErrNoApp)
	}
	status, err := askGateway(ctx, eng, seen)
	seen.judge(status, nil, nil)
	out := Status{App: id.App, Root: id.Root, Pods: []PodStatus{}, Services: []ServiceStatus{}}
	if err != nil {
		out.Unknown = fmt.Sprintf("the gateway does not answer (%v): what is ready is not known", err)
	}
	if seen.Record == nil {
		return out, nil
	}
	now := time.Now()
	out.Jobs, out.CronJobs = jobStatuses(&seen.Observed, seen.Record.State, now)
	state := presentOf(seen)
	v := view{seen: seen, status: status}
	messages := allMessages(ctx, eng, state.Pods, seen)
	for i := range state.Pods {
		in := v.podInput(&state.Pods[i], now)
		in.messages = messages[i]
		out.Pods = append(out.Pods, in.status())
	}
	for _, p := range v.leaving(state, now) {
		out.Pods = append(out.Pods, p.status())
	}
	for i := range state.Services {
		out.Services = append(out.Services, serviceStatus(v, state, &state.Services[i], id.App))
	}
	return out, nil
}

// askGateway asks for a status. It has nothing to say where no gateway runs.
func askGateway(ctx context.Context, eng engine.Engine, seen *observation) (out api.Status, err error) {
	err = ask(ctx, eng, seen.Gateway, api.ToGateway{Report: true}, func(msg api.FromGateway) bool {
		if msg.Status != nil {
			out = *msg.Status
		}
		return msg.Status != nil
	})
	return out, err
}

// ask puts a question to the gateway over a line of its own, until take has the
// answer; the supervisor's line stays as it is. Where no gateway runs there is
// none, and no error.
func ask(ctx context.Context, eng engine.Engine, g *reconcile.Container, question api.ToGateway, take func(api.FromGateway) bool) error {
	switch {
	case g == nil || g.State != reconcile.Running:
		return nil
	case g.Paused:
		return errors.New(pausedWords(g))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, gatewayPatience, fmt.Errorf("nothing within %v", gatewayPatience))
	defer cancel()
	heard, ended := make(chan api.FromGateway), make(chan error, 1)
	l, err := openLink(ctx, eng, g.ID, func(msg api.FromGateway) {
		select {
		case heard <- msg:
		case <-ctx.Done():
		}
	}, func(err error) { ended <- err })
	if err != nil {
		return err
	}
	defer l.close()
	for garbled := true; ; {
		if garbled {
			if err := l.send(question); err != nil {
				return err
			}
		}
		select {
		case msg := <-heard:
			if take(msg) {
				return nil
			}
			garbled = msg.Garbled
		case err := <-ended:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// podInput is what the status of a pod follows from.
func (v view) podInput(p *docker.Pod, now time.Time) podInput {
	in := podInput{pod: p, seen: v.seen.Pods[p.Name], word: v.status.Pods[p.Name], ready: podReady(v, p.Name) && podStarted(v, p), now: now, images: v.status.Images}
	if v.seen.Record != nil {
		in.backoff = v.seen.Record.Backoff
	}
	return in
}

// leaving are pods that the definition no longer has. What is known of them is
// what their containers' labels say.
func (v view) leaving(state *docker.State, now time.Time) []podInput {
	var out []podInput
	for _, name := range slices.Sorted(maps.Keys(v.seen.Pods)) {
		o := v.seen.Pods[name]
		if state.Pod(name) != nil || o.Job != "" {
			continue
		}
		p := &docker.Pod{Name: name, Workload: o.Workload}
		for i := range o.Members {
			m := &o.Members[i]
			c := docker.Container{Name: m.Key, Image: m.Image, Sidecar: m.Sidecar}
			if m.Init || m.Sidecar {
				p.Init = append(p.Init, c)
			} else {
				p.Containers = append(p.Containers, c)
			}
		}
		in := v.podInput(p, now)
		in.leaving = true
		out = append(out, in)
	}
	return out
}
