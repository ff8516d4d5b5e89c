package targets_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets"
	"github.com/cuepod/cuepod/targets/compose"
	"github.com/cuepod/cuepod/targets/docker"
	"github.com/cuepod/cuepod/targets/kubernetes"
)

// renderers are the targets that the goldens show side by side.
var renderers = []struct {
	name   string
	render func(*app.App) (targets.Output, error)
}{
	{"kubernetes", func(a *app.App) (targets.Output, error) { return kubernetes.Render(a, kubernetes.Options{}) }},
	{"compose", func(a *app.App) (targets.Output, error) { return compose.Render(a, compose.Options{}) }},
	{"docker", renderDocker},
}

func renderDocker(a *app.App) (targets.Output, error) {
	state, findings := docker.Render(a)
	data, err := json.MarshalIndent(state, "", "  ")
	return targets.Output{Files: []targets.File{{Name: "docker.json", Data: append(data, '\n')}}, Findings: findings}, err
}

// Each txtar file of testdata is one behaviour: app.json is the app (defaults
// may be left out), the rest is what each target makes of it. With
// CUEPOD_UPDATE=1 the test writes the rest.
func TestGolden(t *testing.T) {
	for _, path := range goldens(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, a := readGolden(t, path)
			want := txtar.Format(archive)
			archive.Files = archive.Files[:1]
			for _, r := range renderers {
				archive.Files = append(archive.Files, sections(r.name, a, r.render)...)
			}
			got := txtar.Format(archive)
			if os.Getenv("CUEPOD_UPDATE") != "" {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("differs (CUEPOD_UPDATE=1 updates):\n%s", diff)
			}
		})
	}
}

// sections are the files and findings of one target, or its error.
func sections(name string, a *app.App, render func(*app.App) (targets.Output, error)) []txtar.File {
	out, err := render(a)
	if err != nil {
		return []txtar.File{{Name: name + "/error", Data: []byte(err.Error() + "\n")}}
	}
	var files []txtar.File
	for _, f := range out.Files {
		files = append(files, txtar.File{Name: name + "/" + f.Name, Data: f.Data})
	}
	var b bytes.Buffer
	for _, f := range out.Findings {
		fmt.Fprintf(&b, "%s: %s\n", f.Level, f)
	}
	if b.Len() > 0 {
		files = append(files, txtar.File{Name: name + "/findings", Data: b.Bytes()})
	}
	return files
}

func goldens(tb testing.TB) []string {
	tb.Helper()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no goldens: %v", err)
	}
	return paths
}

func readGolden(tb testing.TB, path string) (*txtar.Archive, *app.App) {
	tb.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	if len(archive.Files) == 0 || archive.Files[0].Name != "app.json" {
		tb.Fatalf("%s: the first file is not app.json", path)
	}
	decoder := json.NewDecoder(bytes.NewReader(archive.Files[0].Data))
	decoder.DisallowUnknownFields()
	a := new(app.App)
	if err := decoder.Decode(a); err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
	fill(a)
	return archive, a
}

// fill applies the defaults that the model documents, as the compiler does.
func fill(a *app.App) {
	for i := range a.Pods {
		p := &a.Pods[i]
		setDefault(&p.Kind, "Deployment")
		setDefault(&p.Replicas, 1)
		setDefault(&p.TerminationGracePeriodSeconds, 30)
		for j := range p.DependsOn {
			setDefault(&p.DependsOn[j].Condition, "ready")
		}
		for j := range p.Volumes {
			for _, f := range []*app.FilesSource{p.Volumes[j].ConfigMap, p.Volumes[j].Secret} {
				if f != nil {
					setDefault(&f.DefaultMode, 0o644)
				}
			}
		}
		for _, list := range [][]app.Container{p.InitContainers, p.Containers} {
			for j := range list {
				fillContainer(&list[j])
			}
		}
	}
	for i := range a.Services {
		s := &a.Services[i]
		setDefault(&s.Type, "ClusterIP")
		setDefault(&s.SessionAffinity, "None")
		for j := range s.Ports {
			setDefault(&s.Ports[j].Protocol, "TCP")
			setDefault(&s.Ports[j].TargetPort, app.PortRef{Number: s.Ports[j].Port})
		}
	}
	for i := range a.Secrets {
		setDefault(&a.Secrets[i].Type, "Opaque")
	}
}

func fillContainer(c *app.Container) {
	setDefault(&c.ImagePullPolicy, "IfNotPresent")
	for i := range c.Ports {
		setDefault(&c.Ports[i].Protocol, "TCP")
	}
	for _, p := range []*app.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if p == nil {
			continue
		}
		setDefault(&p.PeriodSeconds, 10)
		setDefault(&p.TimeoutSeconds, 1)
		setDefault(&p.SuccessThreshold, 1)
		setDefault(&p.FailureThreshold, 3)
		if p.HTTPGet != nil {
			setDefault(&p.HTTPGet.Path, "/")
			setDefault(&p.HTTPGet.Scheme, "HTTP")
		}
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Equal apps give equal bytes, whatever the order of Go's maps.
func TestRender_IsDeterministic(t *testing.T) {
	for _, path := range goldens(t) {
		for _, r := range renderers {
			_, a := readGolden(t, path)
			want := sections(r.name, a, r.render)
			for range 20 {
				_, again := readGolden(t, path)
				if got := sections(r.name, again, r.render); !reflect.DeepEqual(got, want) {
					t.Fatalf("%s %s: %s", path, r.name, cmp.Diff(want, got))
				}
			}
		}
	}
}
