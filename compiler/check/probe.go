package check

import (
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// namedProbe is a probe and its field.
type namedProbe struct {
	name  string
	probe *app.Probe
}

func probes(ctr *app.Container) []namedProbe {
	return []namedProbe{{"livenessProbe", ctr.LivenessProbe}, {"readinessProbe", ctr.ReadinessProbe}, {"startupProbe", ctr.StartupProbe}}
}

func (c *checker) probe(ctr *app.Container, p *app.Probe, at place) {
	at = at.at(p.Pos)
	at.one("handler",
		choice{"httpGet", p.HTTPGet != nil}, choice{"tcpSocket", p.TCPSocket != nil},
		choice{"grpc", p.GRPC != nil}, choice{"exec", p.Exec != nil})
	c.httpGet(ctr, p.HTTPGet, at.field("httpGet"))
	c.tcpSocket(ctr, p.TCPSocket, at.field("tcpSocket"))
	c.exec(p.Exec, at.field("exec"))
	readiness := p == ctr.ReadinessProbe
	if !readiness && p.SuccessThreshold != 1 {
		at.field("successThreshold").refuse("it must be 1, not %d", p.SuccessThreshold).hint("only a readiness probe may need several successes")
	}
	if p.TerminationGracePeriodSeconds != nil {
		grace := at.field("terminationGracePeriodSeconds")
		if readiness {
			grace.refuse("a readiness probe ends no container").hint("leave it out, or set it at the livenessProbe")
		} else if *p.TerminationGracePeriodSeconds < 1 {
			grace.refuse("it must be at least 1")
		}
	}
}

// headerLetters are what Kubernetes allows in the name of a header.
const headerLetters = "-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

func (c *checker) httpGet(ctr *app.Container, h *app.HTTPGetAction, at place) {
	if h == nil {
		return
	}
	c.portOf(ctr, h.Port, at.field("port"))
	for i, header := range h.HTTPHeaders {
		if strings.Trim(header.Name, headerLetters) != "" {
			at.field("httpHeaders").item(i).field("name").refuse("%q is not valid; a header's name has letters, digits and \"-\"", header.Name)
		}
	}
	if h.Protocol == "HTTP2" && h.Scheme == "HTTPS" {
		at.field("protocol").refuse("HTTP2 is without TLS").hint("set scheme: \"HTTP\", or leave protocol out")
	}
	if h.Protocol == "HTTP2" && h.Host != "" {
		at.field("host").refuse("with HTTP2 there is no host").hint("leave it out")
	}
}

func (c *checker) tcpSocket(ctr *app.Container, t *app.TCPSocketAction, at place) {
	if t != nil {
		c.portOf(ctr, t.Port, at.field("port"))
	}
}

func (c *checker) exec(e *app.ExecAction, at place) {
	if e == nil {
		return
	}
	at = at.field("command")
	c.noNUL(at.pos, at.path, e.Command...)
	if len(e.Command) == 0 {
		at.refuse("there is no command")
	}
}

// portOf checks a port by name: it has to be a TCP port of the container.
func (c *checker) portOf(ctr *app.Container, ref app.PortRef, at place) {
	if ref.Name == "" {
		return
	}
	var have []string
	for _, port := range ctr.Ports {
		if port.Protocol == "TCP" {
			have = append(have, port.Name)
		}
	}
	if !slices.Contains(have, ref.Name) {
		at.missing("TCP port", ref.Name, "container "+ctr.Name, have)
	}
}

// lifecycle checks what runs at a container's start and before its end.
func (c *checker) lifecycle(p *app.Pod, ctr *app.Container, at place) {
	l := ctr.Lifecycle
	at = at.at(l.Pos)
	c.handler(p, ctr, l.PostStart, at.field("postStart"))
	c.handler(p, ctr, l.PreStop, at.field("preStop"))
	if l.StopSignal == "" {
		return
	}
	signal := at.field("stopSignal")
	switch {
	case p.OS == nil:
		signal.refuse("what signals there are depends on the system").hint("add os: name: \"linux\" to the pod")
	case p.OS.Name == "windows":
		signal.oneOf(l.StopSignal, "SIGKILL", "SIGTERM")
	}
}

func (c *checker) handler(p *app.Pod, ctr *app.Container, h *app.LifecycleHandler, at place) {
	if h == nil {
		return
	}
	at = at.at(h.Pos)
	at.one("handler",
		choice{"exec", h.Exec != nil}, choice{"httpGet", h.HTTPGet != nil},
		choice{"tcpSocket", h.TCPSocket != nil}, choice{"sleep", h.Sleep != nil})
	c.httpGet(ctr, h.HTTPGet, at.field("httpGet"))
	c.tcpSocket(ctr, h.TCPSocket, at.field("tcpSocket"))
	c.exec(h.Exec, at.field("exec"))
	if h.Sleep != nil && h.Sleep.Seconds > p.TerminationGracePeriodSeconds {
		at.field("sleep", "seconds").refuse("%d is more than the pod's terminationGracePeriodSeconds, %d", h.Sleep.Seconds, p.TerminationGracePeriodSeconds).
			hint("sleep shorter, or let the pod have longer")
	}
}
