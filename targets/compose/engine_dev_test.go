package compose_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
)

// An image is built from source, and docker compose watch copies files that
// change into the container that runs.
func TestDevelopment_RunsUnderDockerCompose(t *testing.T) {
	project := startedProject(t)
	port := freePort(t)
	built := project.image + "-built"
	dir := filepath.Dir(project.file)
	for name, data := range map[string]string{
		"source/Dockerfile.dev": "FROM " + project.image + " AS run\nARG WHO\nENV WHO=$WHO\nFROM run AS other\nENV WHO=nobody\n",
		"source/data/first":     "first",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	a := one(func(_ *app.App, p *app.Pod, c *app.Container) {
		p.TerminationGracePeriodSeconds = 1
		c.Image, c.ImagePullPolicy = built, "Always" // nobody has it: it is built, not pulled
		c.Build = &app.Build{Context: "source", Dockerfile: "Dockerfile.dev", Target: "run", Args: map[string]string{"WHO": "$me"}}
		c.Dev = &app.Dev{Sync: map[string]string{"source/data": "/copied"}}
		c.Command, c.Args = []string{"/cuepod-agent"}, []string{"serve", ":8080"}
		c.Ports = []app.ContainerPort{{Name: "http", ContainerPort: 8080, HostPort: port}}
	})
	project.write(t, a)
	project.compose(t, "up", "--detach")
	t.Cleanup(func() {
		if out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "docker", "image", "rm", "--force", built).CombinedOutput(); err != nil {
			t.Errorf("image rm: %v\n%s", err, out)
		}
	})
	eventually(t, "the container of the built image answers", func() bool { return get(port, "/ready") == "ready" })
	if got := get(port, "/env?of=WHO"); got != "$me" {
		t.Errorf("the argument of the build is %q", got)
	}

	ctx, cancel := context.WithCancel(t.Context())
	watch := project.command(ctx, "watch", "--no-up")
	var out bytes.Buffer
	watch.Stdout, watch.Stderr = &out, &out
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		watch.Wait() // an error says that it was killed
		if t.Failed() {
			t.Logf("watch: %s", &out)
		}
	}()
	changed, last := filepath.Join(dir, "source/data/second"), time.Time{}
	eventually(t, "the file is copied", func() bool {
		if time.Since(last) > 3*time.Second { // again: the watch begins at its own time, and waits until changes end
			last = time.Now()
			if err := os.WriteFile(changed, []byte("second"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return get(port, "/file?of=/copied/second") == "second"
	})
}
