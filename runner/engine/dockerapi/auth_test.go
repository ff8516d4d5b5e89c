package dockerapi

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/registry"
)

// helperScript puts a credential helper on the PATH that runs a shell script.
func helperScript(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-test"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestRunHelper(t *testing.T) {
	const secret = "s3cr3t-canary"
	for _, tc := range []struct {
		name, script string
		want         registry.AuthConfig
		fault        string // part of the error
	}{
		{"user and password", `read server; echo "{\"ServerURL\":\"$server\",\"Username\":\"me\",\"Secret\":\"` + secret + `\"}"`,
			registry.AuthConfig{Username: "me", Password: secret, ServerAddress: "r.example"}, ""},
		{"an identity token", `echo '{"Username":"<token>","Secret":"` + secret + `"}'`,
			registry.AuthConfig{IdentityToken: secret, ServerAddress: "r.example"}, ""},
		{"nothing known", `echo "credentials not found in native keychain"; exit 1`, registry.AuthConfig{}, ""},
		{"a failure that says why", `echo "the keychain is locked"; exit 1`, registry.AuthConfig{}, "the keychain is locked"},
		{"a failure with an answer", `echo '{"Secret":"` + secret + `"}'; echo broken >&2; exit 1`, registry.AuthConfig{}, "broken"},
		{"no JSON", `echo "` + secret + `"`, registry.AuthConfig{}, "not JSON"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			helperScript(t, tc.script)
			got, err := runHelper(t.Context(), "test", "r.example")
			if got != tc.want {
				t.Errorf("got %+v", got)
			}
			switch {
			case tc.fault == "" && err != nil, tc.fault != "" && (err == nil || !strings.Contains(err.Error(), tc.fault)):
				t.Errorf("error %v", err)
			case err != nil && strings.Contains(err.Error(), secret):
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := runHelper(t.Context(), "test", "r.example"); err == nil || !strings.Contains(err.Error(), "docker-credential-test") {
		t.Errorf("no such program: %v", err)
	}
}

func TestConfig_CredentialsOfTheEnvironmentWin(t *testing.T) {
	file := reader(map[string]string{"/etc/docker-here/config.json": `{"auths":{"r.example":{"auth":"bWU6ZmlsZQ=="}},"credsStore":"never-asked"}`})
	env := map[string]string{"DOCKER_CONFIG": "/etc/docker-here", "DOCKER_AUTH_CONFIG": `{"auths":{"r.example":{"auth":"bWU6ZW52"}}}`}
	cfg, err := resolver{lookup(env), file}.config()
	if err != nil {
		t.Fatal(err)
	}
	got, err := cfg.credentials("r.example", func(string, string) (registry.AuthConfig, error) {
		t.Error("the store was asked")
		return registry.AuthConfig{}, nil
	})
	if err != nil || got.Password != "env" {
		t.Errorf("%+v, %v", got, err)
	}
	env["DOCKER_AUTH_CONFIG"] = `{"auths": s3cr3t`
	if _, err := (resolver{lookup(env), file}).config(); err == nil || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("broken: %v", err)
	}
}

func TestCredentials_DockerHubHasSeveralNames(t *testing.T) {
	for _, name := range []string{"https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io", "https://docker.io/v2/"} {
		key, err := registryKey("redis:7")
		if err != nil {
			t.Fatal(err)
		}
		cfg := dockerConfig{Auths: map[string]configAuth{name: {Username: "me", Password: "p"}}}
		if got, err := cfg.credentials(key, nil); err != nil || got.Username != "me" || got.ServerAddress != dockerHub {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	cfg := dockerConfig{
		CredHelpers: map[string]string{"docker.io": "own"},
		CredsStore:  "store",
		Auths:       map[string]configAuth{"r.example": {Username: "file"}, "empty.example": {}},
	}
	asked := ""
	helper := func(name, _ string) (registry.AuthConfig, error) { asked = name; return registry.AuthConfig{}, nil }
	if _, err := cfg.credentials(dockerHub, helper); err != nil || asked != "own" {
		t.Errorf("docker hub's own helper: asked %q, %v", asked, err)
	}
	// What the store does not know may be in the file.
	if got, err := cfg.credentials("r.example", helper); err != nil || asked != "store" || got.Username != "file" {
		t.Errorf("asked %q, got %+v, %v", asked, got, err)
	}
	if got, err := cfg.credentials("empty.example", helper); err != nil || got != (registry.AuthConfig{}) {
		t.Errorf("an empty entry: %+v, %v", got, err)
	}
}
