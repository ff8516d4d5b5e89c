package enginetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/runner/engine"
)

// status is what the kernel says of a container's process: the value of a line
// of /proc/self/status.
func (b *bench) status(t *testing.T, spec engine.ContainerSpec, key string) string {
	t.Helper()
	spec.Cmd = []string{"read", "/proc/self/status"}
	code, got, said := b.finish(t, b.run(t, spec))
	if code != 0 {
		t.Fatalf("%s: exit %d, %s", spec.Name, code, said)
	}
	for line := range strings.Lines(got) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	t.Fatalf("%s: the kernel does not say %s:\n%s", spec.Name, key, got)
	return ""
}

func testRights(t *testing.T, b *bench) {
	if !b.Sockets {
		t.Skip("there is no kernel to ask")
	}
	groups := b.spec("groups")
	groups.User, groups.GroupAdd = "1000:1000", []string{"2000", "3000"}
	if got := " " + b.status(t, groups, "Groups") + " "; !strings.Contains(got, " 2000 ") || !strings.Contains(got, " 3000 ") {
		t.Errorf("groups%s", got)
	}
	if got := b.status(t, b.spec("no-groups"), "Groups"); strings.Contains(got, "2000") {
		t.Errorf("groups %s of a container that asked for none", got)
	}

	const seccompOff = "0"
	unconfined := b.spec("unconfined")
	unconfined.SeccompUnconfined, unconfined.AppArmor = true, "unconfined"
	if got := b.status(t, unconfined, "Seccomp"); got != seccompOff {
		t.Errorf("seccomp %s", got)
	}
	if got := b.status(t, b.spec("confined"), "Seccomp"); got == seccompOff {
		t.Log("this engine has no seccomp profile of its own")
	}

	privileged := b.spec("privileged", "print", "fine")
	privileged.Privileged = true
	// An engine that lacks capabilities itself can give none.
	if err := b.Engine.StartContainer(t.Context(), b.create(t, privileged)); err != nil {
		t.Logf("privileged: %v", err)
	} else {
		privileged.Name += "-again"
		plain := b.status(t, b.spec("plain"), "CapEff")
		if got := b.status(t, privileged, "CapEff"); got <= plain { // numbers of equal length
			t.Errorf("capabilities %s, and %s without privileges", got, plain)
		}
	}

	masked := func(name string, unmasked bool) string {
		spec := b.spec(name, "read", "/proc/timer_list")
		spec.Privileged, spec.UnmaskedProc = false, unmasked
		_, got, _ := b.finish(t, b.run(t, spec))
		return got
	}
	if got := masked("masked", false); got != "" {
		t.Errorf("masked: %d bytes", len(got))
	}
	spec := b.spec("mounts", "read", "/proc/self/mounts")
	spec.UnmaskedProc = true
	if _, got, _ := b.finish(t, b.run(t, spec)); strings.Contains(got, " /proc/timer_list ") {
		t.Errorf("unmasked, and still:\n%s", got)
	}
}

func testProcesses(t *testing.T, b *bench) {
	ctx := t.Context()
	holder := b.create(t, b.spec("holder", "wait"))
	member := b.spec("member", "read", "/proc/1/cmdline")
	member.JoinPID = holder
	id := b.create(t, member)
	wantKind(t, b.Engine.StartContainer(ctx, id), engine.Other) // nothing to join yet
	b.start(t, holder)
	b.start(t, id)
	_, got, _ := b.finish(t, id)
	if b.Sockets && !strings.Contains(got, "wait") {
		t.Errorf("process 1 is %q, and not the holder's", got)
	}
	if !b.Sockets {
		return
	}
	if _, got, _ := b.finish(t, b.run(t, b.spec("alone", "read", "/proc/1/cmdline"))); strings.Contains(got, "wait") {
		t.Errorf("process 1 of a container of its own is %q", got)
	}
	host := b.spec("host", "read", "/proc/1/cmdline")
	host.HostPID, host.HostIPC = true, true
	if code, got, said := b.finish(t, b.run(t, host)); code != 0 || strings.Contains(got, "cmdline") {
		t.Errorf("exit %d; process 1 of the machine is %q %q", code, got, said)
	}
}

func testHostPaths(t *testing.T, b *bench) {
	info, err := b.Engine.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if b.Sockets && !info.Local {
		t.Skip("the engine is on another machine")
	}
	dir := filepath.Join(t.TempDir(), "made", "by the engine")
	mount := func(m engine.Mount, command ...string) (int, string) {
		t.Helper()
		spec := b.spec(strings.ReplaceAll(t.Name(), "/", "-")+"-"+command[0]+m.SubPath, command...)
		m.HostPath, m.Path = dir, "/mounted"
		spec.Mounts = []engine.Mount{m}
		code, got, _ := b.finish(t, b.run(t, spec))
		return code, got
	}
	if code, _ := mount(engine.Mount{Create: true}, "write", "/mounted/file", "text"); code != 0 {
		t.Fatalf("write: exit %d", code)
	}
	if b.Sockets {
		if got, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(got) != "text" {
			t.Errorf("on the host: %q, %v", got, err)
		}
	}
	if _, got := mount(engine.Mount{}, "read", "/mounted/file"); got != "text" {
		t.Errorf("read %q", got)
	}
	readOnly := b.spec("read-only", "write", "/mounted/file", "other")
	readOnly.Mounts = []engine.Mount{{HostPath: dir, Path: "/mounted", ReadOnly: true}}
	if code, _, _ := b.finish(t, b.run(t, readOnly)); code == 0 {
		t.Error("a read-only path was written to")
	}
}

func testTerminal(t *testing.T, b *bench) {
	spec := b.spec("tty", "complain", "a")
	spec.TTY, spec.OpenStdin = true, true
	_, stdout, stderr := b.finish(t, b.run(t, spec))
	if got := strings.ReplaceAll(stdout, "\r", ""); got != "a\n" || stderr != "" {
		t.Errorf("output %q %q", stdout, stderr)
	}
}
