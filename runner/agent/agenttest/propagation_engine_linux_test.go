package agenttest_test

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
)

// TestEngine_EndpointsPropagate measures from a pod's port opening to each pod's
// connections to the service getting there: the probe that finds it open, the
// gateway, every agent, the kernel. Somebody tries in each pod: this process, which
// goes from network to network, as fifty processes that try would have no processor
// left for what is measured. It says how that compares with one
// call of the engine, an inspect, made in the same seconds. CUEPOD_PROPAGATION is the
// number of pods, and of services: first one pod is behind each, then all pods are
// behind all other services, so that one pod's readiness changes all of them.
func TestEngine_EndpointsPropagate(t *testing.T) {
	n := 3
	if digits := os.Getenv("CUEPOD_PROPAGATION"); digits != "" {
		var err error
		if n, err = strconv.Atoi(digits); err != nil || n < 1 || n > 100 {
			t.Fatalf("CUEPOD_PROPAGATION=%s", digits)
		}
	}
	w := newWorld(t)
	snapshot := api.Snapshot{App: "shop", Namespace: "default"}
	lookouts := make([]lookout, n)
	var server string
	for i := range n {
		name := fmt.Sprintf("web-%d", i)
		id, ip := w.pod(name)
		if i == 0 {
			server = id
		}
		lookouts[i] = newLookout(t, id)
		snapshot.Pods = append(snapshot.Pods, api.Pod{Name: name, IP: ip, Containers: []api.Container{{Name: "app", ID: id, Running: true}}})
	}
	snapshot.Pods[0].Containers[0].Probes = []api.Probe{{Kind: api.Readiness, TCP: &api.TCPProbe{Port: 8000}, Period: 1, Timeout: 1, SuccessThreshold: 1, FailureThreshold: 1}}
	for _, everywhere := range []bool{false, true} {
		snapshot.Generation++
		snapshot.Services = services(w.prefix, snapshot.Pods, everywhere)
		w.send(w.stream, api.ToGateway{Snapshot: &snapshot})
		w.await("all pods to know", func(st api.Status) bool {
			return !slices.ContainsFunc(snapshot.Pods, func(p api.Pod) bool { return st.Pods[p.Name].Generation != snapshot.Generation })
		})
		behind := "one pod behind each"
		if everywhere {
			behind = "all pods behind all but one"
		}
		t.Logf("%d pods, %d services, %s: %s", n, n, behind, w.propagate(server, lookouts))
	}
}

// services are as many as pods. The first one's only pod is the first, at a port of
// its own.
func services(prefix string, pods []api.Pod, everywhere bool) (out []api.Service) {
	for i := range pods {
		var backends []api.Backend
		for k, p := range pods {
			if i == k || everywhere && i > 0 {
				backends = append(backends, api.Backend{Pod: p.Name, IP: p.IP, Port: 9})
			}
		}
		if i == 0 {
			backends[0].Port = 8000
		}
		out = append(out, api.Service{Name: fmt.Sprintf("s%d", i), VIP: fmt.Sprintf("%s%d", prefix, 140+i), Ports: []api.ServicePort{{Port: 80, Protocol: "TCP", Backends: backends}}})
	}
	return out
}

// propagate opens the port of a pod and closes it again, and says how long it took
// the others to get there.
func (w *world) propagate(server string, lookouts []lookout) string {
	w.t.Helper()
	const cycles = 8
	watching, stop := context.WithCancel(w.t.Context())
	defer stop()
	watched := make(chan error, 1)
	for i := range lookouts {
		lookouts[i].seen, lookouts[i].open = nil, false
	}
	go func() {
		watched <- watch(watching, lookouts, netip.MustParseAddrPort(w.prefix+"140:80"), netip.MustParseAddrPort("127.0.0.1:8000"))
	}()
	toggle := w.start(engine.ContainerSpec{Name: fmt.Sprint("toggle-", time.Now().UnixNano()), Image: w.echo, Cmd: []string{"toggle", ":8000", strconv.Itoa(cycles)}, JoinContainer: server})
	ended := make(chan error, 1)
	go func() { _, err := w.engine.WaitContainer(w.t.Context(), toggle); ended <- err }()
	var inspects []time.Duration
	for running := true; running; {
		began := time.Now()
		if _, err := w.engine.InspectContainer(w.t.Context(), toggle); err != nil {
			w.t.Fatal(err)
		}
		inspects = append(inspects, time.Since(began))
		select {
		case err := <-ended:
			if err != nil {
				w.t.Fatal(err)
			}
			running = false
		case <-time.After(250 * time.Millisecond):
		}
	}
	stop()
	if err := <-watched; err != nil {
		w.t.Fatal(err)
	}
	opened := w.stamps(toggle)
	if len(opened) != cycles {
		w.t.Fatalf("the port opened %d times", len(opened))
	}
	var each, slowest []time.Duration
	missed := 0 // turns that were over before a pod got there: the machine is busy
	for k, at := range opened {
		last := time.Duration(0)
		for i, l := range lookouts {
			if len(l.seen) == 0 {
				w.t.Fatalf("pod %d never got there", i)
			}
			next := slices.IndexFunc(l.seen, func(s int64) bool { return s >= at && (k == cycles-1 || s < opened[k+1]) })
			if next < 0 {
				missed++
				continue
			}
			took := time.Duration(l.seen[next] - at)
			each = append(each, took)
			last = max(last, took)
		}
		slowest = append(slowest, last)
	}
	slices.Sort(each)
	slices.Sort(slowest)
	slices.Sort(inspects)
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
	at := func(list []time.Duration, part float64) time.Duration {
		return list[min(int(part*float64(len(list))), len(list)-1)]
	}
	return fmt.Sprintf("one pod p50 %s, p99 %s; the last pod p50 %s, worst of %d %s; %d of %d turns missed; one inspect p50 %s, p99 %s; ratio of p50 to p50 %.1f, of p99 to p99 %.1f",
		ms(at(each, .5)), ms(at(each, .99)), ms(at(slowest, .5)), cycles, ms(at(slowest, 1)), missed, len(lookouts)*cycles, ms(at(inspects, .5)), ms(at(inspects, .99)),
		float64(at(each, .5))/float64(at(inspects, .5)), float64(at(each, .99))/float64(at(inspects, .99)))
}

// lookout is in the network of one pod.
type lookout struct {
	network int // file descriptor
	open    bool
	seen    []int64 // when the address took connections after it did not, in nanoseconds
}

// newLookout finds the network of a container by its processes.
func newLookout(t *testing.T, container string) lookout {
	t.Helper()
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range groups {
		if text, err := os.ReadFile(file); err != nil || !bytes.Contains(text, []byte(container)) {
			continue
		}
		network, err := unix.Open(filepath.Join(filepath.Dir(file), "ns/net"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Skipf("needs to be root where the engine is: %v", err)
		}
		t.Cleanup(func() { unix.Close(network) })
		return lookout{network: network}
	}
	t.Skip("needs to be on the machine of the engine, and to see its processes")
	panic("unreachable")
}

// watch tries an address from all networks until ctx is done, on a thread that
// belongs to none of them afterwards. So that it leaves the processors to what is
// measured, it tries where the address was closed only while the port behind it is
// open, and now and then where it was open.
func watch(ctx context.Context, all []lookout, addr, port netip.AddrPort) error {
	const pause, now, then = time.Millisecond, 6 * time.Millisecond, 100 * time.Millisecond
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread()         // and never unlocked: the thread ends with the goroutine
		var closedAt, openAt time.Time // looked at last
		for ; ctx.Err() == nil; time.Sleep(pause) {
			opened, err := all[0].reaches(port)
			if err != nil {
				ended <- err
				return
			}
			began := time.Now()
			closed, open := opened && began.Sub(closedAt) >= now, began.Sub(openAt) >= then
			for i := range all {
				l := &all[i]
				if l.open && !open || !l.open && !closed {
					continue
				}
				ok, err := l.reaches(addr)
				if err != nil {
					ended <- err
					return
				}
				if ok && !l.open {
					l.seen = append(l.seen, time.Now().UnixNano())
				}
				l.open = ok
			}
			if closed {
				closedAt = time.Now()
			}
			if open {
				openAt = time.Now()
			}
		}
		ended <- nil
	}()
	return <-ended
}

// reaches tells whether an address takes a connection from the network. It waits a
// moment, as a service without an endpoint is refused at once.
func (l *lookout) reaches(addr netip.AddrPort) (bool, error) {
	if err := unix.Setns(l.network, unix.CLONE_NEWNET); err != nil {
		return false, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	moment := unix.NsecToTimeval(int64(100 * time.Millisecond))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &moment); err != nil {
		return false, err
	}
	return unix.Connect(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}) == nil, nil
}

// stamps are the times that a container printed.
func (w *world) stamps(id string) (out []int64) {
	w.t.Helper()
	var text bytes.Buffer
	if err := w.engine.Logs(w.t.Context(), id, engine.LogOptions{Tail: -1}, &text, &text); err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.FieldsSeq(text.String()) {
		n, err := strconv.ParseInt(line, 10, 64)
		if err != nil {
			w.t.Fatalf("it printed %q", text.String())
		}
		out = append(out, n)
	}
	return out
}
