package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

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
	slices.SortFunc(apps, func(a, b App) int {
		return strings.Compare(a.Name+"\x00"+a.Root, b.Name+"\x00"+b.Root)
	})
	return slices.Compact(apps), nil
}

// gatewayPatience is how long status waits for the gateway's word.
const gatewayPatience = 3 * time.Second

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
	status := askGateway(ctx, eng, seen)
	seen.judge(status, nil)
	out := Status{App: id.App, Root: id.Root, Pods: []PodStatus{}, Services: []ServiceStatus{}}
	if seen.Record == nil {
		return out, nil
	}
	out.Jobs, out.CronJobs = jobStatuses(&seen.Observed, seen.Record.State, time.Now())
	state := reconcile.WithJobs(seen.Record.State, &seen.Observed, reconcile.Plan{})
	v := view{seen: seen, status: status}
	for i := range state.Pods {
		out.Pods = append(out.Pods, podStatus(v, &state.Pods[i]))
	}
	for i := range state.Services {
		out.Services = append(out.Services, serviceStatus(v, state, &state.Services[i], id.App))
	}
	return out, nil
}

// askGateway asks for a status over a line of its own; the supervisor's line
// stays as it is.
func askGateway(ctx context.Context, eng engine.Engine, seen *observation) api.Status {
	if seen.Gateway == nil || seen.Gateway.State != reconcile.Running {
		return api.Status{}
	}
	ctx, cancel := context.WithTimeout(ctx, gatewayPatience)
	defer cancel()
	answers := make(chan api.Status, 1)
	l, err := openLink(ctx, eng, seen.Gateway.ID, func(msg api.FromGateway) {
		if msg.Status != nil {
			select {
			case answers <- *msg.Status:
			default:
			}
		}
	}, func(error) {})
	if err != nil {
		return api.Status{}
	}
	defer l.close()
	if err := l.send(api.ToGateway{Report: true}); err != nil {
		return api.Status{}
	}
	select {
	case s := <-answers:
		return s
	case <-ctx.Done():
		return api.Status{}
	}
}

func podStatus(v view, p *docker.Pod) PodStatus {
	out := PodStatus{Name: p.Name, Workload: p.Workload, Job: p.Job, Phase: "Pending", Ready: podReady(v, p.Name) && podStarted(v, p), Containers: []ContainerStatus{}}
	infra := v.seen.infra(p.Name)
	if infra != nil {
		out.IP, out.Started = infra.IP, infra.Started
	}
	for i := range p.Init {
		out.Containers = append(out.Containers, containerStatus(v, p, &p.Init[i], true))
	}
	running := false
	for i := range p.Containers {
		c := containerStatus(v, p, &p.Containers[i], false)
		running = running || c.State == "running" || c.Restarts > 0 || c.State == "terminated"
		out.Restarts += c.Restarts
		out.Containers = append(out.Containers, c)
	}
	if running && infra != nil && infra.State == engine.Running {
		out.Phase = "Running" // a pod whose containers crash stays Running: pkg/kubelet/kubelet_pods.go getPhase
	}
	for _, c := range out.Containers {
		if c.Reason != "" && c.Reason != "Completed" && out.Reason == "" {
			out.Reason = c.Reason
		}
	}
	switch phase := reconcile.Ended(p, v.seen.Pods[p.Name]); phase {
	case reconcile.NotEnded:
	case reconcile.Succeeded:
		out.Phase, out.Reason, out.Ready = string(phase), "Completed", false
	default:
		out.Phase, out.Ready = string(phase), false
		if out.Reason == "" {
			out.Reason = "Error"
		}
	}
	return out
}

func containerStatus(v view, p *docker.Pod, c *docker.Container, init bool) ContainerStatus {
	out := ContainerStatus{Name: c.Name, Init: init, Image: c.Image, State: "waiting", Reason: "ContainerCreating"}
	if len(p.Init) > 0 && !init {
		out.Reason = "PodInitializing"
	}
	m := v.seen.member(p.Name, c.Name)
	if m == nil {
		return out
	}
	out.ID, out.Restarts = m.ID, number(m.Labels, labelRestarts)
	status := v.status.Pods[p.Name].Containers[c.Name]
	switch m.State {
	case engine.Running, engine.Paused:
		out.State, out.Reason = "running", ""
		if status.ID == m.ID {
			out.Ready, out.Message = status.Ready && !init, status.Message
		}
		if out.Ready {
			out.Message = ""
		}
	case engine.Exited:
		out.State, out.ExitCode, out.Reason = "terminated", m.ExitCode, exitReason(m)
		ended := reduce(m)
		if !init && !reconcile.Stays(p.RestartPolicy, &ended) && reconcile.Ended(p, v.seen.Pods[p.Name]) == reconcile.NotEnded {
			out.State, out.Reason = "waiting", "CrashLoopBackOff" // it is started again
		}
	case engine.Created:
		if m.Error != "" {
			out.Reason, out.Message = "RunContainerError", m.Error
		}
	}
	return out
}

func exitReason(m *engine.Container) string {
	switch {
	case m.OOMKilled:
		return "OOMKilled"
	case m.ExitCode == 0:
		return "Completed"
	}
	return "Error"
}

func serviceStatus(v view, state *docker.State, s *docker.Service, app string) ServiceStatus {
	out := ServiceStatus{Name: s.Name, Ports: []string{}, Total: len(s.Pods)}
	if !s.Headless && v.seen.Network != "" {
		out.VIP = v.seen.addresses.vip(v.seen.slots[s.Name])
	}
	for _, p := range s.Ports {
		out.Ports = append(out.Ports, fmt.Sprintf("%d/%s", p.Port, p.Protocol))
	}
	for _, pod := range s.Pods {
		if p := state.Pod(pod); p != nil && reconcile.Ended(p, v.seen.Pods[pod]) != reconcile.NotEnded {
			out.Total-- // a pod that is done is no endpoint
			continue
		}
		if podReady(v, pod) {
			out.Endpoints++
		}
	}
	for _, p := range state.Portals {
		if p.Service != s.Name {
			continue
		}
		for _, port := range p.Ports {
			if port.Protocol == "TCP" {
				out.URLs = append(out.URLs, fmt.Sprintf("http://%s:%d", loopback, port.HostPort))
			} else {
				out.URLs = append(out.URLs, fmt.Sprintf("udp://%s:%d", loopback, port.HostPort))
			}
		}
	}
	if port := httpPortOf(v.seen); port != 0 && s.HTTP {
		out.URLs = append(out.URLs, fmt.Sprintf("http://%s.%s.localhost:%d", s.Name, app, port))
	}
	return out
}
