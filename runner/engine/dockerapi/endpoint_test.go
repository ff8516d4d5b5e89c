package dockerapi

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// contextFile is where docker keeps a file of a context.
func contextFile(kind, name, file string) string {
	return fmt.Sprintf("/home/me/.docker/contexts/%s/%x/%s", kind, sha256.Sum256([]byte(name)), file)
}

func TestResolve(t *testing.T) {
	const config = "/home/me/.docker/config.json"
	desktop := map[string]string{
		contextFile("meta", "desktop", "meta.json"): `{"Name":"desktop","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///home/me/desktop.sock","SkipTLSVerify":false}}}`,
	}
	remote := map[string]string{
		contextFile("meta", "far", "meta.json"):      `{"Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":true}}}`,
		contextFile("tls", "far", "docker/ca.pem"):   "CA",
		contextFile("tls", "far", "docker/cert.pem"): "CERT",
		contextFile("tls", "far", "docker/key.pem"):  "KEY",
	}
	for _, test := range []struct {
		name  string
		flags Flags
		env   map[string]string
		files map[string]string
		want  Endpoint
		err   string
	}{
		{name: "nothing said: the default socket", want: Endpoint{Host: "unix:///var/run/docker.sock", Source: "the default"}},
		{
			name: "the host flag wins over everything", flags: Flags{Host: "tcp://a:1"},
			env:   map[string]string{"DOCKER_HOST": "tcp://b:1", "DOCKER_CONTEXT": "desktop"},
			files: desktop, want: Endpoint{Host: "tcp://a:1", Source: "the command line"},
		},
		{
			name: "the context flag wins over DOCKER_HOST", flags: Flags{Context: "desktop"},
			env: map[string]string{"DOCKER_HOST": "tcp://b:1"}, files: desktop,
			want: Endpoint{Host: "unix:///home/me/desktop.sock", Source: `docker context "desktop"`},
		},
		{
			name: "both flags", flags: Flags{Host: "tcp://a:1", Context: "desktop"}, files: desktop,
			err: "an engine is named by a host or by a context, not by both",
		},
		{
			name: "DOCKER_HOST wins over DOCKER_CONTEXT", env: map[string]string{"DOCKER_HOST": "ssh://me@b", "DOCKER_CONTEXT": "desktop"},
			files: desktop, want: Endpoint{Host: "ssh://me@b", Source: "DOCKER_HOST"},
		},
		{
			name: "an empty DOCKER_HOST says nothing", env: map[string]string{"DOCKER_HOST": "", "DOCKER_CONTEXT": "desktop"},
			files: desktop, want: Endpoint{Host: "unix:///home/me/desktop.sock", Source: `docker context "desktop"`},
		},
		{
			name:  "DOCKER_CONTEXT wins over the configuration",
			env:   map[string]string{"DOCKER_CONTEXT": "default"},
			files: map[string]string{config: `{"currentContext":"desktop"}`},
			want:  Endpoint{Host: "unix:///var/run/docker.sock", Source: "the default"},
		},
		{
			name: "the current context", files: merge(desktop, map[string]string{config: `{"currentContext":"desktop"}`}),
			want: Endpoint{Host: "unix:///home/me/desktop.sock", Source: `docker context "desktop"`},
		},
		{
			name: "DOCKER_CONFIG moves the configuration", env: map[string]string{"DOCKER_CONFIG": "/etc/mine"},
			files: map[string]string{"/etc/mine/config.json": `{"currentContext":"gone"}`},
			err:   "docker context \"gone\", named by /etc/mine/config.json, does not exist; see `docker context ls`",
		},
		{name: "no such context", flags: Flags{Context: "gone"}, err: "docker context \"gone\", named by the command line, does not exist; see `docker context ls`"},
		{
			name: "a context without docker", flags: Flags{Context: "k"},
			files: map[string]string{contextFile("meta", "k", "meta.json"): `{"Endpoints":{"kubernetes":{}}}`},
			err:   `docker context "k" has no docker endpoint`,
		},
		{name: "a broken configuration", files: map[string]string{config: "{"}, err: "docker's configuration /home/me/.docker/config.json: unexpected end of JSON input"},
		{
			name: "a context with TLS", flags: Flags{Context: "far"}, files: remote,
			want: Endpoint{Host: "tcp://far:2376", Source: `docker context "far"`, TLS: &TLS{CA: []byte("CA"), Cert: []byte("CERT"), Key: []byte("KEY"), SkipVerify: true}},
		},
		{
			name: "the environment's TLS is not for contexts", flags: Flags{Context: "desktop"}, files: desktop,
			env:  map[string]string{"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"},
			want: Endpoint{Host: "unix:///home/me/desktop.sock", Source: `docker context "desktop"`},
		},
		{
			name: "TLS from the environment", env: map[string]string{"DOCKER_HOST": "tcp://a", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"},
			files: map[string]string{"/certs/ca.pem": "CA"},
			want:  Endpoint{Host: "tcp://a:2376", Source: "DOCKER_HOST", TLS: &TLS{CA: []byte("CA")}},
		},
		{
			name: "TLS that trusts anybody, from the default directory", env: map[string]string{"DOCKER_HOST": "tcp://a", "DOCKER_TLS": "1"},
			files: map[string]string{"/home/me/.docker/cert.pem": "CERT", "/home/me/.docker/key.pem": "KEY"},
			want:  Endpoint{Host: "tcp://a:2376", Source: "DOCKER_HOST", TLS: &TLS{Cert: []byte("CERT"), Key: []byte("KEY"), SkipVerify: true}},
		},
		{
			name: "TLS is not for sockets", env: map[string]string{"DOCKER_HOST": "unix:///s", "DOCKER_TLS_VERIFY": "1"},
			want: Endpoint{Host: "unix:///s", Source: "DOCKER_HOST"},
		},
		{name: "no scheme, no port", flags: Flags{Host: "a"}, want: Endpoint{Host: "tcp://a:2375", Source: "the command line"}},
		{name: "an IPv6 address", flags: Flags{Host: "tcp://[::1]"}, want: Endpoint{Host: "tcp://[::1]:2375", Source: "the command line"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			env := merge(map[string]string{"HOME": "/home/me"}, test.env)
			got, err := Resolve(lookup(env), reader(test.files), test.flags)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if text := fmt.Sprint(err); err == nil && test.err != "" || err != nil && text != test.err {
				t.Errorf("error %v\nwant  %s", err, test.err)
			}
		})
	}
}

func TestSocketHints(t *testing.T) {
	exists := func(path string) bool {
		return path == "/run/user/7/docker.sock" || path == "/home/me/.colima/default/docker.sock" || path == "/var/run/docker.sock"
	}
	env := lookup(map[string]string{"HOME": "/home/me", "XDG_RUNTIME_DIR": "/run/user/7"})
	got := strings.Join(socketHints(env, exists, "unix:///var/run/docker.sock"), " ")
	if want := "unix:///run/user/7/docker.sock unix:///home/me/.colima/default/docker.sock"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func merge(maps ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, m := range maps {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := env[name]; return v, ok }
}

func reader(files map[string]string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		if data, ok := files[name]; ok {
			return []byte(data), nil
		}
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
}
