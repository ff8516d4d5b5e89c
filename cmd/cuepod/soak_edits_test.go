package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/internal/sockfault"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/enginetest"
)

// knobs are the values of a definition that edits change, as CUE.
type knobs map[string]string

func (k knobs) text() string {
	var b strings.Builder
	b.WriteString("package app\n\n")
	for _, name := range slices.Sorted(maps.Keys(k)) {
		fmt.Fprintf(&b, "_%s: %s\n", name, k[name])
	}
	return b.String()
}

// firstKnobs are the values at first, and whenever the process is measured.
func firstKnobs() knobs {
	return knobs{
		"env": `"a"`, "replicas": "2", "level": `"low"`, "port": "80", "period": "1", "label": `"one"`, "side": "false", "extra": "false",
		"host": `"web"`, "size": `"1"`, "job": `"first"`, "grace": "1",
	}
}

// soakApp is the definition, apart from its knobs.
const soakApp = `package app

app: {
	name: "$APP"
	configMaps: conf: {data: level: _level, files: "file.txt": "conf/file.txt"}
	pods: web: {
		replicas: _replicas
		hostname: _host
		labels: n: _label
		terminationGracePeriodSeconds: _grace
		initContainers: prepare: {image: "$IMAGE", imagePullPolicy: "Never", args: ["print", "prepared"]}
		containers: {
			main: {
				image: "$IMAGE", imagePullPolicy: "Never"
				args: ["listen", ":8080"]
				env: {LEVEL: value: _env, CONF: valueFrom: {configMapKeyRef: {name: "conf", key: "level"}}}
				ports: http: containerPort: 8080
				readinessProbe: {tcpSocket: port: "http", periodSeconds: _period}
				volumeMounts: "/etc/conf": name: "conf"
				dev: sync: "site": "/srv/site"
			}
			if _side {side: {image: "$IMAGE", imagePullPolicy: "Never", args: ["wait"]}}
		}
		volumes: conf: configMap: name: "conf"
	}
	services: web: {pod: "web", ports: http: {port: _port, targetPort: "http"}}
	pods: db: {
		kind: "StatefulSet"
		terminationGracePeriodSeconds: 1
		containers: main: {
			image: "$IMAGE", imagePullPolicy: "Never"
			args: ["wait"]
			env: SIZE: value: _size
			volumeMounts: "/data": name: "data"
		}
		volumeClaimTemplates: data: storage: "1Mi"
	}
	pods: built: {
		terminationGracePeriodSeconds: 1
		containers: main: {image: "$APP-main:dev", build: context: "image", args: ["wait"]}
	}
	pods: migrate: {
		kind: "Job"
		restartPolicy: "OnFailure"
		containers: main: {image: "$IMAGE", imagePullPolicy: "Never", args: ["print", _job]}
	}
	if _extra {
		pods: extra: {
			terminationGracePeriodSeconds: 1
			containers: main: {image: "$IMAGE", imagePullPolicy: "Never", args: ["wait"]}
		}
	}
}
`

// plot is the state of the app's files.
type plot struct {
	knobs knobs
	app   string
	wrong string            // the file that is broken, or ""
	saved map[string]string // what was saved last, by name
}

func newPlot(name string) plot {
	return plot{knobs: firstKnobs(), saved: map[string]string{}, app: strings.NewReplacer("$APP", name, "$IMAGE", enginetest.Ref).Replace(soakApp)}
}

// files are all of the app as they are at first.
func (p *plot) files() map[string]string {
	return map[string]string{
		"cue.mod/module.cue": "module: \"example.com/soak\"\nlanguage: version: \"v0.17.0\"\n",
		"app.cue":            p.app,
		"knobs.cue":          p.knobs.text(),
		"conf/file.txt":      "0",
		"site/page.txt":      "0",
		"image/Dockerfile":   dockerfile,
		"image/data.txt":     "0",
	}
}

const dockerfile = "FROM " + enginetest.Ref + "\nCOPY data.txt /data.txt\n"

// save writes a file in one of the ways of editors.
func (s *soak) save(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.id.Root, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err != nil {
		s.t.Fatal(err)
	}
	switch s.rand.IntN(3) {
	case 0: // in place
		err = os.WriteFile(path, []byte(text), 0o644)
	case 1: // a new one renamed over it
		draft := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".swp")
		if err = os.WriteFile(draft, []byte(text), 0o644); err == nil {
			err = os.Rename(draft, path)
		}
	default: // removed first
		if err = os.RemoveAll(path); err == nil {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.saved[name] = text
}

// mend makes a broken definition valid.
func (s *soak) mend() {
	switch s.wrong {
	case "":
		return
	case "app.cue":
		s.save("app.cue", s.app)
	case "knobs.cue":
		s.save("knobs.cue", s.knobs.text())
	case "image/Dockerfile":
		s.save("image/Dockerfile", dockerfile)
	}
	s.note("edit: %s is mended", s.wrong)
	s.wrong = ""
}

// shape gives the app the size that it had at first.
func (s *soak) shape() {
	s.mend()
	s.knobs = firstKnobs()
	s.save("knobs.cue", s.knobs.text())
}

// edit saves one change, or a mistake.
func (s *soak) edit() {
	s.mend()
	s.edits++
	if s.rand.IntN(5) == 0 {
		s.mistake()
		return
	}
	n := s.rand.IntN(1000)
	turn := func(name, value string) {
		s.knobs[name] = value
		s.note("edit: %s: %s", name, value)
		s.save("knobs.cue", s.knobs.text())
	}
	switch s.rand.IntN(16) {
	case 0:
		turn("env", fmt.Sprintf("%q", fmt.Sprint(n)))
	case 1:
		turn("replicas", fmt.Sprint(1+n%3))
	case 2:
		turn("level", fmt.Sprintf("%q", fmt.Sprint(n)))
	case 3:
		turn("port", fmt.Sprint(80+n%3))
	case 4:
		turn("period", fmt.Sprint(1+n%3))
	case 5:
		turn("label", fmt.Sprintf("\"n%d\"", n))
	case 6:
		turn("side", fmt.Sprint(n%2 == 0))
	case 7:
		turn("extra", fmt.Sprint(n%2 == 0))
	case 8:
		turn("host", fmt.Sprintf("\"web%d\"", n%3))
	case 9:
		turn("size", fmt.Sprintf("%q", fmt.Sprint(n)))
	case 10:
		turn("job", fmt.Sprintf("%q", fmt.Sprint(n)))
	case 11:
		turn("grace", fmt.Sprint(1+n%2))
	default:
		name := []string{"conf/file.txt", "site/page.txt", "site/page.txt", "image/data.txt"}[n%4]
		s.note("edit: %s: %d", name, n)
		s.save(name, fmt.Sprint(n))
	}
}

// mistake breaks one of the files.
func (s *soak) mistake() {
	s.broken++
	kinds := []struct{ file, text string }{
		{"app.cue", s.app[:len(s.app)/2]},
		{"app.cue", strings.Replace(s.app, "replicas:", "replica:", 1)},
		{"app.cue", strings.Replace(s.app, `{pod: "web"`, `{pod: "nobody"`, 1)},
		{"knobs.cue", strings.Replace(s.knobs.text(), "_replicas: ", "_replicas: -", 1)},
		{"knobs.cue", s.knobs.text() + "_env: 3\n"},
		{"image/Dockerfile", dockerfile + "COPY missing.txt /\n"},
		{"image/Dockerfile", "FORM " + enginetest.Ref + "\n"},
	}
	kind := kinds[s.rand.IntN(len(kinds))]
	s.note("edit: a mistake in %s", kind.file)
	s.save(kind.file, kind.text)
	s.wrong = kind.file
}

// fault breaks something that mends itself, or that settle mends.
func (s *soak) fault(deaths bool) {
	s.faults++
	kinds := 7
	if deaths {
		kinds = 10
	}
	switch kind := s.rand.IntN(kinds); kind {
	case 0, 1, 2:
		rules := []sockfault.Rule{
			{Action: sockfault.Status, Status: 500}, {Action: sockfault.Reset}, {Action: sockfault.Lose},
			{Action: sockfault.Truncate}, {Action: sockfault.Delay, Delay: time.Second},
		}
		rule := rules[s.rand.IntN(len(rules))]
		rule.Method, rule.Nth = "*", 1+s.rand.IntN(6)
		s.note("fault: %v", rule)
		s.proxy.Set(rule)
	case 3:
		s.note("fault: the engine goes away")
		if err := s.proxy.Close(); err != nil {
			s.t.Error(err)
		}
		s.connect()
	case 4, 5:
		verb := [][]string{{"kill"}, {"rm", "-f"}, {"restart", "-t", "0"}}[s.rand.IntN(3)]
		if c, ok := s.someContainer(); ok {
			s.note("fault: %s %s", verb[0], c.Name)
			s.docker(append(verb, c.ID)...)
		}
	case 6:
		if c, ok := s.someContainer(); ok {
			s.note("fault: pause %s", c.Name)
			s.docker("pause", c.ID)
			s.paused = append(s.paused, c.ID)
		}
	default:
		if kind == 7 {
			s.note("fault: the supervisor ends, and another begins")
			if s.revive(); s.life != nil {
				s.release()
			}
		} else {
			s.note("fault: the supervisor is killed, and another begins")
			s.kill()
		}
		s.begin()
	}
}

// someContainer is one of the app's, its infra containers and its gateway included,
// if it runs.
func (s *soak) someContainer() (engine.Container, bool) {
	eng := s.past()
	defer eng.Close()
	list, err := eng.ListContainers(s.t.Context(), map[string]string{"dev.cuepod.id": s.id.ID()})
	if err != nil || len(list) == 0 {
		return engine.Container{}, false
	}
	c := list[s.rand.IntN(len(list))]
	return c, c.State == engine.Running // one that has done its work is history
}

// docker does something by hand. The container may have gone meanwhile, or not run.
func (s *soak) docker(args ...string) {
	cmd := exec.CommandContext(context.WithoutCancel(s.t.Context()), "docker", args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST=unix://"+s.socket)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.note("docker %s: %v %s", strings.Join(args, " "), err, out)
	}
}

func (s *soak) unpause() {
	for _, id := range s.paused {
		s.docker("unpause", id)
	}
	s.paused = nil
}
