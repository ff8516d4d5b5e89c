package holder

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// check is one probe.
type check struct {
	url     *url.URL
	timeout time.Duration
	headers [][2]string
}

// parseChecks reads URLs, each with the options in front of it.
func parseChecks(args []string) ([]check, error) {
	fresh := check{timeout: time.Second} // Kubernetes' default
	var out []check
	next := fresh
	for _, arg := range args {
		option, value, _ := strings.Cut(arg, "=")
		switch {
		case option == "--timeout":
			timeout, err := time.ParseDuration(value)
			if err != nil || timeout <= 0 {
				return nil, fmt.Errorf("%w: %q is not a time such as 1s", errUsage, value)
			}
			next.timeout = timeout
		case option == "--header":
			name, text, ok := strings.Cut(value, ":")
			if !ok || strings.ContainsAny(value, "\r\n") {
				return nil, fmt.Errorf("%w: %q is not a header", errUsage, value)
			}
			next.headers = append(next.headers, [2]string{name, text})
		case strings.HasPrefix(arg, "-"):
			return nil, fmt.Errorf("%w: check has no option %q", errUsage, arg)
		default:
			u, err := url.Parse(arg)
			if err != nil || !slices.Contains([]string{"http", "https", "tcp", "grpc", "grpcs"}, u.Scheme) || u.Port() == "" {
				return nil, fmt.Errorf("%w: %q is not like http://:8080/path, tcp://:6379 or grpc://:9000/service", errUsage, arg)
			}
			next.url = u
			out, next = append(out, next), fresh
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: check needs a URL", errUsage)
	}
	return out, nil
}

// runChecks runs all checks at once; the error names each that failed.
func runChecks(ctx context.Context, address string, checks []check) error {
	failures := make([]error, len(checks))
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, c.timeout)
			defer cancel()
			if err := c.run(ctx, address); err != nil {
				failures[i] = fmt.Errorf("%s: %w", c.url, err)
			}
		})
	}
	all.Wait()
	return errors.Join(failures...)
}

func (c check) run(ctx context.Context, address string) error {
	if host := c.url.Hostname(); host != "" {
		address = host
	}
	switch c.url.Scheme {
	case "tcp":
		conn, err := connect(ctx, address, c.url)
		if err == nil {
			conn.Close()
		}
		return err
	case "grpc", "grpcs":
		conn, err := connect(ctx, address, c.url)
		if err != nil {
			return err
		}
		defer conn.Close()
		return grpcHealth(conn, strings.TrimPrefix(c.url.Path, "/"))
	}
	return c.http(ctx, address)
}

// connect dials the port of u at address, in TLS for https and grpcs. The
// connection's deadline is that of ctx.
func connect(ctx context.Context, address string, u *url.URL) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(address, u.Port()))
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	if u.Scheme != "https" && u.Scheme != "grpcs" {
		return conn, nil
	}
	// A probe asks whether the server answers, not who it is: as in Kubernetes,
	// certificates are not verified.
	config := &tls.Config{InsecureSkipVerify: true}
	if u.Scheme == "grpcs" {
		config.NextProtos = []string{"h2"} // servers of gRPC want it named
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

const (
	maxRedirects = 10      // on the same host, as in Kubernetes
	maxHead      = 1 << 16 // bytes of a response's head
)

// http succeeds on a status from 200 to 399. A redirect is followed on the same
// host; one to another host is a success, as in Kubernetes.
func (c check) http(ctx context.Context, address string) error {
	self := net.JoinHostPort(address, c.url.Port())
	at := *c.url
	at.Host = self
	for range maxRedirects + 1 {
		status, location, err := c.get(ctx, address, &at)
		switch {
		case err != nil:
			return err
		case status < 200 || status >= 400:
			return fmt.Errorf("status %d", status)
		case location == "" || status < 300:
			return nil
		}
		next, err := at.Parse(location)
		if err != nil {
			return fmt.Errorf("redirect to %q: %w", location, err)
		}
		if next.Hostname() != at.Hostname() {
			return nil
		}
		if next.Port() == "" {
			next.Host = net.JoinHostPort(next.Hostname(), map[string]string{"http": "80", "https": "443"}[next.Scheme])
		}
		at = *next
	}
	return fmt.Errorf("more than %d redirects", maxRedirects)
}

// get asks once and reads the head of the answer.
func (c check) get(ctx context.Context, address string, u *url.URL) (status int, location string, err error) {
	conn, err := connect(ctx, address, u)
	if err != nil {
		return 0, "", err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, c.request(u)); err != nil {
		return 0, "", err
	}
	reader := textproto.NewReader(bufio.NewReader(io.LimitReader(conn, maxHead)))
	for {
		line, err := reader.ReadLine()
		if err != nil {
			return 0, "", fmt.Errorf("no answer: %w", err)
		}
		proto, rest, _ := strings.Cut(line, " ")
		code, _, _ := strings.Cut(rest, " ")
		if status, err = strconv.Atoi(code); err != nil || !strings.HasPrefix(proto, "HTTP/") {
			return 0, "", fmt.Errorf("%q is no answer in HTTP", line)
		}
		head, err := reader.ReadMIMEHeader()
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, "", fmt.Errorf("the answer's head: %w", err)
		}
		if status >= 200 { // 1xx only announces the answer
			return status, head.Get("Location"), nil
		}
	}
}

// request is the text of the request. Headers of the definition replace ours;
// an empty Accept takes it out.
func (c check) request(u *url.URL) string {
	head := [][2]string{{"Host", u.Host}, {"User-Agent", "kube-probe/1.37"}, {"Accept", "*/*"}}
	for _, h := range c.headers {
		i := slices.IndexFunc(head, func(have [2]string) bool { return strings.EqualFold(have[0], h[0]) })
		if i >= 0 && i < 3 {
			head[i][1] = h[1]
		} else {
			head = append(head, h)
		}
	}
	var b strings.Builder
	b.WriteString("GET " + u.RequestURI() + " HTTP/1.1\r\n")
	for _, h := range head {
		if h[0] != "Accept" || h[1] != "" {
			b.WriteString(h[0] + ": " + strings.TrimSpace(h[1]) + "\r\n")
		}
	}
	b.WriteString("Connection: close\r\n\r\n")
	return b.String()
}
