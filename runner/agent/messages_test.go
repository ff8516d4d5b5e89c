package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// conformance:S19
func TestMessages_AreFilesThatEachInstanceFindsEmpty(t *testing.T) {
	dir := t.TempDir()
	s := messages{map[string]bool{}}
	apply := func(ended string) {
		t.Helper()
		if err := s.apply(dir, []api.Message{{Container: "app", Ended: ended}, {Container: "log"}}); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) string {
		data, _ := os.ReadFile(filepath.Join(dir, name))
		return string(data)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "app"), []byte(text), 0); err != nil {
			t.Fatal(err)
		}
	}
	apply("")
	before, err := os.Stat(filepath.Join(dir, "app"))
	if err != nil || before.Mode() != 0o666 {
		t.Fatalf("%v, %v", before, err)
	}
	write("words of the first")
	apply("first")
	if read("first") != "words of the first" || read("app") != "" {
		t.Errorf("put aside %q, left %q", read("first"), read("app"))
	}
	// The same news again is no news: the next instance may have begun.
	write("words of the second")
	apply("first")
	if read("first") != "words of the first" || read("app") != "words of the second" {
		t.Errorf("put aside %q, left %q", read("first"), read("app"))
	}
	write(strings.Repeat("x", 5000) + "end")
	apply("second")
	if got := read("second"); len(got) != api.MaxMessage || !strings.HasSuffix(got, "xend") {
		t.Errorf("%d bytes put aside, want the last %d", len(got), api.MaxMessage)
	}
	apply("silent")
	if _, err := os.Stat(filepath.Join(dir, "silent")); err == nil {
		t.Error("an instance that wrote nothing has a file")
	}
	if after, err := os.Stat(filepath.Join(dir, "app")); err != nil || !os.SameFile(before, after) {
		t.Error("the file is another one, and containers have the old one mounted")
	}
}
