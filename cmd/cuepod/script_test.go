package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/dockerapi"
	"github.com/cuepod/cuepod/runner/engine/enginetest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"cuepod": main})
}

// update rewrites the expected outputs in the scripts.
func update() bool { return os.Getenv("CUEPOD_UPDATE") != "" }

// TestScript runs the commands that need no engine. No engine is in reach.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       update(),
		RequireExplicitExec: true,
		Cmds:                scriptCommands(),
		Setup: func(env *testscript.Env) error {
			scriptHome(env)
			env.Setenv("DOCKER_HOST", "unix://"+filepath.Join(env.WorkDir, "no.sock"))
			return nil
		},
	})
}

// TestEngine runs the commands on a real engine, each script with an app of its
// own name, $APP, and removes what a failed one leaves.
func TestEngine(t *testing.T) {
	if update() {
		t.Skip("there is nothing to rewrite")
	}
	eng := openEngine(t)
	tool := buildTool(t)
	compiled, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal("go env: ", err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/engine",
		RequireExplicitExec: true,
		Cmds:                scriptCommands(),
		Setup: func(env *testscript.Env) error {
			scriptHome(env)
			for _, name := range []string{"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"} {
				if value, ok := os.LookupEnv(name); ok {
					env.Setenv(name, value)
				}
			}
			env.Setenv("PATH", filepath.Dir(tool)+string(filepath.ListSeparator)+env.Getenv("PATH"))
			app := "cli-" + strconv.Itoa(os.Getpid()) + "-" + strings.TrimPrefix(filepath.Base(env.WorkDir), "script-")
			env.Setenv("APP", app)
			env.Setenv("IMAGE", enginetest.Ref)
			env.Setenv("GOCACHE", strings.TrimSpace(string(compiled))) // Go's own packages are compiled
			env.Defer(func() {
				removeApps(t, eng, tool, app, env.Vars)
				if err := eng.RemoveImage(context.Background(), app+"-main:dev"); err != nil { // what a script built and named
					t.Error(err)
				}
			})
			return nil
		},
	})
}

// scriptHome gives a script a home of its own.
func scriptHome(env *testscript.Env) {
	env.Setenv("HOME", filepath.Join(env.WorkDir, ".home"))
	env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, ".state"))
	env.Setenv("CUE_CACHE_DIR", filepath.Join(env.WorkDir, ".cache"))
}

// openEngine skips the test where no engine answers, unless
// CUEPOD_REQUIRE_ENGINE=1 makes that a failure. It loads the image $IMAGE.
func openEngine(t *testing.T) engine.Engine {
	t.Helper()
	var info engine.Info
	eng, err := dockerapi.New(dockerapi.Options{})
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
	archive, err := enginetest.Archive(enginetest.BuildProgram(t, info.Arch))
	if err != nil {
		t.Fatal(err)
	}
	if err := eng.LoadImage(t.Context(), bytes.NewReader(archive)); err != nil {
		t.Fatal(err)
	}
	return eng
}

// buildTool gives a cuepod that can be its own agent, which a test binary
// cannot: $CUEPOD, or one built here.
func buildTool(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("CUEPOD"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "cuepod")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// removeApps removes what is left of a script's apps, named $APP or beginning
// with it, and ends their supervisors first.
func removeApps(t *testing.T, eng engine.Engine, tool, prefix string, environ []string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	apps, err := runner.List(ctx, eng)
	if err != nil {
		t.Error(err)
	}
	for _, a := range apps {
		if !strings.HasPrefix(a.Name, prefix) {
			continue
		}
		down := exec.CommandContext(ctx, tool, "down", "--now", "--volumes", "--app", a.Name, a.Root)
		down.Env = environ
		if out, err := down.CombinedOutput(); err != nil {
			t.Errorf("clean up: %v\n%s", err, out)
		}
	}
}

// scriptCommands are ours beside those of testscript:
//
//	exit CODE COMMAND...     the command exits with exactly this code
//	await REGEXP COMMAND...  the command succeeds, in the end, with this on standard output
//	edit FILE OLD NEW        replaces text, saving as an editor does
//	expand FILE              replaces $APP and $IMAGE
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"exit":   scriptExit,
		"await":  scriptAwait,
		"edit":   scriptEdit,
		"expand": scriptExpand,
	}
}

func scriptExit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit code command...")
	}
	code := 0
	err := ts.Exec(args[1], args[2:]...)
	var exited *exec.ExitError
	if errors.As(err, &exited) {
		code = exited.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func scriptAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await regexp command...")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	deadline := time.Now().Add(90 * time.Second)
	for {
		cmd := exec.Command(args[1], args[2:]...)
		cmd.Dir = ts.MkAbs(".")
		for _, name := range []string{"PATH", "HOME", "XDG_STATE_HOME", "CUE_CACHE_DIR", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"} {
			if value := ts.Getenv(name); value != "" {
				cmd.Env = append(cmd.Env, name+"="+value)
			}
		}
		path, err := lookPath(ts.Getenv("PATH"), args[1])
		ts.Check(err)
		cmd.Path, cmd.Err = path, nil
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err = cmd.Run(); err == nil && want.Match(stdout.Bytes()) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s never printed %q; at last (%v):\n%s", strings.Join(args[1:], " "), args[0], err, stdout.String()+stderr.String())
		}
		time.Sleep(50 * time.Millisecond) // between two looks
	}
}

// lookPath is exec.LookPath with the script's PATH.
func lookPath(path, name string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		if file := filepath.Join(dir, name); name != "" {
			if info, err := os.Stat(file); err == nil && info.Mode()&0o111 != 0 {
				return file, nil
			}
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

func scriptEdit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: edit file old new")
	}
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s has no %q", args[0], args[1])
	}
	ts.Check(writeFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, args[1], args[2], 1))))
}

func scriptExpand(ts *testscript.TestScript, neg bool, args []string) {
	for _, file := range args {
		text := strings.NewReplacer("$APP", ts.Getenv("APP"), "$IMAGE", ts.Getenv("IMAGE")).Replace(ts.ReadFile(file))
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o666))
	}
}
