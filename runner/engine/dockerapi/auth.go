package dockerapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"
)

// dockerConfig is the part of docker's config.json that we read.
type dockerConfig struct {
	CurrentContext string                `json:"currentContext"`
	Auths          map[string]configAuth `json:"auths"`
	CredsStore     string                `json:"credsStore"`
	CredHelpers    map[string]string     `json:"credHelpers"`

	given map[string]configAuth // of $DOCKER_AUTH_CONFIG
}

// configAuth is one entry of auths: "auth" is base64 of user:password.
type configAuth struct {
	Auth          string `json:"auth"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// dockerHub is the key under which docker files the credentials of its own
// registry, docker.io: an address, for historical reasons.
const dockerHub = "https://index.docker.io/v1/"

// hubNames are the names under which people file them by hand.
func hubNames() []string {
	return []string{dockerHub, "index.docker.io", "docker.io", "registry-1.docker.io", "registry.hub.docker.com"}
}

// registryKey is the key of an image's registry in docker's configuration.
func registryKey(ref string) (string, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", err
	}
	if domain := reference.Domain(named); domain != "docker.io" {
		return domain, nil
	}
	return dockerHub, nil
}

// keysOf are the names a registry may have in docker's configuration.
func keysOf(key string) []string {
	if key == dockerHub {
		return hubNames()
	}
	return []string{key}
}

// credentials finds the credentials of a registry: those of the environment,
// its own helper, the general store, the file, in this order. helper runs a credential helper's "get"; it
// gives nothing for a registry that the helper does not know, and then the file
// counts as well.
func (cfg dockerConfig) credentials(key string, helper func(name, key string) (registry.AuthConfig, error)) (registry.AuthConfig, error) {
	if entry, ok := entryOf(cfg.given, key); ok {
		return entry.decode(key)
	}
	name := cfg.CredsStore
	for _, k := range keysOf(key) {
		if own := cfg.CredHelpers[k]; own != "" {
			name = own
			break
		}
	}
	if name != "" {
		if auth, err := helper(name, key); err != nil || auth != (registry.AuthConfig{}) {
			return auth, err
		}
	}
	if entry, ok := entryOf(cfg.Auths, key); ok {
		return entry.decode(key)
	}
	return registry.AuthConfig{}, nil
}

// entryOf finds a registry under any of its names. Docker leaves empty entries
// where a store has the credentials.
func entryOf(auths map[string]configAuth, key string) (configAuth, bool) {
	for _, k := range keysOf(key) {
		for _, addr := range slices.Sorted(maps.Keys(auths)) {
			if entry := auths[addr]; (addr == k || hostOf(addr) == k) && entry != (configAuth{}) {
				return entry, true
			}
		}
	}
	return configAuth{}, false
}

// hostOf strips what old docker versions put around a registry's host name.
func hostOf(addr string) string {
	addr = strings.TrimPrefix(strings.TrimPrefix(addr, "https://"), "http://")
	host, _, _ := strings.Cut(addr, "/")
	return host
}

func (a configAuth) decode(key string) (registry.AuthConfig, error) {
	auth := registry.AuthConfig{
		Username: a.Username, Password: a.Password, ServerAddress: key,
		IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken,
	}
	if a.Auth == "" {
		return auth, nil
	}
	text, err := base64.StdEncoding.DecodeString(a.Auth)
	user, password, ok := strings.Cut(string(text), ":")
	if err != nil || !ok {
		return registry.AuthConfig{}, fmt.Errorf("docker's credentials for %s are not base64 of user:password", key)
	}
	auth.Username, auth.Password = user, strings.TrimRight(password, "\x00")
	return auth, nil
}

// helperPatience is how long a helper gets to answer: one that asks a person
// for a password needs a while, one that hangs must not hang us.
const helperPatience = 2 * time.Minute

// runHelper speaks the protocol of docker's credential helpers: the registry
// on standard input, JSON on standard output.
func runHelper(ctx context.Context, name, key string) (registry.AuthConfig, error) {
	ctx, cancel := context.WithTimeout(ctx, helperPatience)
	defer cancel()
	program := "docker-credential-" + name
	cmd := exec.CommandContext(ctx, program, "get")
	cmd.Stdin = strings.NewReader(key)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return registry.AuthConfig{}, fmt.Errorf("docker's configuration names the credential helper %s for %s, and there is no such program", program, key)
	}
	if err != nil {
		said := helperWords(out, stderr.Bytes())
		if strings.Contains(said, "credentials not found") {
			return registry.AuthConfig{}, nil
		}
		return registry.AuthConfig{}, fmt.Errorf("%s, asked for the credentials of %s: %w: %s", program, key, err, said)
	}
	var got struct{ Username, Secret string }
	if err := json.Unmarshal(out, &got); err != nil {
		return registry.AuthConfig{}, fmt.Errorf("%s, asked for the credentials of %s: its answer is not JSON", program, key)
	}
	auth := registry.AuthConfig{Username: got.Username, Password: got.Secret, ServerAddress: key}
	if got.Username == "<token>" { // the protocol's way to say: an identity token
		auth.Username, auth.Password, auth.IdentityToken = "", "", got.Secret
	}
	return auth, nil
}

// helperWords is what a helper that failed has said. Helpers complain on either
// stream; an answer on standard output may hold a secret and is not shown.
func helperWords(stdout, stderr []byte) string {
	said := strings.TrimSpace(string(stderr))
	if out := strings.TrimSpace(string(stdout)); !strings.ContainsAny(out, "{}\"") {
		said = strings.TrimSpace(out + " " + said)
	}
	return said
}
