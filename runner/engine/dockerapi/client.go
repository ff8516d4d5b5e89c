// Package dockerapi runs the runner's engine calls on a real engine: Docker
// from 20.10, or whatever else speaks its API, such as podman.
//
// It is an adapter and nothing more: every method is one call of the engine or
// a few, values are translated, errors get their kind. It is the only importer
// of the Docker client.
package dockerapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/docker/cli/cli/connhelper"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"

	"github.com/cuepod/cuepod/runner/engine"
)

// Options say where the engine is. The zero value is what the environment says.
type Options struct {
	Flags
	LookupEnv func(string) (string, bool)  // nil means os.LookupEnv
	ReadFile  func(string) ([]byte, error) // nil means os.ReadFile
}

// Client is an engine. It is safe for concurrent use.
type Client struct {
	opts     Options
	endpoint Endpoint
	api      *client.Client
}

var _ engine.Engine = (*Client)(nil)

// New resolves the endpoint and returns a client for it. It does not connect:
// the first call, best Info, tells whether somebody answers.
func New(opts Options) (*Client, error) {
	if opts.LookupEnv == nil {
		opts.LookupEnv = os.LookupEnv
	}
	if opts.ReadFile == nil {
		opts.ReadFile = os.ReadFile
	}
	endpoint, err := Resolve(opts.LookupEnv, opts.ReadFile, opts.Flags)
	if err != nil {
		return nil, &engine.Error{Kind: engine.Unreachable, Op: "find the container engine", Err: err}
	}
	api, err := dial(endpoint)
	if err != nil {
		err = fmt.Errorf("%s (from %s): %w", endpoint.Host, endpoint.Source, err)
		return nil, &engine.Error{Kind: engine.Unreachable, Op: "find the container engine", Err: err}
	}
	return &Client{opts: opts, endpoint: endpoint, api: api}, nil
}

// dial makes the API client. Nothing goes over the wire yet.
func dial(ep Endpoint) (*client.Client, error) {
	opts := []client.Opt{client.WithAPIVersionNegotiation()}
	if ep.TLS != nil {
		cfg, err := ep.TLS.config()
		if err != nil {
			return nil, err
		}
		opts = append(opts, client.WithHTTPClient(&http.Client{
			Transport:     &http.Transport{TLSClientConfig: cfg},
			CheckRedirect: client.CheckRedirect,
		}))
	}
	helper, err := connhelper.GetConnectionHelper(ep.Host) // only ssh:// has one
	if err != nil {
		return nil, err
	}
	if helper != nil {
		opts = append(opts, client.WithHost(helper.Host), client.WithDialContext(helper.Dialer))
	} else {
		opts = append(opts, client.WithHost(ep.Host))
	}
	return client.NewClientWithOpts(opts...)
}

func (t *TLS) config() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: t.SkipVerify}
	if len(t.CA) > 0 {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(t.CA) {
			return nil, errors.New("ca.pem holds no certificate")
		}
	}
	if len(t.Cert) > 0 || len(t.Key) > 0 {
		cert, err := tls.X509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("cert.pem and key.pem: %w", err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg, nil
}

// Close implements engine.Engine. It ends idle connections, not streams.
func (c *Client) Close() error {
	return c.fail("close", "", c.api.Close())
}

// Info implements engine.Engine.
func (c *Client) Info(ctx context.Context) (engine.Info, error) {
	const op = "ask the container engine"
	ctx, done := within(ctx, askPatience)
	defer done()
	version, err := c.api.ServerVersion(ctx)
	if err != nil {
		return engine.Info{}, c.fail(op, "", heard(ctx, err))
	}
	info, err := c.api.Info(ctx)
	if err != nil {
		return engine.Info{}, c.fail(op, "", heard(ctx, err))
	}
	out := engine.Info{
		Name:          engineName(version),
		Version:       version.Version,
		APIVersion:    c.api.ClientVersion(),
		OS:            version.Os,
		Arch:          version.Arch,
		Endpoint:      c.endpoint.Host,
		Rootless:      slices.ContainsFunc(info.SecurityOptions, func(s string) bool { return strings.HasPrefix(s, "name=rootless") }),
		NumCPU:        info.NCPU,
		Memory:        info.MemTotal,
		Images:        versions.GreaterThanOrEqualTo(c.api.ClientVersion(), imageMountAPI),
		SubPaths:      versions.GreaterThanOrEqualTo(c.api.ClientVersion(), subPathAPI),
		DriverMessage: remark(info.Warnings),
	}
	out.Local, err = c.local(ctx, out, info)
	return out, c.fail(op, "", heard(ctx, err))
}

func engineName(v types.Version) string {
	for _, part := range v.Components {
		if strings.HasPrefix(part.Name, "Podman") {
			return "podman"
		}
	}
	return "docker"
}

// remark picks the engine's warnings that explain why a pod might not be
// reachable. The others are about cgroup features that nothing here uses.
func remark(warnings []string) string {
	var kept []string
	for _, w := range warnings {
		if strings.Contains(w, "forwarding") || strings.Contains(w, "bridge-nf-call") {
			kept = append(kept, strings.TrimPrefix(w, "WARNING: "))
		}
	}
	return strings.Join(kept, "; ")
}

// local tells whether this machine can reach container addresses: the engine
// is behind a Unix socket on Linux, and the gateway of one of its bridges is
// an address of ours. A rootless engine and a virtual machine have the socket
// here and the bridges elsewhere.
func (c *Client) local(ctx context.Context, is engine.Info, info system.Info) (bool, error) {
	if runtime.GOOS != "linux" || !strings.HasPrefix(c.endpoint.Host, "unix://") ||
		is.Rootless || info.OperatingSystem == "Docker Desktop" {
		return false, nil
	}
	if is.Name == "podman" {
		return true, nil // its bridges come and go with the containers
	}
	nets, err := c.api.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("driver", "bridge"))})
	if err != nil {
		return false, err
	}
	ours, err := net.InterfaceAddrs()
	if err != nil {
		return false, err
	}
	for _, n := range nets {
		for _, cfg := range n.IPAM.Config {
			gateway := net.ParseIP(cfg.Gateway)
			if gateway != nil && slices.ContainsFunc(ours, func(a net.Addr) bool {
				ip, ok := a.(*net.IPNet)
				return ok && ip.IP.Equal(gateway)
			}) {
				return true, nil
			}
		}
	}
	return false, nil
}

// labelFilter asks for objects that carry all the labels.
func labelFilter(labels map[string]string) filters.Args {
	args := filters.NewArgs()
	for k, v := range labels {
		args.Add("label", k+"="+v)
	}
	return args
}
