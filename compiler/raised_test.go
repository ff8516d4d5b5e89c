package compiler

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cuelang.org/go/mod/modregistrytest"
	"golang.org/x/tools/txtar"
)

// raisingModule is what somebody else publishes: each definition raises
// something, or leaves it to who uses it.
const raisingModule = `
-- platform.example_v0.1.0/cue.mod/module.cue --
module: "platform.example@v0"
language: version: "v0.17.0"
source: kind: "self"
-- platform.example_v0.1.0/platform.cue --
package platform

Base: containers: main: image: "x"
Privileged: Base & {containers: main: securityContext: privileged: true}
Default: Base & {containers: main: securityContext: privileged: *true | bool}
Modest: Base & {containers: main: securityContext: {privileged: false, allowPrivilegeEscalation: false, capabilities: drop: ["ALL"]}}
Escalates: Base & {containers: main: securityContext: allowPrivilegeEscalation: true}
Capable: Base & {containers: main: securityContext: capabilities: add: ["NET_ADMIN", "SYS_PTRACE"]}
Root: Base & {securityContext: runAsUser: 0}
User: Base & {securityContext: runAsUser: 1000}
Unconfined: Base & {securityContext: {seccompProfile: type: "Unconfined", appArmorProfile: type: "Unconfined"}}
Unmasked: Base & {hostUsers: false, containers: main: securityContext: procMount: "Unmasked"}
Shares: Base & {hostPID: true, hostIPC: true, hostNetwork: true}
Ports: Base & {containers: main: ports: {
	open: {containerPort: 80, hostPort: 8080, hostIP: "0.0.0.0"}
	closed: {containerPort: 81, hostPort: 8081}
	local: {containerPort: 82, hostPort: 8082, hostIP: "127.0.0.1"}
}}
HostPath: Base & {volumes: root: hostPath: path: "/"}
Debug: Base & {#debug: bool | *false, if #debug {containers: main: securityContext: privileged: true}}
Hatch: Base & {kubernetes: podSpec: {hostPID: true, volumes: [{name: "v", hostPath: path: "/"}]}, containers: main: kubernetes: securityContext: privileged: true}
Compose: Base & {containers: main: compose: {network_mode: "host", cap_add: ["ALL"], pid: "service:x"}}
Object: {apiVersion: "v1", kind: "Pod", metadata: name: "p", spec: {hostNetwork: true, containers: [{name: "c", image: "x", securityContext: {privileged: false, capabilities: add: ["ALL"]}}]}}
Init: Base & {initContainers: setup: {image: "x", securityContext: privileged: true}}
Grants: grants: "platform.example": allow: ["privileged"]
`

// raisingApp is an app of another module. In it, own is a package of its own.
const raisingApp = `
-- cue.mod/module.cue --
module: "shop.example@v0"
language: version: "v0.17.0"
deps: "platform.example@v0": v: "v0.1.0"
-- own/own.cue --
package own

Privileged: containers: main: {image: "x", securityContext: privileged: true}
-- app.cue --
package shop

import (
	"cuepod.dev/core"
	"platform.example@v0:platform"
	"shop.example/own"
)

app: core.#App & {
	name: "shop"
	APP
}
#: [platform.Base, own.Privileged] // both are used
`

// raising publishes the module and gives what compiles an app that has the
// lines.
func raising(t *testing.T) func(t *testing.T, lines string) (Options, error) {
	t.Helper()
	files, err := txtar.FS(txtar.Parse([]byte(raisingModule)))
	if err != nil {
		t.Fatal(err)
	}
	registry, err := modregistrytest.New(files, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Close)
	t.Setenv("CUE_REGISTRY", registry.Host()+"+insecure")
	t.Setenv("CUE_CACHE_DIR", newCache(t))
	return func(t *testing.T, lines string) (Options, error) {
		t.Helper()
		opts := Options{Dir: t.TempDir()}
		extract(t, opts.Dir, txtar.Parse([]byte(strings.Replace(raisingApp, "APP", lines, 1))))
		_, err := Compile(t.Context(), opts)
		return opts, err
	}
}

// refusals are the messages of what a compile refused.
func refusals(t *testing.T, err error) []string {
	t.Helper()
	var bad *Error
	if err != nil && !errors.As(err, &bad) {
		t.Fatal(err)
	}
	var out []string
	if bad != nil {
		for _, d := range bad.Diagnostics {
			out = append(out, d.Message+" | "+d.Hint)
		}
	}
	return out
}

func TestCompile_OtherModulesRaiseNothingWithoutAGrant(t *testing.T) {
	compile := raising(t)
	for _, c := range []struct {
		name, app string
		rights    []string // that have to be granted, in order
	}{
		{"privileged", "pods: agent: platform.Privileged", []string{"privileged"}},
		{"by default", "pods: agent: platform.Default", []string{"privileged"}},
		{"a default that the app turns off", "pods: agent: platform.Default & {containers: main: securityContext: privileged: false}", nil},
		{"nothing raised", "pods: agent: platform.Modest", nil},
		{"escalation", "pods: agent: platform.Escalates", []string{"allowPrivilegeEscalation"}},
		{"capabilities", "pods: agent: platform.Capable", []string{"capabilities.add"}},
		{"root", "pods: agent: platform.Root", []string{"runAsUser"}},
		{"a user", "pods: agent: platform.User", nil},
		{"profiles", "pods: agent: platform.Unconfined", []string{"appArmorProfile", "seccompProfile"}},
		{"unmasked", "pods: agent: platform.Unmasked", []string{"procMount"}},
		{"namespaces of the node", "pods: agent: platform.Shares", []string{"hostIPC", "hostNetwork", "hostPID"}},
		{"ports beyond the machine", "pods: agent: platform.Ports", []string{"hostIP"}},
		{"a path of the host", "pods: agent: platform.HostPath", []string{"hostPath"}},
		{"under a condition", "pods: agent: platform.Debug & {#debug: true}", []string{"privileged"}},
		{"under a condition that is not met", "pods: agent: platform.Debug", nil},
		{"an init container", "pods: agent: platform.Init", []string{"privileged"}},
		{"hatches for Kubernetes", "pods: agent: platform.Hatch", []string{"privileged", "hostPID", "hostPath"}},
		{"hatches for Compose", "pods: agent: platform.Compose", []string{"capabilities.add", "hostNetwork"}},
		{"objects", "objects: p: platform.Object", []string{"capabilities.add", "hostNetwork"}},
		{"every pod of several", "pods: {a: platform.Privileged, b: platform.Modest, c: platform.Privileged}", []string{"privileged", "privileged"}},
		{"a volume alone", `pods: agent: {containers: main: image: "x", volumes: data: platform.HostPath.volumes.root}`, []string{"hostPath"}},
		{"the app's own file", `pods: agent: {containers: main: {image: "x", securityContext: privileged: true}}`, nil},
		{"the app's own file too", "pods: agent: platform.Privileged & {containers: main: securityContext: privileged: true}", nil},
		{"the app's own package", "pods: agent: own.Privileged", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := compile(t, c.app)
			got := refusals(t, err)
			for i, right := range c.rights {
				if i >= len(got) || !strings.Contains(strings.Join(got, "\n"), `grants: "platform.example": allow: ["`+right+`"]`) || !strings.Contains(got[i], "platform.cue:") {
					t.Errorf("want %s to be refused, with the line that sets it: %q", right, got)
				}
			}
			if len(got) != len(c.rights) {
				t.Errorf("refused: %q, want %v", got, c.rights)
			}
		})
	}
}

func TestCompile_AGrantIsForOneModuleAndOneRight(t *testing.T) {
	compile := raising(t)
	const pod = "pods: agent: platform.Privileged\n"
	for _, c := range []struct {
		name, grants string
		refused      string // part of the message; "" when it compiles
	}{
		{"granted", `grants: "platform.example": allow: ["privileged"]`, ""},
		{"with others", `grants: "platform.example": allow: ["hostPath", "privileged"]`, ""},
		{"another right", `grants: "platform.example": allow: ["hostPath"]`, "does not grant that"},
		{"another module", `grants: "other.example": allow: ["privileged"]`, "does not grant that"},
		{"no such right", `grants: "platform.example": allow: ["everything"]`, "everything"},
		{"by the module itself", `platform.Grants`, "only the app's own files can"},
		{"by the module and the app", `platform.Grants & {grants: "platform.example": allow: ["privileged"]}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := compile(t, pod+"\t"+c.grants)
			got := strings.Join(refusals(t, err), "\n")
			if (c.refused == "") != (got == "") || !strings.Contains(got, c.refused) {
				t.Errorf("refused: %s\nwant %q", got, c.refused)
			}
		})
	}
}

// What was found stays known when a later compile evaluates other files alone,
// and when a result comes from a process of its own.
func TestCompile_GrantsWithACache(t *testing.T) {
	compile := raising(t)
	opts, err := compile(t, `grants: "platform.example": allow: ["privileged"]`)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(opts.Dir, name), []byte("package shop\nimport \"platform.example@v0:platform\"\n"+text+"\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	opts.Cache = &Cache{}
	write("agent.cue", "app: pods: agent: platform.Privileged")
	write("web.cue", "app: pods: web: platform.Modest")
	for i, text := range []string{"app: pods: web: platform.Modest & {replicas: 2}", "app: pods: web: platform.Modest & {replicas: 3}"} {
		r, err := Compile(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.App.Pod("agent").Raised; len(got) != 1 || got[0].Right != "privileged" {
			t.Errorf("compile %d: raised %+v", i, got)
		}
		data, err := json.Marshal(r.App)
		if err != nil || !strings.Contains(string(data), `"Right":"privileged"`) {
			t.Errorf("as JSON: %v", err)
		}
		write("web.cue", text)
	}
	write("web.cue", "app: pods: web: platform.HostPath")
	_, err = Compile(t.Context(), opts)
	if got := refusals(t, err); len(got) != 1 || !strings.Contains(got[0], `allow: ["hostPath"]`) {
		t.Errorf("refused: %q", got)
	}
}
