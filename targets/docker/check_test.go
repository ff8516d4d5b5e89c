package docker

import (
	"testing"

	"github.com/cuepod/cuepod/compiler/app"
)

// Fields of which only some values are lost are silent about the others.
func TestCheck_ValuesThatMeanTheSameAreNotTold(t *testing.T) {
	service := func(change func(*app.Service)) *app.App {
		a := one()
		a.Services = []app.Service{{Name: "web", Pod: "web", Type: "ClusterIP", Ports: []app.ServicePort{{Name: "http", Port: 80, Protocol: "TCP"}}}}
		change(&a.Services[0])
		return a
	}
	pod := func(change func(*app.Pod)) *app.App { return one(func(p *app.Pod, _ *app.Container) { change(p) }) }
	container := func(change func(*app.Container)) *app.App {
		return one(func(p *app.Pod, c *app.Container) {
			p.Volumes = []app.Volume{{Name: "tmp", EmptyDir: &app.EmptyDir{}}, {Name: "host", HostPath: &app.HostPathVolumeSource{Path: "/home/me/shop/x"}}}
			change(c)
		})
	}
	mount := func(name string, m app.VolumeMount) *app.App {
		m.Name, m.MountPath = name, "/m"
		return container(func(c *app.Container) { c.VolumeMounts = []app.VolumeMount{m} })
	}
	tests := []struct {
		field       string
		same, other *app.App
		code        string
	}{
		{"hostUsers", pod(func(p *app.Pod) { p.HostUsers = ptr(true) }), pod(func(p *app.Pod) { p.HostUsers = ptr(false) }), codeIsolation},
		{"automountServiceAccountToken", pod(func(p *app.Pod) { p.AutomountServiceAccountToken = ptr(false) }), pod(func(p *app.Pod) { p.AutomountServiceAccountToken = ptr(true) }), codeAccount},
		{"surge", pod(func(p *app.Pod) {
			p.UpdateStrategy = &app.UpdateStrategy{RollingUpdate: &app.RollingUpdate{MaxUnavailable: "1"}}
		}), pod(func(p *app.Pod) {
			p.UpdateStrategy = &app.UpdateStrategy{RollingUpdate: &app.RollingUpdate{MaxSurge: "1"}}
		}), codeRollout},
		{"seccomp", pod(func(p *app.Pod) { p.SecurityContext.SeccompProfile = &app.SeccompProfile{Type: "Unconfined"} }),
			pod(func(p *app.Pod) {
				p.SecurityContext.SeccompProfile = &app.SeccompProfile{Type: "Localhost", LocalhostProfile: "a.json"}
			}), codeIsolation},
		{"sizeLimit", pod(func(p *app.Pod) {
			p.Volumes = []app.Volume{{Name: "v", EmptyDir: &app.EmptyDir{Medium: "Memory", SizeLimit: "1Mi"}}}
		}), pod(func(p *app.Pod) {
			p.Volumes = []app.Volume{{Name: "v", EmptyDir: &app.EmptyDir{SizeLimit: "1Mi"}}}
		}), "docker/emptydir-size"},
		{"resources", container(func(c *app.Container) {
			c.Resources = app.Resources{Requests: map[string]app.Quantity{"cpu": "1"}, Limits: map[string]app.Quantity{"cpu": "1", "memory": "1Gi"}}
		}), container(func(c *app.Container) {
			c.Resources.Limits = map[string]app.Quantity{"example.test/gpu": "1"}
		}), codeResource},
		{"preStop", container(func(c *app.Container) {
			c.Lifecycle = &app.Lifecycle{StopSignal: "SIGINT", PreStop: &app.LifecycleHandler{Exec: &app.ExecAction{Command: []string{"x"}}}}
		}), container(func(c *app.Container) {
			c.Lifecycle = &app.Lifecycle{PreStop: &app.LifecycleHandler{TCPSocket: &app.TCPSocketAction{Port: app.PortRef{Number: 80}}}}
		}), "docker/hook-kind"},
		{"mountPropagation", mount("host", app.VolumeMount{MountPropagation: "Bidirectional"}), mount("tmp", app.VolumeMount{MountPropagation: "Bidirectional"}), codeMountOption},
		{"no mountPropagation", mount("tmp", app.VolumeMount{MountPropagation: "None"}), mount("tmp", app.VolumeMount{MountPropagation: "HostToContainer"}), codeMountOption},
		{"recursiveReadOnly", mount("tmp", app.VolumeMount{ReadOnly: true, RecursiveReadOnly: "IfPossible"}), mount("tmp", app.VolumeMount{ReadOnly: true, RecursiveReadOnly: "Enabled"}), codeMountOption},
		{"hostPort", container(func(c *app.Container) {
			c.Ports = []app.ContainerPort{{Name: "http", ContainerPort: 80, HostPort: 80, HostIP: "0.0.0.0", Protocol: "TCP"}}
		}), container(func(c *app.Container) {
			c.Ports = []app.ContainerPort{{Name: "http", ContainerPort: 80, HostPort: 80, Protocol: "TCP"}}
		}), "docker/loopback"},
		{"clusterIP", service(func(s *app.Service) { s.Headless = true }), service(func(s *app.Service) { s.ClusterIP = "10.0.0.9" }), codeAddress},
		{"externalTrafficPolicy", service(func(s *app.Service) { s.ExternalTrafficPolicy = "Cluster" }), service(func(s *app.Service) { s.ExternalTrafficPolicy = "Local" }), codeAddress},
		{"ipFamilies", service(func(s *app.Service) { s.IPFamilies = []string{"IPv4"} }), service(func(s *app.Service) { s.IPFamilies = []string{"IPv4", "IPv6"} }), codeAddress},
		{"ipFamilyPolicy", service(func(s *app.Service) { s.IPFamilyPolicy = "SingleStack" }), service(func(s *app.Service) { s.IPFamilyPolicy = "PreferDualStack" }), codeAddress},
	}
	for _, tt := range tests {
		t.Run(tt.field, func(t *testing.T) {
			if _, findings := render(t, tt.same); len(findings) > 0 {
				t.Errorf("told without need: %v", findings)
			}
			if _, findings := render(t, tt.other); len(findings) != 1 || findings[0].Code != tt.code {
				t.Errorf("findings %v, want one with %s", findings, tt.code)
			}
		})
	}
}
