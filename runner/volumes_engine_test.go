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
	"github.com/cuepod/cuepod/runner/engine/dockerapi"
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
	line  []string // what up said
}

// newStage needs an engine: see openEngine. The agent and the program are built
// once for all tests of the caller.
func newStage(t *testing.T) *stage {
	t.Helper()
	eng, err := dockerapi.New(dockerapi.Options{})
	var info engine.Info
	if err == nil {
		info, err = eng.Info(t.Context())
	}
	if err != nil {
		if os.Getenv("CUEPOD_REQUIRE_ENGINE") == "1" {
			t.Fatal(err)
		}
		t.Skipf("no engine: %v", err)
	}
	t.Cleanup(func() { eng.Close() })
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
