package docker

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets"
	"github.com/google/go-cmp/cmp"
)

func sample() *app.App {
	yes := true
	user := int64(1000)
	return &app.App{
		Name:   "shop",
		Labels: map[string]string{"team": "a"},
		Pods: []app.Pod{{
			Name: "web", Kind: "Deployment", Replicas: 2, TerminationGracePeriodSeconds: 30,
			Annotations: map[string]string{"note": "n"},
			Containers: []app.Container{{
				Name: "app", Image: "web:1", ImagePullPolicy: "IfNotPresent", Command: []string{"/app"},
				EnvFrom: []app.EnvFromSource{
					{Prefix: "P_", ConfigMapRef: &app.ConfigMapEnvSource{Name: "conf"}}, {SecretRef: &app.SecretEnvSource{Name: "creds"}},
				},
				Env: []app.EnvVar{
					{Name: "P_level", Value: "overridden"},
					{Name: "LEVEL", ValueFrom: &app.EnvVarSource{ConfigMapKeyRef: &app.ConfigMapKeySelector{Name: "conf", Key: "level"}}},
					{Name: "GONE", ValueFrom: &app.EnvVarSource{ConfigMapKeyRef: &app.ConfigMapKeySelector{Name: "conf", Key: "none", Optional: true}}},
					{Name: "POD", ValueFrom: &app.EnvVarSource{FieldRef: &app.ObjectFieldSelector{FieldPath: "metadata.name"}}},
					{Name: "TEAM", ValueFrom: &app.EnvVarSource{FieldRef: &app.ObjectFieldSelector{FieldPath: "metadata.labels['team']"}}},
					{Name: "NOTE", ValueFrom: &app.EnvVarSource{FieldRef: &app.ObjectFieldSelector{FieldPath: "metadata.annotations['note']"}}},
					{Name: "IP", ValueFrom: &app.EnvVarSource{FieldRef: &app.ObjectFieldSelector{FieldPath: "status.podIP"}}},
				},
				Ports: []app.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: "TCP"}},
				VolumeMounts: []app.VolumeMount{
					{MountPath: "/etc/conf", Name: "conf"}, {MountPath: "/tmp", Name: "tmp"}, {MountPath: "/data", Name: "data"},
				},
				Resources: app.Resources{
					Requests: map[string]app.Quantity{"cpu": "100m"},
					Limits:   map[string]app.Quantity{"cpu": "500m", "memory": "64Mi"},
				},
				ReadinessProbe:  &app.Probe{HTTPGet: &app.HTTPGetAction{Path: "/", Scheme: "HTTP", Port: app.PortRef{Name: "http"}}, PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3},
				SecurityContext: app.SecurityContext{RunAsUser: &user, ReadOnlyRootFilesystem: &yes, Capabilities: app.Capabilities{Drop: []string{"ALL"}}},
			}},
			Volumes: []app.Volume{
				{Name: "conf", ConfigMap: &app.ConfigMapSource{Name: "conf", DefaultMode: 0o644}},
				{Name: "tmp", EmptyDir: &app.EmptyDir{Medium: "Memory", SizeLimit: "1Mi"}},
				{Name: "data", Claim: &app.ClaimSource{ClaimName: "data"}},
			},
		}},
		Services: []app.Service{
			{Name: "internal", Pod: "web", Type: "ClusterIP", SessionAffinity: "None", Ports: []app.ServicePort{{Name: "http", Port: 80, TargetPort: app.PortRef{Name: "http"}, Protocol: "TCP"}}},
			{Name: "public", Pod: "web", Type: "NodePort", SessionAffinity: "ClientIP", Ports: []app.ServicePort{
				{Name: "a", Port: 80, TargetPort: app.PortRef{Number: 8080}, Protocol: "TCP"}, {Name: "b", Port: 81, NodePort: 30100, Protocol: "TCP"}}},
		},
		ConfigMaps: []app.ConfigMap{{Name: "conf", Data: map[string]string{"level": "$(X)", "app.ini": "a=1"}}},
		Secrets:    []app.Secret{{Name: "creds", Keys: []app.SecretKey{{Name: "password", Generate: &app.GenerateSecret{Length: 20}}}}},
		Claims:     []app.Claim{{Name: "data", Storage: "1Gi"}},
	}
}

// render makes the state of an app that is not refused.
func render(t *testing.T, a *app.App) (*State, []targets.Finding) {
	t.Helper()
	s, findings, err := Render(a, Options{Root: "/home/me/shop"})
	if err != nil {
		t.Fatal(err)
	}
	withoutMessages(s)
	return s, findings
}

// withoutMessages leaves out what every pod has: see TestMessages.
func withoutMessages(s *State) {
	s.Volumes = slices.DeleteFunc(s.Volumes, func(v Volume) bool { return v.Kind == Messages })
	for i := range s.Pods {
		p := &s.Pods[i]
		if p.Mounts = slices.DeleteFunc(p.Mounts, func(m Mount) bool { return m.Path == MessagesDir }); len(p.Mounts) == 0 {
			p.Mounts = nil
		}
	}
}

func TestRender_Environment(t *testing.T) {
	s, _ := render(t, sample())
	var got []string
	for _, e := range s.Pods[1].Containers[0].Env {
		line := e.Name + " " + string(e.Source) + " " + e.Value
		if e.Secret != nil {
			line += e.Secret.Name + "." + e.Secret.Key
		}
		got = append(got, strings.TrimSpace(line))
	}
	// envFrom first, in order; one that is replaced stays for those between to
	// refer to; the optional key that is missing is absent.
	want := []string{
		"P_app.ini given a=1", "P_level given $(X)", "password secret creds.password", "P_level  overridden", "LEVEL given $(X)",
		"POD given web-1", "TEAM given a", "NOTE given n", "IP podIP",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("env (-want +got):\n%s", diff)
	}
}

func TestRender_VolumesLiveWithTheirPodOrWithTheApp(t *testing.T) {
	s, _ := render(t, sample())
	want := []Volume{
		{Name: "shop_data", Kind: Claim, Claim: "data"},
		{Name: "shop_web-0_conf", Kind: ConfigMap, Pod: "web-0"},
		{Name: "shop_web-0_tmp", Kind: Memory, Pod: "web-0", Size: 1 << 20},
		{Name: "shop_web-1_conf", Kind: ConfigMap, Pod: "web-1"},
		{Name: "shop_web-1_tmp", Kind: Memory, Pod: "web-1", Size: 1 << 20},
	}
	if diff := cmp.Diff(want, s.Volumes); diff != "" {
		t.Errorf("volumes (-want +got):\n%s", diff)
	}
	mounts := []Mount{
		{Volume: "shop_web-0_conf", Path: "/etc/conf", ReadOnly: true}, // whatever the mount says
		{Volume: "shop_web-0_tmp", Path: "/tmp"},
		{Volume: "shop_data", Path: "/data"},
	}
	if diff := cmp.Diff(mounts, s.Pods[0].Containers[0].Mounts); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
}

// conformance:S123 S124
func TestRender_ResourcesInTheEnginesTerms(t *testing.T) {
	tests := []struct {
		request, limit app.Quantity
		shares, quota  int64
	}{
		{"", "", 2, 0},
		{"1", "", 1024, 0},
		{"100m", "500m", 102, 50_000},
		{"", "250m", 256, 25_000},
		{"1m", "1m", 2, 1000}, // floors of both
		{"1000", "", 262144, 0},
	}
	for _, tt := range tests {
		var c Container
		res := app.Resources{Requests: map[string]app.Quantity{}, Limits: map[string]app.Quantity{}}
		if tt.request != "" {
			res.Requests["cpu"] = tt.request
		}
		if tt.limit != "" {
			res.Limits["cpu"] = tt.limit
		}
		setResources(&c, &res)
		if c.CPUShares != tt.shares || c.CPUQuota != tt.quota {
			t.Errorf("request %q limit %q: shares %d quota %d, want %d %d", tt.request, tt.limit, c.CPUShares, c.CPUQuota, tt.shares, tt.quota)
		}
	}
}

func TestRender_ServicesAndPortals(t *testing.T) {
	s, _ := render(t, sample())
	want := []Service{
		{Name: "internal", HTTP: true, Pods: []string{"web-0", "web-1"}, Ports: []ServicePort{{Name: "http", Port: 80, Protocol: "TCP", Target: "http", Targets: map[string]int{"web-0": 8080, "web-1": 8080}}}},
		{Name: "public", Affinity: true, HTTP: true, Pods: []string{"web-0", "web-1"}, Ports: []ServicePort{
			{Name: "a", Port: 80, Protocol: "TCP", Targets: map[string]int{"web-0": 8080, "web-1": 8080}},
			{Name: "b", Port: 81, Protocol: "TCP", Targets: map[string]int{"web-0": 81, "web-1": 81}}, // the port itself
		}},
	}
	if diff := cmp.Diff(want, s.Services); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	if len(s.Portals) != 1 {
		t.Fatalf("portals %+v, want one: a ClusterIP service is not published", s.Portals)
	}
	ports := s.Portals[0].Ports
	if ports[0].Pinned || ports[0].HostPort < nodePortFirst || ports[0].HostPort > nodePortLast || ports[0].HostPort == 30100 {
		t.Errorf("a node port nobody chose: %+v", ports[0])
	}
	if !ports[1].Pinned || ports[1].HostPort != 30100 {
		t.Errorf("a node port somebody chose: %+v", ports[1])
	}
}

// What decides between a new container, a new pod and a live change.
func TestRender_Hashes(t *testing.T) {
	base, _ := render(t, sample())
	tests := []struct {
		name           string
		change         func(*app.App)
		container, pod bool // whether the hash changes
	}{
		{"nothing", func(*app.App) {}, false, false},
		{"image", func(a *app.App) { a.Pods[0].Containers[0].Image = "web:2" }, true, false},
		{"env from a ConfigMap", func(a *app.App) { a.ConfigMaps[0].Data["level"] = "debug" }, true, false},
		{"probe", func(a *app.App) { a.Pods[0].Containers[0].ReadinessProbe.PeriodSeconds = 3 }, false, false},
		{"grace period", func(a *app.App) { a.Pods[0].TerminationGracePeriodSeconds = 5 }, false, false},
		{"pod label", func(a *app.App) { a.Pods[0].Labels = map[string]string{"x": "y"} }, false, false},
		{"position", func(a *app.App) { a.Pods[0].Containers[0].Pos.Line = 99 }, false, false},
		{"replicas", func(a *app.App) { a.Pods[0].Replicas = 5 }, false, false},
		{"service port", func(a *app.App) { a.Services[0].Ports[0].Port = 8000 }, false, false},
		{"hostname", func(a *app.App) { a.Pods[0].Hostname = "other" }, false, true},
		{"subdomain", func(a *app.App) { a.Pods[0].Subdomain = "other" }, false, true},
		{"hosts", func(a *app.App) { a.Pods[0].HostAliases = []app.HostAlias{{IP: "10.1.1.1", Hostnames: []string{"x"}}} }, false, true},
		{"name servers", func(a *app.App) { a.Pods[0].DNSConfig = &app.PodDNSConfig{Nameservers: []string{"10.1.1.1"}} }, false, true},
		{"sysctl", func(a *app.App) {
			a.Pods[0].SecurityContext.Sysctls = []app.Sysctl{{Name: "net.core.somaxconn", Value: "1"}}
		}, false, true},
		{"host port", func(a *app.App) { a.Pods[0].Containers[0].Ports[0].HostPort = 8080 }, false, true},
		{"shared processes", func(a *app.App) { a.Pods[0].ShareProcessNamespace = ptr(true) }, false, true},
		{"the machine's processes", func(a *app.App) { a.Pods[0].HostPID = true }, false, true},
		{"the machine's IPC", func(a *app.App) { a.Pods[0].HostIPC = true }, false, true},
		{"group of the pod", func(a *app.App) { a.Pods[0].SecurityContext.FSGroup = ptr[int64](5) }, true, true},
		{"user of the pod, over which the container's is", func(a *app.App) { a.Pods[0].SecurityContext.RunAsUser = ptr[int64](5) }, false, false},
		{"seccomp", func(a *app.App) {
			a.Pods[0].SecurityContext.SeccompProfile = &app.SeccompProfile{Type: "Unconfined"}
		}, true, false},
		{"privileged", func(a *app.App) { a.Pods[0].Containers[0].SecurityContext.Privileged = ptr(true) }, true, false},
		{"terminal", func(a *app.App) { a.Pods[0].Containers[0].TTY = true }, true, false},
		{"standard input", func(a *app.App) { a.Pods[0].Containers[0].Stdin = true }, true, false},
		{"stop signal", func(a *app.App) { a.Pods[0].Containers[0].Lifecycle = &app.Lifecycle{StopSignal: "SIGINT"} }, true, false},
		{"hook, which is not run", func(a *app.App) {
			a.Pods[0].Containers[0].Lifecycle = &app.Lifecycle{PreStop: &app.LifecycleHandler{Sleep: &app.SleepAction{Seconds: 1}}}
		}, false, false},
		{"sub-path with a variable", func(a *app.App) { a.Pods[0].Containers[0].VolumeMounts[1].SubPathExpr = "$(POD)" }, true, true},
		{"mode of a file", func(a *app.App) { a.Pods[0].Volumes[0].ConfigMap.DefaultMode = 0o600 }, false, false},
		{"node, as there is one", func(a *app.App) { a.Pods[0].NodeName = "n" }, false, false},
		{"rollout", func(a *app.App) { a.Pods[0].MinReadySeconds = 5 }, false, false},
		{"volume of another kind", func(a *app.App) {
			a.Pods[0].Volumes[1] = app.Volume{Name: "tmp", EmptyDir: &app.EmptyDir{}}
		}, false, true},
		{"path of the host in place of a volume", func(a *app.App) {
			a.Pods[0].Volumes[1] = app.Volume{Name: "tmp", HostPath: &app.HostPathVolumeSource{Path: "/home/me/shop/tmp"}}
		}, true, true},
		{"size of a volume", func(a *app.App) { a.Pods[0].Volumes[1].EmptyDir.SizeLimit = "2Mi" }, false, true},
		{"init container", func(a *app.App) {
			a.Pods[0].InitContainers = []app.Container{{Name: "init", Image: "web:1"}}
		}, false, true},
	}
	for _, tt := range tests {
		a := sample()
		tt.change(a)
		s, _ := render(t, a)
		if got := s.Pods[0].Containers[0].Hash != base.Pods[0].Containers[0].Hash; got != tt.container {
			t.Errorf("%s: container hash changes %t, want %t", tt.name, got, tt.container)
		}
		if got := s.Pods[0].Hash != base.Pods[0].Hash; got != tt.pod {
			t.Errorf("%s: pod hash changes %t, want %t", tt.name, got, tt.pod)
		}
	}
}

func TestRender_EqualBytesEveryTime(t *testing.T) {
	encode := func() string {
		s, findings := render(t, sample())
		data, err := json.Marshal(map[string]any{"state": s, "findings": findings})
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	first := encode()
	for range 50 {
		if again := encode(); again != first {
			t.Fatalf("differs:\n%s", cmp.Diff(first, again))
		}
	}
}

func TestChanges_SayWhatIsDifferent(t *testing.T) {
	base, _ := render(t, sample())
	tests := []struct {
		change func(*app.App)
		want   string
	}{
		{func(a *app.App) { a.Pods[0].Containers[0].Image = "web:2" }, "image web:1 -> web:2"},
		{func(a *app.App) { a.Pods[0].Containers[0].Env[0].Value = "z" }, "env P_level overridden -> z"},
		{func(a *app.App) { a.Pods[0].Containers[0].Env = nil }, "env IP removed; env LEVEL removed"},
		{func(a *app.App) { a.Pods[0].Containers[0].Resources.Limits["memory"] = "1Gi" }, "resources changed"},
		{func(a *app.App) { a.Pods[0].Containers[0].SecurityContext.RunAsUser = nil }, "securityContext changed"},
		{func(a *app.App) { a.Pods[0].SecurityContext.SupplementalGroups = []int64{5} }, "securityContext changed"},
		{func(a *app.App) { a.Pods[0].Containers[0].TTY = true }, "stdin or tty changed"},
		{func(a *app.App) { a.Pods[0].Containers[0].Lifecycle = &app.Lifecycle{StopSignal: "SIGINT"} }, "stopSignal changed"},
	}
	for _, tt := range tests {
		a := sample()
		tt.change(a)
		s, _ := render(t, a)
		got := strings.Join(s.Pods[0].Containers[0].Changes(&base.Pods[0].Containers[0]), "; ")
		if !strings.Contains(got, tt.want) {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	if got := base.Pods[0].Containers[0].Changes(&base.Pods[0].Containers[0]); got != nil {
		t.Errorf("no change: %q", got)
	}
}

func TestPodChanges_SayWhatIsDifferent(t *testing.T) {
	base, _ := render(t, sample())
	tests := []struct {
		change func(*app.App)
		want   string
	}{
		{func(*app.App) {}, ""},
		{func(a *app.App) { a.Pods[0].Subdomain = "s" }, "subdomain changed"},
		{func(a *app.App) { a.Pods[0].HostAliases = []app.HostAlias{{IP: "10.1.1.1", Hostnames: []string{"x"}}} }, "hostAliases changed"},
		{func(a *app.App) { a.Pods[0].DNSConfig = &app.PodDNSConfig{Searches: []string{"x.test"}} }, "dnsPolicy or dnsConfig changed"},
		{func(a *app.App) { a.Pods[0].SecurityContext.Sysctls = []app.Sysctl{{Name: "net.a", Value: "1"}} }, "sysctls changed"},
		{func(a *app.App) { a.Pods[0].Containers[0].Ports[0].HostPort = 8080 }, "host ports changed"},
		{func(a *app.App) { a.Pods[0].HostIPC = true }, "hostIPC changed"},
		{func(a *app.App) { a.Pods[0].HostPID = true }, "shared processes changed"},
	}
	for _, tt := range tests {
		a := sample()
		tt.change(a)
		s, _ := render(t, a)
		if got := strings.Join(s.Pods[0].Changes(&base.Pods[0]), "; "); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestLiveChanges(t *testing.T) {
	base, _ := render(t, sample())
	tests := []struct {
		change func(*app.App)
		want   string
	}{
		{func(a *app.App) { a.Services[0].Ports[0].Port = 81 }, "service internal: port http 80 -> 81"},
		{func(a *app.App) { a.Pods[0].Replicas = 3 }, "service internal: endpoints 2 -> 3"},
		{func(a *app.App) { a.Services = a.Services[1:] }, "service internal: removed"},
		{func(a *app.App) {
			a.Ingresses = []app.Ingress{{Name: "shop", DefaultBackend: &app.IngressBackend{Service: "internal", Port: app.PortRef{Number: 80}}}}
		}, "ingress shop: added"},
		{func(a *app.App) { a.Services[0].Ports[0].AppProtocol = "kubernetes.io/h2c" }, "service internal: port http speaks another protocol"},
		{func(a *app.App) { a.ConfigMaps[0].Data["app.ini"] = "b" }, "pod web-0: file app.ini of volume conf changed"},
		{func(a *app.App) { delete(a.ConfigMaps[0].Data, "app.ini") }, "pod web-0: file conf/app.ini removed"},
		{func(a *app.App) { a.Pods[0].Containers[0].ReadinessProbe = nil }, "pod web-0: probes of container app changed"},
		{func(a *app.App) { a.Pods[0].TerminationGracePeriodSeconds = 1 }, "pod web-0: terminationGracePeriodSeconds 30 -> 1"},
	}
	for _, tt := range tests {
		a := sample()
		tt.change(a)
		s, _ := render(t, a)
		var got []string
		for _, c := range LiveChanges(base, s) {
			got = append(got, c.Object+": "+c.What)
		}
		if !strings.Contains(strings.Join(got, "\n"), tt.want) {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	if got := LiveChanges(base, base); got != nil {
		t.Errorf("no change: %v", got)
	}
}
