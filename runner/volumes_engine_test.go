package runner_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
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

// lookImage holds testdata/look as /testprog.
const lookImage = "cuepod-look:latest"

// stage is an app on a real engine, whose containers run testdata/look.
type stage struct {
	t     *testing.T
	eng   engine.Engine
	id    runner.Identity
	agent runner.AgentImage
	opts  docker.Options
}

// newStage needs an engine: see connect. The agent and the program are built
// once for all tests of the caller.
func newStage(t *testing.T) *stage {
	t.Helper()
	eng, info := connect(t)
	archive, err := enginetest.ArchiveAs(lookImage, agenttest.Binary(t, "./testdata/look", info.Arch))
	if err != nil {
		t.Fatal(err)
	}
	if err := eng.LoadImage(t.Context(), bytes.NewReader(archive)); err != nil {
		t.Fatal(err)
	}
	ref, image := agenttest.Image(t, info.Arch)
	return &stage{t: t, eng: eng, agent: func(string) (string, []byte, error) { return ref, image, nil }}
}

// on is the stage for one test: an app of its own, which is removed at the end.
func (s *stage) on(t *testing.T) *stage {
	t.Helper()
	own := *s
	own.t = t
	own.id = runner.Identity{App: fmt.Sprintf("vol-%06x", rand.Uint32N(1<<24)), Root: t.TempDir()}
	own.opts = docker.Options{Project: own.id.Project(), Root: own.id.Root}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := runner.Down(ctx, own.eng, own.id, runner.DownOptions{Volumes: true, Now: true}); err != nil {
			t.Error(err)
		}
	})
	return &own
}

// look is a container that waits to be asked.
func look(name string, mounts ...app.VolumeMount) app.Container {
	return app.Container{Name: name, Image: lookImage, ImagePullPolicy: "Never", Args: []string{"wait"}, VolumeMounts: mounts}
}

// deployment is one replica, to be stopped fast.
func deployment(name string, containers ...app.Container) app.Pod {
	return app.Pod{Name: name, Kind: "Deployment", Replicas: 1, TerminationGracePeriodSeconds: 2, Containers: containers}
}

func (s *stage) config(a *app.App) runner.Config {
	a.Name = s.id.App
	return runner.Config{
		Engine: s.eng, Identity: s.id, Once: true, Timeout: time.Minute, Agent: s.agent,
		Secrets: runner.SecretSources{LookupEnv: func(name string) (string, bool) { return "value of " + name, true }, ReadFile: os.ReadFile},
		Compile: func(context.Context) (runner.Compiled, error) {
			state, _, err := docker.Render(a, s.opts)
			return runner.Compiled{State: state, Root: s.id.Root}, err
		},
		Report: func(e runner.Event) { s.t.Log(e.Kind, e.Object, e.Message) },
	}
}

// up brings the app to a definition and waits until it is ready.
func (s *stage) up(a *app.App) {
	s.t.Helper()
	if err := runner.Up(s.t.Context(), s.config(a)); err != nil {
		s.t.Fatal(err)
	}
}

// ask runs testdata/look in a container, "pod/container", and gives what it
// says, or "error: ...".
func (s *stage) ask(where string, command ...string) string {
	s.t.Helper()
	pod, name, _ := strings.Cut(where, "/")
	var stdout, stderr bytes.Buffer
	code, err := s.eng.Exec(s.t.Context(), docker.ContainerName(s.opts.Project, pod, name),
		engine.ExecSpec{Cmd: append([]string{"/testprog"}, command...), Stdout: &stdout, Stderr: &stderr})
	if err != nil {
		s.t.Fatal(err)
	}
	if code != 0 {
		return "error: " + strings.TrimSpace(stderr.String())
	}
	return strings.TrimSpace(stdout.String())
}

// expect asks a container and compares.
func (s *stage) expect(where, want string, command ...string) {
	s.t.Helper()
	if got := s.ask(where, command...); got != want {
		s.t.Errorf("%s: %s\n got %s\nwant %s", where, strings.Join(command, " "), got, want)
	}
}

// fails wants a command to fail.
func (s *stage) fails(where string, command ...string) {
	s.t.Helper()
	if got := s.ask(where, command...); !strings.HasPrefix(got, "error: ") {
		s.t.Errorf("%s: %s: %q, want an error", where, strings.Join(command, " "), got)
	}
}

// eventually asks until the answer is as wanted, and tells how long it took.
func (s *stage) eventually(where, want string, command ...string) time.Duration {
	s.t.Helper()
	began := time.Now()
	agenttest.Eventually(s.t, func() error {
		if got := s.ask(where, command...); got != want {
			return fmt.Errorf("%s: %s: %q, want %q", where, strings.Join(command, " "), got, want)
		}
		return nil
	})
	return time.Since(began)
}

func mount(volume, path string) app.VolumeMount {
	return app.VolumeMount{Name: volume, MountPath: path}
}

func subPath(volume, path, sub string) app.VolumeMount {
	return app.VolumeMount{Name: volume, MountPath: path, SubPath: sub}
}

func ptr[T any](v T) *T { return &v }

func TestVolumes_OnARealEngine(t *testing.T) {
	s := newStage(t)
	t.Run("modes and owners", func(t *testing.T) { testModes(s.on(t)) })
	t.Run("fsGroup", func(t *testing.T) { testFSGroup(s.on(t)) })
	t.Run("updates", func(t *testing.T) { testUpdates(s.on(t)) })
	t.Run("lifetime", func(t *testing.T) { testLifetime(s.on(t)) })
	t.Run("rights", func(t *testing.T) { testRights(s.on(t)) })
	t.Run("image", func(t *testing.T) { testImageVolume(s.on(t)) })
	t.Run("sub-paths with variables", func(t *testing.T) { testSubPathExpr(s.on(t)) })
	t.Run("sub-paths", func(t *testing.T) { testSubPaths(s.on(t)) })
	t.Run("sub-path that changes all the time", func(t *testing.T) { testSubPathRace(s.on(t)) })
}

// conformance:S79 S72
//
//conformance:negative S72
func testSubPaths(s *stage) {
	prepare := look("prepare", mount("scratch", "/scratch"))
	prepare.Args = []string{"mkdir", "/scratch/made/by/init"}
	web := look("web",
		subPath("scratch", "/new", "new/deep"), subPath("scratch", "/made", "made/by"), subPath("memory", "/memory", "sub"),
		subPath("config", "/etc/key", "key"), subPath("secret", "/etc/password", "password"), subPath("all", "/all", "sub"),
		subPath("claim", "/claim", "data"), subPath("host", "/host", "data"))
	pod := deployment("web", web, look("other", mount("scratch", "/scratch"), mount("memory", "/memory"), mount("config", "/config"), mount("claim", "/claim"), mount("host", "/host")))
	pod.InitContainers = []app.Container{prepare}
	pod.Volumes = []app.Volume{
		{Name: "scratch", EmptyDir: &app.EmptyDir{}},
		{Name: "memory", EmptyDir: &app.EmptyDir{Medium: "Memory"}},
		{Name: "config", ConfigMap: &app.ConfigMapSource{Name: "config", DefaultMode: 0o644}},
		{Name: "secret", Secret: &app.SecretSource{SecretName: "secret", DefaultMode: 0o400}},
		{Name: "all", Projected: &app.ProjectedVolumeSource{Sources: []app.VolumeProjection{{ConfigMap: &app.ConfigMapProjection{Name: "config", Items: []app.KeyToPath{{Key: "key", Path: "sub/file"}}}}}}},
		{Name: "claim", Claim: &app.ClaimSource{ClaimName: "claim"}},
		{Name: "host", HostPath: &app.HostPathVolumeSource{Path: s.id.Root, Type: "Directory"}},
	}
	a := &app.App{
		Pods:       []app.Pod{pod},
		ConfigMaps: []app.ConfigMap{{Name: "config", Data: map[string]string{"key": "one"}}},
		Secrets:    []app.Secret{{Name: "secret", Keys: []app.SecretKey{{Name: "password", Env: "PASSWORD"}}}},
		Claims:     []app.Claim{{Name: "claim", Storage: "1Mi"}},
	}
	s.up(a)
	const web0, other = "web-0/web", "web-0/other"
	s.expect(web0, "drwxrwxrwx 0:0 0", "stat", "/new")
	s.expect(other, "drwxrwxrwx 0:0 0", "stat", "/scratch/new")
	s.expect(web0, "drwxr-xr-x 0:0 0", "stat", "/made/init")
	s.expect(web0, "one", "cat", "/etc/key")
	s.expect(web0, "value of PASSWORD", "cat", "/etc/password")
	s.expect(web0, "-r-------- 0:0 17", "stat", "/etc/password")
	s.expect(web0, "one", "cat", "/all/file")
	s.fails(web0, "write", "/etc/key", "other")
	for sub, whole := range map[string]string{"/new/f": "/scratch/new/deep/f", "/memory/f": "/memory/sub/f", "/claim/f": "/claim/data/f", "/host/f": "/host/data/f"} {
		s.expect(web0, "", "write", sub, "text")
		s.expect(other, "text", "cat", whole)
	}
	if got, err := os.ReadFile(s.id.Root + "/data/f"); string(got) != "text" {
		s.t.Errorf("on the host: %q, %v", got, err)
	}

	// A volume follows, what is mounted by its sub-path never does.
	a.ConfigMaps[0].Data["key"] = "two"
	s.up(a)
	s.eventually(other, "two", "cat", "/config/key")
	s.expect(web0, "one", "cat", "/etc/key")
}

// testSubPathRace has a container that makes the sub-path lead out of the volume
// and back as fast as it can. Whatever the other one gets to see is in the volume.
//
//conformance:negative S79
func testSubPathRace(s *stage) {
	prepare := look("prepare", mount("scratch", "/scratch"))
	prepare.Args = []string{"write", "/scratch/real/mark", "inside"}
	makeDir := look("make-dir", mount("scratch", "/scratch"))
	makeDir.Args = []string{"mkdir", "/scratch/real"}
	evil := look("evil", mount("scratch", "/scratch"))
	evil.Args = []string{"flip", "/scratch/sub", "/etc", "real"} // the machine's /etc, and what is in the volume
	a := &app.App{}
	for try := range 3 {
		victim := look("victim", subPath("scratch", "/sub", "sub"))
		victim.Env = []app.EnvVar{{Name: "TRY", Value: fmt.Sprint(try)}}
		pod := deployment("web", evil, victim)
		pod.InitContainers = []app.Container{makeDir, prepare}
		pod.Volumes = []app.Volume{{Name: "scratch", EmptyDir: &app.EmptyDir{}}}
		a.Pods = []app.Pod{pod}
		cfg := s.config(a)
		cfg.Timeout = 10 * time.Second
		if err := runner.Up(s.t.Context(), cfg); err != nil {
			s.t.Log(err) // it may never get there: that is as it should be
			continue
		}
		s.expect("web-0/victim", "inside", "cat", "/sub/mark")
		s.fails("web-0/victim", "stat", "/sub/passwd")
	}
}

// files are a ConfigMap and a secret, and volumes of them.
func files(a *app.App) []app.Volume {
	a.ConfigMaps = []app.ConfigMap{{Name: "config", Data: map[string]string{"text": "one", "other": "two"}, BinaryData: map[string][]byte{"binary": {0, 1, 0xff}}}}
	a.Secrets = []app.Secret{{Name: "secret", Keys: []app.SecretKey{{Name: "password", Env: "PASSWORD"}}}}
	return []app.Volume{
		{Name: "config", ConfigMap: &app.ConfigMapSource{Name: "config", DefaultMode: 0o644}},
		{Name: "items", ConfigMap: &app.ConfigMapSource{Name: "config", DefaultMode: 0o400, Items: []app.KeyToPath{{Key: "text", Path: "sub/file"}, {Key: "other", Path: "other", Mode: ptr(0o600), User: ptr(int64(1000))}}}},
		{Name: "secret", Secret: &app.SecretSource{SecretName: "secret", DefaultMode: 0o440}},
		{Name: "none", Secret: &app.SecretSource{SecretName: "nobody", DefaultMode: 0o644, Optional: true}},
		{Name: "all", Projected: &app.ProjectedVolumeSource{DefaultMode: ptr(0o400), Sources: []app.VolumeProjection{
			{ConfigMap: &app.ConfigMapProjection{Name: "config", Items: []app.KeyToPath{{Key: "text", Path: "text"}}}},
			{Secret: &app.SecretProjection{Name: "secret"}},
			{DownwardAPI: &app.DownwardAPIProjection{Items: []app.DownwardAPIVolumeFile{{Path: "labels", Mode: ptr(0o444), FieldRef: &app.ObjectFieldSelector{FieldPath: "metadata.labels['tier']"}}}}},
		}}},
	}
}

func mountAll(volumes []app.Volume) []app.VolumeMount {
	var out []app.VolumeMount
	for _, v := range volumes {
		out = append(out, mount(v.Name, "/"+v.Name))
	}
	return out
}

// conformance:S69 S70 S72 S73 S77 S81 S83
func testModes(s *stage) {
	a := &app.App{}
	volumes := append(files(a),
		app.Volume{Name: "disk", EmptyDir: &app.EmptyDir{}},
		app.Volume{Name: "memory", EmptyDir: &app.EmptyDir{Medium: "Memory", SizeLimit: "1Mi"}},
		app.Volume{Name: "sticky", EmptyDir: &app.EmptyDir{Mode: ptr(0o1770)}})
	user := look("user", append(mountAll(volumes), app.VolumeMount{Name: "disk", MountPath: "/read-only", ReadOnly: true})...)
	user.SecurityContext.RunAsUser = ptr(int64(1000))
	pod := deployment("web", look("root", mountAll(volumes)...), user)
	pod.Labels, pod.Volumes = map[string]string{"tier": "front"}, volumes
	a.Pods = []app.Pod{pod}
	s.up(a)
	const root, web = "web-0/root", "web-0/user"
	for path, want := range map[string]string{
		"/disk": "drwxrwxrwx 0:0 0", "/memory": "drwxrwxrwx 0:0 0", "/sticky": "dtrwxrwx--- 0:0 0",
		"/config": "drwxrwxrwx 0:0 0", "/secret": "drwxrwxrwx 0:0 0",
		"/config/text": "Lrwxrwxrwx 0:0 -> ..data/text", "/config/..data/text": "-rw-r--r-- 0:0 3",
		"/config/..data/binary":  "-rw-r--r-- 0:0 3",
		"/items/..data/sub/file": "-r-------- 0:0 3", "/items/..data/other": "-rw------- 1000:0 3",
		"/secret/..data/password": "-r--r----- 0:0 17",
		"/all/..data/text":        "-r-------- 0:0 3", "/all/..data/labels": "-r--r--r-- 0:0 5",
	} {
		s.expect(root, want, "stat", path)
	}
	s.expect(root, "one\none\nvalue of PASSWORD\nfront", "cat", "/config/text", "/items/sub/file", "/all/password", "/all/labels")
	s.fails(root, "stat", "/items/text")
	s.fails(root, "write", "/config/text", "other")
	s.expect(root, "tmpfs rw 1048576", "mount", "/memory")
	if got := s.ask(root, "mount", "/secret", "/all"); !strings.HasPrefix(got, "tmpfs ro ") || strings.Count(got, "tmpfs ro ") != 2 {
		s.t.Errorf("a secret is on disk: %s", got)
	}
	s.expect(web, "one", "cat", "/config/text") // anybody may read
	s.expect(web, "two", "cat", "/items/other") // it is its own
	s.fails(web, "cat", "/items/sub/file")
	s.expect(web, "value of PASSWORD", "cat", "/secret/password") // a user without a group is in root's, as in Kubernetes
	s.expect(web, "", "write", "/disk/mine", "text")
	s.expect(root, "-rw-r--r-- 1000:0 4", "stat", "/disk/mine")
	s.fails(web, "write", "/read-only/mine", "text")
	s.expect(web, "text", "cat", "/read-only/mine")
}

// conformance:S84 S129
func testFSGroup(s *stage) {
	a := &app.App{Claims: []app.Claim{{Name: "claim", Storage: "1Mi"}}}
	volumes := append(files(a),
		app.Volume{Name: "disk", EmptyDir: &app.EmptyDir{}},
		app.Volume{Name: "memory", EmptyDir: &app.EmptyDir{Medium: "Memory"}},
		app.Volume{Name: "claim", Claim: &app.ClaimSource{ClaimName: "claim"}})
	before := deployment("web", look("main", mount("claim", "/claim")))
	before.Volumes = volumes[len(volumes)-1:]
	a.Pods = []app.Pod{before}
	s.up(a)
	s.expect("web-0/main", "", "mkdir", "/claim/old/deep")
	s.expect("web-0/main", "", "write", "/claim/old/deep/file", "text")

	main := look("main", mountAll(volumes)...)
	pod := deployment("web", main)
	pod.Volumes = volumes
	pod.SecurityContext = app.PodSecurityContext{RunAsUser: ptr(int64(1000)), RunAsGroup: ptr(int64(3000)), FSGroup: ptr(int64(2000)), SupplementalGroups: []int64{4000}}
	a.Pods = []app.Pod{pod}
	s.up(a)
	const web = "web-0/main"
	s.expect(web, "1000 3000 [2000 3000 4000]", "id")
	for path, want := range map[string]string{
		"/disk": "dgrwxrwxrwx 0:2000 0", "/memory": "dgrwxrwxrwx 0:2000 0", "/claim": "dgrwxrwxr-x 0:2000 0",
		"/claim/old/deep/file": "-rw-rw-r-- 0:2000 4", "/claim/old/deep": "dgrwxrwxr-x 0:2000 0",
		"/secret/..data/password": "-r--r----- 0:2000 17", "/items/..data/sub/file": "-r--r----- 0:2000 3", "/items/..data/other": "-rw-r----- 1000:2000 3",
	} {
		s.expect(web, want, "stat", path)
	}
	s.expect(web, "value of PASSWORD", "cat", "/secret/password")
	s.expect(web, "", "write", "/claim/old/deep/file", "other")
	s.expect(web, "", "write", "/disk/mine", "text")
	s.expect(web, "-rw-r--r-- 1000:2000 4", "stat", "/disk/mine") // the directory's group
}

// conformance:S75 S72
//
//conformance:negative S72
func testUpdates(s *stage) {
	a := &app.App{}
	pod := deployment("web", look("main", mountAll(files(a))...))
	pod.Labels, pod.Volumes = map[string]string{"tier": "front"}, files(a)
	a.Pods = []app.Pod{pod}
	s.up(a)
	const web = "web-0/main"
	before := s.ask(web, "stat", "/config/..data")
	a.ConfigMaps[0].Data = map[string]string{"text": "three", "new": "four"}
	a.Secrets = append(a.Secrets, app.Secret{Name: "nobody", Keys: []app.SecretKey{{Name: "late", Env: "LATE"}}})
	a.Pods[0].Labels = map[string]string{"tier": "back"}
	a.Pods[0].Volumes[1].ConfigMap.Items = a.Pods[0].Volumes[1].ConfigMap.Items[:1]
	s.up(a)
	s.eventually(web, "three\nfour", "cat", "/config/text", "/config/new")
	s.eventually(web, "value of LATE", "cat", "/none/late") // an optional one appears
	s.eventually(web, "back", "cat", "/all/labels")
	s.fails(web, "stat", "/config/other")
	if after := s.ask(web, "stat", "/config/..data"); after == before {
		s.t.Errorf("the files changed in place: %s", after)
	}
	a.ConfigMaps[0].Data = map[string]string{}
	a.Pods[0].Volumes[0].ConfigMap.Optional = true
	s.up(a)
	s.eventually(web, "error: open /config/text: no such file or directory", "cat", "/config/text")
}

// conformance:S77
func testLifetime(s *stage) {
	main := look("main", mount("disk", "/disk"), mount("memory", "/memory"))
	pod := deployment("web", main)
	pod.Volumes = []app.Volume{{Name: "disk", EmptyDir: &app.EmptyDir{}}, {Name: "memory", EmptyDir: &app.EmptyDir{Medium: "Memory"}}}
	a := &app.App{Pods: []app.Pod{pod}}
	s.up(a)
	const web = "web-0/main"
	s.expect(web, "", "write", "/disk/file", "text")
	s.expect(web, "", "write", "/memory/file", "text")
	a.Pods[0].Containers[0].Env = []app.EnvVar{{Name: "A", Value: "1"}} // another container in the same pod
	s.up(a)
	s.expect(web, "text\ntext", "cat", "/disk/file", "/memory/file")
	a.Pods[0].Hostname = "other" // another pod
	s.up(a)
	s.fails(web, "cat", "/disk/file")
	s.fails(web, "cat", "/memory/file")
}

// conformance:S78 S126 S129 S130 S131 S132
func testRights(s *stage) {
	strict := look("strict", mount("disk", "/disk"))
	strict.SecurityContext = app.SecurityContext{RunAsUser: ptr(int64(65534)), RunAsGroup: ptr(int64(3000)), RunAsNonRoot: ptr(true), ReadOnlyRootFilesystem: ptr(true),
		Capabilities: app.Capabilities{Drop: []string{"ALL"}, Add: []string{"NET_BIND_SERVICE"}}}
	strict.Resources.Requests = map[string]app.Quantity{"memory": "1Mi"}
	group := look("group")
	group.SecurityContext.RunAsGroup = ptr(int64(3000)) // the user is the image's
	free := look("free")
	free.SecurityContext = app.SecurityContext{AllowPrivilegeEscalation: ptr(true), SeccompProfile: &app.SeccompProfile{Type: "Unconfined"}}
	pod := deployment("web", strict, group, free)
	pod.Volumes = []app.Volume{{Name: "disk", EmptyDir: &app.EmptyDir{}}}
	pod.SecurityContext.Sysctls = []app.Sysctl{{Name: "net/ipv4/ip_unprivileged_port_start", Value: "70"}}
	a := &app.App{Pods: []app.Pod{pod}}
	s.up(a)
	s.expect("web-0/strict", "65534 3000 [3000]", "id")
	s.expect("web-0/strict", "1", "proc", "NoNewPrivs")
	s.expect("web-0/strict", "0000000000000000", "proc", "CapEff")
	s.expect("web-0/strict", "0000000000000400", "proc", "CapBnd")
	s.expect("web-0/strict", "999", "cat", "/proc/self/oom_score_adj")
	s.fails("web-0/strict", "write", "/file", "text")
	s.expect("web-0/strict", "", "write", "/disk/file", "text")
	s.expect("web-0/strict", "70", "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start")
	s.expect("web-0/group", "0 3000 [3000]", "id")
	s.expect("web-0/group", "tmpfs rw 67108864", "mount", "/dev/shm")
	s.expect("web-0/group", "", "write", "/dev/shm/file", "text")
	s.expect("web-0/free", "text", "cat", "/dev/shm/file")
	s.expect("web-0/free", "0", "proc", "NoNewPrivs")
	s.expect("web-0/free", "0", "proc", "Seccomp")

	// Root is refused for a container that must not be root, each time.
	root := deployment("root", look("main"))
	root.Containers[0].SecurityContext.RunAsNonRoot = ptr(true)
	a.Pods = append(a.Pods, root)
	cfg := s.config(a)
	cfg.Timeout = 10 * time.Second
	if err := runner.Up(s.t.Context(), cfg); err == nil {
		s.t.Error("a container with runAsNonRoot runs as root")
	}
}

// A sub-path with a variable that is missing, absolute or leads out of the volume
// keeps the container waiting until the definition is mended.
//
// conformance:S80
func testSubPathExpr(s *stage) {
	web := look("web", app.VolumeMount{Name: "disk", MountPath: "/mine", SubPathExpr: "logs/$(POD)"})
	pod := deployment("web", web, look("all", mount("disk", "/disk")))
	pod.Volumes = []app.Volume{{Name: "disk", EmptyDir: &app.EmptyDir{}}}
	a := &app.App{Pods: []app.Pod{pod}}
	for _, value := range []string{"../../..", "", "absent"} {
		a.Pods[0].Containers[0].Env = []app.EnvVar{{Name: "POD", Value: value}}
		if value == "absent" {
			a.Pods[0].Containers[0].Env = nil
		}
		cfg := s.config(a)
		cfg.Timeout = 8 * time.Second
		if err := runner.Up(s.t.Context(), cfg); err == nil {
			s.t.Errorf("it started with POD=%q", value)
		}
	}
	status, err := runner.GetStatus(s.t.Context(), s.eng, s.id)
	if err != nil {
		s.t.Fatal(err)
	}
	if got := fmt.Sprintf("%+v", status.Pods); !strings.Contains(got, "CreateContainerConfigError") {
		s.t.Errorf("status %s", got)
	}
	a.Pods[0].Containers[0].Env = []app.EnvVar{{Name: "POD", ValueFrom: &app.EnvVarSource{FieldRef: &app.ObjectFieldSelector{FieldPath: "metadata.name"}}}}
	s.up(a)
	s.expect("web-0/web", "", "write", "/mine/file", "text")
	s.expect("web-0/all", "text", "cat", "/disk/logs/web-0/file")
}

// An engine that mounts images shows them; with an older one the container waits,
// and says which engine it needs.
//
// conformance:S85
func testImageVolume(s *stage) {
	info, err := s.eng.Info(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	pod := deployment("web", look("main", mount("image", "/image")))
	pod.Volumes = []app.Volume{{Name: "image", Image: &app.ImageVolumeSource{Reference: lookImage, PullPolicy: "Never"}}}
	a := &app.App{Pods: []app.Pod{pod}}
	if info.Images {
		s.up(a)
		s.fails("web-0/main", "write", "/image/file", "text")
		if got := s.ask("web-0/main", "stat", "/image/testprog"); !strings.HasPrefix(got, "-rwxr-xr-x ") {
			s.t.Errorf("in the image: %s", got)
		}
		return
	}
	cfg := s.config(a)
	cfg.Timeout = 8 * time.Second
	if err := runner.Up(s.t.Context(), cfg); err == nil {
		s.t.Error("it started without the image")
	}
	status, err := runner.GetStatus(s.t.Context(), s.eng, s.id)
	if got := fmt.Sprintf("%+v", status.Pods); err != nil || !strings.Contains(got, "Docker 28 (API 1.48) and newer mount images") {
		s.t.Errorf("status %s, %v", got, err)
	}
}
