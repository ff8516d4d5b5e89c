package nft

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/proxy"
)

// tally reaches an address again and again, and counts who answers.
func tally(protocol, address string, times int) map[string]int {
	got := map[string]int{}
	for range times {
		got[reach(protocol, address)]++
	}
	return got
}

func apply(t testing.TB, p *Plane, table proxy.Table) {
	t.Helper()
	if err := p.Apply(table); err != nil {
		t.Fatal(err)
	}
}

// conformance:S94 S95 S98 S104 S108
func TestPlane_LeadsToEndpoints(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	p := open(t)
	for _, address := range []string{"10.9.1.1:8000", "10.9.1.2:8000", "10.9.0.1:8000", "10.9.200.1:53", "10.9.200.3:80"} {
		serve(t, address)
	}
	tcp, udp := front(proxy.TCP, "10.9.200.1:53"), front(proxy.UDP, "10.9.200.1:53")
	own, none := front(proxy.TCP, "10.9.200.2:80"), front(proxy.TCP, "10.9.200.3:80")
	apply(t, p, proxy.Table{
		tcp: target("10.9.1.1:8000", "10.9.1.2:8000"), udp: target("10.9.1.2:8000"), own: target("10.9.0.1:8000"),
		none: {}, front(proxy.UDP, "10.9.200.3:80"): {},
	})
	if got := slices.Sorted(maps.Keys(tally("tcp", "10.9.200.1:53", 40))); !slices.Equal(got, []string{"10.9.1.1:8000", "10.9.1.2:8000"}) {
		t.Errorf("two endpoints: reached %v", got)
	}
	if got := reach("udp", "10.9.200.1:53"); got != "10.9.1.2:8000" {
		t.Errorf("UDP on the number of TCP: reached %s", got)
	}
	if got := said("tcp", "10.9.200.2:80", nil); got != "10.9.0.1:8000 from 10.9.0.1 to 10.9.200.2:80" {
		t.Errorf("the pod itself through its service: %s", got)
	}
	for _, protocol := range []string{"tcp", "udp"} {
		if got := reach(protocol, "10.9.200.3:80"); got != "refused" {
			t.Errorf("%s, no endpoint: %s, want refused though somebody listens", protocol, got)
		}
	}
	// A connection stays where it is when its endpoint leaves, and when all do.
	conn, err := net.Dial("tcp", "10.9.200.2:80")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	apply(t, p, proxy.Table{own: {}, tcp: target("10.9.1.2:8000")})
	if got := exchange(conn); !strings.HasPrefix(got, "10.9.0.1:8000 ") {
		t.Errorf("a connection whose endpoint left: %s", got)
	}
	if got := tally("tcp", "10.9.200.1:53", 20); got["10.9.1.2:8000"] != 20 {
		t.Errorf("after an endpoint left: reached %v", got)
	}
	if got := reach("tcp", "10.9.200.3:80"); got != "10.9.200.3:80" {
		t.Errorf("what the table does not have: %s, want it left to the gateway", got)
	}
}

// conformance:S100
func TestPlane_AffinityStays(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	p := open(t)
	f, endpoints := front(proxy.TCP, "10.9.200.1:80"), []string{"10.9.1.1:80", "10.9.1.2:80", "10.9.1.3:80"}
	for _, e := range append(endpoints, "10.9.1.4:80") {
		serve(t, e)
	}
	table := func(endpoints ...string) proxy.Table {
		to := target(endpoints...)
		to.Affinity = true
		return proxy.Table{f: to}
	}
	apply(t, p, table(endpoints...))
	first := reach("tcp", "10.9.200.1:80")
	apply(t, p, table(append(endpoints, "10.9.1.4:80")...))
	if got := tally("tcp", "10.9.200.1:80", 20); got[first] != 20 {
		t.Errorf("had %s, then %v", first, got)
	}
	left := slices.DeleteFunc(slices.Clone(endpoints), func(e string) bool { return e == first })
	apply(t, p, table(left...))
	second := reach("tcp", "10.9.200.1:80")
	apply(t, p, table(endpoints...))
	if got := tally("tcp", "10.9.200.1:80", 20); second == first || got[second] != 20 {
		t.Errorf("had %s, %s after it left, then %v", first, second, got)
	}
}

// conformance:S100
func TestPlane_AffinityExpires(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	p := open(t)
	f, to := front(proxy.TCP, "10.9.200.1:80"), target("10.9.1.1:80", "10.9.1.2:80", "10.9.1.3:80")
	for _, e := range to.Endpoints {
		serve(t, e.String())
	}
	to.Affinity, to.Timeout = true, 10*time.Second
	apply(t, p, proxy.Table{f: to})
	now := time.Unix(0, 0)
	look := func() {
		t.Helper()
		if next, err := p.Expire(now); err != nil || next != 10*time.Second/8 {
			t.Fatal(next, err)
		}
	}
	after := func(d time.Duration) string {
		t.Helper()
		now = now.Add(d)
		look()
		return reach("tcp", "10.9.200.1:80")
	}
	first := after(0)
	for range 5 { // each connection prolongs it
		if got := after(9 * time.Second); got != first {
			t.Fatalf("had %s, then %s before its time", first, got)
		}
	}
	seen := map[string]bool{}
	for range 20 {
		look() // sees the connection
		seen[after(11*time.Second)] = true
	}
	if len(seen) != 3 {
		t.Errorf("after silence always %v, want any", seen)
	}
	to.Endpoints = to.Endpoints[:1]
	apply(t, p, proxy.Table{f: to})
	if next, err := p.Expire(now); next != 0 || err != nil {
		t.Errorf("nothing to choose, but looked at again in %v, %v", next, err)
	}
}

// conformance:S103
func TestPlane_DatagramsLeaveAnEndpointThatLeft(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	p := open(t)
	f := front(proxy.UDP, "10.9.200.1:53")
	for _, e := range []string{"10.9.1.1:53", "10.9.1.2:53"} {
		serve(t, e)
	}
	apply(t, p, proxy.Table{f: target("10.9.1.1:53")})
	conn, err := net.Dial("udp4", "10.9.200.1:53")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, step := range []struct {
		table proxy.Table
		want  string
	}{
		{proxy.Table{f: target("10.9.1.1:53")}, "10.9.1.1:53"},
		{proxy.Table{f: target("10.9.1.1:53", "10.9.1.2:53")}, "10.9.1.1:53"}, // keeps what it has
		{proxy.Table{f: target("10.9.1.2:53")}, "10.9.1.2:53"},
		{proxy.Table{f: {}}, "refused"},
		{proxy.Table{f: target("10.9.1.1:53")}, "10.9.1.1:53"},
	} {
		apply(t, p, step.table)
		if got := exchange(conn); got != step.want {
			t.Errorf("with %vone and the same socket: %s, want %s", step.table, got, step.want)
		}
	}
}

func TestPlane_HoldsPorts(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	p := open(t)
	serve(t, "10.9.0.1:8000")
	serve(t, "127.0.0.1:8000")
	serve(t, fmt.Sprintf("0.0.0.0:%d", HoldPort))
	holder := fmt.Sprintf("0.0.0.0:%d", HoldPort)
	apply(t, p, proxy.Table{front(proxy.TCP, "10.9.200.1:80"): target("10.9.0.1:8000")})
	check := func(want string, addresses ...string) {
		t.Helper()
		for _, a := range addresses {
			if got := reach("tcp", a); got != want {
				t.Errorf("%s: %s, want %s", a, got, want)
			}
		}
	}
	check("10.9.0.1:8000", "10.9.0.1:8000", "10.9.200.1:80")
	for range 2 { // holding what is held is no error
		if err := p.Hold(8000, 9000); err != nil {
			t.Fatal(err)
		}
	}
	check(holder, "10.9.0.1:8000", "10.9.200.1:80", "10.9.0.1:9000")
	check("127.0.0.1:8000", "127.0.0.1:8000")
	mark := func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, api.ProbeMark) })
		if cerr != nil {
			return cerr
		}
		return err
	}
	if got := said("tcp", "10.9.0.1:8000", mark); !strings.HasPrefix(got, "10.9.0.1:8000 ") {
		t.Errorf("a probe: %s, want the container itself", got)
	}
	if got := said("tcp", "10.9.200.1:80", nil); !strings.HasSuffix(got, " to 10.9.200.1:80") {
		t.Errorf("%s, want the place it was sent to", got)
	}
	for dst, want := range map[string]uint16{"10.9.200.1:80": 8000, "10.9.0.1:9000": 9000, "10.9.200.1:81": 0, "10.9.0.1:15002": 0} {
		if got := p.Origin(front(proxy.TCP, dst).Addr); got != want {
			t.Errorf("a connection to %s was for %d, want %d", dst, got, want)
		}
	}
	outside := neighbour(t)
	if got := outside("10.9.0.1:8000"); got != holder+" from 10.8.0.3 to 10.9.0.1:8000" {
		t.Errorf("from outside: %s", got)
	}
	if err := p.Release(8000); err != nil {
		t.Fatal(err)
	}
	check("10.9.0.1:8000", "10.9.0.1:8000", "10.9.200.1:80")
	check(holder, "10.9.0.1:9000")
	if got := outside("10.9.0.1:8000"); !strings.HasPrefix(got, "10.9.0.1:8000 from 10.8.0.3") {
		t.Errorf("from outside, released: %s", got)
	}
}

// outsideDial is set in the process that dials from the neighbour's namespace.
const outsideDial = "CUEPOD_TEST_DIAL"

// neighbour makes a namespace with an interface on this one's link, and returns
// a function that connects from there.
func neighbour(t *testing.T) func(address string) string {
	there := namespaceBeside(t)
	return func(address string) string {
		out := output(t, there("env", inside+"=", outsideDial+"="+address, "/proc/"+fmt.Sprint(os.Getpid())+"/exe", "-test.run=^TestDialOutside$", "-test.v"))
		_, out, _ = strings.Cut(out, "said: ")
		out, _, _ = strings.Cut(out, "\n")
		return out
	}
}

// namespaceBeside makes another network namespace, 10.8.0.3, which this one sees
// as 10.8.0.2, and returns what makes commands of there.
func namespaceBeside(t *testing.T) func(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), "/bin/sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	pid := fmt.Sprint(cmd.Process.Pid)
	there := func(args ...string) *exec.Cmd {
		return exec.CommandContext(t.Context(), "nsenter", append([]string{"-t", pid, "-n"}, args...)...)
	}
	ip(t, "link add eth0 type veth peer name other")
	ip(t, "addr add 10.8.0.2/24 dev eth0")
	ip(t, "link set eth0 up")
	ip(t, "link set other netns "+pid)
	output(t, there("ip", "addr", "add", "10.8.0.3/24", "dev", "other"))
	output(t, there("ip", "link", "set", "other", "up"))
	output(t, there("ip", "route", "add", "10.9.0.0/16", "via", "10.8.0.2"))
	return there
}

// output runs a command to its end.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return string(out)
}

// outsideServe asks the test binary for TestServeOutside's server.
const outsideServe = "CUEPOD_TEST_SERVE_OUTSIDE"

// An endpoint that leaves while it has a datagram to answer is still heard by the
// socket that asked, and the next datagram goes elsewhere.
func TestPlane_AnswersOfAnEndpointThatLeft(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	there := namespaceBeside(t)
	p := open(t)
	f := front(proxy.UDP, "10.9.200.1:53")
	serve(t, "10.9.1.2:53")
	apply(t, p, proxy.Table{f: target("10.8.0.3:53")})
	server := there("env", inside+"=", outsideServe+"=1", "/proc/"+fmt.Sprint(os.Getpid())+"/exe", "-test.run=^TestServeOutside$")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	control, err := net.Dial("udp4", "10.8.0.3:54")
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); exchange(control) != "here"; {
		if time.Now().After(deadline) {
			t.Fatal("the server did not start")
		}
		time.Sleep(10 * time.Millisecond) // a port that nobody has refuses at once
	}
	conn, err := net.Dial("udp4", "10.9.200.1:53")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// One that comes back within seconds is another to the kernel, which chooses
	// another port for its answers.
	for _, table := range []proxy.Table{{f: target("10.9.1.2:53")}, {f: {}}, {f: target("10.9.1.2:53")}} {
		apply(t, p, proxy.Table{f: target("10.8.0.3:53")})
		if _, err := conn.Write([]byte("?")); err != nil {
			t.Fatal(err)
		}
		if got := exchange(control); got != "asked" {
			t.Fatalf("the server says %q", got)
		}
		apply(t, p, table)
		if got := exchange(control); got != "answers" {
			t.Fatalf("the server says %q", got)
		}
		buf := make([]byte, 100)
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := conn.Read(buf); string(buf[:n]) != "late" {
			t.Errorf("then %v: the answer is %q, %v", table, buf[:n], err)
		}
		want := "refused"
		if len(table[f].Endpoints) > 0 {
			want = "10.9.1.2:53"
		}
		if got := exchange(conn); got != want {
			t.Errorf("then %v: the next answer is %s, want %s", table, got, want)
		}
	}
}

// TestServeOutside is not a test: it is a server in the namespace beside. On port
// 53 it answers nothing until it is told to on port 54.
func TestServeOutside(t *testing.T) {
	if os.Getenv(outsideServe) == "" {
		t.Skip("run by TestPlane_AnswersOfAnEndpointThatLeft alone")
	}
	listen := func(address string) net.PacketConn {
		c, err := net.ListenPacket("udp4", address)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	server, control := listen("10.8.0.3:53"), listen("10.8.0.3:54")
	buf := make([]byte, 100)
	tell := func(answer string) {
		if _, from, err := control.ReadFrom(buf); err == nil {
			_, _ = control.WriteTo([]byte(answer), from)
		}
	}
	for tell("here"); ; {
		_, client, err := server.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		tell("asked")
		tell("answers")
		_, _ = server.WriteTo([]byte("late"), client)
	}
}

// TestDialOutside is not a test: it is the program that neighbour runs.
func TestDialOutside(t *testing.T) {
	address := os.Getenv(outsideDial)
	if address == "" {
		t.Skip("run by TestPlane_HoldsPorts alone")
	}
	fmt.Printf("\nsaid: %s\n", said("tcp", address, nil))
}

// What somebody else did to the table, and what a kernel forgot, is made good by
// the next change.
func TestPlane_RecoversFromOthers(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	p := open(t)
	serve(t, "10.9.1.1:80")
	serve(t, fmt.Sprintf("0.0.0.0:%d", HoldPort))
	one, two := front(proxy.TCP, "10.9.200.1:80"), front(proxy.TCP, "10.9.200.2:80")
	apply(t, p, proxy.Table{one: target("10.9.1.1:80")})
	if err := p.Hold(9000); err != nil {
		t.Fatal(err)
	}
	other, err := openSocket()
	if err != nil {
		t.Fatal(err)
	}
	defer other.close()
	if err := other.transact([]message{Rules(self).remove()}); err != nil {
		t.Fatal(err)
	}
	apply(t, p, proxy.Table{one: target("10.9.1.1:80"), two: target("10.9.1.1:80")})
	for _, a := range []string{"10.9.200.1:80", "10.9.200.2:80"} {
		if got := reach("tcp", a); got != "10.9.1.1:80" {
			t.Errorf("%s: %s", a, got)
		}
	}
	if got := reach("tcp", "10.9.0.1:9000"); got != fmt.Sprintf("0.0.0.0:%d", HoldPort) {
		t.Errorf("a held port: %s", got)
	}
	// A new process takes the place of one that was killed.
	again := open(t)
	apply(t, again, proxy.Table{})
	if got := reach("tcp", "10.9.200.1:80"); got != "refused" {
		t.Errorf("after a new start without services: %s", got)
	}
}

// More than one batch, and more than one message.
func TestPlane_ManyServices(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	p := open(t)
	serve(t, "10.9.1.1:80")
	table := proxy.Table{}
	for i := range 200 {
		table[front(proxy.TCP, fmt.Sprintf("10.9.200.%d:80", i+1))] = target("10.9.1.1:80")
	}
	apply(t, p, table)
	for _, a := range []string{"10.9.200.1:80", "10.9.200.200:80"} {
		if got := reach("tcp", a); got != "10.9.1.1:80" {
			t.Errorf("%s: %s", a, got)
		}
	}
	apply(t, p, proxy.Table{})
	if got := reach("tcp", "10.9.200.200:80"); got != "refused" {
		t.Errorf("after all left: %s", got)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
