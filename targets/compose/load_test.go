package compose_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	yamlv3 "go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/compose"
)

// composeFiles are all Compose files among the goldens, by the golden's name.
func composeFiles(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	paths, err := filepath.Glob("../testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if f.Name == "compose/compose.yaml" {
				files[filepath.Base(path)] = f.Data
			}
		}
	}
	if len(files) == 0 {
		t.Fatal("no compose file among the goldens")
	}
	return files
}

var required = regexp.MustCompile(`\$\{([A-Za-z0-9_]+):\?[^}]*\}`)

// values gives every variable that a file requires a value that is easy to
// recognise, and hard on anyone who interpolates twice.
func values(file []byte) map[string]string {
	env := map[string]string{}
	for _, m := range required.FindAllSubmatch(file, -1) {
		env[string(m[1])] = "value-of-" + string(m[1]) + "-$HOME"
	}
	return env
}

// load reads a file as docker compose does, with this environment and no other.
func load(t *testing.T, file []byte, env map[string]string) (*types.Project, error) {
	t.Helper()
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  t.TempDir(),
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: file}},
		Environment: env,
	})
}

// loadAll reads a file with every service that a profile asks for.
func loadAll(t *testing.T, file []byte, env map[string]string) (*types.Project, error) {
	t.Helper()
	project, err := load(t, file, env)
	if err != nil {
		return nil, err
	}
	return project.WithProfiles([]string{"*"})
}

// What compose-go reads is what was written, with variables replaced and
// dollar signs back to one.
func TestGoldens_LoadAsMeant(t *testing.T) {
	for name, file := range composeFiles(t) {
		t.Run(name, func(t *testing.T) {
			env := values(file)
			project, err := loadAll(t, file, env)
			if err != nil {
				t.Fatal(err)
			}
			var meant struct {
				Services map[string]struct {
					Image       string            `yaml:"image"`
					Entrypoint  []string          `yaml:"entrypoint"`
					Command     []string          `yaml:"command"`
					Environment map[string]string `yaml:"environment"`
					Labels      map[string]string `yaml:"labels"`
					Annotations map[string]string `yaml:"annotations"`
					Healthcheck struct {
						Test []string `yaml:"test"`
					} `yaml:"healthcheck"`
					shape `yaml:",inline"`
				} `yaml:"services"`
				Configs map[string]struct {
					Content string `yaml:"content"`
				} `yaml:"configs"`
			}
			if err := yamlv3.Unmarshal(file, &meant); err != nil {
				t.Fatal(err)
			}
			if len(project.Services) != len(meant.Services) {
				t.Errorf("%d services read, %d written", len(project.Services), len(meant.Services))
			}
			for name, want := range meant.Services {
				got := project.Services[name]
				gotEnv := map[string]string{}
				for k, v := range got.Environment {
					gotEnv[k] = *v
				}
				test := []string(nil)
				if got.HealthCheck != nil {
					test = got.HealthCheck.Test
				}
				for _, pair := range []struct{ want, got any }{
					{want.shape.unescaped(env), shapeOf(&got, project.WorkingDir)},
					{unescape(want.Image, env), got.Image},
					{unescapeAll(want.Entrypoint, env), []string(got.Entrypoint)},
					{unescapeAll(want.Command, env), []string(got.Command)},
					{unescapeMap(want.Environment, env), gotEnv},
					{unescapeMap(want.Labels, env), map[string]string(got.Labels)},
					{unescapeMap(want.Annotations, env), map[string]string(got.Annotations)},
					{unescapeAll(want.Healthcheck.Test, env), test},
				} {
					if diff := cmp.Diff(pair.want, pair.got, emptyIsNil); diff != "" {
						t.Errorf("service %s: %s", name, diff)
					}
				}
			}
			for name, want := range meant.Configs {
				if diff := cmp.Diff(unescape(want.Content, env), project.Configs[name].Content); diff != "" {
					t.Errorf("config %s: %s", name, diff)
				}
			}
		})
	}
}

var emptyIsNil = cmp.FilterValues(func(a, b any) bool { return isEmpty(a) && isEmpty(b) }, cmp.Ignore())

func isEmpty(v any) bool {
	switch v := v.(type) {
	case []string:
		return len(v) == 0
	case map[string]string:
		return len(v) == 0
	}
	return false
}

func unescape(s string, env map[string]string) string {
	var b strings.Builder
	for s != "" {
		switch m := required.FindStringSubmatchIndex(s); {
		case strings.HasPrefix(s, "$$"):
			b.WriteByte('$')
			s = s[2:]
		case m != nil && m[0] == 0:
			b.WriteString(env[s[m[2]:m[3]]])
			s = s[m[1]:]
		default:
			b.WriteByte(s[0])
			s = s[1:]
		}
	}
	return b.String()
}

func unescapeAll(list []string, env map[string]string) []string {
	out := slices.Clone(list)
	for i := range out {
		out[i] = unescape(out[i], env)
	}
	return out
}

func unescapeMap(m map[string]string, env map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		out[k] = unescape(v, env)
	}
	return out
}

// A file that needs a secret does not load without it.
func TestGoldens_RequireTheirSecrets(t *testing.T) {
	for name, file := range composeFiles(t) {
		if len(values(file)) == 0 {
			continue
		}
		if _, err := load(t, file, nil); err == nil || !strings.Contains(err.Error(), "the key") {
			t.Errorf("%s: got %v, want an error that names the key", name, err)
		}
	}
}

// What compose-go does not check and the engine refuses.
func TestGoldens_JoinedServicesAreWhole(t *testing.T) {
	for name, file := range composeFiles(t) {
		project, err := loadAll(t, file, values(file))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, problem := range problems(project) {
			t.Errorf("%s: %s", name, problem)
		}
	}
}

func problems(project *types.Project) []string {
	var out []string
	for _, s := range project.Services {
		holder, joined := strings.CutPrefix(s.NetworkMode, "service:")
		if !joined {
			continue
		}
		if s.Hostname != "" || len(s.Ports) > 0 || len(s.Networks) > 0 || len(s.Expose) > 0 {
			out = append(out, s.Name+" joins another network namespace and sets hostname, ports, expose or networks")
		}
		if ipc := project.Services[holder].Ipc; ipc == "host" && s.Ipc == "host" {
			continue
		}
		if s.Ipc != s.NetworkMode {
			out = append(out, s.Name+" joins network and IPC of different services")
		}
		if project.Services[holder].Ipc != "shareable" {
			out = append(out, s.Name+" joins the IPC of "+holder+", which does not share it")
		}
	}
	for name := range project.Services {
		if path := cycle(project, name, nil); path != nil {
			out = append(out, "a cycle: "+strings.Join(path, " -> "))
		}
	}
	return out
}

func cycle(project *types.Project, name string, path []string) []string {
	if slices.Contains(path, name) {
		return append(path, name)
	}
	path = append(path, name)
	s := project.Services[name]
	next := s.GetDependencies()
	if holder, ok := strings.CutPrefix(s.NetworkMode, "service:"); ok {
		next = append(next, holder)
	}
	for _, n := range next {
		if found := cycle(project, n, slices.Clone(path)); found != nil {
			return found
		}
	}
	return nil
}

func TestProblems_SeesABadFile(t *testing.T) {
	bad := []byte(`
name: bad
services:
  a: {image: x, network_mode: "service:b", hostname: a}
  b: {image: x, network_mode: "service:c"}
  c: {image: x}
`)
	project, err := load(t, bad, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := problems(project); len(got) < 3 {
		t.Errorf("got %q", got)
	}
}

// Values reach the container as Kubernetes would set them, whatever dollar
// signs they hold; expected values are written by hand.
//
//conformance:s57 s58
//conformance:negative S57
func TestEnvironment_IsKubernetes(t *testing.T) {
	env := []app.EnvVar{
		{Name: "A", Value: "one"},
		{Name: "PASSWORD", ValueFrom: &app.EnvVarSource{SecretKeyRef: &app.SecretKeySelector{Name: "db", Key: "password"}}},
		{Name: "RAW", ValueFrom: &app.EnvVarSource{ConfigMapKeyRef: &app.ConfigMapKeySelector{Name: "settings", Key: "raw"}}},
		{Name: "REF", Value: "$(A)-$(RAW)"},
		{Name: "SECRET", Value: "db://$(PASSWORD)@host"},
		{Name: "LATER", Value: "$(Z)"},
		{Name: "ESCAPED", Value: "$$(A)"},
		{Name: "DOLLARS", Value: "$ $$ $$$ ${A} $A $5 $"},
		{Name: "OPEN", Value: "$(A"},
		{Name: "GONE", ValueFrom: &app.EnvVarSource{SecretKeyRef: &app.SecretKeySelector{Name: "absent", Key: "x", Optional: true}}},
		{Name: "IP", ValueFrom: &app.EnvVarSource{FieldRef: &app.ObjectFieldSelector{FieldPath: "status.podIP"}}},
		{Name: "A", Value: "two"},
		{Name: "Z", Value: "last"},
	}
	want := map[string]string{
		"A": "two", "PASSWORD": "p$A{}", "RAW": "$(A) $${A}", "REF": "one-$(A) $${A}", "SECRET": "db://p$A{}@host", "LATER": "$(Z)", "ESCAPED": "$(A)",
		"DOLLARS": "$ $ $$ ${A} $A $5 $", "OPEN": "$(A", "Z": "last", "PRE_raw": "$(A) $${A}",
	}
	a := &app.App{
		Name: "x",
		Pods: []app.Pod{{Name: "web", Kind: "Deployment", Replicas: 1, Containers: []app.Container{{
			Name: "c", Image: "i", Env: env, EnvFrom: []app.EnvFromSource{{ConfigMapRef: &app.ConfigMapEnvSource{Name: "settings"}, Prefix: "PRE_"}}, Command: []string{"$(A)", "$(PASSWORD)", "$(IP)"},
		}}}},
		ConfigMaps: []app.ConfigMap{{Name: "settings", Data: map[string]string{"raw": "$(A) $${A}"}}},
		Secrets:    []app.Secret{{Name: "db", Keys: []app.SecretKey{{Name: "password", Env: "DB_PASSWORD"}}}},
	}
	out, err := compose.Render(a, compose.Options{})
	if err != nil {
		t.Fatal(err)
	}
	project, err := load(t, out.Files[0].Data, map[string]string{"DB_PASSWORD": "p$A{}", "A": "wrong", "5": "wrong"})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for k, v := range project.Services["web-0-c"].Environment {
		got[k] = *v
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"two", "p$A{}", "$(IP)"}, []string(project.Services["web-0-c"].Entrypoint)); diff != "" {
		t.Error(diff)
	}
}
