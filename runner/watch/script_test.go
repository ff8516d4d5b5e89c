package watch

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/ignore"
)

// TestScripts runs testdata/*.txt, a text language for what people and programs
// do to files. A line is a command; # begins a comment; paths are relative to a
// fresh directory:
//
//	write PATH TEXT...    write in place: truncate, then write
//	append PATH TEXT...   write at the end
//	save PATH TEXT...     as editors do: a temporary file renamed over the old one
//	replace PATH TEXT...  remove, then write anew
//	touch PATH            change the times only
//	times N PATH          write N different contents in a row
//	burst N DIR           make N files in a directory
//	rm PATH | mkdir PATH | mv OLD NEW | ln TARGET LINK | chmod MODE PATH
//	old PATH              date the file a year back
//	watches N             the kernel has no more watches than N
//	remote DIR            the directory is on a network filesystem
//	start                 make the watcher; else the first set does
//	ignore PATTERN...     what the next set's trees leave out, as .dockerignore
//	set PATH...           watch exactly these; "." is the directory itself,
//	                      DIR/... a tree, DIR/* the names in a directory
//	lose                  the kernel forgets all watches without a word
//	overflow              the kernel says that its queue has overflowed
//	expect PATH...        exactly these paths change
//	expectn N PREFIX      N paths that begin with PREFIX change, told at once
//	quiet                 nothing has changed
//	watched PATH... | unwatched PATH...   whether the kernel watches directories
//	notice TEXT           a person was told something with this text, once
//	nonotice              a person was told nothing
//
// quiet does not wait: it changes a file of its own, which the watcher is told
// to watch with every set, and expects that change to come alone.
//
//peers:2 3 also
func TestScripts(t *testing.T) { runScripts(t, Options{Hold: time.Minute}) }

// TestScripts_Polling runs the same scripts without any help of the kernel.
func TestScripts_Polling(t *testing.T) {
	runScripts(t, Options{Hold: time.Minute, Poll: 20 * time.Millisecond, blind: true})
}

// TestScripts_AsAUser runs the scripts about closed directories where root runs
// the tests.
func TestScripts_AsAUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("TestScripts has run them")
	}
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "watch.test") // the original lies where only we may look
	if err := os.WriteFile(copied, program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "testdata"), os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(copied, "-test.run", "^TestScripts(_Polling)?$/^(unreadable|tree_ignore)$", "-test.v")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS") < 6 {
		t.Fatalf("%v\n%s", err, out)
	}
}

func runScripts(t *testing.T, opts Options) {
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
			switch text := string(data); {
			case opts.blind && strings.Contains(text, "#kernel\n"):
				t.Skip("it is about what the kernel does")
			case os.Getuid() == 0 && strings.Contains(text, "#user\n"):
				t.Skip("for root no directory is closed; TestScripts_AsAUser runs it")
			}
			s := newScript(t, opts)
			s.run(t, path, string(data))
		})
	}
}

type script struct {
	dir, sentinel string
	opts          Options
	w             *Watcher // nil until started
	beats         int
	last          []string // paths of the last change, which may be told again
	ignore        *ignore.Matcher
	remotes       sync.Map // directories on a network filesystem

	mu      sync.Mutex
	notices []string
}

func newScript(t *testing.T, opts Options) *script {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &script{dir: dir, sentinel: filepath.Join(t.TempDir(), "sentinel"), opts: opts}
	s.opts.Notice = func(text string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.notices = append(s.notices, text)
	}
	s.opts.remote = func(dir string) string {
		if _, remote := s.remotes.Load(dir); remote {
			return "NFS"
		}
		return ""
	}
	t.Cleanup(func() {
		if s.w != nil {
			s.w.Close()
		}
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, _ error) error { // so that it can be removed
			if d != nil && d.IsDir() {
				_ = os.Chmod(path, 0o700)
			}
			return nil
		})
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
		for i := range inputs {
			inputs[i].Ignore = s.ignore
		}
		s.w.Set([]Group{{Name: "g", Pace: Pace{Quiet: 20 * time.Millisecond}, Inputs: inputs}})
		return nil
	case "ignore":
		var err error
		s.ignore, err = ignore.New(args)
		return err
	case "expect":
		if err := s.expect(args...); err != nil {
			return err
		}
		return s.beat()
	case "expectn":
		if err := s.expectMany(args[0], s.abs(args[1])); err != nil {
			return err
		}
		return s.beat()
	case "watches":
		_, err := fmt.Sscan(args[0], &s.opts.watches)
		s.opts.Poll = 20 * time.Millisecond
		return err
	case "remote":
		s.remotes.Store(s.abs(args[0]), true)
		return nil
	case "lose":
		return s.lose()
	case "overflow":
		s.w.ears.lost()
		return nil
	case "watched", "unwatched":
		return s.watches(command == "watched", args)
	case "notice", "nonotice":
		return s.told(strings.Join(args, " "))
	case "quiet":
		return s.beat()
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
	case "append":
		return appendTo(path, text)
	case "burst":
		return s.burst(args[0], s.abs(args[1]))
	case "chmod":
		mode, err := strconv.ParseUint(args[0], 8, 32)
		if err != nil {
			return err
		}
		return os.Chmod(s.abs(args[1]), os.FileMode(mode))
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

// beat changes the sentinel and expects that alone. After another change it also
// takes what may be told of that again, so that what follows is told once.
func (s *script) beat() error {
	s.beats++
	// At once: a slow machine may see a file that is emptied and filled change twice.
	if err := save(s.sentinel, fmt.Sprint(s.beats)); err != nil {
		return err
	}
	return s.expect(s.sentinel)
}

func (s *script) burst(count, dir string) error {
	var n int
	if _, err := fmt.Sscan(count, &n); err != nil {
		return err
	}
	for i := range n {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%05d", i)), nil, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// lose ends all watches, as a kernel does that has run out of something.
func (s *script) lose() error {
	if s.w.ears.kernel == nil {
		return nil
	}
	for _, dir := range s.w.ears.kernel.WatchList() {
		if strings.HasPrefix(s.sentinel, dir+"/") {
			continue
		}
		_ = s.w.ears.kernel.Remove(dir) // it fails for one that has just gone
	}
	return nil
}

func (s *script) watches(want bool, dirs []string) error {
	if s.w.ears.kernel == nil {
		return nil
	}
	for _, dir := range dirs {
		if slices.Contains(s.w.ears.kernel.WatchList(), s.abs(dir)) != want {
			return fmt.Errorf("%s is watched: %v", dir, !want)
		}
	}
	return nil
}

// told is whether a person was told text, "" for nothing, but for what a script
// without a kernel is always told.
func (s *script) told(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var got []string
	for _, n := range s.notices {
		if !s.opts.blind || !strings.Contains(n, "max_user_instances") {
			got = append(got, n)
		}
	}
	if text == "" && len(got) == 0 || s.opts.blind && len(got) == 0 {
		return nil
	}
	if text != "" && len(got) == 1 && strings.Contains(got[0], text) {
		return nil
	}
	return fmt.Errorf("told %q", got)
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
// other one that the last change did not have either: see eyes.reported.
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
				if !want[p] && !slices.Contains(s.last, p) {
					return fmt.Errorf("%s changed too", p)
				}
				if want[p] {
					got[p] = true
				}
			}
			s.last = c.Paths
		case <-deadline:
			return fmt.Errorf("of %d paths only %d changed: %v", len(want), len(got), got)
		}
	}
	return nil
}

// expectMany reads one change with so many paths.
func (s *script) expectMany(count, prefix string) error {
	var n int
	if _, err := fmt.Sscan(count, &n); err != nil {
		return err
	}
	select {
	case c := <-s.w.Changes("g"):
		if len(c.Paths) != n {
			return fmt.Errorf("%d paths changed, among them %q", len(c.Paths), c.Paths[:min(3, len(c.Paths))])
		}
		for _, p := range c.Paths {
			if !strings.HasPrefix(p, prefix) {
				return fmt.Errorf("%s changed too", p)
			}
		}
		s.last = c.Paths
		return nil
	case <-time.After(20 * time.Second):
		return fmt.Errorf("nothing changed")
	}
}
