package probe

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/agent/http1"
)

const (
	// userAgent is what the kubelet of this version of Kubernetes sends.
	userAgent = "kube-probe/1.37"
	// maxRedirects is how many redirects within the host are followed.
	maxRedirects = 10
	// maxBody is how much of an answer is read, in bytes, so that a server that
	// was still sending is not cut off for a small page.
	maxBody = 10 << 10
)

// Do carries out a network probe against the pod's address, never localhost: a
// server bound to 127.0.0.1 must fail, as nobody else reaches it either. What
// could not be carried out is tried Tries times in all. The probe's timeout
// applies to each. An exec probe is Unknown: it is not carried out here.
func Do(ctx context.Context, ip string, p api.Probe) Outcome {
	var o Outcome
	for range Tries {
		if o = attempt(ctx, ip, p); o.Result != Unknown || ctx.Err() != nil {
			break
		}
	}
	return o
}

// Tries is how often a probe is tried that cannot be carried out, before what
// it found is thrown away. Source: pkg/kubelet/prober/prober.go maxProbeRetries.
const Tries = 3

func attempt(ctx context.Context, ip string, p api.Probe) Outcome {
	timeout := time.Duration(max(p.Timeout, 1)) * time.Second
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var o Outcome
	switch {
	case p.HTTP != nil:
		o = doHTTP(ctx, cmp.Or(p.HTTP.Host, ip), p.HTTP)
	case p.TCP != nil:
		o = doTCP(ctx, cmp.Or(p.TCP.Host, ip), p.TCP.Port)
	case p.GRPC != nil:
		o = doGRPC(ctx, ip, p.GRPC)
	default:
		return Outcome{}
	}
	if o.Result == Failure && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		o.Message = fmt.Sprintf("no answer within %v (%s)", timeout, o.Message)
	}
	return o
}

func fail(format string, args ...any) Outcome {
	o := Outcome{Result: Failure, Message: fmt.Sprintf(format, args...)}
	for _, a := range args {
		if err, ok := a.(error); ok && errors.Is(err, syscall.ECONNREFUSED) {
			o.Refused = true
		}
	}
	return o
}

// dial connects; the connection dies with ctx.
func dial(ctx context.Context, ip string, port int) (net.Conn, func(), error) {
	conn, err := (&net.Dialer{Control: Mark}).DialContext(ctx, "tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	return conn, func() { stop(); conn.Close() }, nil
}

func doTCP(ctx context.Context, ip string, port int) Outcome {
	_, done, err := dial(ctx, ip, port)
	if err != nil {
		return fail("%v", err)
	}
	done()
	return Outcome{Result: Success}
}

// doHTTP asks for the path and follows redirects that stay on the host. One
// that leaves it is a success with a warning, as is every other 3xx.
func doHTTP(ctx context.Context, ip string, p *api.HTTPProbe) Outcome {
	at, err := target(ip, p)
	if err != nil {
		return fail("path %q: %v", p.Path, err)
	}
	for range maxRedirects {
		res, err := get(ctx, at, p, userAgent)
		var cut *cutError
		switch {
		case errors.As(err, &cut):
			return Outcome{Message: fmt.Sprintf("GET %s: %v", at, err)}
		case err != nil:
			return fail("GET %s: %v", at, err)
		case res.Code < 200 || res.Code >= 400:
			return fail("GET %s: status %d", at, res.Code)
		}
		location := res.Fields.Get("Location")
		if !redirects(res.Code) || location == "" {
			return Outcome{Result: Success}
		}
		next, err := at.Parse(location)
		if err != nil {
			return fail("GET %s: redirect to %q: %v", at, location, err)
		}
		if next.Hostname() != at.Hostname() {
			return Outcome{Result: Success, Message: fmt.Sprintf("GET %s: redirect to %s is not followed: another host", at, next)}
		}
		if ref, err := url.Parse(location); err == nil && ref.IsAbs() {
			p = withoutHost(p) // it says itself whom it asks
		}
		at = next
	}
	return fail("GET %s: stopped after %d redirects", at, maxRedirects)
}

// withoutHost is a probe without a Host header of its own, as net/http has it
// for redirects to an absolute address.
func withoutHost(p *api.HTTPProbe) *api.HTTPProbe {
	out := *p
	out.Headers = slices.DeleteFunc(slices.Clone(p.Headers), func(h [2]string) bool { return strings.EqualFold(h[0], "Host") })
	return &out
}

// target is the address to ask; whatever the path holds, the host is the pod.
func target(ip string, p *api.HTTPProbe) (*url.URL, error) {
	u, err := url.Parse(p.Path)
	if err != nil {
		return nil, err
	}
	at := &url.URL{
		Scheme:   strings.ToLower(p.Scheme),
		Host:     net.JoinHostPort(ip, strconv.Itoa(p.Port)),
		Path:     "/" + strings.TrimPrefix(u.Path, "/"),
		RawQuery: u.RawQuery,
	}
	if at.Scheme == "" {
		at.Scheme = "http"
	}
	return at, nil
}

func redirects(code int) bool {
	return code == 301 || code == 302 || code == 303 || code == 307 || code == 308
}

// get asks once. TLS certificates are not verified, as Kubernetes has it.
func get(ctx context.Context, at *url.URL, p *api.HTTPProbe, agent string) (*http1.Response, error) {
	port, err := portOf(at)
	if err != nil {
		return nil, err
	}
	conn, done, err := dial(ctx, at.Hostname(), port)
	if err != nil {
		return nil, err
	}
	defer done()
	if at.Scheme == "https" {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, ServerName: serverName(at, p)})
	}
	req := http1.Request{Method: "GET", Target: at.RequestURI(), Minor: 1, Fields: fields(at, p, agent)}
	if _, err := conn.Write(req.Bytes()); err != nil {
		return nil, err
	}
	r := bufio.NewReader(conn)
	res, err := http1.ReadResponse(r)
	for err == nil && res.Code < 200 && res.Code != 101 { // 100 Continue, 103 Early Hints
		res, err = http1.ReadResponse(r)
	}
	if err != nil {
		return nil, err
	}
	body, err := res.Body("GET")
	if err != nil {
		return res, nil
	}
	// What the body says is no part of the verdict, but it has to come: the
	// kubelet calls it an error of the probe when it breaks off.
	limited := &io.LimitedReader{R: r, N: maxBody}
	if err := body.Copy(bufio.NewWriter(io.Discard), bufio.NewReader(limited)); err != nil && limited.N > 0 {
		return nil, &cutError{err}
	}
	return res, nil
}

// cutError is an answer that broke off.
type cutError struct{ error }

func portOf(at *url.URL) (int, error) {
	switch {
	case at.Port() != "":
		return strconv.Atoi(at.Port())
	case at.Scheme == "http":
		return 80, nil
	case at.Scheme == "https":
		return 443, nil
	}
	return 0, fmt.Errorf("scheme %q is not HTTP or HTTPS", at.Scheme)
}

// serverName is the name sent in the TLS handshake: the Host header's, if there
// is one, as the address says nothing to a server with several certificates.
func serverName(at *url.URL, p *api.HTTPProbe) string {
	host := ""
	for _, h := range p.Headers {
		if strings.EqualFold(h[0], "Host") {
			host = h[1]
		}
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "" {
		return at.Hostname()
	}
	return host
}

// fields are the header lines of a probe: its own, and the kubelet's where it
// has none. One that is set empty is not sent.
func fields(at *url.URL, p *api.HTTPProbe, agent string) http1.Fields {
	given := http1.Fields{}
	for _, h := range p.Headers {
		given = append(given, http1.Field{Name: h[0], Value: h[1]})
	}
	out := http1.Fields{{Name: "Host", Value: at.Host}}
	if host := given.Get("Host"); host != "" {
		out[0].Value = host
	}
	for _, def := range []http1.Field{{Name: "User-Agent", Value: agent}, {Name: "Accept", Value: "*/*"}} {
		switch values := given.Values(def.Name); {
		case len(values) == 0:
			out = append(out, def)
		case values[0] == "":
			given = given.Without(def.Name)
		}
	}
	out = append(out, http1.Field{Name: "Connection", Value: "close"})
	return append(out, given.Without("Host", "Connection")...)
}
