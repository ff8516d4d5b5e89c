package watch

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestScripts runs testdata/*.txt, a text language for what people and programs
// do to files. A line is a command; # begins a comment; paths are relative to a
// fresh directory:
//
//	write PATH TEXT...    write in place
//	save PATH TEXT...     as editors do: a temporary file renamed over the old one
//	replace PATH TEXT...  remove, then write anew
//	touch PATH            change the times only
//	times N PATH          write N different contents in a row
//	rm PATH | mkdir PATH | mv OLD NEW | ln TARGET LINK
//	old PATH              date the file a year back
//	start                 make the watcher; else the first set does
//	set PATH...           watch exactly these; "." is the directory itself
//	expect PATH...        exactly these paths change
//	quiet                 nothing has changed
//
// quiet does not wait: it changes a file of its own, which the watcher is told
// to watch with every set, and expects that change to come alone.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			s := newScript(t, Options{})
			s.run(t, path, string(data))
		})
	}
}

// TestScripts_Polling runs the same scripts without any help of the kernel.
func TestScripts_Polling(t *testing.T) {
	scripts, _ := filepath.Glob("testdata/*.txt")
	for _, path := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			s := newScript(t, Options{Poll: 20 * time.Millisecond, blind: true})
			s.run(t, path, string(data))
		})
	}
}

type script struct {
	dir, sentinel string
	opts          Options
	w             *Watcher // nil until started
	beats         int
}

func newScript(t *testing.T, opts Options) *script {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &script{dir: dir, sentinel: filepath.Join(t.TempDir(), "sentinel"), opts: opts}
	t.Cleanup(func() {
		if s.w != nil {
			s.w.Close()
		}
	})
	return s
}

// start makes the watcher.
func (s *script) start() (err error) {
	if s.w != nil {
		return nil
	}
	s.w, err = New(s.opts)
	return err
}

func (s *script) run(t *testing.T, name, text string) {
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if err := s.do(fields[0], fields[1:]); err != nil {
			t.Fatalf("%s:%d: %s: %v", name, n, strings.TrimSpace(line), err)
		}
	}
}

func (s *script) do(command string, args []string) error {
	switch command {
	case "start":
		return s.start()
	case "set":
		if err := s.start(); err != nil {
			return err
		}
		inputs := []Input{{Path: s.sentinel}}
		for _, arg := range args {
			inputs = append(inputs, s.input(arg))
		}
		s.w.Set([]Group{{Name: "g", Pace: Pace{Quiet: 20 * time.Millisecond}, Inputs: inputs}})
		return nil
	case "expect":
		return s.expect(args...)
	case "quiet":
		s.beats++
		// At once: a slow machine may see a file that is emptied and filled change twice.
		if err := save(s.sentinel, fmt.Sprint(s.beats)); err != nil {
			return err
		}
		return s.expect(s.sentinel)
	}
	path, text := s.abs(args[0]), strings.Join(args[1:], " ")
	switch command {
	case "write":
		return os.WriteFile(path, []byte(text), 0o600)
	case "save":
		return save(path, text)
	case "replace":
		if err := os.Remove(path); err != nil {
			return err
		}
		return os.WriteFile(path, []byte(text), 0o600)
	case "touch":
		return os.Chtimes(path, time.Now(), time.Now())
	case "old":
		year := time.Now().AddDate(-1, 0, 0)
		return os.Chtimes(path, year, year)
	case "times":
		return s.times(args[0], s.abs(args[1]))
	case "rm":
		return os.RemoveAll(path)
	case "mkdir":
		return os.MkdirAll(path, 0o700)
	case "mv":
		return os.Rename(path, s.abs(args[1]))
	case "ln":
		return os.Symlink(args[0], s.abs(args[1]))
	default:
		return fmt.Errorf("no such command")
	}
}

// save puts a file in place as an editor does that never leaves half of one.
func save(path, text string) error {
	if err := os.WriteFile(path+"~", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+"~", path)
}

func (s *script) times(count, path string) error {
	var n int
	if _, err := fmt.Sscan(count, &n); err != nil {
		return err
	}
	for i := range n {
		if err := os.WriteFile(path, fmt.Append(nil, "content ", i), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (s *script) abs(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(s.dir, path)
}

// input is DIR/* for names, DIR/... for a tree, else content.
func (s *script) input(arg string) Input {
	if dir, ok := strings.CutSuffix(arg, "/..."); ok {
		return Input{Path: s.abs(dir), Kind: Tree}
	}
	if dir, ok := strings.CutSuffix(arg, "/*"); ok {
		return Input{Path: s.abs(dir), Kind: Names}
	}
	return Input{Path: s.abs(arg)}
}

// expect reads changes until all the paths have come, and fails at the first
// other one.
func (s *script) expect(paths ...string) error {
	want := map[string]bool{}
	for _, p := range paths {
		want[s.abs(p)] = true
	}
	deadline := time.After(20 * time.Second)
	for got := map[string]bool{}; len(got) < len(want); {
		select {
		case c := <-s.w.Changes("g"):
			if !slices.IsSorted(c.Paths) {
				return fmt.Errorf("paths are not sorted: %q", c.Paths)
			}
			for _, p := range c.Paths {
				if !want[p] {
					return fmt.Errorf("%s changed too", p)
				}
				got[p] = true
			}
		case <-deadline:
			return fmt.Errorf("only these changed: %v", got)
		}
	}
	return nil
}
