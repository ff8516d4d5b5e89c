package watch

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/ignore"
)

// A reader that believes what it is told, and looks only at paths that it is
// told of, has the tree as it is: nothing is lost. What random people do is in
// the words of the scripts; a run that fails is made shorter and printed as one,
// which belongs in testdata.
//
// CUEPOD_SEED repeats a run.
//
//peers:4 also
func TestModel_WhatIsToldIsWhatIs(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, uint64(time.Now().UnixNano())}
	if s := os.Getenv("CUEPOD_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = []uint64{seed}
	}
	for _, opts := range []Options{{}, {Poll: 20 * time.Millisecond, blind: true}} {
		for _, seed := range seeds {
			t.Run(fmt.Sprintf("seed %d, polling %v", seed, opts.blind), func(t *testing.T) {
				t.Parallel()
				checkModel(t, randomLines(seed, 250), opts)
			})
		}
	}
}

// TestModel_ThousandEdits is an editor's day: none is lost.
//
//peers:4
func TestModel_ThousandEdits(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 7))
	lines := []string{"mkdir src/a/b", "mkdir src/c"}
	for i := range 1000 {
		how := []string{"write", "save", "append"}[r.IntN(3)]
		dir := []string{"src", "src/a", "src/a/b", "src/c"}[r.IntN(4)]
		lines = append(lines, fmt.Sprintf("%s %s/f%d edit %d", how, dir, r.IntN(10), i))
	}
	checkModel(t, lines, Options{})
}

func checkModel(t *testing.T, lines []string, opts Options) {
	err := playModel(t, lines, opts, 20*time.Second)
	if err == nil {
		return
	}
	again := func(lines []string) error { return playModel(t, lines, opts, 2*time.Second) }
	t.Errorf("%v\n%s", err, strings.Join(shorter(lines, again), "\n"))
}

// shorter leaves out what a failure does not need, in at most 20 seconds.
func shorter(lines []string, play func([]string) error) []string {
	end := time.Now().Add(20 * time.Second)
	for size := len(lines) / 2; size > 0; size /= 2 {
		for at := 0; at < len(lines) && time.Now().Before(end); {
			less := slices.Concat(lines[:at], lines[min(at+size, len(lines)):])
			if play(less) != nil {
				lines = less
			} else {
				at += size
			}
		}
	}
	return lines
}

// randomLines are what happens to a tree, often to the same few names.
func randomLines(seed uint64, n int) []string {
	r := rand.New(rand.NewPCG(seed, 1))
	name := func() string {
		return []string{"a", "b", "c", "x.log", "Keep", "\xff\xfe", "it's"}[r.IntN(7)]
	}
	path := func() string {
		p := "src"
		for range 1 + r.IntN(4) {
			p += "/" + name()
		}
		return p
	}
	var lines []string
	for i := range n {
		var line string
		switch r.IntN(16) {
		case 0, 1, 2:
			line = fmt.Sprintf("write %s %d", path(), i)
		case 3, 4:
			line = fmt.Sprintf("save %s %d", path(), i)
		case 5:
			line = fmt.Sprintf("append %s %d", path(), i)
		case 6, 7, 8:
			line = "mkdir " + path()
		case 9:
			line = "rm " + path()
		case 10, 11, 12:
			line = fmt.Sprintf("mv %s %s", path(), path())
		case 13:
			line = fmt.Sprintf("ln %s %s", []string{"a", "..", "../b/c", "nowhere"}[r.IntN(4)], path())
		case 14:
			line = fmt.Sprintf("chmod %s %s", []string{"700", "755", "711"}[r.IntN(3)], path())
		case 15:
			line = []string{"mv src out", "mv out src", "lose-overflow", "rest"}[r.IntN(4)]
		}
		lines = append(lines, line)
	}
	return lines
}

// playModel does what the lines say, as far as it can be done, and waits until
// a reader's tree is as the true one.
func playModel(t *testing.T, lines []string, opts Options, patience time.Duration) error {
	s := newScript(t, opts)
	out, err := ignore.New([]string{"**/*.log", "!**/Keep/*.log", "c/c"})
	if err != nil {
		return err
	}
	s.ignore = out
	if err := s.do("set", []string{"src/..."}); err != nil {
		return err
	}
	defer s.w.Close()
	told := map[string]string{} // by path: what the reader found there when it was told
	read := func(wait time.Duration) bool {
		select {
		case c := <-s.w.Changes("g"):
			for _, p := range c.Paths {
				if text := describe(p); text != "" {
					told[p] = text
				} else {
					maps.DeleteFunc(told, func(at, _ string) bool { return at == p || strings.HasPrefix(at, p+"/") })
				}
			}
			return true
		case <-time.After(wait):
			return false
		}
	}
	for _, line := range lines {
		switch fields := strings.Fields(line); fields[0] {
		case "rest":
			for read(30 * time.Millisecond) {
			}
		case "lose-overflow":
			if err := s.lose(); err != nil {
				return err
			}
			s.w.ears.lost()
		default:
			_ = s.do(fields[0], fields[1:]) // what cannot be done is not done
			if !opts.blind {                // else what is there and gone again between two looks leaves no trace
				read(0)
			}
		}
	}
	var diff string
	for end := time.Now().Add(patience); time.Now().Before(end); read(20 * time.Millisecond) {
		if diff = firstDifference(told, s.truth()); diff == "" {
			return nil
		}
	}
	return fmt.Errorf("the reader and the tree differ: %s", diff)
}

// describe is what is at a path; "" is nothing.
func describe(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return ""
	}
	switch {
	case info.IsDir():
		return fmt.Sprint(info.Mode())
	case info.Mode()&os.ModeSymlink != 0:
		target, _ := os.Readlink(path)
		return "-> " + target
	}
	data, err := os.ReadFile(path)
	return fmt.Sprintf("%v %q %v", info.Mode(), data, err)
}

// truth is the tree as it is, without what does not count.
func (s *script) truth() map[string]string {
	all := map[string]string{}
	src := filepath.Join(s.dir, "src")
	_ = filepath.WalkDir(src, func(path string, d os.DirEntry, _ error) error {
		rel, _ := filepath.Rel(src, path)
		switch {
		case d == nil:
		case rel == ".":
			if !d.IsDir() {
				all[path] = describe(path)
			}
		case s.ignore.Prunes(rel), ignore.Name(d.Name()):
			if d.IsDir() {
				return filepath.SkipDir
			}
		case !s.ignore.Excludes(rel):
			all[path] = describe(path)
		}
		return nil
	})
	return all
}

func firstDifference(got, want map[string]string) string {
	for _, p := range slices.Sorted(maps.Keys(want)) {
		if got[p] != want[p] {
			return fmt.Sprintf("%q is %q, the reader has %q", p, want[p], got[p])
		}
	}
	for _, p := range slices.Sorted(maps.Keys(got)) {
		if want[p] == "" && !strings.HasSuffix(p, "/src") && !strings.HasSuffix(p, "/sentinel") {
			return fmt.Sprintf("%q is not there, the reader has %q", p, got[p])
		}
	}
	return ""
}
