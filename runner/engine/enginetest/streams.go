package enginetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/engine"
)

// greeting is the first line that a TCP server says, "" when it does not.
func greeting(address string) string {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return ""
	}
	defer conn.Close()
	line, err := readLine(conn)
	if err != nil {
		return ""
	}
	return line
}

func testLogs(t *testing.T, b *bench) {
	ctx := t.Context()
	out := b.run(t, b.spec("out", "print", "a", "b", "c"))
	if code, stdout, stderr := b.finish(t, out); code != 0 || stdout != "a\nb\nc\n" || stderr != "" {
		t.Errorf("exit %d, output %q %q", code, stdout, stderr)
	}
	if _, stdout, stderr := b.finish(t, b.run(t, b.spec("err", "complain", "d"))); stdout != "" || stderr != "d\n" {
		t.Errorf("output %q %q", stdout, stderr)
	}
	read := func(opts engine.LogOptions) string {
		var both bytes.Buffer
		if err := b.Engine.Logs(ctx, out, opts, &both, &both); err != nil {
			t.Fatal(err)
		}
		return both.String()
	}
	for tail, want := range map[int]string{-1: "a\nb\nc\n", 0: "", 1: "c\n", 9: "a\nb\nc\n"} {
		if got := read(engine.LogOptions{Tail: tail}); got != want {
			t.Errorf("tail %d: %q, want %q", tail, got, want)
		}
	}
	stamped := read(engine.LogOptions{Tail: 1, Timestamps: true})
	stamp, text, _ := strings.Cut(stamped, " ")
	at, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil || text != "c\n" {
		t.Fatalf("with a time: %q", stamped)
	}
	if got := read(engine.LogOptions{Tail: -1, Since: at.Add(time.Second)}); got != "" {
		t.Errorf("since after the end: %q", got)
	}
	if got := read(engine.LogOptions{Tail: -1, Since: at.Add(-time.Hour)}); got != "a\nb\nc\n" {
		t.Errorf("since an hour before: %q", got)
	}
	wantKind(t, b.Engine.Logs(ctx, b.name("none"), engine.LogOptions{Tail: -1}, io.Discard, io.Discard), engine.NotFound)

	silent := b.spec("silent", "print", "x")
	silent.NoLog = true
	silentID := b.run(t, silent)
	if _, err := b.Engine.WaitContainer(ctx, silentID); err != nil {
		t.Fatal(err)
	}
	wantKind(t, b.Engine.Logs(ctx, silentID, engine.LogOptions{Tail: -1}, io.Discard, io.Discard), engine.Other)
}

func testLogsFollow(t *testing.T, b *bench) {
	id := b.run(t, b.spec("one", "wait"))
	follow := func(ctx context.Context) (*syncBuffer, <-chan error) {
		out, done := &syncBuffer{}, make(chan error, 1)
		go func() { done <- b.Engine.Logs(ctx, id, engine.LogOptions{Follow: true, Tail: -1}, out, out) }()
		eventually(t, "the follower has the first line", func() bool { return out.String() == "waiting\n" })
		return out, done
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, given := follow(ctx)
	out, done := follow(t.Context())
	cancel()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	if err := b.Engine.StopContainer(t.Context(), id, deadline); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || out.String() != "waiting\nstopping\n" {
		t.Errorf("followed %q, %v", out.String(), err)
	}
}

func testExec(t *testing.T, b *bench) {
	ctx := t.Context()
	id := b.run(t, b.spec("one", "wait"))
	exec := func(stdin io.Reader, command ...string) (int, string, string) {
		t.Helper()
		var out, errOut bytes.Buffer
		code, err := b.Engine.Exec(ctx, id, engine.ExecSpec{
			Cmd: append([]string{programPath}, command...), Env: []string{"OWN=exec"},
			Stdin: stdin, Stdout: &out, Stderr: &errOut,
		})
		if err != nil {
			t.Fatal(err)
		}
		return code, out.String(), errOut.String()
	}
	if code, _, _ := exec(nil, "exit", "5"); code != 5 {
		t.Errorf("exit code %d, want 5", code)
	}
	if code, out, said := exec(nil, "print", "x"); code != 0 || out != "x\n" || said != "" {
		t.Errorf("exit %d, output %q %q", code, out, said)
	}
	if _, out, said := exec(nil, "complain", "y"); out != "" || said != "y\n" {
		t.Errorf("output %q %q", out, said)
	}
	if _, out, _ := exec(nil, "env", "OWN"); out != "exec\n" {
		t.Errorf("variable %q", out)
	}
	long := strings.Repeat("0123456789", 100_000) // more than any buffer on the way
	if code, out, _ := exec(strings.NewReader(long), "cat"); code != 0 || out != long {
		t.Errorf("exit %d, %d of %d bytes came back", code, len(out), len(long))
	}

	code, err := b.Engine.Exec(ctx, id, engine.ExecSpec{Cmd: []string{"/no/such/program"}})
	if err == nil && code == 0 {
		t.Error("an unknown program succeeded")
	}
	short, cancel := context.WithCancel(ctx)
	started := &cancelOnWrite{cancel: cancel}
	_, err = b.Engine.Exec(short, id, engine.ExecSpec{Cmd: []string{programPath, "wait"}, Stdout: started})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	_, err = b.Engine.Exec(ctx, b.name("none"), engine.ExecSpec{Cmd: []string{programPath}})
	wantKind(t, err, engine.NotFound)
	_, err = b.Engine.Exec(ctx, b.create(t, b.spec("created")), engine.ExecSpec{Cmd: []string{programPath}})
	wantKind(t, err, engine.Other)
}

// cancelOnWrite cancels when the first output comes.
type cancelOnWrite struct{ cancel context.CancelFunc }

func (c *cancelOnWrite) Write(p []byte) (int, error) {
	c.cancel()
	return len(p), nil
}

func testAttach(t *testing.T, b *bench) {
	ctx := t.Context()
	spec := b.spec("one", "echo")
	spec.OpenStdin = true
	id := b.run(t, spec)
	attach := func() io.ReadWriteCloser {
		t.Helper()
		conn, err := b.Engine.Attach(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	say := func(conn io.ReadWriter, text string) {
		t.Helper()
		if _, err := io.WriteString(conn, text+"\n"); err != nil {
			t.Fatal(err)
		}
		// Only standard output: the program also complains of each line.
		if got, err := readLine(conn); err != nil || got != text {
			t.Errorf("said %q, heard %q, %v", text, got, err)
		}
	}
	first := attach()
	say(first, "one")
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	second := attach() // whoever was attached before has not ended the input
	say(second, "two")
	third := attach() // and two may be attached at once
	if _, err := io.WriteString(third, "three\n"); err != nil {
		t.Fatal(err)
	}
	for _, conn := range []io.Reader{second, third} {
		if got, err := readLine(conn); err != nil || got != "three" {
			t.Errorf("heard %q, %v", got, err)
		}
	}
	third.Close()
	if c := b.inspect(t, id); c.State != engine.Running {
		t.Errorf("it is %s", c.State)
	}
	if err := b.Engine.StopContainer(ctx, id, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := readLine(second); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
	second.Close()
	_, err := b.Engine.Attach(ctx, b.name("none"))
	wantKind(t, err, engine.NotFound)
}

func testEvents(t *testing.T, b *bench) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all []<-chan engine.Event
	var ends []<-chan error
	for range 2 {
		events, end := b.Engine.Events(ctx, b.labels)
		all, ends = append(all, events), append(ends, end)
	}
	other := b.spec("other", "wait")
	other.Labels = map[string]string{label: b.id + "-other"}
	otherID := b.create(t, other)
	if err := b.Engine.RemoveContainer(ctx, otherID); err != nil {
		t.Fatal(err)
	}

	spec := b.spec("one", "exit", "3")
	spec.Labels = maps.Clone(b.labels)
	spec.Labels["colour"] = "red"
	id := b.run(t, spec)
	b.finish(t, id)
	if err := b.Engine.RemoveContainer(ctx, id); err != nil {
		t.Fatal(err)
	}
	for _, events := range all {
		var actions []string
		for !slices.Contains(actions, "destroy") {
			e := nextEvent(t, events)
			actions = append(actions, e.Action)
			if e.ID != id || e.Name != spec.Name || e.Labels["colour"] != "red" || e.Time.IsZero() {
				t.Errorf("event %+v", e)
			}
			if e.Action == "die" && e.ExitCode != 3 {
				t.Errorf("exit code %d in %+v", e.ExitCode, e)
			}
		}
		if want := []string{"create", "start", "die", "destroy"}; !slices.Equal(actions, want) {
			t.Errorf("events %v, want %v", actions, want)
		}
	}
	cancel()
	for _, end := range ends {
		if err := <-end; !errors.Is(err, context.Canceled) {
			t.Errorf("the end: %v", err)
		}
	}
}

func nextEvent(t *testing.T, events <-chan engine.Event) engine.Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(deadline):
		t.Fatal("no event")
		return engine.Event{}
	}
}
