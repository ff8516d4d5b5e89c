package agent

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/cuepod/cuepod/runner/agent/agenttest"
	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/agent/swap"
)

// ports stands in for what is listened on in a pod.
type ports struct {
	mu   sync.Mutex
	open map[swap.Port]bool
}

func (p *ports) set(number int, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = map[swap.Port]bool{{Number: number}: open}
}

func (p *ports) listening() (map[swap.Port]bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open, nil
}

// server answers HTTP with a word until it is stopped.
func server(t *testing.T, addr, word string) (stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, word) })}
	go s.Serve(ln)
	t.Cleanup(func() { s.Close() })
	return func() { s.Close() }
}

// Of a pod without rules the gateway lets connections wait while a container is
// swapped: to the virtual address, and by the host name. They are refused when the
// time is over, though whoever asked for it is gone, and that is told.
func TestGateway_HoldsWhereAPodHasNoRules(t *testing.T) {
	agenttest.NoLeaks(t)
	const vip, addr = "127.88.1.4", "127.88.0.1:18080"
	stop := server(t, addr, "old")
	h := newHub(t)
	h.send(api.ToGateway{Snapshot: snapshot(7, vip, "web-0")})
	seen := &ports{}
	seen.set(18080, true)
	newAgentSeeing(t, h, "web-0", seen.listening)
	h.await("the pod", func(s api.Status) bool { return s.Pods["web-0"].Ready && s.Pods["web-0"].Generation == 7 })

	hold := func(generation int64, id string, limit int) *api.Snapshot {
		next := snapshot(generation, vip, "web-0")
		next.Pods[0].Draining, next.Pods[0].Containers[0].ID = true, id
		next.Pods[0].Holds = []api.Hold{{Container: "app", ID: id, Ports: []int{18080}, Next: []int{18080}, Limit: limit}}
		h.send(api.ToGateway{Snapshot: next})
		h.await("the hold", func(s api.Status) bool {
			return s.Generation == generation && s.Pods["web-0"].Generation == generation && s.Pods["web-0"].Held
		})
		return next
	}
	next := hold(8, "id-web-0", 60)
	answers := make(chan string, 2)
	for _, to := range []string{vip + ":18000", h.http} {
		go func() {
			got, err := ask(to, "web.shop.localhost")
			answers <- strings.TrimSpace(fmt.Sprint(got, " ", err))
		}()
	}
	stop()
	seen.set(18080, false)
	next.Generation, next.Pods[0].Containers[0].Running = 9, false
	h.send(api.ToGateway{Snapshot: next})
	h.await("the stop", func(s api.Status) bool { return s.Generation == 9 && s.Pods["web-0"].Generation == 9 })
	if got, err := ask(addr, "x"); err == nil {
		t.Fatalf("somebody serves %q", got)
	}
	stop = server(t, addr, "new")
	seen.set(18080, true)
	for range 2 {
		if got := <-answers; got != "new <nil>" {
			t.Errorf("who has waited gets %q", got)
		}
	}

	hold(10, "id-next", 1)
	stop()
	seen.set(18080, false)
	if got, err := ask(vip+":18000", "x"); err == nil {
		t.Errorf("when the time is over: %q", got)
	}
	h.await("word of it", func(s api.Status) bool { return strings.Contains(s.Pods["web-0"].Late, "ports [18080]") })
	h.send(api.ToGateway{Snapshot: snapshot(11, vip, "web-0")})
	h.await("the end", func(s api.Status) bool {
		return s.Generation == 11 && s.Pods["web-0"].Late == "" && !s.Pods["web-0"].Held
	})
}
