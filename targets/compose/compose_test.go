package compose_test

import (
	"strings"
	"testing"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/compose"
)

// one is an app of one pod with one container, changed by change.
func one(change func(*app.App, *app.Pod, *app.Container)) *app.App {
	a := &app.App{
		Name:     "x",
		Pods:     []app.Pod{{Name: "web", Kind: "Deployment", Replicas: 1, Containers: []app.Container{{Name: "c", Image: "i"}}}},
		Services: []app.Service{{Name: "web", Pod: "web", Type: "ClusterIP", Ports: []app.ServicePort{{Name: "http", Port: 80, Protocol: "TCP"}}}},
	}
	change(a, &a.Pods[0], &a.Pods[0].Containers[0])
	return a
}

func TestRender_Errors(t *testing.T) {
	for want, change := range map[string]func(*app.App, *app.Pod, *app.Container){
		`pod web: container c: variable A: there is no ConfigMap m`: func(_ *app.App, _ *app.Pod, c *app.Container) {
			c.Env = []app.EnvVar{{Name: "A", ValueFrom: &app.EnvVarSource{ConfigMapKeyRef: &app.ConfigMapKeySelector{Name: "m", Key: "k"}}}}
		},
		`pod web: container c: variable A: there is no key k of ConfigMap m`: func(a *app.App, _ *app.Pod, c *app.Container) {
			a.ConfigMaps = []app.ConfigMap{{Name: "m"}}
			c.Env = []app.EnvVar{{Name: "A", ValueFrom: &app.EnvVarSource{ConfigMapKeyRef: &app.ConfigMapKeySelector{Name: "m", Key: "k"}}}}
		},
		`pod web: container c: variable A: there is no key k of Secret s`: func(a *app.App, _ *app.Pod, c *app.Container) {
			a.Secrets = []app.Secret{{Name: "s"}}
			c.Env = []app.EnvVar{{Name: "A", ValueFrom: &app.EnvVarSource{SecretKeyRef: &app.SecretKeySelector{Name: "s", Key: "k"}}}}
		},
		`pod web: container c: there is no Secret s`: func(_ *app.App, _ *app.Pod, c *app.Container) {
			c.EnvFrom = []app.EnvFromSource{{SecretRef: &app.SecretEnvSource{Name: "s"}}}
		},
		`pod web: container c: there is no volume v for /v`: func(_ *app.App, _ *app.Pod, c *app.Container) {
			c.VolumeMounts = []app.VolumeMount{{Name: "v", MountPath: "/v"}}
		},
		`pod web: volume v: it has no source`: func(_ *app.App, p *app.Pod, _ *app.Container) { p.Volumes = []app.Volume{{Name: "v"}} },
		`pod web: volume v: there is no claim d`: func(_ *app.App, p *app.Pod, _ *app.Container) {
			p.Volumes = []app.Volume{{Name: "v", Claim: &app.ClaimSource{ClaimName: "d"}}}
		},
		`pod web: volume v: there is no Secret s`: func(_ *app.App, p *app.Pod, _ *app.Container) {
			p.Volumes = []app.Volume{{Name: "v", Secret: &app.SecretSource{SecretName: "s"}}}
		},
		`pod web: volume v: there is no key k in m`: func(a *app.App, p *app.Pod, _ *app.Container) {
			a.ConfigMaps = []app.ConfigMap{{Name: "m"}}
			p.Volumes = []app.Volume{{Name: "v", ConfigMap: &app.ConfigMapSource{Name: "m", Items: []app.KeyToPath{{Key: "k", Path: "p"}}}}}
		},
		`pod web: container c: memory: "lots" is not a quantity`: func(_ *app.App, _ *app.Pod, c *app.Container) {
			c.Resources.Limits = map[string]app.Quantity{"memory": "lots"}
		},
		`pod web: container c: a probe asks at port "http", which the container does not have`: func(_ *app.App, _ *app.Pod, c *app.Container) {
			c.ReadinessProbe = &app.Probe{TCPSocket: &app.TCPSocketAction{Port: app.PortRef{Name: "http"}}}
		},
		`pod web: service web: port http: pod web has no TCP port "http"`: func(a *app.App, _ *app.Pod, _ *app.Container) {
			a.Services[0].Ports[0].TargetPort = app.PortRef{Name: "http"}
		},
		`service web: there is no pod "api"`: func(a *app.App, _ *app.Pod, _ *app.Container) { a.Services[0].Pod = "api" },
		`pod web: it depends on service api, which does not exist`: func(_ *app.App, p *app.Pod, _ *app.Container) {
			p.DependsOn = []app.Dependency{{Service: "api"}}
		},
		`pod web: it depends on service api, which no pod serves`: func(a *app.App, p *app.Pod, _ *app.Container) {
			a.Services = append(a.Services, app.Service{Name: "api", Selector: map[string]string{"app": "api"}})
			p.DependsOn = []app.Dependency{{Service: "api"}}
		},
		`pod web: container c: the subPathExpr of /v has the value of a secret in it`: func(a *app.App, p *app.Pod, c *app.Container) {
			a.Secrets = []app.Secret{{Name: "s", Keys: []app.SecretKey{{Name: "k", External: true}}}}
			p.Volumes = []app.Volume{{Name: "v", EmptyDir: &app.EmptyDir{}}}
			c.Env = []app.EnvVar{{Name: "A", ValueFrom: &app.EnvVarSource{SecretKeyRef: &app.SecretKeySelector{Name: "s", Key: "k"}}}}
			c.VolumeMounts = []app.VolumeMount{{Name: "v", MountPath: "/v", SubPathExpr: "of/$(A)"}}
		},
		`pod web: volume v: file cpu: there is no container "d"`: func(_ *app.App, p *app.Pod, _ *app.Container) {
			p.Volumes = []app.Volume{{Name: "v", DownwardAPI: &app.DownwardAPIVolumeSource{Items: []app.DownwardAPIVolumeFile{
				{Path: "cpu", ResourceFieldRef: &app.ResourceFieldSelector{ContainerName: "d", Resource: "limits.cpu"}},
			}}}}
		},
		`pod web: container c: variable A: limits.cpu cannot be divided by "-1"`: func(_ *app.App, _ *app.Pod, c *app.Container) {
			c.Resources.Limits = map[string]app.Quantity{"cpu": "1"}
			c.Env = []app.EnvVar{{Name: "A", ValueFrom: &app.EnvVarSource{ResourceFieldRef: &app.ResourceFieldSelector{Resource: "limits.cpu", Divisor: "-1"}}}}
		},
		`would both be the Compose volume data-web-0`: func(a *app.App, p *app.Pod, _ *app.Container) {
			a.Claims = []app.Claim{{Name: "data-web-0"}}
			p.Kind, p.VolumeClaimTemplates = "StatefulSet", []app.Claim{{Name: "data"}}
			p.Volumes = []app.Volume{{Name: "w", Claim: &app.ClaimSource{ClaimName: "data-web-0"}}}
		},
		`pod web: it depends on service web, which it serves itself`: func(_ *app.App, p *app.Pod, _ *app.Container) {
			p.DependsOn = []app.Dependency{{Service: "web"}}
		},
		`service web-0: its name is also that of replica web-0 of pod web`: func(a *app.App, _ *app.Pod, _ *app.Container) {
			a.Services[0].Name = "web-0"
		},
		`container volumes of replica web-0 of pod web would both be the Compose service web-0-volumes`: func(_ *app.App, p *app.Pod, c *app.Container) {
			c.Name = "volumes"
			p.Volumes = []app.Volume{{Name: "v", EmptyDir: &app.EmptyDir{}}}
		},
		`would both be the Compose volume web-0-v`: func(a *app.App, p *app.Pod, _ *app.Container) {
			a.Claims = []app.Claim{{Name: "web-0-v"}}
			p.Volumes = []app.Volume{{Name: "v", EmptyDir: &app.EmptyDir{}}, {Name: "w", Claim: &app.ClaimSource{ClaimName: "web-0-v"}}}
		},
		`secret keys a-b/c and a/b-c would share the variable A_B_C`: func(a *app.App, _ *app.Pod, _ *app.Container) {
			a.Secrets = []app.Secret{{Name: "a-b", Keys: []app.SecretKey{{Name: "c"}}}, {Name: "a", Keys: []app.SecretKey{{Name: "b-c"}}}}
		},
		`secret keys a/b and c/d would share the variable C_D`: func(a *app.App, _ *app.Pod, _ *app.Container) {
			a.Secrets = []app.Secret{{Name: "a", Keys: []app.SecretKey{{Name: "b", Env: "C_D"}}}, {Name: "c", Keys: []app.SecretKey{{Name: "d"}}}}
		},
	} {
		if _, err := compose.Render(one(change), compose.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	same := one(func(a *app.App, _ *app.Pod, _ *app.Container) {
		a.Secrets = []app.Secret{{Name: "a", Keys: []app.SecretKey{{Name: "b", Env: "TOKEN"}}}, {Name: "c", Keys: []app.SecretKey{{Name: "d", Env: "TOKEN"}}}}
	})
	if _, err := compose.Render(same, compose.Options{}); err != nil {
		t.Errorf("two keys that the definition gives one variable: %v", err)
	}
}

// Long names keep to what Linux takes for a hostname.
func TestRender_HostnameIsCut(t *testing.T) {
	long := strings.Repeat("a", 61) + "-b-c"
	out, err := compose.Render(one(func(_ *app.App, p *app.Pod, _ *app.Container) { p.Hostname = long }), compose.Options{HolderImage: "holder:1"})
	if err != nil {
		t.Fatal(err)
	}
	file := string(out.Files[0].Data)
	if !strings.Contains(file, "hostname: "+strings.Repeat("a", 61)+"-b\n") {
		t.Errorf("hostname not cut:\n%s", file)
	}
	if !strings.Contains(file, "image: holder:1\n") {
		t.Error("the holder's image is not the one asked for")
	}
}
