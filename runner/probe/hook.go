package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// hookAgent is what the kubelet of this version of Kubernetes sends with the
// requests of hooks.
const hookAgent = "kube-lifecycle/1.37"

// Get makes the request of a hook. Any answer is a success, whatever its
// status. A server that answers an HTTPS request in plain HTTP is asked again
// so, without Authorization. Errors quote neither the path nor the answer.
// Source: pkg/kubelet/lifecycle/handlers.go.
func Get(ctx context.Context, host string, p *api.HTTPProbe) error {
	at, err := target(host, p)
	if err != nil {
		return errors.New("the path is not one of a URL")
	}
	err = follow(ctx, at, p)
	var answer tls.RecordHeaderError
	if errors.As(err, &answer) && strings.HasPrefix(string(answer.RecordHeader[:]), "HTTP/") {
		plain, without := *at, *p
		plain.Scheme = "http"
		without.Headers = slices.DeleteFunc(slices.Clone(p.Headers), func(h [2]string) bool { return strings.EqualFold(h[0], "Authorization") })
		err = follow(ctx, &plain, &without)
	}
	return err
}

// follow asks, and asks on where an answer leads to the same host.
func follow(ctx context.Context, at *url.URL, p *api.HTTPProbe) error {
	for range maxRedirects {
		res, err := get(ctx, at, p, hookAgent)
		if err != nil {
			return err
		}
		location := res.Fields.Get("Location")
		if !redirects(res.Code) || location == "" {
			return nil
		}
		next, err := at.Parse(location)
		if err != nil {
			return errors.New("it was redirected to what is no URL")
		}
		if next.Hostname() != at.Hostname() {
			return nil
		}
		at = next
	}
	return fmt.Errorf("stopped after %d redirects", maxRedirects)
}
