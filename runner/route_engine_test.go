package runner_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/agent/agenttest"
	"github.com/cuepod/cuepod/runner/agent/image"
	"github.com/cuepod/cuepod/runner/authority"
)

// An Ingress and an HTTPRoute lead to pods by host, path and header, over HTTP
// and HTTPS on one port; a change of a route is followed without a new container.
func TestRoutes_OnARealEngine(t *testing.T) {
	serving := func(c *app.Container) {
		c.Args = []string{"serve", ":8080"}
		c.ReadinessProbe = &app.Probe{TCPSocket: &app.TCPSocketAction{Port: app.PortRef{Number: 8080}}, PeriodSeconds: 1, TimeoutSeconds: 5, SuccessThreshold: 1, FailureThreshold: 30}
	}
	service := func(name string) app.Service {
		s := serviceOf(name, name, false, 80)
		s.Ports[0].TargetPort = app.PortRef{Number: 8080}
		return s
	}
	to := func(name string) []app.HTTPBackendRef {
		port := 80
		return []app.HTTPBackendRef{{Name: name, Port: &port}}
	}
	b := newBed(t, &app.App{Name: "routes", Pods: []app.Pod{podOf("web", waiting("main", serving)), podOf("api", waiting("main", serving))},
		Services: []app.Service{service("web"), service("api")},
		Ingresses: []app.Ingress{{Name: "shop", Rules: []app.IngressRule{{Host: "shop.example", Paths: []app.IngressPath{
			{Path: "/", PathType: "Prefix", Service: "web", Port: app.PortRef{Name: "main"}}, {Path: "/api", PathType: "Prefix", Service: "api", Port: app.PortRef{Number: 80}}}}}}},
		HTTPRoutes: []app.HTTPRoute{{Name: "canary", Hostnames: []string{"shop.example"}, Rules: []app.HTTPRouteRule{
			{Matches: []app.HTTPRouteMatch{{Headers: []app.HTTPHeaderMatch{{Name: "X-Canary", Value: "yes"}}}}, BackendRefs: to("api")}}}},
	})
	b.useEcho()
	ca, err := authority.Open(filepath.Join(t.TempDir(), "ca"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	b.cfg.Issue = func(host string, now time.Time) ([]byte, []byte, error) {
		p, err := ca.Issue(host, now)
		return p.Cert, p.Key, err
	}
	b.up()
	port := b.routerPort()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM())
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port)
		}}}
	defer client.CloseIdleConnections()
	ask := func(url, canary string) string {
		req, err := http.NewRequest("GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Canary", canary)
		res, err := client.Do(req)
		if err != nil {
			return err.Error()
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return fmt.Sprint(res.StatusCode, " ", string(body), err)
	}
	for _, c := range []struct{ url, canary, want string }{
		{"http://shop.example/", "", "200 web-"}, {"https://shop.example/", "", "200 web-"},
		{"http://shop.example/api/x", "", "200 api-"}, {"https://shop.example.localhost/api", "", "200 api-"},
		{"http://shop.example/", "yes", "200 api-"},
		{"https://web.routes.localhost/", "", "200 web-"},
		{"http://nobody.example/", "", "404 "},
	} {
		c.url = strings.Replace(c.url, "routes.localhost", b.app.Name+".localhost", 1)
		if got := ask(c.url, c.canary); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s %s: %q, want %s", c.url, c.canary, got, c.want)
		}
	}
	gateway := b.gatewayID()
	b.app.HTTPRoutes = nil
	b.up()
	for deadline := time.Now().Add(30 * time.Second); !strings.HasPrefix(ask("http://shop.example/", "yes"), "200 web-"); {
		if time.Now().After(deadline) {
			t.Fatal("the route that was removed is still followed")
		}
	}
	if now := b.gatewayID(); now != gateway {
		t.Error("a change of routes made a new gateway")
	}
	b.secretsStayInside(gateway)
}

// secretsStayInside looks for keys of certificates in what the engine shows.
func (b *bed) secretsStayInside(gateway string) {
	b.t.Helper()
	c, err := b.eng.InspectContainer(b.t.Context(), gateway)
	if err != nil {
		b.t.Fatal(err)
	}
	if shown := fmt.Sprintf("%+v", c); strings.Contains(shown, "PRIVATE KEY") {
		b.t.Error("the engine shows a key")
	}
}

// useEcho has all containers run the web server of the agent's tests.
func (b *bed) useEcho() {
	b.t.Helper()
	info, err := b.eng.Info(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	ref, archive := image.Archive(agenttest.Binary(b.t, "./agent/agenttest/testdata/echo", info.Arch), info.Arch)
	if err := b.eng.LoadImage(b.t.Context(), bytes.NewReader(archive)); err != nil {
		b.t.Fatal(err)
	}
	for i := range b.app.Pods {
		for j := range b.app.Pods[i].Containers {
			b.app.Pods[i].Containers[j].Image = ref
		}
	}
}

// routerPort is the port of the machine where the gateway routes.
func (b *bed) routerPort() string {
	b.t.Helper()
	st, err := runner.GetStatus(b.t.Context(), b.eng, b.id)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, s := range st.Services {
		for _, text := range s.URLs {
			if u, err := url.Parse(text); err == nil && strings.HasSuffix(u.Hostname(), ".localhost") {
				return u.Port()
			}
		}
	}
	b.t.Fatalf("no service shows the router: %+v", st.Services)
	return ""
}

func (b *bed) gatewayID() string {
	b.t.Helper()
	c, err := b.eng.InspectContainer(b.t.Context(), b.id.Project()+"_gateway")
	if err != nil {
		b.t.Fatal(err)
	}
	return c.ID
}
