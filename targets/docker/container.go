package docker

import (
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

func (r *renderer) container(c *app.Container, p *app.Pod, d *Pod) Container {
	out := Container{
		Name:       c.Name,
		EngineName: ContainerName(r.project, d.Name, c.Name),
		Image:      r.image(c, p),
		Build:      buildOf(c, r.opts.Live),
		PullPolicy: c.ImagePullPolicy,
		Entrypoint: c.Command,
		Cmd:        c.Args,
		WorkingDir: c.WorkingDir,
		Env:        r.env(c, p, d),

		NoServiceLinks: p.EnableServiceLinks != nil && !*p.EnableServiceLinks,

		Stdin:     c.Stdin,
		StdinOnce: c.StdinOnce,
		TTY:       c.TTY,
		Line:      c.Pos.String(),
	}
	for _, p := range c.Ports {
		switch p.Protocol {
		case "TCP":
			out.TCP = append(out.TCP, p.ContainerPort)
		case "UDP":
			out.UDP = append(out.UDP, p.ContainerPort)
		}
	}
	lifecycle(&out, c)
	r.setDev(&out, c, p)
	for _, m := range c.VolumeMounts {
		out.Mounts = append(out.Mounts, r.mount(&m, p, d))
	}
	setSecurity(&out, &c.SecurityContext, &p.SecurityContext)
	setResources(&out, &c.Resources)
	setMessagePath(&out, c)
	for kind, probe := range map[string]*app.Probe{"startup": c.StartupProbe, "readiness": c.ReadinessProbe, "liveness": c.LivenessProbe} {
		if probe != nil {
			out.Probes = append(out.Probes, renderProbe(kind, probe, c))
		}
	}
	slices.SortFunc(out.Probes, func(a, b Probe) int { return strings.Compare(b.Kind, a.Kind) }) // startup first
	r.checkBuild(c, p)
	out.Hash = containerHash(&out)
	return out
}

func renderProbe(kind string, p *app.Probe, c *app.Container) Probe {
	out := Probe{
		Kind:             kind,
		InitialDelay:     p.InitialDelaySeconds,
		Period:           p.PeriodSeconds,
		Timeout:          p.TimeoutSeconds,
		SuccessThreshold: p.SuccessThreshold,
		FailureThreshold: p.FailureThreshold,
		Grace:            p.TerminationGracePeriodSeconds,
	}
	switch {
	case p.HTTPGet != nil:
		out.HTTP = &HTTPProbe{Host: p.HTTPGet.Host, Port: resolvePort(p.HTTPGet.Port, c.Ports, "TCP"), Path: p.HTTPGet.Path, Scheme: p.HTTPGet.Scheme}
		for _, h := range p.HTTPGet.HTTPHeaders {
			out.HTTP.Headers = append(out.HTTP.Headers, [2]string{h.Name, h.Value})
		}
	case p.TCPSocket != nil:
		out.TCP, out.TCPHost = resolvePort(p.TCPSocket.Port, c.Ports, "TCP"), p.TCPSocket.Host
	case p.GRPC != nil:
		out.GRPC = &GRPCProbe{Port: p.GRPC.Port, Service: p.GRPC.Service}
	case p.Exec != nil:
		out.Exec = expandStatic(p.Exec.Command, c.Env)
	}
	return out
}

// expandStatic replaces $(VAR) in a probe's command by what the definition
// says, and by nothing what comes from elsewhere.
// Source: pkg/kubelet/container/helpers.go ExpandContainerCommandOnlyStatic.
func expandStatic(command []string, env []app.EnvVar) []string {
	return expandAll(command, func(name string) (string, bool) {
		for i := range slices.Backward(env) {
			if env[i].Name == name {
				return env[i].Value, true
			}
		}
		return "", false
	})
}

// resolvePort gives the number of a port reference, or 0 when no port of that
// name and protocol exists.
func resolvePort(ref app.PortRef, ports []app.ContainerPort, protocol string) int {
	if ref.Name == "" {
		return ref.Number
	}
	for _, p := range ports {
		if p.Name == ref.Name && p.Protocol == protocol {
			return p.ContainerPort
		}
	}
	return 0
}
