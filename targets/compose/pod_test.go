package compose_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cuepod/cuepod/compiler/app"
)

// A pod that says nothing special makes no finding but its service's.
func TestRender_PlainPodHasNoFindings(t *testing.T) {
	_, findings := rendered(t, one(func(*app.App, *app.Pod, *app.Container) {}))
	if diff := cmp.Diff([]string{"service-endpoints"}, found(findings)); diff != "" {
		t.Error(diff)
	}
}

// The container's own word goes before the pod's.
func TestRender_SecurityOfThePodIsTheDefault(t *testing.T) {
	pod, own, yes := int64(1000), int64(0), true
	for name, c := range map[string]struct {
		change func(*app.Pod, *app.Container)
		user   string
		found  []string
	}{
		"the pod's": {func(p *app.Pod, _ *app.Container) { p.SecurityContext.RunAsUser = &pod }, "1000", nil},
		"its own": {func(p *app.Pod, c *app.Container) {
			p.SecurityContext.RunAsUser, c.SecurityContext.RunAsUser = &pod, &own
		}, "0", nil},
		"user and group": {func(p *app.Pod, c *app.Container) {
			p.SecurityContext.RunAsGroup, c.SecurityContext.RunAsUser = &pod, &own
		}, "0:1000", nil},
		"a group alone": {func(p *app.Pod, _ *app.Container) { p.SecurityContext.RunAsGroup = &pod }, "", []string{"run-as-group"}},
		"nobody's":      {func(p *app.Pod, _ *app.Container) { p.SecurityContext.RunAsNonRoot = &yes }, "", []string{"run-as-non-root"}},
		"not root's": {func(p *app.Pod, c *app.Container) {
			p.SecurityContext.RunAsNonRoot, c.SecurityContext.RunAsUser = &yes, &pod
		}, "1000", nil},
	} {
		project, findings := rendered(t, one(func(a *app.App, p *app.Pod, m *app.Container) { a.Services = nil; c.change(p, m) }))
		if got := project.Services["web-0-c"].User; got != c.user {
			t.Errorf("%s: user %q, want %q", name, got, c.user)
		}
		if diff := cmp.Diff(c.found, found(findings)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// A process may gain privileges where it is said, or where it has them already.
func TestRender_PrivilegesAreNotGained(t *testing.T) {
	yes, no := true, false
	for name, c := range map[string]struct {
		context app.SecurityContext
		want    bool
	}{
		"nothing said": {app.SecurityContext{}, true},
		"forbidden":    {app.SecurityContext{AllowPrivilegeEscalation: &no}, true},
		"allowed":      {app.SecurityContext{AllowPrivilegeEscalation: &yes}, false},
		"privileged":   {app.SecurityContext{Privileged: &yes}, false},
		"a capability": {app.SecurityContext{Capabilities: app.Capabilities{Add: []string{"SYS_ADMIN"}}}, false},
		"another":      {app.SecurityContext{Capabilities: app.Capabilities{Add: []string{"NET_ADMIN"}}}, true},
	} {
		project, _ := rendered(t, one(func(_ *app.App, _ *app.Pod, m *app.Container) { m.SecurityContext = c.context }))
		s := project.Services["web-0-c"]
		if got := len(s.SecurityOpt) == 1 && s.SecurityOpt[0] == "no-new-privileges:true"; got != c.want {
			t.Errorf("%s: %v", name, s.SecurityOpt)
		}
	}
}

// Resources are whole units of the divisor, rounded up; an absent limit is the
// node's, an absent request the limit or nothing.
func TestRender_ResourceFields(t *testing.T) {
	limits := map[string]app.Quantity{"cpu": "1500m", "memory": "100Mi"}
	for _, c := range []struct {
		resource, divisor string
		want              string // "-" for a variable that is not set
	}{
		{"limits.cpu", "", "2"}, {"limits.cpu", "1m", "1500"}, {"limits.cpu", "2", "1"}, {"requests.cpu", "1m", "1500"},
		{"limits.memory", "", "104857600"}, {"limits.memory", "1Mi", "100"}, {"limits.memory", "64Mi", "2"}, {"requests.memory", "1Mi", "10"},
		{"limits.ephemeral-storage", "", "-"}, {"requests.ephemeral-storage", "", "0"},
	} {
		project, findings := rendered(t, one(func(a *app.App, _ *app.Pod, m *app.Container) {
			a.Services = nil
			m.Resources = app.Resources{Limits: limits, Requests: map[string]app.Quantity{"memory": "10Mi"}}
			m.Env = []app.EnvVar{{Name: "A", ValueFrom: &app.EnvVarSource{ResourceFieldRef: &app.ResourceFieldSelector{Resource: c.resource, Divisor: app.Quantity(c.divisor)}}}}
		}))
		got := "-"
		if v := project.Services["web-0-c"].Environment["A"]; v != nil {
			got = *v
		}
		if got != c.want || (got == "-") != (len(findings) == 1) {
			t.Errorf("%s in %q: %s, want %s; findings %v", c.resource, c.divisor, got, c.want, found(findings))
		}
	}
}

// What can be known of the pod is, and the rest is told.
func TestRender_FieldsOfThePod(t *testing.T) {
	for field, want := range map[string]string{
		"metadata.name": "web-1", "metadata.namespace": "default", "spec.serviceAccountName": "default",
		"metadata.labels['apps.kubernetes.io/pod-index']": "1", "metadata.labels['app.kubernetes.io/name']": "x",
		"metadata.annotations['note']": "n", "metadata.labels['absent']": "",
		"metadata.uid": "-", "status.hostIP": "-", "spec.nodeName": "-",
	} {
		project, findings := rendered(t, one(func(a *app.App, p *app.Pod, m *app.Container) {
			a.Services, p.Kind, p.Replicas, p.Annotations = nil, "StatefulSet", 2, map[string]string{"note": "n"}
			m.Env = []app.EnvVar{{Name: "A", ValueFrom: &app.EnvVarSource{FieldRef: &app.ObjectFieldSelector{FieldPath: field}}}}
		}))
		got := "-"
		if v := project.Services["web-1-c"].Environment["A"]; v != nil {
			got = *v
		}
		told := strings.Contains(strings.Join(found(findings), " "), "field-ref")
		if got != want || told != (want == "-") {
			t.Errorf("%s: %q, want %q; findings %v", field, got, want, found(findings))
		}
	}
}

// A pod on the host's network has neither names nor published ports, and the
// service in front of it says so.
func TestRender_HostNetwork(t *testing.T) {
	for _, host := range []bool{true, false} {
		project, findings := rendered(t, one(func(a *app.App, p *app.Pod, m *app.Container) {
			p.HostNetwork = host
			m.Ports = []app.ContainerPort{{Name: "http", ContainerPort: 8080, HostPort: 8080}}
			a.Services[0].Type, a.Services[0].Ports[0].TargetPort = "NodePort", app.PortRef{Number: 8080}
		}))
		holder := project.Services["web-0"]
		_, portal := project.Services["web-portal"]
		published := len(holder.Ports) > 0 && holder.Hostname != "" && len(holder.Command) > 1 && portal
		if published == host || (holder.NetworkMode == "host") != host {
			t.Errorf("host %v: ports %v, hostname %q, network %q, command %v, portal %v", host, holder.Ports, holder.Hostname, holder.NetworkMode, holder.Command, portal)
		}
		want := []string{"container-port", "host-port", "service-endpoints", "service-port"}
		if host {
			want = []string{"host-network", "service-empty"}
		}
		if diff := cmp.Diff(want, found(findings)); diff != "" {
			t.Errorf("host %v: %s", host, diff)
		}
	}
}
