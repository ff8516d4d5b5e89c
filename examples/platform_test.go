package examples_test

import (
	"strings"
	"testing"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/internal/testtool"
)

func TestPlatform_Goldens(t *testing.T) {
	tool := testtool.Cuepod(t)
	for _, g := range []goldenCompile{
		{"platform/bookshop", "dev.yaml", []string{"--target", "kubernetes", "--env", "dev"}},
		{"platform/bookshop", "prod.yaml", []string{"--target", "kubernetes", "--env", "prod"}},
	} {
		t.Run(g.golden, func(t *testing.T) { g.check(t, tool, "platform/bookshop/golden") })
	}
}

// TestPlatform_Defaults: a default of the platform's holds where nobody says
// more, a component's value and the app's go before it, and where the platform
// leaves no choice, there is none.
func TestPlatform_Defaults(t *testing.T) {
	result, err := compiler.Compile(t.Context(), compiler.Options{Dir: "platform/bookshop", Env: "prod", CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	a := result.App
	if a.Namespace != "bookshop-prod" || a.Labels["acme.example/environment"] != "prod" {
		t.Errorf("namespace %q, labels %v", a.Namespace, a.Labels)
	}
	for pod, want := range map[string]struct {
		cpu, memory string
		grace       int64
	}{
		"search": {"25m", "256Mi", 60}, // the app's memory and grace
		"web":    {"50m", "64Mi", 20},  // the component's resources
		"books":  {"100m", "128Mi", 60},
	} {
		p := a.Pod(pod)
		requests := p.Containers[0].Resources.Requests
		if string(requests["cpu"]) != want.cpu || string(requests["memory"]) != want.memory || p.TerminationGracePeriodSeconds != want.grace {
			t.Errorf("pod %s: requests %v, grace period %d; want %+v", pod, requests, p.TerminationGracePeriodSeconds, want)
		}
		if auto := p.AutomountServiceAccountToken; auto == nil || *auto {
			t.Errorf("pod %s: a token of the Kubernetes API is in it", pod)
		}
	}
	if a.Pod("books-backup") == nil {
		t.Error("prod has no backup")
	}

	broken := compiler.Options{Dir: "platform/bookshop", Expr: `app & {namespace: "mine"}`, CacheDir: t.TempDir()}
	if _, err := compiler.Compile(t.Context(), broken); err == nil || !strings.Contains(err.Error(), "namespace") {
		t.Errorf("an app leaves its namespace: %v", err)
	}
}

// TestPlatform_Backup: dev has no use for one.
func TestPlatform_Backup(t *testing.T) {
	result, err := compiler.Compile(t.Context(), compiler.Options{Dir: "platform/bookshop", CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if result.App.Pod("books-backup") != nil {
		t.Error("dev has a backup")
	}
}

func TestPlatform_IsFormatted(t *testing.T) { wantFormatted(t, "platform/*/*.cue") }
