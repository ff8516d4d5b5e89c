package dockerapi

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/docker/docker/client"
)

// Flags name an engine on the command line. At most one may be set.
type Flags struct {
	Host    string // an address, as in DOCKER_HOST
	Context string // a docker context
}

// Endpoint is an engine's address and how it was found.
type Endpoint struct {
	Host   string // "unix:///var/run/docker.sock", "tcp://...", "ssh://...", "npipe://..."
	Source string // for messages: "DOCKER_HOST", `docker context "desktop"`
	TLS    *TLS   // nil means plain
}

// TLS is what a TLS connection needs, in PEM. Empty members are left out.
type TLS struct {
	CA, Cert, Key []byte
	SkipVerify    bool
}

// Resolve finds the engine in the order of the docker CLI: the host flag, the
// context flag, DOCKER_HOST, DOCKER_CONTEXT, currentContext of docker's
// config.json, the default socket. It reads the environment and files through
// its arguments only; readFile says fs.ErrNotExist for a file that is absent.
//
// DOCKER_API_VERSION is not honoured: the version is always negotiated.
func Resolve(lookupEnv func(string) (string, bool), readFile func(string) ([]byte, error), flags Flags) (Endpoint, error) {
	r := resolver{lookupEnv, readFile}
	if flags.Host != "" && flags.Context != "" {
		return Endpoint{}, errors.New("an engine is named by a host or by a context, not by both")
	}
	if flags.Host != "" {
		return r.byHost(flags.Host, "the command line")
	}
	if flags.Context != "" {
		return r.byContext(flags.Context, "the command line")
	}
	if host := r.env("DOCKER_HOST"); host != "" {
		return r.byHost(host, "DOCKER_HOST")
	}
	if name := r.env("DOCKER_CONTEXT"); name != "" {
		return r.byContext(name, "DOCKER_CONTEXT")
	}
	cfg, err := r.config()
	if err != nil {
		return Endpoint{}, err
	}
	if cfg.CurrentContext != "" {
		return r.byContext(cfg.CurrentContext, r.configFile())
	}
	return r.byHost("", "the default")
}

type resolver struct {
	lookupEnv func(string) (string, bool)
	readFile  func(string) ([]byte, error)
}

func (r resolver) env(name string) string {
	v, _ := r.lookupEnv(name)
	return v
}

// configDir is $DOCKER_CONFIG, or .docker in the home directory.
func (r resolver) configDir() string {
	if dir := r.env("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	home := r.env("HOME")
	if home == "" {
		home = r.env("USERPROFILE") // Windows
	}
	return path.Join(home, ".docker")
}

func (r resolver) configFile() string { return path.Join(r.configDir(), "config.json") }

// config is docker's config.json, empty when there is none.
func (r resolver) config() (dockerConfig, error) {
	var cfg dockerConfig
	data, err := r.optional(r.configFile())
	if err != nil {
		return cfg, err
	}
	if len(data) > 0 {
		if err := json.Unmarshal(data, &cfg); err != nil {
			return cfg, fmt.Errorf("docker's configuration %s: %w", r.configFile(), err)
		}
	}
	return cfg, cfg.addAuths(r.env("DOCKER_AUTH_CONFIG"))
}

// addAuths adds the credentials of $DOCKER_AUTH_CONFIG, which win: JSON with
// "auths", as in the file.
func (cfg *dockerConfig) addAuths(text string) error {
	if text == "" {
		return nil
	}
	var more dockerConfig
	if json.Unmarshal([]byte(text), &more) != nil {
		return errors.New("DOCKER_AUTH_CONFIG is not JSON") // without the cause, which quotes a secret
	}
	cfg.given = more.Auths
	return nil
}

// optional reads a file; nil when it does not exist.
func (r resolver) optional(name string) ([]byte, error) {
	data, err := r.readFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// byHost is an endpoint with the TLS settings of the environment, as the
// docker CLI has it. "" is the default socket.
func (r resolver) byHost(host, source string) (Endpoint, error) {
	if host == "" {
		return Endpoint{Host: client.DefaultDockerHost, Source: source}, nil
	}
	ep := Endpoint{Host: host, Source: source}
	verify, plain := r.env("DOCKER_TLS_VERIFY") != "", r.env("DOCKER_TLS") == ""
	useTLS := verify || !plain
	ep.Host = normalizeHost(host, useTLS)
	if !useTLS || !strings.HasPrefix(ep.Host, "tcp://") {
		return ep, nil
	}
	dir := r.env("DOCKER_CERT_PATH")
	if dir == "" {
		dir = r.configDir()
	}
	tls, err := r.readTLS(dir)
	if err != nil {
		return Endpoint{}, err
	}
	tls.SkipVerify = !verify
	ep.TLS = tls
	return ep, nil
}

// normalizeHost adds what the docker CLI lets one leave out: the scheme of a
// TCP address and its port.
func normalizeHost(host string, useTLS bool) string {
	if !strings.Contains(host, "://") {
		host = "tcp://" + host
	}
	addr, isTCP := strings.CutPrefix(host, "tcp://")
	if isTCP && !strings.Contains(addr[strings.LastIndex(addr, "]")+1:], ":") {
		port := ":2375"
		if useTLS {
			port = ":2376"
		}
		host += port
	}
	return host
}

// byContext reads a context from docker's store: a directory per context named
// by the hash of the context's name.
func (r resolver) byContext(name, source string) (Endpoint, error) {
	if name == "default" {
		// Docker's "default" context is what the environment says.
		return r.byHost(r.env("DOCKER_HOST"), "the default")
	}
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
	data, err := r.readFile(path.Join(r.configDir(), "contexts", "meta", hash, "meta.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return Endpoint{}, fmt.Errorf("docker context %q, named by %s, does not exist; see `docker context ls`", name, source)
	}
	if err != nil {
		return Endpoint{}, fmt.Errorf("docker context %q: %w", name, err)
	}
	var meta contextMeta
	if err := json.Unmarshal(data, &meta); err != nil {
		return Endpoint{}, fmt.Errorf("docker context %q: %w", name, err)
	}
	docker, ok := meta.Endpoints["docker"]
	if !ok {
		return Endpoint{}, fmt.Errorf("docker context %q has no docker endpoint", name)
	}
	ep := Endpoint{Host: docker.Host, Source: fmt.Sprintf("docker context %q", name)}
	if ep.Host == "" {
		ep.Host = client.DefaultDockerHost
	}
	tls, err := r.readTLS(path.Join(r.configDir(), "contexts", "tls", hash, "docker"))
	if err != nil {
		return Endpoint{}, fmt.Errorf("docker context %q: %w", name, err)
	}
	tls.SkipVerify = docker.SkipTLSVerify
	if tls.SkipVerify || len(tls.CA)+len(tls.Cert)+len(tls.Key) > 0 {
		ep.TLS = tls
	}
	return ep, nil
}

// readTLS reads the three PEM files that docker keeps in a directory.
func (r resolver) readTLS(dir string) (*TLS, error) {
	t := &TLS{}
	for _, f := range []struct {
		name string
		to   *[]byte
	}{{"ca.pem", &t.CA}, {"cert.pem", &t.Cert}, {"key.pem", &t.Key}} {
		data, err := r.optional(path.Join(dir, f.name))
		if err != nil {
			return nil, err
		}
		*f.to = data
	}
	return t, nil
}

// contextMeta is the part of a context's meta.json that we read.
type contextMeta struct {
	Endpoints map[string]struct {
		Host          string
		SkipTLSVerify bool
	}
}

// socketHints are the sockets of other engines that people commonly have, for
// a message; they are never used on our own. exists tells whether a path does.
func socketHints(lookupEnv func(string) (string, bool), exists func(string) bool, inUse string) []string {
	r := resolver{lookupEnv: lookupEnv}
	candidates := []string{"/var/run/docker.sock", "/run/podman/podman.sock"}
	if dir := r.env("XDG_RUNTIME_DIR"); dir != "" {
		candidates = append(candidates, path.Join(dir, "docker.sock"), path.Join(dir, "podman", "podman.sock"))
	}
	if home := r.env("HOME"); home != "" {
		candidates = append(candidates,
			path.Join(home, ".docker", "run", "docker.sock"), path.Join(home, ".colima", "default", "docker.sock"))
	}
	var found []string
	for _, c := range candidates {
		if host := "unix://" + c; host != inUse && exists(c) {
			found = append(found, host)
		}
	}
	return found
}
