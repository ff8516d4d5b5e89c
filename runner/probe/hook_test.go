package probe

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/runner/agent/agenttest"
	"github.com/cuepod/cuepod/runner/agent/api"
)

//conformance:s52
func TestGet(t *testing.T) {
	agenttest.NoLeaks(t)
	var got []string
	serve := func(w http.ResponseWriter, r *http.Request) {
		got = append(got, strings.Join([]string{r.Method, r.URL.Path, r.UserAgent(), r.Header.Get("Authorization"), r.Header.Get("X")}, " "))
		switch r.URL.Path {
		case "/teapot":
			w.WriteHeader(http.StatusTeapot)
		case "/on":
			http.Redirect(w, r, "/here", http.StatusFound)
		case "/away":
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		}
	}
	plain := portOfURL(t, httptest.NewServer(http.HandlerFunc(serve)))
	secure := httptest.NewTLSServer(http.HandlerFunc(serve))
	securePort := portOfURL(t, secure)
	headers := [][2]string{{"Authorization", "secret"}, {"X", "y"}}
	for _, tt := range []struct {
		what string
		get  api.HTTPProbe
		want []string
	}{
		{"any answer is a success", api.HTTPProbe{Port: plain, Path: "/teapot", Scheme: "HTTP", Headers: headers}, []string{"GET /teapot kube-lifecycle/1.37 secret y"}},
		{"a certificate is not looked at", api.HTTPProbe{Port: securePort, Path: "/a", Scheme: "HTTPS", Headers: headers}, []string{"GET /a kube-lifecycle/1.37 secret y"}},
		{"HTTPS falls back, without what is secret", api.HTTPProbe{Port: plain, Path: "/a", Scheme: "HTTPS", Headers: headers}, []string{"GET /a kube-lifecycle/1.37  y"}},
		{"redirects within the host are followed", api.HTTPProbe{Port: plain, Path: "/on", Scheme: "HTTP"}, []string{"GET /on kube-lifecycle/1.37  ", "GET /here kube-lifecycle/1.37  "}},
		{"others are not", api.HTTPProbe{Port: plain, Path: "/away", Scheme: "HTTP"}, []string{"GET /away kube-lifecycle/1.37  "}},
	} {
		got = nil
		if err := Get(t.Context(), "127.0.0.1", &tt.get); err != nil {
			t.Errorf("%s: %v", tt.what, err)
		}
		if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
			t.Errorf("%s: asked %q, want %q", tt.what, got, tt.want)
		}
	}
}

//conformance:s53
func TestGet_ErrorsDoNotQuoteThePath(t *testing.T) {
	for _, get := range []api.HTTPProbe{{Port: 1, Path: "/?token=secret", Scheme: "HTTP"}, {Port: 1, Path: "/%secret", Scheme: "HTTP"}} {
		err := Get(t.Context(), "127.0.0.1", &get)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v", err)
		}
	}
}
