package dockerapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"github.com/cuepod/cuepod/runner/engine"
)

// fail makes an engine error of what the client library said. It returns nil
// for nil.
func (c *Client) fail(op, object string, err error) error {
	if err == nil {
		return nil
	}
	kind := kindOf(op, err)
	if kind == engine.Unreachable {
		err = c.unreachable(err)
	}
	return &engine.Error{Kind: kind, Op: op, Object: object, Err: plain{err}}
}

// plain drops the words that every engine error starts with and that tell a
// person nothing, and what a registry or a program may have put in for a terminal.
type plain struct{ error }

func (p plain) Error() string {
	return engine.Clean(strings.TrimPrefix(p.error.Error(), "Error response from daemon: "))
}

func (p plain) Unwrap() error { return p.error }

// unreachable says which engine was asked, who named it, and where else one
// might be.
func (c *Client) unreachable(err error) error {
	text := fmt.Errorf("no container engine answers at %s (from %s): %w", c.endpoint.Host, c.endpoint.Source, err)
	if client.IsErrConnectionFailed(err) {
		// The library's sentence repeats the address and guesses at causes.
		text = fmt.Errorf("no container engine answers at %s (from %s)%s", c.endpoint.Host, c.endpoint.Source, causeOf(err))
	}
	exists := func(path string) bool { _, err := os.Stat(path); return err == nil }
	others := socketHints(c.opts.LookupEnv, exists, c.endpoint.Host)
	if len(others) == 0 {
		return fmt.Errorf("%w; start one, or name one with DOCKER_HOST or a docker context", text)
	}
	return fmt.Errorf("%w; there is also %s: name one with DOCKER_HOST", text, strings.Join(others, ", "))
}

// causeOf is the system's word on why a connection failed, where the library
// keeps it.
func causeOf(err error) string {
	text := err.Error()
	if rest, ok := strings.CutPrefix(text, "error during connect: "); ok {
		return ": " + rest
	}
	if strings.Contains(text, "permission denied") {
		return ": permission denied; is this user in the docker group?"
	}
	return ""
}

// sentences are the engines' words for failures that they give no code of
// their own, in lower case. A sentence matches when all its parts occur.
func sentences() []sentence {
	return []sentence{
		{engine.ImageMissing, "create container", []string{"no such image"}},
		{engine.ImageMissing, "pull image", []string{"not found"}},
		{engine.ImageMissing, "pull image", []string{"manifest unknown"}},
		{engine.ImageMissing, "pull image", []string{"name unknown"}}, // the registry has nothing of that name
		{engine.ImageMissing, "pull image", []string{"pull access denied"}},
		{engine.ImageMissing, "pull image", []string{"repository does not exist"}},
		{engine.NameTaken, "rename container", []string{"already in use"}},
		{engine.PortTaken, "start container", []string{"port is already allocated"}},
		{engine.PortTaken, "start container", []string{"bind", "address already in use"}}, // "address already in use" alone is a fixed IP
		{engine.PortTaken, "start container", []string{"ports are not available"}},        // Docker Desktop
		{engine.NetworkInUse, "remove network", []string{"has active endpoints"}},
		{engine.SubnetTaken, "create network", []string{"overlap"}},
		{engine.SubnetTaken, "create network", []string{"already used on the host"}}, // podman
	}
}

type sentence struct {
	kind  engine.Kind
	op    string
	parts []string
}

func kindOf(op string, err error) engine.Kind {
	text := strings.ToLower(err.Error())
	for _, s := range sentences() {
		missing := func(part string) bool { return !strings.Contains(text, part) }
		if s.op == op && !slices.ContainsFunc(s.parts, missing) {
			return s.kind
		}
	}
	var quiet *silence
	switch {
	case errors.As(err, &quiet):
		return engine.Unreachable
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return engine.Other
	case isTransport(err):
		return engine.Unreachable
	case cerrdefs.IsNotFound(err), strings.HasSuffix(text, "received 404"): // the latter from a stream's handshake
		return engine.NotFound
	case cerrdefs.IsConflict(err) && op == "remove image":
		return engine.ImageInUse
	case cerrdefs.IsConflict(err) && strings.HasPrefix(op, "create "):
		return engine.NameTaken
	}
	return engine.Other
}

// isTransport tells a connection that failed or broke from an answer that says
// no.
func isTransport(err error) bool {
	var netErr net.Error
	return client.IsErrConnectionFailed(err) || errors.As(err, &netErr) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
