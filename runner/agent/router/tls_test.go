package router

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/agent/agenttest"
	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/authority"
)

// secured gives a router certificates for some hosts, and the authority's.
func secured(t *testing.T, r *Router, hosts ...string) []byte {
	t.Helper()
	ca, err := authority.Open(filepath.Join(t.TempDir(), "ca"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var certs []api.Certificate
	for _, h := range hosts {
		pair, err := ca.Issue(h, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, api.Certificate{Host: h, Cert: pair.Cert, Key: pair.Key})
	}
	if err := r.SetCertificates(certs); err != nil {
		t.Fatal(err)
	}
	return ca.PEM()
}

func trusting(t *testing.T, ca []byte, addr string, protocols *http.Protocols) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	c := client(t, addr)
	tr := c.Transport.(*http.Transport)
	tr.TLSClientConfig, tr.Protocols = &tls.Config{RootCAs: roots}, protocols
	return c
}

func TestRouter_TLSOnTheSamePort(t *testing.T) {
	agenttest.NoLeaks(t)
	r := New()
	r.Set(tableOf(nil, map[string][]string{"web": {endpoint(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.Header.Get("X-Forwarded-Proto"), " ", r.Host, " ", n)
	})}}))
	ca := secured(t, r, "web.shop.localhost", "*.shop.example", "127.0.0.1")
	addr := serve(t, r)
	var one, two http.Protocols
	one.SetHTTP1(true)
	two.SetHTTP2(true)
	for proto, protocols := range map[string]*http.Protocols{"HTTP/1.1": &one, "HTTP/2.0": &two} {
		c := trusting(t, ca, addr, protocols)
		for range 3 { // on one connection
			res, err := c.Post("https://web.shop.localhost/", "text/plain", strings.NewReader(strings.Repeat("x", 100_000)))
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if string(body) != "https web.shop.localhost 100000" || res.Proto != proto {
				t.Errorf("%s: %q over %s", proto, body, res.Proto)
			}
			if code, _ := get(t, c, "https://web.shop.localhost/"); code != 200 {
				t.Errorf("GET: %d", code)
			}
		}
		if _, err := c.Get("https://other.shop.localhost/"); err == nil {
			t.Error("a host without a certificate is served one of another")
		}
	}
	if code, _ := get(t, client(t, addr), "http://web.shop.localhost/"); code != 200 {
		t.Errorf("without TLS: %d", code)
	}
}

func TestRouter_TLSWithCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("needs curl")
	}
	r := New()
	r.Set(tableOf(nil, map[string][]string{"web": {endpoint(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok ", r.Host) })}}))
	ca := secured(t, r, "web.shop.localhost")
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	addr := serve(t, r)
	_, port, _ := net.SplitHostPort(addr)
	url := "web.shop.localhost:" + port
	for _, args := range [][]string{
		{"--http1.1", "https://" + url}, {"--http2", "https://" + url}, {"--http1.1", "http://" + url}, {"--http2-prior-knowledge", "http://" + url},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		out, err := exec.CommandContext(ctx, curl, append([]string{"-sS", "--cacert", file, "--resolve", url + ":127.0.0.1"}, args...)...).CombinedOutput()
		cancel()
		if err != nil || string(out) != "ok "+url {
			t.Errorf("curl %v: %q, %v", args, out, err)
		}
	}
	out, err := exec.Command(curl, "-sS", "--resolve", url+":127.0.0.1", "https://"+url).CombinedOutput()
	if err == nil {
		t.Errorf("a client that was not told trusts the authority: %q", out)
	}
}
