package agenttest_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
)

// TestEngine_EndpointsPropagate measures from a pod's port opening to each pod's
// connections to the service getting there: the probe that finds it open, the
// gateway, every agent, the kernel. Each pod has somebody who tries all the time. It
// says how that compares with one call of the engine, an inspect, made in the same
// seconds. CUEPOD_PROPAGATION is the number of pods, and of services, of which all
// but one have all pods behind them.
func TestEngine_EndpointsPropagate(t *testing.T) {
	const cycles = 8
	n := 3
	if digits := os.Getenv("CUEPOD_PROPAGATION"); digits != "" {
		var err error
		if n, err = strconv.Atoi(digits); err != nil || n < 1 || n > 100 {
			t.Fatalf("CUEPOD_PROPAGATION=%s", digits)
		}
	}
	w := newWorld(t)
	snapshot := api.Snapshot{Generation: 1, App: "shop", Namespace: "default"}
	var all []api.Backend
	infra := make([]string, n)
	for i := range n {
		name := fmt.Sprintf("web-%d", i)
		id, ip := w.pod(name)
		infra[i] = id
		snapshot.Pods = append(snapshot.Pods, api.Pod{Name: name, IP: ip, Containers: []api.Container{{Name: "app", ID: id, Running: true}}})
		all = append(all, api.Backend{Pod: name, IP: ip, Port: 9})
	}
	server := &snapshot.Pods[0]
	server.Containers[0].Probes = []api.Probe{{Kind: api.Readiness, TCP: &api.TCPProbe{Port: 8000}, Period: 1, Timeout: 1, SuccessThreshold: 1, FailureThreshold: 1}}
	for i := range n {
		backends := all
		if i == 0 {
			backends = []api.Backend{{Pod: server.Name, IP: server.IP, Port: 8000}}
		}
		snapshot.Services = append(snapshot.Services, api.Service{Name: fmt.Sprintf("s%d", i), VIP: fmt.Sprintf("%s%d", w.prefix, 140+i),
			Ports: []api.ServicePort{{Port: 80, Protocol: "TCP", Backends: backends}}})
	}
	w.send(w.stream, api.ToGateway{Snapshot: &snapshot})
	w.await("all pods to know", func(st api.Status) bool {
		return !slices.ContainsFunc(snapshot.Pods, func(p api.Pod) bool { return st.Pods[p.Name].Generation != 1 })
	})
	var watchers []string
	every := max(2*time.Millisecond, time.Duration(n)*200*time.Microsecond) // 5000 a second of all pods, at most
	for i := range n {
		watchers = append(watchers, w.start(engine.ContainerSpec{Name: fmt.Sprintf("watch-%d", i), Image: w.echo, Cmd: []string{"watch", w.prefix + "140:80", every.String()}, JoinContainer: infra[i]}))
	}
	toggle := w.start(engine.ContainerSpec{Name: "toggle", Image: w.echo, Cmd: []string{"toggle", ":8000", strconv.Itoa(cycles)}, JoinContainer: infra[0]})
	ended := make(chan error, 1)
	go func() { _, err := w.engine.WaitContainer(t.Context(), toggle); ended <- err }()
	var inspects []time.Duration
	for running := true; running; {
		began := time.Now()
		if _, err := w.engine.InspectContainer(t.Context(), toggle); err != nil {
			t.Fatal(err)
		}
		inspects = append(inspects, time.Since(began))
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		case <-time.After(250 * time.Millisecond):
		}
	}
	opened := w.stamps(toggle)
	if len(opened) != cycles {
		t.Fatalf("the port opened %d times", len(opened))
	}
	var each, slowest []time.Duration
	missed := 0 // turns that were over before a pod got there: the machine is busy
	for range opened {
		slowest = append(slowest, 0)
	}
	for i, id := range watchers {
		seen := w.stamps(id)
		if len(seen) == 0 {
			t.Errorf("web-%d never got there", i)
		}
		for k, at := range opened {
			next := slices.IndexFunc(seen, func(s int64) bool { return s >= at && (k == cycles-1 || s < opened[k+1]) })
			if next < 0 {
				missed++
				continue
			}
			took := time.Duration(seen[next] - at)
			each = append(each, took)
			slowest[k] = max(slowest[k], took)
		}
	}
	if t.Failed() {
		return
	}
	slices.Sort(each)
	slices.Sort(slowest)
	slices.Sort(inspects)
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
	at := func(list []time.Duration, part float64) time.Duration {
		return list[min(int(part*float64(len(list))), len(list)-1)]
	}
	t.Logf("%d pods, %d services, %d of %d turns missed: one pod p50 %s, p99 %s; the last pod p50 %s, worst of %d %s; one inspect p50 %s, p99 %s; ratio of p50 to p50 %.1f, of p99 to p99 %.1f",
		n, n, missed, n*cycles, ms(at(each, .5)), ms(at(each, .99)), ms(at(slowest, .5)), cycles, ms(at(slowest, 1)), ms(at(inspects, .5)), ms(at(inspects, .99)),
		float64(at(each, .5))/float64(at(inspects, .5)), float64(at(each, .99))/float64(at(inspects, .99)))
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
