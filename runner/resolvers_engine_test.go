package runner_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/enginetest"
	"github.com/cuepod/cuepod/targets/docker"
)

const glibcImage = "postgres:15" // of the examples: it is Debian's, with glibc's getent

// resolverImages puts a program with Go's resolver and one with musl's on the
// engine. Those of the three that cannot be had are not in the list.
func resolverImages(t *testing.T, eng engine.Engine, arch string) (names []string) {
	t.Helper()
	temp := t.TempDir()
	load := func(ref string, cmd *exec.Cmd) {
		out := filepath.Join(temp, "program")
		cmd.Args = slices.Replace(cmd.Args, slices.Index(cmd.Args, "OUT"), slices.Index(cmd.Args, "OUT")+1, out)
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, text)
		}
		program, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		archive, err := enginetest.ArchiveAs(ref, program)
		if err != nil {
			t.Fatal(err)
		}
		if err := eng.LoadImage(t.Context(), bytes.NewReader(archive)); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-trimpath", "-o", "OUT", "./testdata/resolve")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	load("cuepod-resolve-go:1", build)
	names = append(names, "go")
	if _, err := exec.LookPath("musl-gcc"); err == nil {
		load("cuepod-resolve-musl:1", exec.Command("musl-gcc", "-static", "-O2", "-o", "OUT", "testdata/resolve-musl/resolve.c"))
		names = append(names, "musl")
	} else {
		t.Log("musl's resolver is not looked at: there is no musl-gcc")
	}
	if _, err := eng.InspectImage(t.Context(), glibcImage); err == nil {
		names = append(names, "glibc")
	} else {
		t.Logf("glibc's resolver is not looked at: the engine has no %s", glibcImage)
	}
	return names
}

// resolver asks one of the resolvers from inside its container.
func (b *bed) resolver(container string) func(args ...string) []string {
	return func(args ...string) []string {
		b.t.Helper()
		cmd := append([]string{"/testprog"}, args...)
		if container == "glibc" {
			cmd = map[string][]string{"host": {"getent", "ahostsv4", args[1]}, "addr": {"getent", "hosts", args[1]}}[args[0]]
		}
		var out, errs bytes.Buffer
		code, err := b.eng.Exec(b.t.Context(), docker.ContainerName(b.id.Project(), "asks-0", container), engine.ExecSpec{Cmd: cmd, Stdout: &out, Stderr: &errs})
		if err != nil || code != 0 && code != 2 {
			b.t.Fatalf("%s: %v, exit code %d, %s%s", cmd, err, code, &out, &errs)
		}
		if container == "glibc" && code == 2 {
			return []string{"error: getent does not find it"}
		}
		var lines []string
		for line := range strings.Lines(out.String()) {
			words := strings.Fields(line)
			switch {
			case container == "glibc" && args[0] == "host":
				line = words[0] // ahosts has a line for each type of socket
			case container == "glibc":
				line = words[1]
			}
			lines = append(lines, strings.TrimSuffix(strings.TrimSpace(line), "."))
		}
		slices.Sort(lines)
		return slices.Compact(lines)
	}
}

// The resolvers of Go, musl and glibc find services, headless ones and their
// pods, aliases and names of elsewhere, in their short forms too, and agree on
// what there is not.
//
// conformance:S89 S106 S109 S110 S111 S113 S114 S115
func TestNames_ResolversOfGoMuslAndGlibc(t *testing.T) {
	web := podOf("web", waiting("main"))
	web.Kind, web.ServiceName, web.Replicas = "StatefulSet", "peers", 2
	asks := podOf("asks")
	b := newBed(t, &app.App{Name: "names", Services: []app.Service{
		serviceOf("web", "web", false, 80), serviceOf("peers", "web", true, 80),
		{Name: "inner", Type: "ExternalName", ExternalName: "web.default.svc.cluster.local"},
	}})
	info, err := b.eng.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	resolvers := resolverImages(t, b.eng, info.Arch)
	for _, name := range resolvers {
		asks.Containers = append(asks.Containers, waiting(name, func(c *app.Container) {
			if c.Image = "cuepod-resolve-" + name + ":1"; name == "glibc" {
				c.Image, c.Command, c.Args = glibcImage, []string{"sleep", "100000"}, nil
			}
		}))
	}
	elsewhere := docker.GatewayName(b.id.Project()) // which the engine's own name server knows
	b.app.Pods = []app.Pod{web, asks}
	b.app.Services = append(b.app.Services, app.Service{Name: "outer", Type: "ExternalName", ExternalName: elsewhere})
	b.up()
	vip, ips, gateway := b.vip("web"), []string{b.ip("web-0"), b.ip("web-1")}, b.engineIP(elsewhere)
	slices.Sort(ips)
	for _, name := range resolvers {
		t.Run(name, func(t *testing.T) {
			ask := b.resolver(name)
			for _, c := range []struct {
				name string
				want []string
			}{
				{"web", []string{vip}}, {"web.default", []string{vip}}, {"web.default.svc", []string{vip}}, {"WEB.Default", []string{vip}},
				{"web.default.svc.cluster.local", []string{vip}}, {"web.default.svc.cluster.local.", []string{vip}},
				{"peers", ips}, {"web-0.peers", []string{b.ip("web-0")}}, {"web-1.peers.default.svc.cluster.local", []string{b.ip("web-1")}},
				{"inner", []string{vip}}, {"outer.default", []string{gateway}}, {elsewhere, []string{gateway}},
			} {
				if got := ask("host", c.name); !slices.Equal(got, c.want) {
					t.Errorf("%s is %q, want %q", c.name, got, c.want)
				}
			}
			for _, nothing := range []string{"nothere", "nothere.default.svc.cluster.local", "web-7.peers", "web.other"} {
				if got := ask("host", nothing); len(got) != 1 || !strings.HasPrefix(got[0], "error: ") {
					t.Errorf("%s is %q, want an error", nothing, got)
				}
			}
			if got := ask("addr", vip); !slices.Equal(got, []string{"web.default.svc.cluster.local"}) {
				t.Errorf("%s is %q", vip, got)
			}
			if name == "go" {
				if got := ask("srv", "main", "tcp", "peers.default.svc.cluster.local"); !slices.Equal(got, []string{"web-0.peers.default.svc.cluster.local.:80", "web-1.peers.default.svc.cluster.local.:80"}) {
					t.Errorf("SRV %q", got)
				}
				if got := ask("txt", "dns-version.cluster.local"); !slices.Equal(got, []string{"1.1.0"}) {
					t.Errorf("TXT %q", got)
				}
			}
		})
	}
}

// A pod's name server beside the engine's own, from inside a pod. It prints a table
// for people (make bench-dns) and fails for nothing but lost answers.
func TestNames_SideBySideWithTheEngine(t *testing.T) {
	if os.Getenv("CUEPOD_BENCH_DNS") == "" {
		t.Skip("CUEPOD_BENCH_DNS is not set")
	}
	b := newBed(t, &app.App{Name: "namesbench", Services: []app.Service{serviceOf("web", "asks", false, 80)}})
	info, err := b.eng.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	resolverImages(t, b.eng, info.Arch)
	b.app.Pods = []app.Pod{podOf("asks", waiting("go", func(c *app.Container) { c.Image = "cuepod-resolve-go:1" }))}
	b.up()
	var out bytes.Buffer
	_, err = b.eng.Exec(t.Context(), docker.ContainerName(b.id.Project(), "asks-0", "go"), engine.ExecSpec{
		Cmd: []string{"/testprog", "bench", "web.default.svc.cluster.local.", docker.GatewayName(b.id.Project()) + "."}, Stdout: &out, Stderr: &out})
	if err != nil || !strings.Contains(out.String(), "answers/s") || strings.Contains(out.String(), "without an answer") {
		t.Errorf("%v\n%s", err, &out)
	}
	t.Logf("\n%s", &out)
}

// vip is the virtual address of a service.
func (b *bed) vip(service string) string {
	b.t.Helper()
	s, err := runner.GetStatus(b.t.Context(), b.eng, b.id)
	if err != nil {
		b.t.Fatal(err)
	}
	i := slices.IndexFunc(s.Services, func(s runner.ServiceStatus) bool { return s.Name == service })
	if i < 0 || s.Services[i].VIP == "" {
		b.t.Fatalf("service %s has no address: %+v", service, s.Services)
	}
	return s.Services[i].VIP
}

// engineIP is the address of a container by its name on the engine.
func (b *bed) engineIP(name string) string {
	b.t.Helper()
	c, err := b.eng.InspectContainer(b.t.Context(), name)
	if err != nil {
		b.t.Fatal(err)
	}
	return c.IP
}
