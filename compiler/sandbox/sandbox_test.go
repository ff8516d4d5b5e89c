package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"cuelang.org/go/mod/modcache"
	"github.com/google/go-cmp/cmp"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/compiler/sandbox"
)

// misbehave makes the child do something else than compile.
const misbehave = "CUEPOD_TEST_MISBEHAVE"

// TestMain lets this binary be the child.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != sandbox.Subcommand {
		os.Exit(m.Run())
	}
	compile := compiler.Compile
	switch os.Getenv(misbehave) {
	case "panic":
		compile = func(context.Context, compiler.Options) (*compiler.Result, error) { panic("a slip") }
	case "deaf":
		<-make(chan struct{})
	case "grab": // faster than anybody looks
		compile = func(context.Context, compiler.Options) (*compiler.Result, error) {
			held := make([]byte, 1<<30)
			return nil, fmt.Errorf("got %d bytes", len(held))
		}
	case "garbage":
		fmt.Println("hello")
	}
	os.Exit(sandbox.Serve(os.Stdin, os.Stdout, os.Stderr, compile))
}

// compile runs a definition apart, with limits that leave the machine usable.
func compile(t *testing.T, ctx context.Context, opts compiler.Options, limits sandbox.Limits, env ...string) (*compiler.Result, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return sandbox.Apart(ctx, opts, limits, self, append(os.Environ(), env...))
}

// write makes a package of one file, which holds a good app and text.
func write(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	text = "package a\n\nimport \"list\"\n\n_range: list.Range(0, 300, 1)\n" +
		"app: {name: \"a\", pods: web: containers: main: image: \"nginx:1.29\"}\n" + text
	if err := os.WriteFile(filepath.Join(dir, "app.cue"), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

func newCache(t *testing.T) string {
	dir := t.TempDir()
	t.Cleanup(func() {
		if err := modcache.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// nested is a list of ten references to a list of ten references, depth deep.
func nested(depth int) string {
	var b strings.Builder
	b.WriteString("_l0: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n")
	for i := range depth {
		fmt.Fprintf(&b, "_l%d: [%s]\n", i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("_l%d, ", i), 10), ", "))
	}
	fmt.Fprintf(&b, "app: annotations: x: \"\\(len(list.FlattenN(_l%d, -1)))\"\n", depth)
	return b.String()
}

// doubled is a string made of itself twice, times times.
func doubled(times int) string {
	var b strings.Builder
	b.WriteString("_s0: \"0123456789abcdef\"\n")
	for i := range times {
		fmt.Fprintf(&b, "_s%d: \"\\(_s%[2]d)\\(_s%[2]d)\"\n", i+1, i)
	}
	fmt.Fprintf(&b, "app: annotations: x: \"\\(len(_s%d))\"\n", times)
	return b.String()
}

// unions is a struct of k embedded unions, which costs 3 to the power of k.
func unions(k int) string {
	var b strings.Builder
	b.WriteString("#S: {\n")
	for i := range k {
		fmt.Fprintf(&b, "\t{a%[1]d!: int} | {b%[1]d!: int} | {c%[1]d!: int}\n", i)
	}
	b.WriteString("}\nitem: #S & {")
	for i := range k {
		fmt.Fprintf(&b, "a%d: 1, ", i)
	}
	b.WriteString("}\n")
	return b.String()
}

func TestApart_StopsWhatRunsAway(t *testing.T) {
	cache := newCache(t)
	short := sandbox.Limits{Time: 4 * time.Second}
	small := sandbox.Limits{Memory: 256 << 20}
	for _, tc := range []struct {
		name, text string
		limits     sandbox.Limits
		want       string
	}{
		{"lists of lists", nested(9), short, "the definition takes longer than 4s to evaluate"},
		{"unions", unions(14), short, "the definition takes longer than 4s to evaluate"},
		{"a doubled string", doubled(40), small, "the definition needs more than 256Mi of memory to evaluate"},
		{"comprehensions", `app: annotations: {for a in _range for b in _range for c in _range {"\(a)-\(b)-\(c)": "x"}}`, small,
			"the definition needs more than 256Mi of memory to evaluate"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := write(t, tc.text)
			file := filepath.Join(dir, "app.cue")
			_, err := compile(t, t.Context(), compiler.Options{Dir: dir, CacheDir: cache}, tc.limits)
			checkBreach(t, err, file+":1:1: "+tc.want, file)
		})
	}
}

// checkBreach wants one mistake that begins with text, and the file among the inputs.
func checkBreach(t *testing.T, err error, text, file string) {
	t.Helper()
	var invalid *compiler.Error
	if !errors.As(err, &invalid) || len(invalid.Diagnostics) != 1 || !strings.HasPrefix(err.Error(), text) {
		t.Fatalf("got %v, want the mistake %q", err, text)
	}
	if invalid.Diagnostics[0].Hint == "" {
		t.Error("nobody says what to do")
	}
	if file != "" && !slices.ContainsFunc(invalid.Inputs, func(in compiler.Input) bool { return in.Path == file }) {
		t.Errorf("a watcher would not notice the fix: inputs %v", invalid.Inputs)
	}
}

// TestApart_LetsLargeDefinitionsPass has the same constructions within reason.
func TestApart_LetsLargeDefinitionsPass(t *testing.T) {
	cache := newCache(t)
	pods := `app: pods: {for i in _range {"web-\(i)": containers: main: image: "nginx:1.29"}}` + "\n"
	for name, text := range map[string]string{
		"lists of lists": nested(3), "unions": unions(3), "a doubled string": doubled(16), "300 pods": pods,
	} {
		t.Run(name, func(t *testing.T) {
			opts := compiler.Options{Dir: write(t, text), CacheDir: cache}
			got, err := compile(t, t.Context(), opts, sandbox.Defaults())
			if err != nil {
				t.Fatal(err)
			}
			want, err := compiler.Compile(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("not what is compiled here (-here +apart):\n%s", diff)
			}
		})
	}
}

func TestApart_KernelHoldsTheChildToItsMemory(t *testing.T) {
	dir := write(t, "")
	_, err := compile(t, t.Context(), compiler.Options{Dir: dir}, sandbox.Limits{Memory: 64 << 20}, misbehave+"=grab")
	checkBreach(t, err, dir+": the definition needs more than 64Mi of memory", "")
	_, err = compile(t, t.Context(), compiler.Options{Dir: dir}, sandbox.Limits{}, misbehave+"=grab")
	if err == nil || err.Error() != "got 1073741824 bytes" {
		t.Errorf("without a limit: %v", err)
	}
}

func TestApart_KillsAChildThatDoesNotAnswer(t *testing.T) {
	dir := write(t, "")
	_, err := compile(t, t.Context(), compiler.Options{Dir: dir}, sandbox.Limits{Time: time.Millisecond}, misbehave+"=deaf")
	checkBreach(t, err, dir+": the definition takes longer than 1ms", "")
}

func TestApart_ContextKillsTheChild(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	opts := compiler.Options{Dir: write(t, nested(9)), CacheDir: newCache(t), Found: func(compiler.Found) { cancel() }}
	if _, err := compile(t, ctx, opts, sandbox.Limits{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestApart_TellsACrashFromAMistake(t *testing.T) {
	opts := compiler.Options{Dir: write(t, "")}
	for misbehaviour, want := range map[string]string{"panic": "panic: a slip", "garbage": "answer: invalid character"} {
		_, err := compile(t, t.Context(), opts, sandbox.Defaults(), misbehave+"="+misbehaviour)
		var invalid *compiler.Error
		if err == nil || errors.As(err, &invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", misbehaviour, err, want)
		}
	}
}

func TestServe_EndsWithItsParent(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	request, err := json.Marshal(map[string]any{"Options": compiler.Options{Dir: write(t, nested(9)), CacheDir: newCache(t)}})
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self, sandbox.Subcommand)
	child.Stdin = bytes.NewReader(request) // and then its end, as when the parent dies
	if err := child.Run(); err == nil {
		t.Error("it finished what cannot be finished")
	}
}

func TestWithin_GivesUpAtALimit(t *testing.T) {
	found := compiler.Found{Pos: app.Pos{File: "app.cue", Line: 2, Column: 1}, Inputs: []compiler.Input{{Path: "/app.cue"}}}
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	stuck := func(_ context.Context, opts compiler.Options) (*compiler.Result, error) {
		opts.Found(found)
		<-release
		return nil, nil
	}
	_, err := sandbox.Within(t.Context(), compiler.Options{Dir: "shop"}, sandbox.Limits{Time: 50 * time.Millisecond}, stuck)
	checkBreach(t, err, "app.cue:2:1: the definition takes longer than 50ms", "/app.cue")
	_, err = sandbox.Within(t.Context(), compiler.Options{Dir: "shop"}, sandbox.Limits{Memory: 1 << 20}, stuck)
	checkBreach(t, err, "app.cue:2:1: the definition needs more than 1Mi", "/app.cue")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sandbox.Within(ctx, compiler.Options{}, sandbox.Limits{}, stuck); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ended: %v", err)
	}
}

// TestWithin_TellsWhenTimeWentIntoMemory holds more than three quarters of the
// limit until the time is over.
func TestWithin_TellsWhenTimeWentIntoMemory(t *testing.T) {
	const limit = 1 << 30
	release, released := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() {
		close(release)
		<-released
		debug.FreeOSMemory() // for the tests after this
	})
	hungry := func(context.Context, compiler.Options) (*compiler.Result, error) {
		defer close(released)
		held := make([]byte, limit/8*7)
		<-release
		runtime.KeepAlive(held)
		return nil, nil
	}
	_, err := sandbox.Within(t.Context(), compiler.Options{Dir: "shop"}, sandbox.Limits{Time: 300 * time.Millisecond, Memory: limit}, hungry)
	checkBreach(t, err, "shop: the definition takes longer than 300ms", "")
	if !strings.Contains(err.Error(), "--compile-memory") {
		t.Errorf("what it lacks is memory: %v", err)
	}
}

func TestWithin_PassesOnWhatCompileSays(t *testing.T) {
	want, wrong := &compiler.Result{Root: "/"}, errors.New("wrong")
	got, err := sandbox.Within(t.Context(), compiler.Options{}, sandbox.Defaults(), func(context.Context, compiler.Options) (*compiler.Result, error) {
		return want, wrong
	})
	if got != want || err != wrong {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestSize(t *testing.T) {
	for bytes, want := range map[int64]string{2 << 30: "2Gi", 1536 << 20: "1536Mi", 4 << 10: "4Ki", 1000: "1000", 0: "0"} {
		if got := sandbox.Size(bytes); got != want {
			t.Errorf("Size(%d) = %s, want %s", bytes, got, want)
		}
	}
}
