package build

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/targets/docker"
)

// fakeDocker puts a docker command on the PATH that writes its arguments, one a
// line, into a file, reads its input and then does what the script says.
func fakeDocker(t *testing.T, script string) (args func() []string) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "args")
	text := "#!/bin/sh\nprintf '%s\\n' \"$@\" >" + log + "\ncat >/dev/null\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return func() []string {
		data, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(data)), "\n")
	}
}

func buildx(t *testing.T, root string, b docker.Build, spec engine.BuildSpec, progress func(engine.Progress)) error {
	t.Helper()
	b.Context, b.Buildx = "web", true
	return read(t, root, b).Buildx(t.Context(), &b, spec, os.LookupEnv, progress)
}

func webFiles() map[string]string {
	return map[string]string{"web/Dockerfile": "FROM scratch\nCOPY a.txt /a.txt\n", "web/a.txt": "one", ".npmrc": "key"}
}

// Values of arguments and secrets are in no command line.
func TestBuildx_CommandLine(t *testing.T) {
	args := fakeDocker(t, `test "$VERSION" = "1.2 beta"`)
	t.Setenv("NPM_TOKEN", "canary")
	t.Setenv("TAKEN", "ours")
	root := tree(t, webFiles())
	err := buildx(t, root, docker.Build{Secrets: []docker.BuildSecret{{ID: "npmrc", File: ".npmrc"}, {ID: "token", Env: "NPM_TOKEN"}}}, engine.BuildSpec{
		Tags: []string{"a:1", "b:2"}, Labels: map[string]string{"x": "y"}, Args: map[string]string{"VERSION": "1.2 beta", "TAKEN": "theirs"},
		Target: "run", Platform: "linux/arm64", CacheFrom: []string{"r.example/cache"},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"buildx", "build", "--load", "--progress=rawjson", "--provenance=false", "--file", "Dockerfile", "--tag", "a:1", "--tag", "b:2", "--label", "x=y",
		"--build-arg", "TAKEN=theirs", "--build-arg", "VERSION", "--cache-from", "r.example/cache", "--target", "run", "--platform", "linux/arm64",
		"--secret", "id=npmrc,src=" + filepath.Join(root, ".npmrc"), "--secret", "id=token,env=NPM_TOKEN", "-",
	}
	if diff := cmp.Diff(want, args()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestBuildx_ProgressAndErrors(t *testing.T) {
	fakeDocker(t, `cat >&2 <<'EOF'
{"vertexes":[{"digest":"sha256:a","name":"[1/2] FROM base","started":"2026-01-01T00:00:00Z","completed":"2026-01-01T00:00:00Z","cached":true}]}
{"vertexes":[{"digest":"sha256:b","name":"[2/2] RUN make","started":"2026-01-01T00:00:00Z"}]}
{"logs":[{"vertex":"sha256:b","data":"Y2MgbWFpbi5jCg=="}]}
{"vertexes":[{"digest":"sha256:b","name":"[2/2] RUN make","started":"2026-01-01T00:00:00Z","completed":"2026-01-01T00:00:00Z","error":"exit code: 2"}]}
ERROR: failed to build: failed to solve: exit code: 2
EOF
exit 1`)
	var got []engine.Progress
	err := buildx(t, tree(t, webFiles()), docker.Build{}, engine.BuildSpec{Tags: []string{"a:1"}}, func(p engine.Progress) { got = append(got, p) })
	want := []engine.Progress{
		{ID: "sha256:a", Status: "[1/2] FROM base", Cached: true},
		{ID: "sha256:b", Status: "[2/2] RUN make", Begins: true},
		{ID: "sha256:b", Status: "[2/2] RUN make", Output: "cc main.c\n"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var fault *engine.BuildError
	if !errors.As(err, &fault) || *fault != (engine.BuildError{Step: "[2/2] RUN make", Message: "exit code: 2", Output: "cc main.c\n"}) {
		t.Errorf("error %+v", err)
	}
	for what, tc := range map[string]struct {
		script string
		build  docker.Build
		words  string
	}{
		"no plugin":          {"echo 'docker: unknown command: docker buildx' >&2; exit 1", docker.Build{}, "docker has no plugin buildx; install it"},
		"no step":            {"echo 'ERROR: failed to build: failed to solve: dockerfile parse error on line 2: unknown instruction' >&2; exit 1", docker.Build{}, "dockerfile parse error on line 2"},
		"silence":            {"exit 3", docker.Build{}, "docker buildx build: exit status 3"},
		"a variable that is": {"exit 0", docker.Build{Secrets: []docker.BuildSecret{{ID: "a", Env: "CUEPOD_NO_SUCH"}}}, "secret a: the environment variable CUEPOD_NO_SUCH is not set"},
		"a file that is not": {"exit 0", docker.Build{Secrets: []docker.BuildSecret{{ID: "a", File: "none"}}}, "secret a: file none: no such file"},
		"a file that leads":  {"exit 0", docker.Build{Secrets: []docker.BuildSecret{{ID: "a", File: "out"}}}, "leads out of the module"},
	} {
		fakeDocker(t, tc.script)
		files := webFiles()
		files["out"] = "-> /etc/passwd"
		if err := buildx(t, tree(t, files), tc.build, engine.BuildSpec{Tags: []string{"a:1"}}, nil); err == nil || !strings.Contains(err.Error(), tc.words) {
			t.Errorf("%s: %v", what, err)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if err := buildx(t, tree(t, webFiles()), docker.Build{}, engine.BuildSpec{Tags: []string{"a:1"}}, nil); err == nil || !strings.Contains(err.Error(), "no docker command on the PATH") {
		t.Errorf("without docker: %v", err)
	}
}

// The real plugin, where it is installed, with the engine that it finds.
func TestBuildx_Plugin(t *testing.T) {
	if out, err := exec.CommandContext(t.Context(), "docker", "buildx", "ls").CombinedOutput(); err != nil {
		t.Skipf("needs docker buildx and an engine: %s", out)
	}
	const tag = "cuepod-buildx-test:1"
	t.Cleanup(func() { _ = exec.Command("docker", "image", "rm", tag).Run() })
	root := tree(t, webFiles())
	spec := engine.BuildSpec{Tags: []string{tag}, Labels: map[string]string{"who": "cuepod test"}}
	var begun []string
	err := buildx(t, root, docker.Build{}, spec, func(p engine.Progress) {
		if p.Begins {
			begun = append(begun, p.Status)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "docker", "image", "inspect", "--format", "{{.Config.Labels.who}}", tag).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "cuepod test" {
		t.Errorf("the image: %s %v; steps %q", out, err, begun)
	}
	write(t, root, "web/Dockerfile", "FROM scratch\nCOPY none.txt /a.txt\n")
	err = buildx(t, root, docker.Build{}, spec, nil)
	var fault *engine.BuildError
	if !errors.As(err, &fault) {
		t.Fatal(err)
	}
	b := docker.Build{Context: "web"}
	if line := read(t, root, b).Line(fault.Step, fault.Message); line != 2 {
		t.Errorf("line %d of %+v", line, fault)
	}
}
