package proxy

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// DefaultTimeout is how long a client stays with its endpoint after its last
// connection: Kubernetes' default for sessionAffinity ClientIP, in full.
const DefaultTimeout = 10800 * time.Second

// affinity remembers which endpoint a client has. Its size is bounded by the
// clients of one network, and the expired are swept with each new table.
type affinity struct {
	mu    sync.Mutex
	stays map[stayKey]stay
}

type stayKey struct {
	front  Front
	client netip.Addr
}

type stay struct {
	endpoint netip.AddrPort
	until    time.Time
}

// order returns the endpoints that are not held in the order to try them: the client's own first
// where there is one, the others at random.
func (a *affinity) order(f Front, t *Target, client netip.Addr, now time.Time) []netip.AddrPort {
	order := slices.Clone(t.open())
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	if !t.Affinity {
		return order
	}
	a.mu.Lock()
	s, ok := a.stays[stayKey{f, client.Unmap()}]
	a.mu.Unlock()
	if !ok || now.After(s.until) {
		return order
	}
	if i := slices.Index(order, s.endpoint); i > 0 {
		order[0], order[i] = order[i], order[0]
	}
	return order
}

// used notes that the client got the endpoint.
func (a *affinity) used(f Front, t *Target, client netip.Addr, endpoint netip.AddrPort, now time.Time) {
	if !t.Affinity {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stays == nil {
		a.stays = map[stayKey]stay{}
	}
	a.stays[stayKey{f, client.Unmap()}] = stay{endpoint, now.Add(cmp.Or(t.Timeout, DefaultTimeout))}
}

// sweep forgets the expired.
func (a *affinity) sweep(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.stays, func(_ stayKey, s stay) bool { return now.After(s.until) })
}
