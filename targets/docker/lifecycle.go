package docker

import (
	"slices"

	"github.com/cuepod/cuepod/compiler/app"
)

// Hook is what runs right after a container's start, or before it is asked to
// stop. Exactly one of its fields is set.
type Hook struct {
	Exec  []string  `json:"exec,omitempty"` // in the container, as it is: $(VAR) is not expanded, as in Kubernetes
	HTTP  *HTTPHook `json:"http,omitempty"`
	Sleep *int64    `json:"sleep,omitempty"` // seconds
}

// HTTPHook is a GET request to the pod's address; any answer is a success. A
// server that answers an HTTPS request in plain HTTP is asked again so.
type HTTPHook struct {
	Host    string      `json:"host,omitempty"` // "" is the pod's address
	Port    int         `json:"port"`
	Path    string      `json:"path"`
	Scheme  string      `json:"scheme"` // HTTP or HTTPS
	Headers [][2]string `json:"headers,omitempty"`
}

// RestartAction is what a rule has done when a container ends.
type RestartAction string

const (
	RestartThis RestartAction = "Restart"
	RestartAll  RestartAction = "RestartAllContainers" // of the pod, init containers included
)

// RestartRule is an exception from a container's restart policy, by its exit
// code. The first rule that applies counts.
type RestartRule struct {
	Action RestartAction `json:"action"`
	NotIn  bool          `json:"notIn,omitempty"` // the rule is for all codes but Codes
	Codes  []int         `json:"codes"`
}

// RuleFor is what the container's rules say of an exit code; false when none
// applies.
func (c *Container) RuleFor(code int) (RestartAction, bool) {
	for _, r := range c.RestartRules {
		if slices.Contains(r.Codes, code) != r.NotIn {
			return r.Action, true
		}
	}
	return "", false
}

// PolicyOf is when a container of the pod that ended is started again, as far
// as no rule of its own says otherwise. A sidecar always is.
func (p *Pod) PolicyOf(c *Container) RestartPolicy {
	switch {
	case c.Sidecar:
		return RestartAlways
	case c.Restart != "":
		return c.Restart
	case p.RestartPolicy == "":
		return RestartAlways
	}
	return p.RestartPolicy
}

// lifecycle sets a container's hooks and when it is restarted on its own.
func lifecycle(out *Container, c *app.Container) {
	if l := c.Lifecycle; l != nil {
		out.StopSignal = l.StopSignal
		out.PostStart, out.PreStop = hook(l.PostStart, c.Ports), hook(l.PreStop, c.Ports)
	}
	out.Restart = RestartPolicy(c.RestartPolicy)
	for _, rule := range c.RestartPolicyRules {
		if codes := rule.ExitCodes; codes != nil {
			out.RestartRules = append(out.RestartRules, RestartRule{RestartAction(rule.Action), codes.Operator == "NotIn", codes.Values})
		}
	}
}

// hook is nil for one that nobody runs: see checkHook.
func hook(h *app.LifecycleHandler, ports []app.ContainerPort) *Hook {
	switch {
	case h == nil:
		return nil
	case h.Exec != nil:
		return &Hook{Exec: h.Exec.Command}
	case h.HTTPGet != nil:
		get := h.HTTPGet
		out := &HTTPHook{Host: get.Host, Port: resolvePort(get.Port, ports, "TCP"), Path: get.Path, Scheme: get.Scheme}
		for _, field := range get.HTTPHeaders {
			out.Headers = append(out.Headers, [2]string{field.Name, field.Value})
		}
		return &Hook{HTTP: out}
	case h.Sleep != nil:
		return &Hook{Sleep: &h.Sleep.Seconds}
	}
	return nil
}
