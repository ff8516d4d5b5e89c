package docker

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets"
)

// one is an app of one pod with one container.
func one(change ...func(*app.Pod, *app.Container)) *app.App {
	a := &app.App{Name: "shop", Pods: []app.Pod{{
		Name: "web", Kind: "Deployment", Replicas: 1, TerminationGracePeriodSeconds: 30,
		Containers: []app.Container{{Name: "app", Image: "web:1", ImagePullPolicy: "IfNotPresent"}},
	}}}
	for _, f := range change {
		f(&a.Pods[0], &a.Pods[0].Containers[0])
	}
	return a
}

func ptr[T any](v T) *T { return &v }

func codesOf(findings []targets.Finding) []string {
	var out []string
	for _, f := range findings {
		out = append(out, f.Code)
	}
	return out
}

// conformance:S129 S130
func TestSecurity_PodsAreTheDefaultsOfContainers(t *testing.T) {
	a := one(func(p *app.Pod, c *app.Container) {
		p.SecurityContext = app.PodSecurityContext{
			RunAsUser: ptr[int64](1000), RunAsGroup: ptr[int64](1001), RunAsNonRoot: ptr(true),
			SupplementalGroups: []int64{7, 8, 7}, FSGroup: ptr[int64](8),
			SeccompProfile:  &app.SeccompProfile{Type: "Unconfined"},
			AppArmorProfile: &app.AppArmorProfile{Type: "Localhost", LocalhostProfile: "mine"},
		}
		p.Containers = append(p.Containers, app.Container{Name: "own", Image: "web:1", SecurityContext: app.SecurityContext{
			RunAsUser: ptr[int64](0), RunAsNonRoot: ptr(false), Privileged: ptr(true), ProcMount: "Unmasked",
			SeccompProfile: &app.SeccompProfile{Type: "RuntimeDefault"}, AppArmorProfile: &app.AppArmorProfile{Type: "RuntimeDefault"},
		}})
	})
	s, _ := render(t, a)
	got := s.Pods[0].Containers
	for i := range got {
		got[i] = Container{
			User: got[i].User, GroupAdd: got[i].GroupAdd, NonRoot: got[i].NonRoot, Unconfined: got[i].Unconfined, AppArmor: got[i].AppArmor,
			Privileged: got[i].Privileged, NewPrivileges: got[i].NewPrivileges, UnmaskedProc: got[i].UnmaskedProc,
		}
	}
	want := []Container{
		{User: "1000:1001", GroupAdd: []string{"7", "8"}, NonRoot: true, Unconfined: true, AppArmor: "mine"},
		{User: "0:1001", GroupAdd: []string{"7", "8"}, Privileged: true, NewPrivileges: true, UnmaskedProc: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestKinds_NamesOrderAndStorageOfReplicas(t *testing.T) {
	a := one(func(p *app.Pod, c *app.Container) {
		p.Kind, p.Replicas, p.Ordinals = "StatefulSet", 2, &app.StatefulSetOrdinals{Start: 5}
		p.VolumeClaimTemplates = []app.Claim{{Name: "data", Storage: "1Gi"}}
		c.VolumeMounts = []app.VolumeMount{{MountPath: "/data", Name: "data"}}
		c.Env = []app.EnvVar{{Name: "INDEX", ValueFrom: &app.EnvVarSource{FieldRef: &app.ObjectFieldSelector{FieldPath: "metadata.labels['apps.kubernetes.io/pod-index']"}}}}
	})
	a.Services = []app.Service{{Name: "peers", Pod: "web", Type: "ClusterIP", Headless: true}}
	s, _ := render(t, a)
	p := s.Pods[1]
	if p.Name != "web-6" || p.Hostname != "web-6" || p.Domain != "peers.default.svc.cluster.local" || !p.Ordered {
		t.Errorf("second replica %+v", p)
	}
	if diff := cmp.Diff([]Mount{{Volume: "shop_data-web-6", Path: "/data"}}, p.Containers[0].Mounts); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
	want := []Volume{{Name: "shop_data-web-5", Kind: Claim, Claim: "data-web-5"}, {Name: "shop_data-web-6", Kind: Claim, Claim: "data-web-6"}}
	if diff := cmp.Diff(want, s.Volumes); diff != "" {
		t.Errorf("volumes belong to no pod, as they outlive it (-want +got):\n%s", diff)
	}
	if e := p.Containers[0].Env[0]; e.Value != "6" {
		t.Errorf("index %+v", e)
	}
	for change, want := range map[string]struct {
		edit     func(*app.Pod)
		replicas int
	}{
		"parallel":     {func(p *app.Pod) { p.Kind, p.PodManagementPolicy = "StatefulSet", "Parallel" }, 2},
		"a Deployment": {func(p *app.Pod) { p.Kind = "Deployment" }, 2},
		"a DaemonSet":  {func(p *app.Pod) { p.Kind = "DaemonSet" }, 1},
		"scaled by load": {func(p *app.Pod) {
			p.Kind, p.Autoscaling = "Deployment", &app.Autoscaling{MinReplicas: 3, MaxReplicas: 9}
		}, 3},
		"and not too far": {func(p *app.Pod) {
			p.Kind, p.Autoscaling = "Deployment", &app.Autoscaling{MinReplicas: 1, MaxReplicas: 1}
		}, 1},
	} {
		a := one(func(p *app.Pod, _ *app.Container) { p.Replicas = 2; want.edit(p) })
		s, _ := render(t, a)
		if len(s.Pods) != want.replicas || s.Pods[0].Ordered {
			t.Errorf("%s: %d replicas, ordered %t", change, len(s.Pods), s.Pods[0].Ordered)
		}
	}
}

// conformance:S70 S83
func TestVolumes_OfFiles(t *testing.T) {
	a := one(func(p *app.Pod, c *app.Container) {
		p.Labels = map[string]string{"tier": "front"}
		c.Resources.Limits = map[string]app.Quantity{"memory": "100Mi"}
		p.Volumes = []app.Volume{{Name: "all", Projected: &app.ProjectedVolumeSource{DefaultMode: ptr(0o400), Sources: []app.VolumeProjection{
			{ConfigMap: &app.ConfigMapProjection{Name: "conf"}},
			{Secret: &app.SecretProjection{Name: "creds", Items: []app.KeyToPath{{Key: "password", Path: "sub/pw", Mode: ptr(0o440)}}}},
			{DownwardAPI: &app.DownwardAPIProjection{Items: []app.DownwardAPIVolumeFile{
				{Path: "labels", FieldRef: &app.ObjectFieldSelector{FieldPath: "metadata.labels"}},
				{Path: "memory", ResourceFieldRef: &app.ResourceFieldSelector{ContainerName: "app", Resource: "limits.memory", Divisor: "1Mi"}},
				{Path: "cpu", ResourceFieldRef: &app.ResourceFieldSelector{ContainerName: "app", Resource: "limits.cpu"}},
				{Path: "uid", FieldRef: &app.ObjectFieldSelector{FieldPath: "metadata.uid"}},
				{Path: "disk", ResourceFieldRef: &app.ResourceFieldSelector{ContainerName: "app", Resource: "limits.ephemeral-storage"}},
				{Path: "text", FieldRef: &app.ObjectFieldSelector{FieldPath: "metadata.name"}},
			}}},
		}}}}
		c.VolumeMounts = []app.VolumeMount{{MountPath: "/all", Name: "all"}}
	})
	a.ConfigMaps = []app.ConfigMap{{Name: "conf", Data: map[string]string{"text": "lost to the later source"}, BinaryData: map[string][]byte{"raw": {0xff, 0}}}}
	a.Secrets = []app.Secret{{Name: "creds", Keys: []app.SecretKey{{Name: "password", Env: "P"}, {Name: "other", Env: "O"}}}}
	s, findings := render(t, a)
	labels := "app.kubernetes.io/component=\"web\"\napp.kubernetes.io/managed-by=\"cuepod\"\napp.kubernetes.io/name=\"shop\"\n" +
		"app.kubernetes.io/part-of=\"shop\"\ntier=\"front\""
	want := []FileVolume{{Dir: "/volumes/all", Files: []File{
		{Path: "raw", Mode: 0o400, Data: "\xff\x00"},
		{Path: "sub/pw", Mode: 0o440, Secret: &KeyRef{Name: "creds", Key: "password"}},
		{Path: "labels", Mode: 0o400, Data: Bytes(labels)},
		{Path: "memory", Mode: 0o400, Data: "100"},
		{Path: "cpu", Mode: 0o400, Source: FromMachine, Resource: &ResourceRef{Name: "cpu"}},
		{Path: "uid", Mode: 0o400, Source: FromUID},
		{Path: "text", Mode: 0o400, Data: "web-0"},
	}}}
	if diff := cmp.Diff(want, s.Pods[0].Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if s.Volumes[0].Kind != SecretVol {
		t.Errorf("a volume with a secret is %s", s.Volumes[0].Kind)
	}
	if !s.Pods[0].Containers[0].Mounts[0].ReadOnly {
		t.Error("files can be written to")
	}
	if !slices.Contains(codesOf(findings), "docker/allocatable") {
		t.Errorf("nothing tells that there is no file disk: %v", findings)
	}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var again State
	if err := json.Unmarshal(data, &again); err != nil || !again.Equal(s) || again.Pods[0].Files[0].Files[0].Data != "\xff\x00" {
		t.Errorf("bytes do not survive JSON: %v\n%s", err, data)
	}
}

// conformance:S66
func TestResourceFields(t *testing.T) {
	machine := Machine{CPUs: 4, Memory: 8<<30 + 1}
	tests := []struct {
		resource string
		divisor  app.Quantity
		want     string // "" when the variable is absent
	}{
		{"limits.cpu", "", "2"}, // 1500m, rounded up
		{"limits.cpu", "1m", "1500"},
		{"requests.cpu", "1m", "250"},
		{"limits.memory", "", "67108865"},
		{"limits.memory", "1Mi", "65"},
		{"requests.memory", "1Mi", "65"}, // the limit
		{"requests.ephemeral-storage", "", "0"},
		{"limits.ephemeral-storage", "", ""},
		{"limits.hugepages-2Mi", "", "0"},
		{"other limits.cpu", "", "4"}, // nobody limits it: the machine's
		{"other limits.cpu", "1m", "4000"},
		{"other limits.memory", "1Gi", "9"},
		{"other limits.memory", "", "8589934593"},
		{"other requests.cpu", "", "0"},
	}
	for _, tt := range tests {
		a := one(func(_ *app.Pod, c *app.Container) {
			c.Resources = app.Resources{
				Requests: map[string]app.Quantity{"cpu": "250m"},
				Limits:   map[string]app.Quantity{"cpu": "1500m", "memory": "67108865"},
			}
			container, resource, named := strings.Cut(tt.resource, " ")
			if !named {
				container, resource = "", tt.resource
			}
			c.Env = []app.EnvVar{{Name: "X", ValueFrom: &app.EnvVarSource{ResourceFieldRef: &app.ResourceFieldSelector{
				ContainerName: container, Resource: resource, Divisor: tt.divisor,
			}}}}
		})
		a.Pods[0].Containers = append(a.Pods[0].Containers, app.Container{Name: "other", Image: "web:1",
			Resources: app.Resources{Limits: map[string]app.Quantity{"memory": "0"}}}) // 0 is no limit
		s, findings := render(t, a)
		_, _, env, err := s.Pods[0].Containers[0].Resolve(Values{Machine: machine})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if len(env) > 0 {
			got = strings.TrimPrefix(env[0], "X=")
		}
		if got != tt.want {
			t.Errorf("%s / %s = %q, want %q", tt.resource, tt.divisor, got, tt.want)
		}
		if told := slices.Contains(codesOf(findings), "docker/allocatable"); told != (tt.want == "") {
			t.Errorf("%s: told %t", tt.resource, told)
		}
	}
}

func TestHostPaths_OnlyOfTheModuleUnlessAllowed(t *testing.T) {
	tests := []struct {
		path    string
		opts    Options
		refused bool
	}{
		{"/home/me/shop/data", Options{Root: "/home/me/shop"}, false},
		{"/home/me/shop/", Options{Root: "/home/me/shop"}, false},
		{"/home/me/shop/../other", Options{Root: "/home/me/shop"}, true},
		{"/home/me/shopping", Options{Root: "/home/me/shop"}, true},
		{"/var/run/docker.sock", Options{Root: "/home/me/shop"}, true},
		{"/var/run/docker.sock", Options{HostPaths: []string{"/var/run"}}, true}, // an engine's socket is named itself
		{"/var/run/docker.sock", Options{HostPaths: []string{"/"}}, true},
		{"/var/run/docker.sock", Options{HostPaths: []string{"/var/run/docker.sock"}}, false},
		{"/run", Options{HostPaths: []string{"/"}}, true}, // there is one in it
		{"/run", Options{HostPaths: []string{"/run"}}, false},
		{"/srv/run/podman.sock", Options{HostPaths: []string{"/srv"}}, true},
		{"/home/me/shop/data", Options{}, true}, // without a module nothing is in it
		{"/srv/data", Options{Root: "/home/me/shop", HostPaths: []string{"/srv/"}}, false},
		{"/srv2/data", Options{Root: "/home/me/shop", HostPaths: []string{"/srv"}}, true},
	}
	for _, tt := range tests {
		a := one(func(p *app.Pod, c *app.Container) {
			p.Replicas = 2
			p.Volumes = []app.Volume{{Name: "host", HostPath: &app.HostPathVolumeSource{Path: tt.path, Type: "DirectoryOrCreate", Pos: app.Pos{File: "a.cue", Line: 3, Column: 2}}}}
			c.VolumeMounts = []app.VolumeMount{{MountPath: "/m", Name: "host", ReadOnly: true, SubPath: "sub"}}
		})
		s, _, err := Render(a, tt.opts)
		if refused := err != nil; refused != tt.refused {
			t.Errorf("%s with %+v: error %v", tt.path, tt.opts, err)
			continue
		}
		if err != nil {
			if got := err.Error(); !strings.HasPrefix(got, "a.cue:3:2: pods.web.volumes.host.hostPath: ") || strings.Contains(got, "\n") {
				t.Errorf("%s: %q; want one line that begins with the position", tt.path, got)
			}
			continue
		}
		withoutMessages(s)
		m := s.Pods[0].Containers[0].Mounts[0]
		if m.Volume != "" || m.HostPath != strings.TrimSuffix(tt.path, "/") || !m.Create || !m.ReadOnly || m.SubPath != "sub" {
			t.Errorf("mount %+v", m)
		}
		if len(s.Volumes) > 0 || len(s.Pods[0].Mounts) != 1 || s.Pods[0].Mounts[0].HostPath != m.HostPath {
			t.Errorf("a path of the host has a volume: %+v, or its agent does not have it for the sub-path: %+v", s.Volumes, s.Pods[0].Mounts)
		}
	}
}

func TestNetwork_OfTheInfraContainer(t *testing.T) {
	a := one(func(p *app.Pod, c *app.Container) {
		p.Replicas = 2
		p.HostAliases = []app.HostAlias{{IP: "10.1.1.1", Hostnames: []string{"a.test", "b.test"}}}
		p.DNSPolicy = "None"
		p.DNSConfig = &app.PodDNSConfig{Nameservers: []string{"10.0.0.53"}, Searches: []string{"corp.test"},
			Options: []app.PodDNSConfigOption{{Name: "ndots", Value: "2"}, {Name: "edns0"}}}
		p.SecurityContext.Sysctls = []app.Sysctl{{Name: "net.core.somaxconn", Value: "1024"}}
		p.ShareProcessNamespace, p.HostIPC = ptr(true), true
		c.Ports = []app.ContainerPort{
			{Name: "http", ContainerPort: 80, HostPort: 8081, Protocol: "TCP"},
			{Name: "dns", ContainerPort: 53, HostPort: 5353, HostIP: "0.0.0.0", Protocol: "UDP"},
			{Name: "admin", ContainerPort: 81, Protocol: "TCP"},
		}
	})
	s, findings := render(t, a)
	p := s.Pods[0]
	want := infra{
		HostAliases: []HostAlias{{IP: "10.1.1.1", Hostnames: []string{"a.test", "b.test"}}},
		DNS:         DNS{Policy: "None", Servers: []string{"10.0.0.53"}, Searches: []string{"corp.test"}, Options: []DNSOption{{"ndots", "2"}, {"edns0", ""}}},
		Sysctls:     map[string]string{"net.core.somaxconn": "1024"}, HostIPC: true, PID: PodPID,
		HostPorts: []HostPort{{"127.0.0.1", 8081, 80, "TCP", "-"}, {"0.0.0.0", 5353, 53, "UDP", "-"}},
	}
	if diff := cmp.Diff(want, *infraOf(&p)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(s.Pods[1].HostPorts) > 0 {
		t.Error("two replicas have the same host port")
	}
	var told []string
	for _, f := range findings {
		told = append(told, f.Path+" "+f.Code)
	}
	for _, w := range []string{
		"pods.web.containers.app.ports.http.hostPort docker/loopback", "pods.web.containers.app.ports.http.hostPort docker/host-port",
		"pods.web.containers.app.ports.dns.hostPort docker/host-port",
	} {
		if !slices.Contains(told, w) {
			t.Errorf("%s is not told: %q", w, told)
		}
	}
	if slices.Contains(told, "pods.web.containers.app.ports.dns.hostPort docker/loopback") {
		t.Error("a port with an address of its own is told to be on the loopback")
	}
}

// conformance:S86 S87 S110
//
//conformance:negative S86
func TestHostname(t *testing.T) {
	long := strings.Repeat("n", 60) + "-x.y"
	const svc = ".default.svc.cluster.local"
	tests := []struct {
		name              string
		edit              func(*app.Pod)
		host, domain, dns string
	}{
		{"the replica's", func(*app.Pod) {}, "web-0", "", ""},
		{"its own", func(p *app.Pod) { p.Hostname = "h" }, "h", "", ""},
		{"with a subdomain", func(p *app.Pod) { p.Hostname, p.Subdomain = "h", "s" }, "h", "s" + svc, "h"},
		{"a subdomain alone", func(p *app.Pod) { p.Subdomain = "s" }, "web-0", "s" + svc, ""},
		{"in full", func(p *app.Pod) { p.Hostname, p.Subdomain, p.SetHostnameAsFQDN = "h", "s", ptr(true) }, "h.s" + svc, "s" + svc, "h"},
		{"in full without a domain", func(p *app.Pod) { p.Hostname, p.SetHostnameAsFQDN = "h", ptr(true) }, "h", "", ""},
		{"another altogether", func(p *app.Pod) { p.Hostname, p.Subdomain, p.HostnameOverride = "h", "s", "o" }, "o", "", "h"},
		{"a StatefulSet's", func(p *app.Pod) { p.Kind, p.Hostname, p.ServiceName = "StatefulSet", "h", "peers" }, "web-0", "peers" + svc, "web-0"},
		{"63 characters", func(p *app.Pod) { p.Name = strings.Repeat("n", 61) }, strings.Repeat("n", 61) + "-0", "", ""},
		{"65 characters", func(p *app.Pod) { p.Name = strings.Repeat("n", 63) }, strings.Repeat("n", 63), "", ""},
		{"cut where no name ends", func(p *app.Pod) { p.Name = strings.Repeat("n", 62) }, strings.Repeat("n", 62), "", ""},
		{"an override of 64", func(p *app.Pod) { p.HostnameOverride = long }, strings.Repeat("n", 60) + "-x", "", ""},
	}
	for _, tt := range tests {
		s, _ := render(t, one(func(p *app.Pod, _ *app.Container) { tt.edit(p) }))
		if p := s.Pods[0]; p.Hostname != tt.host || p.Domain != tt.domain || p.DNSName != tt.dns {
			t.Errorf("%s: %q %q %q, want %q %q %q", tt.name, p.Hostname, p.Domain, p.DNSName, tt.host, tt.domain, tt.dns)
		}
		if p := s.Pods[0]; p.Domain != "" && p.Short() != strings.TrimSuffix(p.Hostname, "."+p.Domain) {
			t.Errorf("%s: %q in short", tt.name, p.Short())
		}
	}
	_, _, err := Render(one(func(p *app.Pod, _ *app.Container) {
		p.Subdomain, p.SetHostnameAsFQDN = strings.Repeat("s", 50), ptr(true)
	}), Options{})
	if err == nil || !strings.Contains(err.Error(), "pods.web.setHostnameAsFQDN: ") {
		t.Errorf("too long in full: %v", err)
	}
}

// conformance:S90
func TestDNSPolicy(t *testing.T) {
	for _, tt := range []struct {
		policy      string
		hostNetwork bool
		want        string
	}{
		{"", false, ""}, {"ClusterFirst", false, ""}, {"ClusterFirstWithHostNet", false, ""}, {"Default", false, "Default"}, {"None", false, "None"},
		{"", true, "Default"}, {"ClusterFirst", true, "Default"}, {"ClusterFirstWithHostNet", true, ""}, {"Default", true, "Default"}, {"None", true, "None"},
	} {
		s, _ := render(t, one(func(p *app.Pod, _ *app.Container) { p.DNSPolicy, p.HostNetwork = tt.policy, tt.hostNetwork }))
		if got := s.Pods[0].DNS.Policy; got != tt.want {
			t.Errorf("%s, host network %t: %q, want %q", tt.policy, tt.hostNetwork, got, tt.want)
		}
	}
}

// In the machine's network a pod has no name of its own, and every container
// port is one of the machine's.
//
// conformance:S91 S92
func TestHostNetwork(t *testing.T) {
	a := one(func(p *app.Pod, c *app.Container) {
		p.HostNetwork, p.Hostname, p.Subdomain = true, "h", "s"
		c.Ports = []app.ContainerPort{{Name: "http", ContainerPort: 80, Protocol: "TCP"}, {Name: "dns", ContainerPort: 53, HostPort: 53, HostIP: "10.0.0.1", Protocol: "UDP"}}
	})
	s, findings := render(t, a)
	p := s.Pods[0]
	if !p.HostNetwork || p.Hostname != "" || p.Domain != "" || len(findings) > 0 || s.Workload("web").Strategy != Recreate {
		t.Errorf("pod %+v, findings %v, strategy %s", p, findings, s.Workload("web").Strategy)
	}
	want := []HostPort{{"0.0.0.0", 80, 80, "TCP", "-"}, {"10.0.0.1", 53, 53, "UDP", "-"}}
	if diff := cmp.Diff(want, p.HostPorts); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
	a.Pods[0].Replicas = 2
	if _, _, err := Render(a, Options{}); err == nil || !strings.Contains(err.Error(), "pods.web.hostNetwork: 2 replicas would listen on port 80 of one machine") {
		t.Errorf("two replicas: %v", err)
	}
}

// One machine has a port once, as the scheduler knows of nodes: unless the
// protocol differs, or the address, of which none is every one.
func TestHostPorts_ConflictsOfPodsAreRefused(t *testing.T) {
	port := func(number int, ip, protocol string) app.ContainerPort {
		return app.ContainerPort{Name: "p", ContainerPort: 80, HostPort: number, HostIP: ip, Protocol: protocol, Pos: app.Pos{File: "a.cue", Line: number, Column: 1}}
	}
	for _, tt := range []struct {
		name    string
		a, b    app.ContainerPort
		refused bool
	}{
		{"the same", port(54321, "127.0.0.1", "TCP"), port(54321, "127.0.0.1", "TCP"), true},
		{"another address", port(54321, "127.0.0.1", "TCP"), port(54321, "10.0.0.5", "TCP"), false},
		{"another protocol", port(54321, "127.0.0.1", "TCP"), port(54321, "127.0.0.1", "UDP"), false},
		{"another port", port(54321, "", "TCP"), port(54322, "", "TCP"), false},
		{"every address and one", port(54322, "0.0.0.0", "TCP"), port(54322, "127.0.0.1", "TCP"), true},
		{"none is every one", port(54322, "", "TCP"), port(54322, "10.0.0.5", "TCP"), true},
		{"the machine's network", port(54322, "10.0.0.5", "TCP"), app.ContainerPort{Name: "host", ContainerPort: 54322, Protocol: "TCP"}, true},
	} {
		a := one(func(p *app.Pod, c *app.Container) { c.Ports = []app.ContainerPort{tt.a} })
		other := a.Pods[0]
		other.Name, other.HostNetwork = "other", tt.b.Name == "host"
		other.Containers = []app.Container{{Name: "app", Image: "web:1", Ports: []app.ContainerPort{tt.b}}}
		a.Pods = append(a.Pods, other)
		_, _, err := Render(a, Options{})
		if (err != nil) != tt.refused {
			t.Errorf("%s: %v", tt.name, err)
		}
		if want := "is already taken by pods.web.containers.app.ports.p, at a.cue:"; err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, want %q", tt.name, err, want)
		}
		a.Pods[1].Replicas = 0
		if _, _, err := Render(a, Options{}); err != nil {
			t.Errorf("%s: a pod without replicas: %v", tt.name, err)
		}
	}
}

func TestHostPorts_AndServicesOnTheLoopback(t *testing.T) {
	a := one(func(p *app.Pod, c *app.Container) {
		c.Ports = []app.ContainerPort{{Name: "p", ContainerPort: 80, HostPort: 8080, Protocol: "TCP", Pos: app.Pos{File: "a.cue", Line: 3, Column: 1}}}
	})
	a.Services = []app.Service{{Name: "web", Pod: "web", Type: "LoadBalancer", Ports: []app.ServicePort{{Name: "http", Port: 8080, Protocol: "TCP"}}}}
	_, _, err := Render(a, Options{})
	if err == nil || !strings.Contains(err.Error(), "services.web.ports.http: TCP port 8080 of the machine, where a local run publishes the service, is already taken by pods.web.containers.app.ports.p, at a.cue:3:1") {
		t.Errorf("a published port: %v", err)
	}
	a.Services[0].Ports[0].Port = 8081
	if _, _, err := Render(a, Options{}); err != nil {
		t.Errorf("another port: %v", err)
	}
}

// conformance:S96
func TestService_BySelectorReachesEveryPodAtItsOwnPort(t *testing.T) {
	a := one(func(p *app.Pod, c *app.Container) {
		p.Labels = map[string]string{"tier": "front"}
		c.Ports = []app.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: "TCP"}}
	})
	blue := one(func(p *app.Pod, c *app.Container) {
		p.Name, p.Replicas, p.Labels = "blue", 2, map[string]string{"tier": "front"}
		c.Ports = []app.ContainerPort{{Name: "http", ContainerPort: 9090, Protocol: "TCP"}}
	})
	other := one(func(p *app.Pod, _ *app.Container) { p.Name = "other" })
	job := one(func(p *app.Pod, c *app.Container) {
		p.Name, p.Kind, p.Labels = "batch", "Job", map[string]string{"tier": "front"}
		c.Ports = []app.ContainerPort{{Name: "http", ContainerPort: 7070, Protocol: "TCP"}}
	})
	a.Pods = append(a.Pods, blue.Pods[0], other.Pods[0], job.Pods[0])
	a.Pods[2].DependsOn = []app.Dependency{{Service: "front", Condition: "ready"}, {Service: "nobody", Condition: "ready"}, {Service: "outside", Condition: "ready"}}
	port := []app.ServicePort{{Name: "http", Port: 80, TargetPort: app.PortRef{Name: "http"}, Protocol: "TCP"}, {Name: "s", Port: 81, Protocol: "SCTP"}}
	a.Services = []app.Service{
		{Name: "front", Selector: map[string]string{"tier": "front"}, Type: "ClusterIP", Ports: port},
		{Name: "nobody", Selector: map[string]string{"tier": "none"}, Type: "ClusterIP", Ports: port[:1]},
		{Name: "outside", Type: "ExternalName", ExternalName: "example.test"},
	}
	s, findings := render(t, a)
	targets := map[string]int{"web-0": 8080, "blue-0": 9090, "blue-1": 9090, "batch": 7070}
	want := []Service{
		{Name: "front", HTTP: true, Pods: []string{"web-0", "blue-0", "blue-1"}, Jobs: []string{"batch"}, Ports: []ServicePort{{Name: "http", Port: 80, Protocol: "TCP", Target: "http", Targets: targets}}},
		{Name: "nobody", HTTP: true, Pods: []string{}, Ports: []ServicePort{{Name: "http", Port: 80, Protocol: "TCP", Target: "http", Targets: map[string]int{}}}},
		{Name: "outside", ExternalName: "example.test"},
	}
	if diff := cmp.Diff(want, s.Services); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Dependency{{"front", "ready"}}, s.Pod("other-0").DependsOn); diff != "" {
		t.Errorf("a pod waits for whom nobody is (-want +got):\n%s", diff)
	}
	codes := codesOf(findings)
	for code, times := range map[string]int{"docker/sctp": 1, "docker/depends-on": 2} {
		n := 0
		for _, c := range codes {
			if c == code {
				n++
			}
		}
		if n != times {
			t.Errorf("%s is told %d times, want %d: %q", code, n, times, codes)
		}
	}
}

// conformance:S8
func TestSidecar_IsAnInitContainerInItsPlaceThatStays(t *testing.T) {
	a := one(func(p *app.Pod, c *app.Container) {
		p.InitContainers = []app.Container{{Name: "first", Image: "i:1"}, {Name: "proxy", Image: "p:1", RestartPolicy: "Always"}, {Name: "last", Image: "i:1", RestartPolicy: "Never"}}
	})
	s, findings := render(t, a)
	var got []string
	for _, c := range s.Pods[0].Init {
		got = append(got, fmt.Sprintf("%s %t %q", c.Name, c.Sidecar, c.Restart))
	}
	if want := []string{`first false ""`, `proxy true ""`, `last false "Never"`}; !slices.Equal(got, want) || len(s.Pods[0].Containers) != 1 {
		t.Errorf("init containers %q, want %q", got, want)
	}
	if len(findings) > 0 {
		t.Errorf("told without need: %v", findings)
	}
	a.Pods[0].Kind = "Job"
	if s, _ := render(t, a); len(s.Jobs) != 1 || !s.Jobs[0].Template.Init[1].Sidecar {
		t.Errorf("a job with a sidecar: %+v", s.Jobs)
	}
}

// What changes a pod, and what one of its containers alone.
//
// conformance:S13
func TestHashes_OfInitContainersAndSidecars(t *testing.T) {
	hashes := func(change func(p *app.Pod, c *app.Container)) (pod, sidecar, container string) {
		s, _ := render(t, one(func(p *app.Pod, c *app.Container) {
			p.InitContainers = []app.Container{{Name: "init", Image: "i:1"}, {Name: "proxy", Image: "p:1", RestartPolicy: "Always"}}
			change(p, c)
		}))
		p := s.Pods[0]
		return p.Hash, p.Init[1].Hash, p.Containers[0].Hash
	}
	exec := func(word string) *app.LifecycleHandler {
		return &app.LifecycleHandler{Exec: &app.ExecAction{Command: []string{word}}}
	}
	pod, sidecar, container := hashes(func(*app.Pod, *app.Container) {})
	for name, tt := range map[string]struct {
		change                  func(p *app.Pod, c *app.Container)
		pod, sidecar, container bool // whether the hash is another
	}{
		"init container": {func(p *app.Pod, c *app.Container) { p.InitContainers[0].Image = "i:2" }, true, false, false},
		"sidecar":        {func(p *app.Pod, c *app.Container) { p.InitContainers[1].Image = "p:2" }, false, true, false},
		"postStart":      {func(p *app.Pod, c *app.Container) { c.Lifecycle = &app.Lifecycle{PostStart: exec("x")} }, false, false, true},
		"preStop":        {func(p *app.Pod, c *app.Container) { c.Lifecycle = &app.Lifecycle{PreStop: exec("x")} }, false, false, false},
		"restart rules": {func(p *app.Pod, c *app.Container) {
			c.RestartPolicy = "Never"
			c.RestartPolicyRules = []app.ContainerRestartRule{{Action: "Restart", ExitCodes: &app.ContainerRestartRuleOnExitCodes{Operator: "In", Values: []int{42}}}}
		}, false, false, false},
	} {
		p, s, c := hashes(tt.change)
		if p != pod != tt.pod || s != sidecar != tt.sidecar || c != container != tt.container {
			t.Errorf("%s: pod %t, sidecar %t, container %t are others", name, p != pod, s != sidecar, c != container)
		}
	}
}

// conformance:S52
func TestHooks(t *testing.T) {
	s, findings := render(t, one(func(p *app.Pod, c *app.Container) {
		c.Ports = []app.ContainerPort{{Name: "admin", ContainerPort: 8081, Protocol: "TCP"}}
		c.Lifecycle = &app.Lifecycle{
			PostStart: &app.LifecycleHandler{HTTPGet: &app.HTTPGetAction{Port: app.PortRef{Name: "admin"}, Path: "/up", Scheme: "HTTPS", HTTPHeaders: []app.HTTPHeader{{Name: "A", Value: "b"}}}},
			PreStop:   &app.LifecycleHandler{Exec: &app.ExecAction{Command: []string{"drain", "$(HOME)"}}},
		}
		p.Containers = append(p.Containers, *c)
		p.Containers[1].Name = "second"
		p.Containers[1].Lifecycle = &app.Lifecycle{
			PostStart: &app.LifecycleHandler{Sleep: &app.SleepAction{Seconds: 3}},
			PreStop:   &app.LifecycleHandler{TCPSocket: &app.TCPSocketAction{Port: app.PortRef{Number: 80}}},
		}
	}))
	three := int64(3)
	want := [][2]*Hook{
		{{HTTP: &HTTPHook{Port: 8081, Path: "/up", Scheme: "HTTPS", Headers: [][2]string{{"A", "b"}}}}, {Exec: []string{"drain", "$(HOME)"}}},
		{{Sleep: &three}, nil},
	}
	for i, c := range s.Pods[0].Containers {
		if diff := cmp.Diff(want[i], [2]*Hook{c.PostStart, c.PreStop}); diff != "" {
			t.Errorf("container %s (-want +got):\n%s", c.Name, diff)
		}
	}
	if codes := codesOf(findings); !slices.Equal(codes, []string{"docker/hook-kind"}) {
		t.Errorf("findings %q", codes)
	}
}

// conformance:S17
func TestRestartRules(t *testing.T) {
	c := Container{RestartRules: []RestartRule{
		{Action: RestartAll, Codes: []int{7}}, {Action: RestartThis, NotIn: true, Codes: []int{0, 1}},
	}}
	for code, want := range map[int]RestartAction{0: "", 1: "", 7: RestartAll, 42: RestartThis} {
		if got, ok := c.RuleFor(code); got != want || ok != (want != "") {
			t.Errorf("exit code %d: %q %t", code, got, ok)
		}
	}
}

func TestJobs(t *testing.T) {
	a := one(func(p *app.Pod, c *app.Container) {
		p.Kind = "Job"
		p.Volumes = []app.Volume{{Name: "tmp", EmptyDir: &app.EmptyDir{}}, {Name: "me", DownwardAPI: &app.DownwardAPIVolumeSource{
			Items: []app.DownwardAPIVolumeFile{{Path: "name", FieldRef: &app.ObjectFieldSelector{FieldPath: "metadata.name"}}}}}}
		c.VolumeMounts = []app.VolumeMount{{MountPath: "/tmp", Name: "tmp"}}
		c.Env = []app.EnvVar{{Name: "ME", ValueFrom: &app.EnvVarSource{FieldRef: &app.ObjectFieldSelector{FieldPath: "metadata.name"}}}}
	})
	s, _ := render(t, a)
	if len(s.Pods) > 0 || len(s.Volumes) > 0 || len(s.Jobs) != 1 {
		t.Fatalf("pods %v, volumes %v, %d jobs", s.Pods, s.Volumes, len(s.Jobs))
	}
	j := s.Jobs[0]
	if *j.Completions != 1 || j.Parallelism != 1 || j.BackoffLimit != 6 || j.Suspend || j.Cron != nil || j.Template.RestartPolicy != RestartNever || j.Hash != JobHash(&j) {
		t.Errorf("defaults: %+v", j)
	}
	p, volumes := j.Instance("shop", "web", "1", "web-7")
	if p.Containers[0].Env[0].Value != "web-7" || p.Files[0].Files[0].Data != "web-7" || p.Files[0].Files[0].Source != "" || volumes[0].Name != "shop_web-7_tmp" {
		t.Errorf("instance %+v with %+v", p, volumes)
	}
	if s.Jobs[0].Template.Files[0].Files[0].Source != FromPodName {
		t.Error("making an instance changed the template")
	}

	a.Pods[0].CompletionMode, a.Pods[0].Completions = "Indexed", ptr(3)
	const index = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
	a.Pods[0].Volumes[1].DownwardAPI.Items[0].FieldRef.FieldPath = index
	a.Pods[0].Containers[0].Env[0].ValueFrom.FieldRef.FieldPath = index
	s, _ = render(t, a)
	p, _ = s.Jobs[0].Instance("shop", "web", "1", s.Jobs[0].PodName("web", 2, 5))
	if e := p.Containers[0].Env[0]; !s.Jobs[0].Indexed || e.Value != "2" || e.Source != Verbatim || p.Files[0].Files[0].Data != "2" {
		t.Errorf("pod of an index: %+v, %+v", e, p.Files)
	}
	a.Pods[0].CompletionMode, a.Pods[0].Completions = "", nil
	if s, _ = render(t, a); s.Jobs[0].Indexed || s.Jobs[0].Template.Containers[0].Env[0].Source != Verbatim {
		t.Errorf("a job without an index has one: %+v", s.Jobs[0])
	}

	a.Pods[0].Parallelism, a.Pods[0].RestartPolicy, a.Pods[0].Suspend = ptr(3), "OnFailure", ptr(true)
	s, _ = render(t, a)
	if j := s.Jobs[0]; j.Completions != nil || j.Parallelism != 3 || j.Template.RestartPolicy != RestartOnFailure || !j.Suspend {
		t.Errorf("a work queue: %+v", j)
	}
	a.Pods[0].Kind, a.Pods[0].Schedule, a.Pods[0].TimeZone, a.Pods[0].ConcurrencyPolicy = "CronJob", "* * * * *", "Europe/Rome", "Forbid"
	a.Pods[0].FailedJobsHistoryLimit = ptr(0)
	s, _ = render(t, a)
	want := &Cron{Schedule: "* * * * *", TimeZone: "Europe/Rome", ConcurrencyPolicy: ForbidConcurrent, Suspend: true, SuccessfulJobsHistoryLimit: 3}
	if diff := cmp.Diff(want, s.Jobs[0].Cron); diff != "" {
		t.Errorf("cron (-want +got):\n%s", diff)
	}
	if s.Jobs[0].Suspend {
		t.Error("the runs of a CronJob that is suspended are not suspended themselves")
	}
}

// conformance:S80
func TestExpandSubPath(t *testing.T) {
	env := []string{"POD=web-0", "UP=..", "ROOT=/etc", "EMPTY="}
	for expr, want := range map[string]string{"$(POD)/logs": "web-0/logs", "": "plain"} {
		m := Mount{Path: "/m", SubPath: "plain", SubPathExpr: expr}
		if got, err := m.Expand(env); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", expr, got, err, want)
		}
	}
	for _, expr := range []string{"$(NOBODY)", "$(UP)/x", "a/$(UP)", "$(ROOT)", "$(EMPTY)x"} {
		m := Mount{Path: "/m", SubPathExpr: expr}
		if got, err := m.Expand(env); err == nil || !strings.Contains(err.Error(), "/m") {
			t.Errorf("%q: %q, %v; want an error that names the mount", expr, got, err)
		}
	}
}

// A new volume of the engine belongs to root: with a group of its own, a pod may
// write to it all the same, as on a cluster.
func TestFSGroup_ClaimsAreThePodsToWrite(t *testing.T) {
	shared := func(group *int64, readOnly bool) []Mount {
		a := one(func(p *app.Pod, _ *app.Container) {
			p.Kind, p.SecurityContext.FSGroup = "StatefulSet", group
			p.Volumes = []app.Volume{{Name: "files", Claim: &app.ClaimSource{ClaimName: "kept", ReadOnly: readOnly}}}
			p.VolumeClaimTemplates = []app.Claim{{Name: "data", Storage: "1Gi"}}
		})
		a.Claims = []app.Claim{{Name: "kept", Storage: "1Gi"}}
		s, _ := render(t, a)
		return s.Pods[0].Mounts
	}
	own := Mount{Volume: "shop_data-web-0", Path: "/volumes/data"}
	for name, tc := range map[string]struct{ got, want []Mount }{
		"with a group": {shared(ptr[int64](8), false), []Mount{{Volume: "shop_kept", Path: "/volumes/files"}, own}},
		"to read only": {shared(ptr[int64](8), true), []Mount{own}},
		"without":      {shared(nil, false), nil},
	} {
		if diff := cmp.Diff(tc.want, tc.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// conformance:S132
func TestSysctls_OfNamespacesAlone(t *testing.T) {
	for name, want := range map[string]string{
		"net.ipv4.ip_local_port_range": "net.ipv4.ip_local_port_range", "net/ipv4/tcp_syncookies": "net.ipv4.tcp_syncookies",
		"kernel.shm_rmid_forced": "kernel.shm_rmid_forced", "kernel.msgmax": "kernel.msgmax", "kernel.sem": "kernel.sem", "fs.mqueue.msg_max": "fs.mqueue.msg_max",
		"kernel.panic": "", "vm.swappiness": "", "fs.file-max": "", "kernel.semaphore": "", "network.x": "",
	} {
		a := one(func(p *app.Pod, c *app.Container) {
			p.SecurityContext.Sysctls = []app.Sysctl{{Name: name, Value: "1", Pos: app.Pos{File: "a.cue", Line: 3, Column: 2}}}
		})
		s, _, err := Render(a, Options{})
		switch {
		case want == "" && (err == nil || !strings.HasPrefix(err.Error(), "a.cue:3:2: pods.web.securityContext.sysctls: "+name)):
			t.Errorf("%s: %v, want it refused with its line", name, err)
		case want != "" && (err != nil || s.Pods[0].Sysctls[want] != "1"):
			t.Errorf("%s: %v", name, err)
		}
	}
}
