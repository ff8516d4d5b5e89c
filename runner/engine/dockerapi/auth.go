package dockerapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"
)

// dockerConfig is the part of docker's config.json that we read.
type dockerConfig struct {
	CurrentContext string                `json:"currentContext"`
	Auths          map[string]configAuth `json:"auths"`
	CredsStore     string                `json:"credsStore"`
	CredHelpers    map[string]string     `json:"credHelpers"`
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

// credentials finds the credentials of a registry: its own helper, then the
// general store, then the file. helper runs a credential helper's "get"; it
// gives nothing for a registry that the helper does not know.
func (cfg dockerConfig) credentials(key string, helper func(name, key string) (registry.AuthConfig, error)) (registry.AuthConfig, error) {
	name := cfg.CredHelpers[key]
	if name == "" {
		name = cfg.CredsStore
	}
	if name != "" {
		return helper(name, key)
	}
	for addr, entry := range cfg.Auths {
		if addr == key || hostOf(addr) == key {
			return entry.decode(key)
		}
	}
	return registry.AuthConfig{}, nil
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

// runHelper speaks the protocol of docker's credential helpers: the registry
// on standard input, JSON on standard output.
func runHelper(ctx context.Context, name, key string) (registry.AuthConfig, error) {
	program := "docker-credential-" + name
	cmd := exec.CommandContext(ctx, program, "get")
	cmd.Stdin = strings.NewReader(key)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		said := strings.TrimSpace(string(out) + stderr.String()) // helpers report on either
		if strings.Contains(said, "credentials not found") {
			return registry.AuthConfig{}, nil
		}
		return registry.AuthConfig{}, fmt.Errorf("%s: %w: %s", program, err, said)
	}
	var got struct{ Username, Secret string }
	if err := json.Unmarshal(out, &got); err != nil {
		return registry.AuthConfig{}, errors.New(program + ": its answer is not JSON")
	}
	auth := registry.AuthConfig{Username: got.Username, Password: got.Secret, ServerAddress: key}
	if got.Username == "<token>" { // the protocol's way to say: an identity token
		auth.Username, auth.Password, auth.IdentityToken = "", "", got.Secret
	}
	return auth, nil
}
