package conformance_test

import (
	"bufio"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// complaints are what users of docker compose watch, podman kube play, Tilt and
// Skaffold say of changes while an app runs. Each has a test, with a line above
// it that names it:
//
//	//peers:2 3
func complaints() []struct{ mark, what string } {
	return []struct{ mark, what string }{
		{"1", "an edit of the definition itself needs a manual up"},
		{"2", "ignored and unreadable directories are watched (compose#13750)"},
		{"3", "ignore files do one thing here and another there (compose#12236, #12191)"},
		{"4", "files changed while the container is stopped or made anew are lost (compose#11102, #12592)"},
		{"5", "a user that is not root breaks sync (compose#12569, #11304)"},
		{"6", "logs vanish or miss their first lines after a restart (compose#11773, #12839)"},
		{"7", "one failing action drops the batch, a slow rebuild blocks every sync"},
		{"13", "a change of inline configuration does not reach the container (compose#11900, #13045)"},
		{"20", "sync is one-way, and does not say so (compose#13077, #12510)"},
		{"24", "applying again needs a teardown (podman#4478, #8372)"},
		{"29", "live update is lost when the container crashes; no scratch, root only (tilt#4195, skaffold#1814)"},
		{"30", "leaving: containers go on, or end, against one's will (tilt#5210, #5765, #3499)"},
		{"also", "watches run out and it is called a full disk (tilt#2079); no events, no word (tilt#3101)"},
	}
}

// pending are complaints without a test so far, and why.
func pending() map[string]string {
	return map[string]string{}
}

func TestPeers_EveryComplaintHasItsTest(t *testing.T) {
	marked := peerMarks(t, "../..")
	known := map[string]bool{}
	for _, c := range complaints() {
		known[c.mark] = true
		_, waits := pending()[c.mark]
		switch tests := marked[c.mark]; {
		case len(tests) == 0 && !waits:
			t.Errorf("no test is marked //peers:%s: %s", c.mark, c.what)
		case len(tests) > 0 && waits:
			t.Errorf("%s is pending, and has tests: %q", c.mark, tests)
		}
	}
	for mark, tests := range marked {
		if !known[mark] {
			t.Errorf("//peers:%s in %q is no complaint about changes", mark, tests)
		}
	}
}

// peerMarks are the files with marks, by mark.
func peerMarks(t *testing.T, root string) map[string][]string {
	t.Helper()
	line := regexp.MustCompile(`^\s*//peers:([a-z0-9 ]+)$`)
	out := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root:
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "peers_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(text, []byte("//peers:")) {
			return err
		}
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			if parts := line.FindStringSubmatch(lines.Text()); parts != nil {
				for _, mark := range strings.Fields(parts[1]) {
					if !slices.Contains(out[mark], path) {
						out[mark] = append(out[mark], path)
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
