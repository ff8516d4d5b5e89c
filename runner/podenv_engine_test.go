package runner_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/agent/agenttest"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/enginetest"
	"github.com/cuepod/cuepod/targets/docker"
)

// bed is an app on a real engine, and a look from inside its containers.
type bed struct {
	t   *testing.T
	eng engine.Engine
	id  runner.Identity
	cfg runner.Config
	app *app.App
}

// newBed brings an app up and waits until it is ready. It is CUEPOD_REQUIRE_ENGINE
// that turns a skip into a failure.
func newBed(t *testing.T, a *app.App) *bed {
	t.Helper()
	eng, info := openEngine(t)
	ref, archive := agenttest.Image(t, info.Arch)
	a.Name = fmt.Sprintf("%s-%06x", a.Name, rand.Uint32N(1<<24))
	b := &bed{t: t, eng: eng, app: a, id: runner.Identity{App: a.Name, Root: t.TempDir()}}
	b.cfg = runner.Config{
		Engine: eng, Identity: b.id, Once: true, Timeout: 2 * time.Minute,
		Secrets: runner.SecretSources{LookupEnv: os.LookupEnv, ReadFile: os.ReadFile},
		Agent:   func(string) (string, []byte, error) { return ref, archive, nil },
		Compile: func(context.Context) (runner.Compiled, error) {
			state, _, err := docker.Render(b.app, docker.Options{Project: b.id.Project(), Root: b.id.Root})
			return runner.Compiled{State: state, Root: b.id.Root}, err
		},
		Report: func(e runner.Event) { t.Log(e.Kind, e.Object, e.Message) },
	}
	t.Cleanup(func() {
		if err := runner.Down(context.WithoutCancel(t.Context()), eng, b.id, runner.DownOptions{Volumes: true, Now: true}); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bed) up() {
	b.t.Helper()
	if err := runner.Up(b.t.Context(), b.cfg); err != nil {
		b.t.Fatal(err)
	}
}

// run runs a command of the test program in a container and gives what it
// prints.
func (b *bed) run(pod, container string, args ...string) string {
	b.t.Helper()
	var out, errs bytes.Buffer
	code, err := b.eng.Exec(b.t.Context(), docker.ContainerName(b.id.Project(), pod, container),
		engine.ExecSpec{Cmd: append([]string{"/testprog"}, args...), Stdout: &out, Stderr: &errs})
	if err != nil {
		b.t.Fatal(err)
	}
	if code != 0 {
		return fmt.Sprintf("exit code %d: %s", code, &errs)
	}
	return out.String()
}

func (b *bed) container(pod, container string) engine.Container {
	b.t.Helper()
	c, err := b.eng.InspectContainer(b.t.Context(), docker.ContainerName(b.id.Project(), pod, container))
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *bed) env(pod, container string) map[string]string {
	out := map[string]string{}
	for _, kv := range b.container(pod, container).Env {
		name, value, _ := strings.Cut(kv, "=")
		out[name] = value
	}
	return out
}

func fieldVar(name, path string) app.EnvVar {
	return app.EnvVar{Name: name, ValueFrom: &app.EnvVarSource{FieldRef: &app.ObjectFieldSelector{FieldPath: path}}}
}

func waiting(name string, change ...func(*app.Container)) app.Container {
	c := app.Container{Name: name, Image: enginetest.Ref, ImagePullPolicy: "Never", Args: []string{"wait"}}
	for _, f := range change {
		f(&c)
	}
	return c
}

func podOf(name string, containers ...app.Container) app.Pod {
	return app.Pod{Name: name, Kind: "Deployment", Replicas: 1, TerminationGracePeriodSeconds: 2, Containers: containers}
}

func serviceOf(name, pod string, headless bool, port int) app.Service {
	return app.Service{Name: name, Pod: pod, Type: "ClusterIP", SessionAffinity: "None", Headless: headless,
		Ports: []app.ServicePort{{Name: "main", Port: port, Protocol: "TCP"}}}
}

// What a container sees of its environment, files and itself.
//
// conformance:S56 S57 S58 S59 S60 S61 S62 S63 S64 S65 S66 S67
//
//conformance:negative S60 S62
func TestEnvironment_OnARealEngine(t *testing.T) {
	web := podOf("web", waiting("main", func(c *app.Container) {
		c.EnvFrom = []app.EnvFromSource{
			{Prefix: "P ", ConfigMapRef: &app.ConfigMapEnvSource{Name: "conf"}},
			{ConfigMapRef: &app.ConfigMapEnvSource{Name: "absent", Optional: true}},
		}
		secret := func(key string, optional bool) *app.EnvVarSource {
			return &app.EnvVarSource{SecretKeyRef: &app.SecretKeySelector{Name: "creds", Key: key, Optional: optional}}
		}
		c.Args = []string{"wait", "$(HOST)", "$(UNKNOWN)", "$$(HOST)"}
		c.Env = []app.EnvVar{
			{Name: "HOST", Value: "$(DB_SVC_SERVICE_HOST):$(DB_SVC_SERVICE_PORT_MAIN)"},
			{Name: "FROM", Value: "$(P level)"},
			{Name: "RAW", ValueFrom: &app.EnvVarSource{ConfigMapKeyRef: &app.ConfigMapKeySelector{Name: "conf", Key: "level"}}},
			{Name: "EMPTY"},
			{Name: "TOKEN", ValueFrom: secret("token", false)},
			{Name: "ABSENT", ValueFrom: secret("none", true)},
			{Name: "UNSET", ValueFrom: secret("unset", true)},
			{Name: "FILE", ValueFrom: &app.EnvVarSource{FileKeyRef: &app.FileKeySelector{VolumeName: "shared", Path: "app.env", Key: "A"}}},
			{Name: "CPUS", ValueFrom: &app.EnvVarSource{ResourceFieldRef: &app.ResourceFieldSelector{Resource: "limits.cpu"}}},
			{Name: "MEMORY", ValueFrom: &app.EnvVarSource{ResourceFieldRef: &app.ResourceFieldSelector{Resource: "limits.memory", Divisor: "1Mi"}}},
			fieldVar("NAME", "metadata.name"), fieldVar("NAMESPACE", "metadata.namespace"), fieldVar("UID", "metadata.uid"),
			fieldVar("TEAM", "metadata.labels['team']"), fieldVar("NOTE", "metadata.annotations['note']"), fieldVar("NODE", "spec.nodeName"),
			fieldVar("ACCOUNT", "spec.serviceAccountName"), fieldVar("POD_IP", "status.podIP"), fieldVar("POD_IPS", "status.podIPs"),
			fieldVar("HOST_IP", "status.hostIP"), fieldVar("HOST_IPS", "status.hostIPs"),
		}
		c.VolumeMounts = []app.VolumeMount{{Name: "info", MountPath: "/info"}}
	}), waiting("second", func(c *app.Container) { c.Env = []app.EnvVar{fieldVar("UID", "metadata.uid")} }))
	web.Labels, web.Annotations = map[string]string{"team": "a"}, map[string]string{"note": "b \"c\"\nd"}
	web.InitContainers = []app.Container{waiting("prepare", func(c *app.Container) {
		c.Args = []string{"write", "/shared/app.env", "# made\nA='$(B) c' # d\n"}
		c.VolumeMounts = []app.VolumeMount{{Name: "shared", MountPath: "/shared"}}
	})}
	field := func(name, path string) app.DownwardAPIVolumeFile {
		return app.DownwardAPIVolumeFile{Path: name, FieldRef: &app.ObjectFieldSelector{FieldPath: path}}
	}
	web.Volumes = []app.Volume{{Name: "shared", EmptyDir: &app.EmptyDir{}}, {Name: "info", DownwardAPI: &app.DownwardAPIVolumeSource{Items: []app.DownwardAPIVolumeFile{
		field("labels", "metadata.labels"), field("annotations", "metadata.annotations"), field("uid", "metadata.uid"), field("name", "metadata.name"),
		{Path: "cpus", ResourceFieldRef: &app.ResourceFieldSelector{ContainerName: "main", Resource: "limits.cpu", Divisor: "1m"}},
	}}}}
	shy := podOf("shy", waiting("main"))
	argv := podOf("argv", waiting("image", func(c *app.Container) { c.Args = nil }),
		waiting("args", func(c *app.Container) { c.Args = []string{"wait", "a"} }),
		waiting("command", func(c *app.Container) { c.Command, c.Args = []string{"/testprog", "wait", "c"}, nil }),
		waiting("both", func(c *app.Container) { c.Command, c.Args = []string{"/testprog", "wait"}, []string{"b"} }))
	off := false
	shy.EnableServiceLinks = &off
	b := newBed(t, &app.App{Name: "env", Pods: []app.Pod{web, shy, argv},
		Services:   []app.Service{serviceOf("db-svc", "web", false, 5432), serviceOf("peers", "web", true, 80)},
		ConfigMaps: []app.ConfigMap{{Name: "conf", Data: map[string]string{"level": "$(HOST)"}}},
		Secrets: []app.Secret{{Name: "creds", Keys: []app.SecretKey{
			{Name: "token", Generate: &app.GenerateSecret{Length: 12}}, {Name: "unset", Env: "CUEPOD_TEST_IS_NEVER_SET"}}}},
	})
	b.up()

	env := b.env("web-0", "main")
	vip := env["DB_SVC_SERVICE_HOST"]
	info, err := b.eng.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	uid := strings.TrimSpace(b.run("web-0", "main", "read", "/info/uid"))
	for name, want := range map[string]string{
		"HOST": vip + ":5432", "FROM": "$(HOST)", "RAW": "$(HOST)", "EMPTY": "", "FILE": "$(B) c", "P level": "$(HOST)",
		"CPUS": fmt.Sprint(info.NumCPU), "MEMORY": fmt.Sprint((info.Memory + 1<<20 - 1) >> 20),
		"NAME": "web-0", "NAMESPACE": "default", "UID": uid, "TEAM": "a", "NOTE": "b \"c\"\nd", "NODE": "localhost", "ACCOUNT": "default",
		"POD_IPS": env["POD_IP"], "HOST_IPS": env["HOST_IP"],
		"DB_SVC_SERVICE_PORT": "5432", "DB_SVC_PORT": "tcp://" + vip + ":5432", "DB_SVC_PORT_5432_TCP_ADDR": vip,
	} {
		if got, ok := env[name]; !ok || got != want {
			t.Errorf("%s=%q (set: %t), want %q", name, got, ok, want)
		}
	}
	for _, name := range []string{"ABSENT", "UNSET", "PEERS_SERVICE_HOST", "KUBERNETES_SERVICE_HOST"} {
		if value, ok := env[name]; ok {
			t.Errorf("%s is set, to %q", name, value)
		}
	}
	if len(env["TOKEN"]) != 12 || len(uid) != 36 || env["POD_IP"] == "" || env["HOST_IP"] == env["POD_IP"] {
		t.Errorf("token of %d characters, uid %q, addresses %q and %q", len(env["TOKEN"]), uid, env["POD_IP"], env["HOST_IP"])
	}
	if other := b.env("web-0", "second")["UID"]; other != uid {
		t.Errorf("the containers of a pod see the UIDs %s and %s", uid, other)
	}
	if got := strings.ReplaceAll(b.run("web-0", "main", "read", "/proc/1/cmdline"), "\x00", " "); got != "/testprog wait "+vip+":5432 $(UNKNOWN) $(HOST) " {
		t.Errorf("command line %q", got)
	}
	for container, want := range map[string]string{"image": "wait", "args": "wait a", "command": "wait c", "both": "wait b"} {
		if got := strings.ReplaceAll(b.run("argv-0", container, "read", "/proc/1/cmdline"), "\x00", " "); got != "/testprog "+want+" " {
			t.Errorf("%s: command line %q", container, got)
		}
	}
	if got := b.env("shy-0", "main"); got["DB_SVC_SERVICE_HOST"] != "" {
		t.Errorf("variables of services without enableServiceLinks: %q", got)
	}
	if got := b.run("web-0", "main", "read", "/info/annotations"); got != `note="b \"c\"\nd"` {
		t.Errorf("annotations %q", got)
	}
	if got := b.run("web-0", "main", "read", "/info/labels"); !strings.HasSuffix(got, "\nteam=\"a\"") {
		t.Errorf("labels %q", got)
	}
	if got := b.run("web-0", "main", "read", "/info/cpus"); got != fmt.Sprint(info.NumCPU*1000) {
		t.Errorf("cpus %q", got)
	}

	// A service that comes later restarts nothing and is in no environment; a
	// label's new value is in its file, and the pod is the same.
	before := b.container("web-0", "second").ID
	b.app.Services = append(b.app.Services, serviceOf("later", "web", false, 80))
	b.app.Pods[0].Annotations = map[string]string{"note": "b \"c\"\nd", "more": "e"}
	b.up()
	if b.container("web-0", "second").ID != before {
		t.Error("a new service restarted a container")
	}
	if _, ok := b.env("web-0", "main")["LATER_SERVICE_HOST"]; ok {
		t.Error("a running container knows a service that came after it")
	}
	agenttest.Eventually(t, func() error {
		if got := b.run("web-0", "main", "read", "/info/annotations"); got != "more=\"e\"\nnote=\"b \\\"c\\\"\\nd\"" {
			return fmt.Errorf("annotations %q", got)
		}
		return nil
	})
}

// Host names, hosts files, name servers, and what pods share with the machine.
//
// conformance:S86 S87 S88 S89 S90 S91 S110 S132
//
//conformance:negative S86
func TestIdentity_OnARealEngine(t *testing.T) {
	long := strings.Repeat("n", 62) // with "-0" it is one too many
	web := podOf("web", waiting("main"), waiting("second", func(c *app.Container) { c.Args = []string{"listen", ":8000"} }))
	web.Hostname, web.Subdomain = "front", "peers"
	web.HostAliases = []app.HostAlias{{IP: "10.9.9.9", Hostnames: []string{"foo.local", "bar.local"}}}
	web.DNSConfig = &app.PodDNSConfig{Searches: []string{"corp.example"}, Options: []app.PodDNSConfigOption{{Name: "ndots", Value: "2"}, {Name: "edns0"}}}
	on := true
	web.ShareProcessNamespace = &on
	web.SecurityContext.Sysctls = []app.Sysctl{{Name: "net.core.somaxconn", Value: "321"}}
	set := podOf("db", waiting("main"))
	set.Kind, set.ServiceName = "StatefulSet", "db"
	full := podOf("full", waiting("main"))
	full.Subdomain, full.SetHostnameAsFQDN = "peers", &on
	node := podOf("node", waiting("main", func(c *app.Container) { c.SecurityContext.ProcMount = "Unmasked" }))
	node.DNSPolicy = "Default"
	none := podOf("none", waiting("main", func(c *app.Container) { c.Args = []string{"listen", ":53"} }))
	none.DNSPolicy = "None"
	none.DNSConfig = &app.PodDNSConfig{Nameservers: []string{"10.9.9.8", "10.9.9.8"}}
	all := podOf("all", waiting("main"))
	all.HostPID, all.HostIPC = true, true
	b := newBed(t, &app.App{Name: "id", Pods: []app.Pod{web, set, full, node, none, all, podOf(long, waiting("main"))},
		Services: []app.Service{serviceOf("peers", "web", true, 8000), serviceOf("db", "db", true, 8000)}})
	b.up()

	ip := b.ip("web-0")
	hosts := b.run("web-0", "main", "read", "/etc/hosts")
	want := "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\n" +
		"fe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n" + ip + "\tfront.peers.default.svc.cluster.local\tfront\n" +
		"\n# Entries added by HostAliases.\n10.9.9.9\tfoo.local\tbar.local\n"
	if !strings.HasPrefix(hosts, want) || !strings.HasSuffix(hosts, "\thost.docker.internal\n") {
		t.Errorf("hosts file\n%s\nwant it to begin with\n%s", hosts, want)
	}
	if other := b.run("web-0", "second", "read", "/etc/hosts"); other != hosts {
		t.Errorf("the second container has another hosts file:\n%s", other)
	}
	for pod, want := range map[string]string{"web-0": "front", "db-0": "db-0", "full-0": "full-0.peers.default.svc.cluster.local", long + "-0": long} {
		if got := b.run(pod, "main", "hostname"); got != want+"\n" {
			t.Errorf("pod %s: host name %q, want %q", pod, got, want)
		}
	}
	conf := b.run("web-0", "main", "read", "/etc/resolv.conf")
	lines := strings.Split(conf, "\n")
	if !strings.HasPrefix(lines[0], "search default.svc.cluster.local svc.cluster.local cluster.local") || !strings.HasSuffix(lines[0], " corp.example") ||
		!slices.Equal(lines[1:], []string{"nameserver 127.0.0.1", "options edns0 ndots:2", ""}) {
		t.Errorf("resolv.conf\n%s", conf)
	}
	if conf := b.run("none-0", "main", "read", "/etc/resolv.conf"); conf != "nameserver 10.9.9.8\n" {
		t.Errorf("None: resolv.conf\n%s", conf)
	}
	if conf := b.run("node-0", "main", "read", "/etc/resolv.conf"); strings.Contains(conf, "cluster.local") || !strings.Contains(conf, "nameserver ") {
		t.Errorf("Default: resolv.conf\n%s", conf)
	}
	if got := b.run("node-0", "main", "dial", "peers.default.svc.cluster.local:8000"); !strings.HasPrefix(got, "exit code 1") {
		t.Errorf("a pod with dnsPolicy Default knows a service: %q", got)
	}
	for _, name := range []string{"peers", "front.peers", "front.peers.default.svc.cluster.local"} {
		if got := b.run("db-0", "main", "dial", name+":8000"); got != "hello\n" {
			t.Errorf("dial %s: %q", name, got)
		}
	}
	if got := b.run("db-0", "main", "dial", "web-0.peers:8000"); !strings.HasPrefix(got, "exit code 1") {
		t.Errorf("a name that a cluster does not know: %q", got)
	}
	if got := b.run("web-0", "main", "read", "/proc/1/cmdline"); !strings.Contains(got, "\x00pod\x00") {
		t.Errorf("shareProcessNamespace: the first process is %q", got)
	}
	if got := b.run("db-0", "main", "read", "/proc/1/cmdline"); !strings.HasPrefix(got, "/testprog\x00wait") {
		t.Errorf("the first process of a pod that shares none is %q", got)
	}
	if got := b.run("all-0", "main", "read", "/proc/1/cmdline"); strings.HasPrefix(got, "/testprog") {
		t.Errorf("hostPID: the first process is %q", got)
	}
	if open, masked := b.run("node-0", "main", "read", "/proc/self/mountinfo"), b.run("web-0", "main", "read", "/proc/self/mountinfo"); strings.Contains(open, " /proc/sys ") || !strings.Contains(masked, " /proc/sys ") {
		t.Errorf("procMount Unmasked:\n%s\nand without:\n%s", open, masked)
	}
	for container, want := range map[string]string{"main": "321\n", "second": "321\n"} {
		if got := b.run("web-0", container, "read", "/proc/sys/net/core/somaxconn"); got != want {
			t.Errorf("sysctl in %s: %q", container, got)
		}
	}
}

// ip is the address of a pod.
func (b *bed) ip(pod string) string {
	b.t.Helper()
	s, err := runner.GetStatus(b.t.Context(), b.eng, b.id)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, p := range s.Pods {
		if p.Name == pod {
			return p.IP
		}
	}
	b.t.Fatalf("no pod %s", pod)
	return ""
}
