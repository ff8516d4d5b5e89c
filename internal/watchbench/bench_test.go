package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRow_RatiosAreMediansOfPairs(t *testing.T) {
	ms := func(list ...time.Duration) (out []time.Duration) {
		for _, n := range list {
			out = append(out, n*time.Millisecond)
		}
		return out
	}
	r := row{
		title: "an edit",
		took:  map[string][]time.Duration{"cuepod": ms(100, 300, 200), "compose": ms(1000, 600, 1200)},
		calls: ms(50, 40, 60),
	}
	const want = "| an edit | 200 ms | 1000 ms | - | 6.0 | - | 50 ms | 140 ms |"
	if got := r.markdown(); got != want {
		t.Errorf("markdown() = %s\nwant         %s", got, want)
	}
	if got, bars := (row{title: "none"}).markdown(), strings.Count(header, "|")/2; strings.Count(got, "|") != bars || strings.Count(got, " - ") != bars-2 {
		t.Errorf("a row of nothing is %s", got)
	}
}

// TestManifests_SayWhatTheEditChanges: an edit changes the manifest or a file
// of the site, and only one of them.
func TestManifests_SayWhatTheEditChanges(t *testing.T) {
	for _, tool := range []tool{&cuepod{}, &compose{}, &podman{}} {
		for _, k := range kinds {
			_, text := tool.manifest(k.name)
			if text == "" && tool.name() == "podman" {
				continue
			}
			inManifest, inFile := strings.Contains(text, "@VALUE@"), strings.Contains(k.files[k.edited], "@VALUE@")
			if inManifest == inFile || inManifest != (k.edited == "") {
				t.Errorf("%s of %s: the value is in the manifest %v, in %q %v", k.name, tool.name(), inManifest, k.edited, inFile)
			}
		}
	}
}

func TestParseStat_ReadsBehindTheName(t *testing.T) {
	const line = "7 (a) b (c) S 3 7 7 0 -1 4194560 1 0 0 0 12 5 0 0 20 0 1 0 100 1000000 250 18446744073709551615 1 1\n"
	got, err := parseStat(line)
	if want := (stat{parent: 3, cpu: 170 * time.Millisecond, pages: 250}); err != nil || got != want {
		t.Errorf("parseStat = %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "7 (a) S 1", "7 (a) " + strings.Repeat("x ", 30)} {
		if _, err := parseStat(bad); err == nil {
			t.Errorf("parseStat(%q) finds nothing wrong", bad)
		}
	}
}

func TestDifferent_CountsWhatIsOtherMissingAndTooMuch(t *testing.T) {
	const want = "a 1\nb/c 2\nd 3\n"
	for got, n := range map[string]int{want: 0, "a 1\nb/c 0\nd 3\n": 1, "a 1\nd 3\n": 1, want + "e 4\n": 1, "": 3} {
		if have := different(want, got); have != n {
			t.Errorf("%q: %d, want %d", got, have, n)
		}
	}
}

// Each tool gets the same edits.
func TestMakeEdits_AreTheSameEachTime(t *testing.T) {
	var all [2]string
	for i := range all {
		dir := t.TempDir()
		files := map[string]string{}
		for k := range manyFiles {
			files[manyName(k)] = "first"
		}
		if err := writeFiles(dir, files); err != nil {
			t.Fatal(err)
		}
		before, err := sums(filepath.Join(dir, "many"))
		if err != nil {
			t.Fatal(err)
		}
		if err := makeEdits(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		if all[i], err = sums(filepath.Join(dir, "many")); err != nil {
			t.Fatal(err)
		}
		if n := different(before, all[i]); n < manyFiles {
			t.Errorf("%d files are other than before", n)
		}
	}
	if all[0] != all[1] {
		t.Error("two runs end differently")
	}
}

func TestParseCounts(t *testing.T) {
	if got, err := parseCounts("10,2000"); err != nil || !slices.Equal(got, []int{10, 2000}) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := parseCounts(""); err != nil || got != nil {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"x", "0", "10,-1"} {
		if _, err := parseCounts(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
