package compose_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/compose"
)

// patience is for one command or condition on a loaded machine.
const patience = 3 * time.Minute

// A file runs under the real docker compose: files, directories, secrets,
// names, ports and health are what the definition says, an init container that
// fails is tried again, a changed ConfigMap arrives without a restart, and
// nothing is left behind.
func TestFile_RunsUnderDockerCompose(t *testing.T) {
	t.Setenv("ENGINE_TOKEN", "s3cret$HOME") // before what cleans up, which needs it too
	project := startedProject(t)
	port := freePort(t)
	project.write(t, engineApp(port, "one"))
	project.compose(t, "up", "--detach")

	seen := map[string]bool{}
	eventually(t, "both replicas answer", func() bool {
		seen[get(port, "/host")] = true
		return seen["web-0"] && seen["web-1"]
	})
	for path, want := range map[string]string{
		"/env?of=TOKEN":               "s3cret$HOME",
		"/env?of=PRICE":               "$5",
		"/file?of=/etc/app/greeting":  "one $5",
		"/file?of=/secrets/api/token": "s3cret$HOME",
		"/mode?of=/secrets/api/token": "-r--r--r--",
		"/write?of=/disk/a":           "written", // as a user that owns nothing
		"/write?of=/memory/a":         "written",
		"/mode?of=/disk":              "drwxrwxrwx",
	} {
		if got := get(port, path); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	if got := get(port, "/write?of=/etc/app/x"); got == "written" {
		t.Error("a ConfigMap's volume can be written to")
	}
	if got := project.run(t, "exec", "client-0-second", "/cuepod-agent", "check", "http://:9090/file?of=/etc/single"); got != "" {
		t.Errorf("the single file: %s", got)
	}
	checkUDP(t, port+1)
	if out, err := project.command(t.Context(), "exec", "client-0", "/cuepod-agent", "check", "http://:9191/ready").CombinedOutput(); err == nil {
		t.Errorf("a server that listens on localhost only can be reached at the pod's address: %s", out)
	}

	before := project.run(t, "ps", "--quiet", "web-0-app")
	project.write(t, engineApp(port, "two"))
	project.compose(t, "up", "--detach")
	eventually(t, "the change arrives in both replicas", func() bool {
		for range 4 {
			if get(port, "/file?of=/etc/app/greeting") != "two $5" {
				return false
			}
		}
		return true
	})
	if after := project.run(t, "ps", "--quiet", "web-0-app"); before == "" || after != before {
		t.Errorf("the container was replaced: %q, then %q", before, after)
	}
	project.compose(t, "down", "--volumes", "--timeout", "5")
	for _, list := range [][]string{{"ps", "--all"}, {"volume", "ls"}, {"network", "ls"}} {
		if out := command(t, "docker", append(list, "--quiet", "--filter", "label=com.docker.compose.project="+project.name)...); out != "" {
			t.Errorf("left behind: %s %s", list, out)
		}
	}
}

// engineApp is a pod of two replicas with every kind of volume, and a client
// that waits for it.
func engineApp(port int, greeting string) *app.App {
	user, yes := int64(65532), true
	image := "cuepod-compose-test:latest"
	return &app.App{
		Name: "engine",
		Pods: []app.Pod{{
			Name: "web", Kind: "Deployment", Replicas: 2, TerminationGracePeriodSeconds: 1,
			Containers: []app.Container{{
				Name: "app", Image: image, Command: []string{"/cuepod-agent"}, Args: []string{"serve", ":8080"},
				Env: []app.EnvVar{
					{Name: "TOKEN", ValueFrom: &app.EnvVarSource{SecretKeyRef: &app.SecretKeySelector{Name: "engine", Key: "token"}}},
					{Name: "PRICE", Value: "$5"},
				},
				Ports:           []app.ContainerPort{{Name: "http", ContainerPort: 8080}},
				SecurityContext: app.SecurityContext{RunAsUser: &user, ReadOnlyRootFilesystem: &yes, Capabilities: app.Capabilities{Drop: []string{"ALL"}}},
				VolumeMounts: []app.VolumeMount{
					{Name: "disk", MountPath: "/disk"}, {Name: "memory", MountPath: "/memory"},
					{Name: "config", MountPath: "/etc/app"}, {Name: "secret", MountPath: "/secrets"},
				},
				ReadinessProbe: probe(app.Probe{HTTPGet: &app.HTTPGetAction{Path: "/ready", Port: app.PortRef{Name: "http"}}}),
			}, {
				Name: "echo", Image: image, Command: []string{"/cuepod-agent", "echo", ":5353"},
				ReadinessProbe: probe(app.Probe{Exec: &app.ExecAction{Command: []string{"/cuepod-agent", "check", "tcp://:8080"}}}),
			}},
			Volumes: []app.Volume{
				{Name: "disk", EmptyDir: &app.EmptyDir{}},
				{Name: "memory", EmptyDir: &app.EmptyDir{Medium: "Memory", SizeLimit: "1Mi"}},
				{Name: "config", ConfigMap: &app.ConfigMapSource{Name: "settings"}},
				{Name: "secret", Secret: &app.SecretSource{SecretName: "engine", Items: []app.KeyToPath{{Key: "token", Path: "api/token"}}, DefaultMode: 0o444}},
			},
		}, {
			Name: "client", Kind: "Deployment", Replicas: 1, TerminationGracePeriodSeconds: 1,
			DependsOn: []app.Dependency{{Service: "web", Condition: "ready"}},
			InitContainers: []app.Container{
				{Name: "flaky", Image: image, Args: []string{"flaky", "/state/once"}, VolumeMounts: []app.VolumeMount{{Name: "state", MountPath: "/state"}}},
				{Name: "wait", Image: image, Args: []string{"get", "http://web.default.svc.cluster.local/ready"}},
			},
			Containers: []app.Container{
				{Name: "first", Image: image, Args: []string{"serve", "127.0.0.1:9191"}},
				{Name: "second", Image: image, Args: []string{"serve", ":9090"}, VolumeMounts: []app.VolumeMount{{Name: "config", MountPath: "/etc/single", SubPath: "greeting"}}},
			},
			Volumes: []app.Volume{{Name: "config", ConfigMap: &app.ConfigMapSource{Name: "settings"}}, {Name: "state", EmptyDir: &app.EmptyDir{}}},
		}},
		Services: []app.Service{{
			Name: "web", Pod: "web", Type: "NodePort",
			Ports: []app.ServicePort{
				{Name: "echo", Port: 53, TargetPort: app.PortRef{Number: 5353}, NodePort: port + 1, Protocol: "UDP"},
				{Name: "http", Port: 80, TargetPort: app.PortRef{Name: "http"}, NodePort: port},
			},
		}},
		ConfigMaps: []app.ConfigMap{{Name: "settings", Data: map[string]string{"greeting": greeting + " $5"}}},
		Secrets:    []app.Secret{{Name: "engine", Keys: []app.SecretKey{{Name: "token", Generate: &app.GenerateSecret{Length: 8}}}}},
	}
}

func probe(p app.Probe) *app.Probe {
	p.PeriodSeconds, p.TimeoutSeconds, p.SuccessThreshold, p.FailureThreshold = 1, 5, 1, 30
	return &p
}

// project is one run of a file.
type project struct {
	name  string
	file  string
	image string
	cli   []string
}

// startedProject has an image and docker compose ready, or skips the test; with
// CUEPOD_REQUIRE_ENGINE=1 it fails instead.
func startedProject(t *testing.T) *project {
	t.Helper()
	if testing.Short() {
		t.Skip("needs an engine; -short is set")
	}
	miss := t.Skipf
	if os.Getenv("CUEPOD_REQUIRE_ENGINE") == "1" {
		miss = t.Fatalf
	}
	if out, err := exec.CommandContext(t.Context(), "docker", "version").CombinedOutput(); err != nil {
		miss("no engine: %v\n%s", err, out)
	}
	cli, err := exec.CommandContext(t.Context(), "../../scripts/compose.sh").Output()
	if err != nil {
		miss("no docker compose: %v", err)
	}
	dir := t.TempDir()
	p := &project{name: fmt.Sprintf("cuepod-compose-%d", os.Getpid()), file: filepath.Join(dir, "compose.yaml"), cli: strings.Fields(string(cli))}
	p.image = "cuepod-compose-test:" + p.name
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "cuepod-agent"), "./testdata/program")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+command(t, "docker", "version", "--format", "{{.Server.Arch}}"))
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	archive := filepath.Join(dir, "image.tar")
	command(t, "tar", "-C", dir, "-cf", archive, "cuepod-agent")
	command(t, "docker", "import", "--change", `ENTRYPOINT ["/cuepod-agent"]`, archive, p.image)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if t.Failed() {
			out, err := p.command(ctx, "logs", "--no-color", "--tail", "20").CombinedOutput()
			t.Logf("logs: %v\n%s", err, out)
		}
		if out, err := p.command(ctx, "--profile", "*", "down", "--volumes", "--timeout", "1").CombinedOutput(); err != nil {
			t.Errorf("down: %v\n%s", err, out)
		}
		if out, err := exec.CommandContext(ctx, "docker", "image", "rm", p.image).CombinedOutput(); err != nil {
			t.Errorf("image rm: %v\n%s", err, out)
		}
	})
	return p
}

// write renders the app into the project's file.
func (p *project) write(t *testing.T, a *app.App) {
	t.Helper()
	for i := range a.Pods {
		for _, list := range [][]app.Container{a.Pods[i].InitContainers, a.Pods[i].Containers} {
			for j := range list {
				if list[j].Build == nil {
					list[j].Image = p.image
				}
			}
		}
	}
	out, err := compose.Render(a, compose.Options{HolderImage: p.image})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.file, out.Files[0].Data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (p *project) command(ctx context.Context, args ...string) *exec.Cmd {
	args = slices.Concat(p.cli[1:], []string{"--project-name", p.name, "--file", p.file}, args)
	return exec.CommandContext(ctx, p.cli[0], args...)
}

func (p *project) compose(t *testing.T, args ...string) {
	t.Helper()
	if out, err := p.command(t.Context(), args...).CombinedOutput(); err != nil {
		t.Fatalf("compose %q: %v\n%s", args, err, out)
	}
}

// run gives what a compose command prints.
func (p *project) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := p.command(t.Context(), args...).Output()
	if err != nil {
		t.Fatalf("compose %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// get asks the app at a port of the host; "" when nobody answers.
func get(port int, path string) string {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func checkUDP(t *testing.T, port int) {
	t.Helper()
	conn, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	buffer := make([]byte, 100)
	eventually(t, "a datagram comes back", func() bool {
		io.WriteString(conn, "hello")
		conn.SetReadDeadline(time.Now().Add(time.Second))
		n, err := conn.Read(buffer)
		return err == nil && string(buffer[:n]) == "hello"
	})
}

// eventually polls a condition that takes time of its own.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	end := time.After(patience)
	for !condition() {
		select {
		case <-end:
			t.Fatalf("not in %s: %s", patience, what)
		case <-poll.C:
		}
	}
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).Output()
	if err != nil {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	return strings.TrimSpace(string(out))
}

// freePort finds a port of the host such that the next one is free for UDP.
func freePort(t *testing.T) int {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if u, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port+1)); err == nil {
			u.Close()
			return port
		}
	}
	t.Fatal("no free ports")
	return 0
}
