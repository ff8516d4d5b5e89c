package docker

import (
	"slices"
	"testing"

	"github.com/cuepod/cuepod/compiler/app"
)

// Only what the definition says itself is expanded, and what comes from
// elsewhere is nothing.
//
// conformance:S41
func TestRenderProbe_ExpandsLiteralVariablesAlone(t *testing.T) {
	c := &app.Container{Env: []app.EnvVar{
		{Name: "A", Value: "first"},
		{Name: "A", Value: "last"},
		{Name: "NESTED", Value: "$(A)"},
		{Name: "SECRET", ValueFrom: &app.EnvVarSource{SecretKeyRef: &app.SecretKeySelector{Name: "s", Key: "k"}}},
	}}
	p := renderProbe("liveness", &app.Probe{Exec: &app.ExecAction{Command: []string{"x", "$(A)", "$(NESTED)", "[$(SECRET)]", "$(NONE)", "$$(A)"}}}, c)
	if want := []string{"x", "last", "$(A)", "[]", "$(NONE)", "$(A)"}; !slices.Equal(p.Exec, want) {
		t.Errorf("%q, want %q", p.Exec, want)
	}
}

// A port's name is one of the same container, and of the protocol.
//
// conformance:S38
func TestRenderProbe_NamedPort(t *testing.T) {
	c := &app.Container{Ports: []app.ContainerPort{{Name: "web", ContainerPort: 53, Protocol: "UDP"}, {Name: "web", ContainerPort: 80, Protocol: "TCP"}}}
	p := renderProbe("readiness", &app.Probe{HTTPGet: &app.HTTPGetAction{Host: "h", Port: app.PortRef{Name: "web"}}}, c)
	if p.HTTP.Port != 80 || p.HTTP.Host != "h" {
		t.Errorf("%+v", p.HTTP)
	}
	if p = renderProbe("readiness", &app.Probe{TCPSocket: &app.TCPSocketAction{Port: app.PortRef{Name: "web"}}}, &app.Container{}); p.TCP != 0 {
		t.Errorf("another container's port is found: %+v", p)
	}
}
