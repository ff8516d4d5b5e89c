package examples_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/internal/testtool"
)

func TestShop_Goldens(t *testing.T) {
	tool := testtool.Cuepod(t)
	for _, g := range []goldenCompile{
		{"shop", "kubernetes.yaml", []string{"--target", "kubernetes"}},
		{"shop", "kubernetes-prod.yaml", []string{"--target", "kubernetes", "--env", "prod"}},
		{"shop", "compose.yaml", []string{"--target", "compose"}},
		{"shop", "docker.json", []string{"--target", "docker"}},
	} {
		t.Run(g.golden, func(t *testing.T) { g.check(t, tool, "shop/golden") })
	}
}

// TestShop_Environments: what differs between them, and what one may set.
func TestShop_Environments(t *testing.T) {
	cache := t.TempDir()
	for env, want := range map[string]struct {
		generated, external bool
		ingresses           int
		storage             string
	}{
		"dev":     {generated: true, storage: "256Mi"},
		"staging": {external: true, ingresses: 1, storage: "5Gi"},
		"prod":    {external: true, ingresses: 1, storage: "50Gi"},
	} {
		opts := compiler.Options{Dir: "shop", Env: env, Set: []string{"packers=3", "title=Sale"}, CacheDir: cache}
		result, err := compiler.Compile(t.Context(), opts)
		if err != nil {
			t.Fatalf("%s: %v", env, err)
		}
		a := result.App
		password := a.Secret("orders-db-credentials").Keys[0]
		if (password.Generate != nil) != want.generated || password.External != want.external {
			t.Errorf("%s: the password comes from %+v", env, password)
		}
		if len(a.Ingresses) != want.ingresses {
			t.Errorf("%s has %d ingresses, want %d", env, len(a.Ingresses), want.ingresses)
		}
		if got := a.Claim("orders-db-data").Storage; string(got) != want.storage {
			t.Errorf("%s has storage %s, want %s", env, got, want.storage)
		}
		if got := a.Pod("packer").Replicas; got != 3 {
			t.Errorf("%s has %d packers, want those of --set", env, got)
		}
	}
}

func TestShop_IsFormatted(t *testing.T) { wantFormatted(t, "shop/*.cue") }

// shopImages is what the shop needs on the engine.
var shopImages = []string{"postgres:15", "redis:7.0", "shop-store:dev"}

const shopPort = "127.0.0.1:30090"

// TestShop_Up: an order goes the whole way, into PostgreSQL and through Redis to
// the worker; the report counts it when it is run; a new pod of the database finds
// it again; down leaves nothing.
func TestShop_Up(t *testing.T) {
	requireEngine(t)
	requireImages(t, shopImages...)
	requirePortFree(t, shopPort)
	tool := testtool.Cuepod(t)
	dir := copyOfShop(t)
	downAtEnd(t, tool, dir)
	run(t, startLimit, tool, "up", "-d", "--wait", dir)
	readStatus(t, run(t, time.Minute, tool, "ps", "-o", "json", dir)).wantReady(t, "orders-db-0", "queue-0", "storefront-0", "packer-0")

	shop := shopAt(shopPort)
	if _, err := shop.order(t.Context(), "tea"); err != nil {
		t.Fatal(err)
	}
	shop.want(t, "the worker packs the order", func(s shopState) bool {
		return slices.Equal(s.Orders, []shopOrder{{"1", "tea", "packed"}}) && s.Report == ""
	})
	if out := run(t, time.Minute, tool, "run", "-C", dir, "cronjob/report"); !strings.Contains(out, "1 orders, 1 of them packed") {
		t.Errorf("the report says %q", out)
	}
	shop.want(t, "the page shows the report", func(s shopState) bool { return s.Report == "1 orders, 1 of them packed" })
	if status, err := shop.order(t.Context(), " "); err != nil || status != http.StatusBadRequest {
		t.Errorf("an order of nothing: %d, %v", status, err)
	}

	if out, stderr, err := try(t.Context(), startLimit, tool, "plan", "--exit-code", dir); err != nil {
		t.Errorf("the plan after up is not empty: %v\n%s%s", err, out, stderr)
	}
	run(t, startLimit, tool, "down", dir)
	run(t, startLimit, tool, "up", "-d", "--wait", dir)
	shop.want(t, "orders and report outlive down", func(s shopState) bool {
		return len(s.Orders) == 1 && s.Report != ""
	})
	run(t, startLimit, tool, "down", "--volumes", dir)
	if objects := left(t, "dev.cuepod.root="+dir); len(objects) > 0 {
		t.Errorf("down --volumes left %q", objects)
	}
}

// copyOfShop gives the example its own directory, and so its own identity on the
// engine.
func copyOfShop(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS("shop")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// shopAt is the address of a running shop.
type shopAt string

// shopState is what its list of orders says.
type shopState struct {
	Report string
	Orders []shopOrder
}

type shopOrder struct{ ID, Item, State string }

// order orders an item and gives the answer's status.
func (s shopAt) order(ctx context.Context, item string) (status int, err error) {
	form := strings.NewReader(url.Values{"item": {item}}.Encode())
	resp, err := s.do(ctx, http.MethodPost, form)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func (s shopAt) state(ctx context.Context) (state shopState, err error) {
	resp, err := s.do(ctx, http.MethodGet, nil)
	if err != nil {
		return state, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return state, errors.New(resp.Status)
	}
	return state, json.NewDecoder(resp.Body).Decode(&state)
}

func (s shopAt) do(ctx context.Context, method string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+string(s)+"/orders", body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := http.Client{
		Timeout:       10 * time.Second,
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return client.Do(req)
}

// want polls the shop until its state is as it should be.
func (s shopAt) want(t *testing.T, what string, ok func(shopState) bool) {
	t.Helper()
	poll(t, time.Minute, what, func() error {
		state, err := s.state(t.Context())
		if err == nil && !ok(state) {
			err = fmt.Errorf("it has %+v", state)
		}
		return err
	})
}
