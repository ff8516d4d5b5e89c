package compose

import (
	"fmt"
	"strconv"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// healthcheck is a Compose healthcheck in the making.
type healthcheck struct {
	test     []string // after CMD
	period   int      // seconds
	timeout  int      // seconds
	failures int
}

// startPeriod is how long failures do not count, in seconds. Compose gives up
// on everything that waits for a service once that is unhealthy, where
// Kubernetes goes on waiting: until the Deployment's progress deadline, whose
// default this is.
const startPeriod = 600

func (h *healthcheck) yaml() *yaml.Map {
	if h == nil {
		return nil
	}
	seconds := func(n int) string { return strconv.Itoa(n) + "s" }
	return yaml.New().
		Set("test", oneLine(append([]string{"CMD"}, h.test...))).
		Set("interval", seconds(h.period)).
		Set("timeout", seconds(h.timeout)).
		Set("retries", h.failures).
		Set("start_period", seconds(startPeriod))
}

// healthProbe picks the probe that says whether a container is healthy:
// readiness, or else startup, without which the container is not ready either.
// Compose's health orders the start and nothing more, so a liveness probe has no
// part in it. It is nil when the container is ready as soon as it runs.
func healthProbe(c *app.Container) *app.Probe {
	if c.ReadinessProbe != nil {
		return c.ReadinessProbe
	}
	return c.StartupProbe
}

// probes turns a container's probes into a healthcheck of its own when the
// probe is a command, or into a part of the holder's, which asks over the
// network as the kubelet does. The start of a sidecar is told by a service of
// its own: see started.
func (p *replica) probes(c *app.Container, path string, as role) (*healthcheck, error) {
	p.probeFindings(c, path, as)
	probe := healthProbe(c)
	var own *healthcheck
	if probe != nil && probe.Exec == nil && (as != sidecar || probe == c.ReadinessProbe) {
		args, err := checkArgs(c, probe)
		if err != nil {
			return nil, err
		}
		p.addCheck(timed(probe), args)
	}
	if as == sidecar {
		probe = sidecarProbe(c)
	}
	if probe != nil && probe.Exec != nil {
		own = timed(probe)
		own.test = texts(expandAll(probe.Exec.Command, staticEnv(c)))
	}
	return own, nil
}

// timed is a healthcheck as often and as patient as a probe.
func timed(probe *app.Probe) *healthcheck {
	return &healthcheck{period: probe.PeriodSeconds, timeout: probe.TimeoutSeconds, failures: probe.FailureThreshold}
}

// staticEnv looks up the variables that Kubernetes expands in the command of a
// probe: the values as they are written, and nothing for those from elsewhere.
func staticEnv(c *app.Container) func(string) (text, bool) {
	return func(name string) (value text, ok bool) {
		for _, v := range c.Env {
			if v.Name == name {
				value, ok = literal(v.Value), true
			}
		}
		return value, ok
	}
}

// holderMargin is what the holder's program may take on top of the probes'
// own timeout, in seconds: the engine's covers the start of a process too.
const holderMargin = 2

// addCheck joins a probe to the holder's healthcheck: all have to succeed, at
// the shortest period, with the most patience.
func (p *replica) addCheck(h *healthcheck, args []string) {
	if p.checks == nil {
		p.checks = &healthcheck{test: []string{holderProgram, "check"}, period: h.period}
	}
	p.checks.test = append(p.checks.test, args...)
	p.checks.period = min(p.checks.period, h.period)
	p.checks.timeout = max(p.checks.timeout, h.timeout+holderMargin)
	p.checks.failures = max(p.checks.failures, h.failures)
}

// checkArgs are the arguments of the holder's check for one probe: its options,
// then where to ask.
func checkArgs(c *app.Container, probe *app.Probe) ([]string, error) {
	args := []string{fmt.Sprintf("--timeout=%ds", probe.TimeoutSeconds)}
	switch {
	case probe.HTTPGet != nil:
		port, err := containerPort(c, probe.HTTPGet.Port)
		if err != nil {
			return nil, err
		}
		for _, h := range probe.HTTPGet.HTTPHeaders {
			args = append(args, escape("--header="+h.Name+":"+h.Value))
		}
		scheme := "http"
		if probe.HTTPGet.Scheme == "HTTPS" {
			scheme = "https"
		}
		return append(args, escape(fmt.Sprintf("%s://%s%s", scheme, hostPort(probe.HTTPGet.Host, port), rooted(probe.HTTPGet.Path)))), nil
	case probe.TCPSocket != nil:
		port, err := containerPort(c, probe.TCPSocket.Port)
		if err != nil {
			return nil, err
		}
		return append(args, escape("tcp://"+hostPort(probe.TCPSocket.Host, port))), nil
	case probe.GRPC != nil:
		scheme := "grpc"
		if probe.GRPC.Mode == "TLS" {
			scheme = "grpcs"
		}
		return append(args, escape(fmt.Sprintf("%s://:%d/%s", scheme, probe.GRPC.Port, probe.GRPC.Service))), nil
	}
	return nil, fmt.Errorf("a probe has no handler")
}

// hostPort is where to ask; without a host at the pod's own address.
func hostPort(host string, port int) string {
	if host == "" {
		return ":" + strconv.Itoa(port)
	}
	return joinHost(host, port)
}

func rooted(path string) string {
	if path == "" || path[0] != '/' {
		return "/" + path
	}
	return path
}

// containerPort resolves a port by number or by the name of one of the
// container's own ports.
func containerPort(c *app.Container, ref app.PortRef) (int, error) {
	if ref.Name == "" {
		return ref.Number, nil
	}
	for _, p := range c.Ports {
		if p.Name == ref.Name {
			return p.ContainerPort, nil
		}
	}
	return 0, fmt.Errorf("a probe asks at port %q, which the container does not have", ref.Name)
}

func (p *replica) probeFindings(c *app.Container, path string, as role) {
	for name, probe := range map[string]*app.Probe{"readinessProbe": c.ReadinessProbe, "startupProbe": c.StartupProbe} {
		if probe != nil && probe.HTTPGet != nil && probe.HTTPGet.Protocol == "HTTP2" {
			p.find("compose/http2-probe", path+"."+name+".httpGet.protocol", at(probe.HTTPGet.Pos, probe.Pos), "the probe asks in HTTP/1.1", "")
		}
	}
	if probe := c.LivenessProbe; probe != nil {
		p.find("compose/liveness-probe", path+".livenessProbe", probe.Pos,
			"the probe is left out: Compose restarts no container that is unhealthy", "let the process exit when it cannot go on")
	}
	if probe := c.ReadinessProbe; probe != nil {
		p.find("compose/readiness-probe", path+".readinessProbe", probe.Pos,
			fmt.Sprintf("the probe is a healthcheck of %s: it orders the start, and takes no replica out of its service", p.checkedBy(c, probe)), "")
		if probe.SuccessThreshold > 1 {
			p.find("compose/success-threshold", path+".readinessProbe.successThreshold", probe.Pos, "one success makes the container healthy", "")
		}
	}
	if probe := c.StartupProbe; probe != nil {
		message := fmt.Sprintf("the probe is a healthcheck of %s, which goes on after the start; its failure restarts nothing", p.checkedBy(c, probe))
		switch {
		case as == sidecar && probe.Exec == nil:
			message = p.memberName(c.Name) + startedSuffix + " waits until the probe succeeds; its failure restarts nothing"
		case c.ReadinessProbe != nil && (as != sidecar || c.ReadinessProbe.Exec != nil):
			message = "the probe is left to the readiness probe, whose failures at the start do not count; its failure restarts nothing"
		}
		p.find("compose/startup-probe", path+".startupProbe", probe.Pos, message, "")
	}
}

// checkedBy names the kind of service whose healthcheck a probe becomes.
func (p *replica) checkedBy(c *app.Container, probe *app.Probe) string {
	if probe.Exec != nil {
		return p.memberName(c.Name)
	}
	return "the holder " + p.name
}
