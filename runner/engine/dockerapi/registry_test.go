package dockerapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/opencontainers/go-digest"

	"github.com/cuepod/cuepod/runner/engine"
)

// testRegistry is one in memory on loopback, which engines speak plain HTTP to,
// with a wrong turn that a test puts in.
type testRegistry struct {
	t    *testing.T
	host string
	mem  *ocimem.Registry

	mu   sync.Mutex
	trip func(w http.ResponseWriter, r *http.Request, next http.Handler) // guarded by mu; nil passes on
	seen []string                                                        // requests, guarded by mu
}

func newRegistry(t *testing.T) *testRegistry {
	r := &testRegistry{t: t, mem: ocimem.New()}
	next := ociserver.New(r.mem, nil)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		trip := r.trip
		r.seen = append(r.seen, req.Method+" "+req.URL.Path)
		r.mu.Unlock()
		if trip != nil {
			trip(w, req, next)
			return
		}
		next.ServeHTTP(w, req)
	}))
	t.Cleanup(server.Close)
	r.host = server.Listener.Addr().(*net.TCPAddr).String()
	return r
}

func (r *testRegistry) set(trip func(http.ResponseWriter, *http.Request, http.Handler)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trip, r.seen = trip, nil
}

func (r *testRegistry) requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen
}

// put pushes an image of one random file.
func (r *testRegistry) put(repo, tag, arch string) (ref string) {
	r.t.Helper()
	ctx := r.t.Context()
	blob := func(media string, data []byte) map[string]any {
		d := ociregistry.Descriptor{MediaType: media, Size: int64(len(data)), Digest: digest.FromBytes(data)}
		if _, err := r.mem.PushBlob(ctx, repo, d, bytes.NewReader(data)); err != nil {
			r.t.Fatal(err)
		}
		return map[string]any{"mediaType": media, "size": d.Size, "digest": d.Digest}
	}
	layer := tarOf(r.t, "content", rand.Text())
	config, err := json.Marshal(map[string]any{
		"architecture": arch, "os": "linux", "rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest.FromBytes(layer).String()}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": blob("application/vnd.oci.image.config.v1+json", config),
		"layers": []any{blob("application/vnd.oci.image.layer.v1.tar", layer)},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.mem.PushManifest(ctx, repo, tag, manifest, "application/vnd.oci.image.manifest.v1+json"); err != nil {
		r.t.Fatal(err)
	}
	return r.host + "/" + repo + ":" + tag
}

// The engine's own registry client does the work: what is ours is that each
// failure ends, has the registry's words, and leaves nothing behind.
func TestPullImage_Registry(t *testing.T) {
	c, arch := realEngine(t)
	reg := newRegistry(t)
	status := func(code int, text string) func(http.ResponseWriter, *http.Request, http.Handler) {
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.URL.Path == "/v2/" {
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":%q}]}`, text)
		}
	}
	onBlob := func(f func(w http.ResponseWriter, r *http.Request, next http.Handler)) func(http.ResponseWriter, *http.Request, http.Handler) {
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if strings.Contains(r.URL.Path, "/blobs/") && r.Method == http.MethodGet {
				f(w, r, next)
				return
			}
			next.ServeHTTP(w, r)
		}
	}
	for _, tc := range []struct {
		name string
		trip func(http.ResponseWriter, *http.Request, http.Handler)
		word string
		long bool // the engine tries a blob again for a minute: we give up
	}{
		{"forbidden", status(403, "no entry for you\x1b]0;owned\x07"), "no entry for you", false},
		{"too many requests", status(429, "come back tomorrow"), "come back tomorrow", false},
		{"out of order", status(503, "we are sorry"), "", false},
		{"other bytes than the digest says", onBlob(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			_, _ = w.Write([]byte("forged"))
		}), "", true},
		{"bytes that break off", onBlob(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("half"))
		}), "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			reg.set(nil)
			ref := reg.put("faults/"+strings.ReplaceAll(tc.name, " ", "-"), "1", arch)
			reg.set(tc.trip)
			patience := time.Minute
			if tc.long {
				patience = 2 * time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err := c.PullImage(ctx, ref, nil)
			if err == nil || ctx.Err() != nil && !tc.long || !strings.Contains(err.Error(), tc.word) || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("error %v", err)
			}
			if _, err := c.InspectImage(t.Context(), ref); engine.KindOf(err) != engine.NotFound {
				t.Errorf("something is on the engine: %v", err)
			}
		})
	}
	reg.set(nil)
	if err := c.PullImage(t.Context(), reg.host+"/faults/nowhere:1", nil); engine.KindOf(err) != engine.ImageMissing {
		t.Errorf("an image that is not there: kind %q, %v", engine.KindOf(err), err)
	}
}

func TestPullImage_ProgressCancelAndMovedTag(t *testing.T) {
	c, arch := realEngine(t)
	reg := newRegistry(t)
	ref := reg.put("moving", "1", arch)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := c.RemoveImage(ctx, ref); err != nil {
			t.Error(err)
		}
	})
	id := func() string {
		img, err := c.InspectImage(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		return img.ID
	}
	// A registry that never ends its answer: giving up is at once.
	begun, release := make(chan struct{}, 8), make(chan struct{})
	reg.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			begun <- struct{}{}
			<-release
			return
		}
		next.ServeHTTP(w, r)
	})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- c.PullImage(ctx, ref, nil) }()
	<-begun
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	close(release)
	reg.set(nil)
	var bytesTold int64
	if err := c.PullImage(t.Context(), ref, func(p engine.Progress) { bytesTold += p.Current }); err != nil {
		t.Fatal(err)
	}
	if bytesTold == 0 {
		t.Error("no progress was told")
	}
	first := id()
	reg.set(nil)
	if err := c.PullImage(t.Context(), ref, nil); err != nil || id() != first {
		t.Errorf("pulled again: %v, image %s", err, id())
	}
	for _, req := range reg.requests() {
		if strings.Contains(req, "/blobs/") {
			t.Errorf("%s, though everything was there", req)
		}
	}
	reg.put("moving", "1", arch)
	if err := c.PullImage(t.Context(), ref, nil); err != nil || id() == first {
		t.Errorf("after the tag moved: %v, the same image", err)
	}
}

// Credentials come from docker's configuration, for a pull and for the base
// image of a build, which BuildKit has no way to ask us for.
func TestPullImage_Credentials(t *testing.T) {
	_, arch := realEngine(t)
	reg := newRegistry(t)
	const secret = "s3cr3t-canary"
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("me:"+secret))
	reg.set(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Header.Get("Authorization") != want {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
	ref := reg.put("private", "1", arch)
	base := reg.put("private-base", "1", arch)
	client := func(password string) *Client {
		auth := base64.StdEncoding.EncodeToString([]byte("me:" + password))
		env := map[string]string{"DOCKER_CONFIG": "/conf", "DOCKER_AUTH_CONFIG": fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, reg.host, auth)}
		if password == "" {
			delete(env, "DOCKER_AUTH_CONFIG")
		}
		if host, ok := os.LookupEnv("DOCKER_HOST"); ok {
			env["DOCKER_HOST"] = host
		}
		c, err := New(Options{LookupEnv: lookup(env), ReadFile: reader(nil)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	for _, password := range []string{"", "wrong-canary"} {
		if err := client(password).PullImage(t.Context(), ref, nil); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("with password %q: %v", password, err)
		}
	}
	c := client(secret)
	built := "cuepod-test-" + strings.ToLower(rand.Text()[:8]) + ":1"
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, ref := range []string{ref, built, base} {
			if err := c.RemoveImage(ctx, ref); err != nil {
				t.Error(err)
			}
		}
	})
	if err := c.PullImage(t.Context(), ref, nil); err != nil {
		t.Errorf("with the right one: %v", err)
	}
	spec := engine.BuildSpec{Tags: []string{built}, Bases: []string{base}}
	if err := c.BuildImage(t.Context(), spec, bytes.NewReader(tarOf(t, "Dockerfile", "FROM "+base+"\nLABEL a=b\n")), nil); err != nil {
		t.Errorf("build on a private image: %v", err)
	}
}
