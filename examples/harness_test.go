package examples_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/internal/testtool"
	"github.com/cuepod/cuepod/runner"
)

// requireEngine skips the test where no engine answers, unless
// CUEPOD_REQUIRE_ENGINE=1 makes that a failure, as in CI.
func requireEngine(t *testing.T) {
	t.Helper()
	testtool.Docker(t, os.Getenv("CUEPOD_REQUIRE_ENGINE") == "1")
}

// requireImages is requireEngine for images that nobody can pull.
func requireImages(t *testing.T, refs ...string) {
	t.Helper()
	for _, ref := range refs {
		if exec.CommandContext(t.Context(), "docker", "image", "inspect", ref).Run() == nil {
			continue
		}
		message := "image " + ref + " is not on the engine: `make images` puts it there"
		if os.Getenv("CUEPOD_REQUIRE_ENGINE") == "1" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
}

// run runs a command for at most limit and gives its standard output. Its
// failure is the test's.
func run(t *testing.T, limit time.Duration, name string, args ...string) string {
	t.Helper()
	out, stderr, err := try(t.Context(), limit, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(name), strings.Join(args, " "), err, out, stderr)
	}
	return out
}

// try is run for a command that may fail.
func try(ctx context.Context, limit time.Duration, name string, args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out, talk bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &talk
	err = cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("not done after %v", limit)
	}
	return out.String(), talk.String(), err
}

// poll tries until it succeeds; after limit the last error fails the test.
func poll(t *testing.T, limit time.Duration, what string, attempt func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := attempt()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("%s: %v", what, t.Context().Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// left lists what an engine still has with a label: containers, networks and
// volumes, as "kind name".
func left(t *testing.T, label string) []string {
	t.Helper()
	var found []string
	for kind, args := range map[string][]string{
		"container": {"ps", "--all", "--format", "{{.Names}}"},
		"network":   {"network", "ls", "--format", "{{.Name}}"},
		"volume":    {"volume", "ls", "--format", "{{.Name}}"},
	} {
		// It is asked in clean-up too, when the test's context has ended.
		out, stderr, err := try(context.WithoutCancel(t.Context()), time.Minute, "docker", append(args, "--filter", "label="+label)...)
		if err != nil {
			t.Fatalf("docker %s: %v\n%s", args[0], err, stderr)
		}
		for name := range strings.FieldsSeq(out) {
			found = append(found, kind+" "+name)
		}
	}
	slices.Sort(found)
	return found
}

// engineName is what the engine calls an object of the guestbook in dir.
func engineName(dir, object string) string {
	return runner.Identity{App: "guestbook", Root: dir}.Project() + "_" + object
}

// guestbookAt is a running guestbook: where it answers, and the Host header
// that leads to it, "" for the address itself.
type guestbookAt struct{ address, host string }

// sign writes an entry and gives the page that follows. Connections are not
// reused, so that each request may go to another replica.
func (g guestbookAt) sign(ctx context.Context, message string) (page string, err error) {
	form := url.Values{"name": {"test"}, "message": {message}}
	return g.do(ctx, http.MethodPost, "/entries", strings.NewReader(form.Encode()))
}

// page gives the guestbook's page.
func (g guestbookAt) page(ctx context.Context) (string, error) {
	return g.do(ctx, http.MethodGet, "/", nil)
}

func (g guestbookAt) do(ctx context.Context, method, path string, body io.Reader) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+g.address+path, body)
	if err != nil {
		return "", err
	}
	req.Host = g.host
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return "", err
	case resp.StatusCode == http.StatusSeeOther && method == http.MethodPost:
		return g.page(ctx)
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(data))
	}
	return string(data), nil
}

// signAndRead proves that an entry goes the whole way: through the leader,
// over to the follower, and back.
func (g guestbookAt) signAndRead(t *testing.T, message string) {
	t.Helper()
	poll(t, 60*time.Second, "sign the guestbook at "+g.address, func() error {
		_, err := g.sign(t.Context(), message)
		return err
	})
	poll(t, 30*time.Second, "read the entry at "+g.address, func() error {
		page, err := g.page(t.Context())
		if err == nil && !strings.Contains(page, message) {
			err = errors.New("the page does not show the entry")
		}
		return err
	})
}
