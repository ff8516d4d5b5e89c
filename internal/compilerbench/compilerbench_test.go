package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestGenerate_DefinitionIsTheWholeApp compiles the generated definition with
// the tool that is measured; that Helm makes the same of the chart is what the
// command itself makes sure of.
func TestGenerate_DefinitionIsTheWholeApp(t *testing.T) {
	work := t.TempDir()
	tool := tools{cuepod: filepath.Join(work, "bin"), env: []string{"HOME=" + work, "CUE_CACHE_DIR=" + filepath.Join(work, "cache")}}
	t.Cleanup(func() { removeAll(filepath.Join(work, "cache")) })
	build := exec.CommandContext(t.Context(), "go", "build", "-o", tool.cuepod, "./cmd/cuepod")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	if err := generate(work, 3); err != nil {
		t.Fatal(err)
	}
	cuepod, apart, _ := tool.commands(work)
	here := objects(t, tool, cuepod)
	for _, key := range []string{"Deployment svc-0002", "Service svc-0000", "ConfigMap svc-0001-config"} {
		if here[key] == nil {
			t.Errorf("there is no %s", key)
		}
	}
	if len(here) != 9 {
		t.Errorf("%d objects of 3 microservices, want 9", len(here))
	}
	if err := sameObjects(here, objects(t, tool, apart)); err != nil {
		t.Error(err)
	}
}

// objects runs a command and reads what it prints.
func objects(t *testing.T, tool tools, command []string) map[string]any {
	t.Helper()
	out, used, err := tool.once(t.Context(), command)
	if err != nil {
		t.Fatal(err)
	}
	if used.cpu <= 0 || used.peak < 1<<20 {
		t.Errorf("a process that cost %+v", used)
	}
	list, err := readObjects(out)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestOnce_TellsWhatAFailedCommandSaid(t *testing.T) {
	_, _, err := tools{}.once(context.Background(), []string{"sh", "-c", "echo no such thing >&2; exit 3"})
	if err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("got %v", err)
	}
}

func TestSameObjects(t *testing.T) {
	parse := func(text string) map[string]any {
		list, err := readObjects([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	const configMap = "kind: ConfigMap\nmetadata: {name: svc-0001-config-0123abcd}\ndata: {a: b}\n"
	a := parse(configMap + "---\nkind: Service\nmetadata: {name: x}\n")
	if err := sameObjects(a, parse("kind: Service\nmetadata: {name: x}\n---\n"+strings.Replace(configMap, "0123abcd", "4567cdef", 1))); err != nil {
		t.Errorf("order and hashes matter: %v", err)
	}
	for name, other := range map[string]string{
		"a value":  strings.Replace(configMap, "a: b", "a: c", 1) + "---\nkind: Service\nmetadata: {name: x}\n",
		"too few":  configMap,
		"too many": configMap + "---\nkind: Service\nmetadata: {name: x}\n---\nkind: Service\nmetadata: {name: y}\n",
	} {
		if err := sameObjects(a, parse(other)); err == nil {
			t.Errorf("%s: no difference found", name)
		}
	}
	if _, err := readObjects([]byte(configMap + "---\n" + configMap)); err == nil {
		t.Error("an object twice was accepted")
	}
}

func TestRow_Markdown(t *testing.T) {
	s := func(ms, mib int) sample { return sample{time.Duration(ms) * time.Millisecond, int64(mib) << 20} }
	few := newRow(10, []sample{s(20, 10), s(40, 12), s(30, 11)}, []sample{s(50, 10)}, []sample{s(80, 20), s(80, 24), s(80, 22)})
	if got, want := few.markdown(row{}), "| 10 | 30 ms | 11 MiB | 50 ms | 80 ms | 22 MiB | 0.38 | 0.50 |  |"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	many := newRow(1000, []sample{s(3000, 10)}, []sample{s(1, 1)}, []sample{s(1000, 10)})
	if got := many.markdown(few); !strings.HasSuffix(got, "| 3.00 | 1.00 | 1.00 |") {
		t.Errorf("a hundred times the cost for a hundred times the app is a growth of 1: %s", got)
	}
}

func TestParseSizes(t *testing.T) {
	if got, err := parseSizes("1,10"); err != nil || len(got) != 2 || got[1] != 10 {
		t.Errorf("got %v, %v", got, err)
	}
	for _, text := range []string{"", "0", "1,x"} {
		if _, err := parseSizes(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}
