package nft

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cuepod/cuepod/runner/proxy"
)

// Plane is the table of one network namespace, in the kernel. All methods are
// safe for concurrent use, and return when the kernel has done what they say.
type Plane struct {
	self      netip.Addr
	rules     Table
	flows     *Flows // nil where there can be none
	unwatched error  // why

	mu     sync.Mutex
	sock   *socket
	table  proxy.Table // wanted
	held   []uint16    // the same
	chosen Choices
	used   map[proxy.Front]use    // of services with session affinity
	now    Content                // in force
	turned map[proxy.Front]uint64 // refused before the table was made anew
	lost   bool                   // a change failed half-way: nobody knows what is in force
	left   bool                   // flows of datagrams were forgotten
}

// Open makes the table in the network namespace of this process, in place of
// one of its name, for a pod with the IPv4 address self. The error says what the
// kernel or the engine does not allow: services then have to go another way.
func Open(self netip.Addr) (*Plane, error) {
	if !self.Is4() {
		return nil, fmt.Errorf("the pod's address %v is not of IPv4", self)
	}
	sock, err := openSocket()
	if err != nil {
		return nil, err
	}
	p := &Plane{self: self, rules: Rules(self), sock: sock, chosen: Choices{}, used: map[proxy.Front]use{}, turned: map[proxy.Front]uint64{}}
	err = sock.transact(p.rules.create())
	if err != nil && sock.transact(p.rules.uncounted().create()) == nil { // counters are an option of Linux before 5.17
		p.rules, err = p.rules.uncounted(), nil
	}
	if err != nil {
		sock.close()
		return nil, fmt.Errorf("make rules of nf_tables: %w", reason(err))
	}
	// Without the list of flows, datagrams could not be told from a dead endpoint.
	if _, err := sock.forget(nil); err != nil {
		p.Close()
		return nil, fmt.Errorf("read the kernel's list of flows: %w", err)
	}
	p.flows, p.unwatched = WatchFlows()
	return p, nil
}

// reason is the first of the kernel's errors: those after it follow from it.
func reason(err error) error {
	for {
		joined, ok := err.(interface{ Unwrap() []error })
		if !ok || len(joined.Unwrap()) == 0 {
			return err
		}
		err = joined.Unwrap()[0]
	}
}

// Self is the pod's address.
func (p *Plane) Self() netip.Addr { return p.self }

// Apply leads the services' connections as the table says. Connections that are
// there stay where they are; datagrams to endpoints that left go elsewhere. An
// endpoint that left gets a moment to answer those that it has, and it may be
// stopped when Apply returns.
func (p *Plane) Apply(table proxy.Table) error {
	if left, err := p.apply(table); err != nil || !left {
		return err
	}
	time.Sleep(answerTime)
	// A datagram that was on its way through the rules when they changed had no flow
	// yet that could be forgotten.
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.forget(datagramFronts(p.table))
}

// answerTime is for servers that wait for a processor.
const answerTime = 200 * time.Millisecond

// apply returns whether flows were forgotten.
func (p *Plane) apply(table proxy.Table) (left bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.table = table
	if p.flows != nil {
		if err := p.flows.Name(table); err != nil {
			return false, fmt.Errorf("count connections: %w", err)
		}
	}
	p.left = false
	err = p.update()
	return p.left, err
}

// Hold sends new connections to these TCP ports of the pod to HoldPort instead:
// those from outside, and those of the pod itself to its own address or through a
// service. Connections to the loopback address are left alone, and so are those
// with api.ProbeMark. It is no error to hold what is held.
func (p *Plane) Hold(ports ...uint16) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = slices.Compact(slices.Sorted(slices.Values(slices.Concat(p.held, ports))))
	return p.update()
}

// Release ends it. Connections that wait stay with their holder.
func (p *Plane) Release(ports ...uint16) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = slices.DeleteFunc(slices.Clone(p.held), func(h uint16) bool { return slices.Contains(ports, h) })
	return p.update()
}

// Origin is the port of the pod that a connection was for which arrived at
// HoldPort: dst is where its client sent it (SO_ORIGINAL_DST), which is a
// service's address when the client is of the pod itself. 0 is none.
func (p *Plane) Origin(dst netip.AddrPort) uint16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if dst.Addr() == p.self && dst.Port() != HoldPort {
		return dst.Port()
	}
	for _, e := range p.table[proxy.Front{Protocol: proxy.TCP, Addr: dst}].Endpoints {
		if e.Addr() == p.self {
			return e.Port()
		}
	}
	return 0
}

// Close removes the table: whatever it led goes the way it would without.
func (p *Plane) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.sock.close()
	if p.flows != nil {
		p.flows.Close()
	}
	err := p.sock.transact([]message{p.rules.remove()})
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// update brings what is in force to what is wanted. The caller holds the lock.
func (p *Plane) update() error {
	want, chosen := Fill(p.table, p.self, p.held, p.chosen)
	changes := Diff(p.now, want)
	if p.lost || p.carryOut(nil, changes) != nil {
		// Somebody else was at the table, or a part of a change did not come through:
		// all of it anew.
		changes = Diff(Content{}, want)
		p.keepTurned()
		if err := p.carryOut(p.rules.create(), changes); err != nil {
			p.lost = true
			_ = p.sock.transact([]message{p.rules.remove()}) // services go the way they would without
			return fmt.Errorf("lead services in the kernel: %w", reason(err))
		}
		p.lost = false
	}
	p.now, p.chosen = want, chosen
	maps.DeleteFunc(p.used, func(f proxy.Front, _ use) bool { return !p.table[f].Affinity })
	if fronts := changes.datagramFronts(p.table); len(fronts) > 0 {
		return p.forget(fronts)
	}
	return nil
}

// forget has datagrams to endpoints that left go elsewhere. The caller holds the
// lock.
func (p *Plane) forget(fronts map[netip.AddrPort][]netip.AddrPort) error {
	n, err := p.sock.forget(fronts)
	if err != nil {
		p.lost = true // so that it is done again
		return fmt.Errorf("forget flows of datagrams: %w", err)
	}
	p.left = p.left || n > 0
	return nil
}

// carryOut puts changes in force, the first of them together with what is before.
func (p *Plane) carryOut(before []message, c Changes) error {
	batches := c.batches()
	if before != nil {
		if len(batches) == 0 {
			batches = [][]message{nil}
		}
		batches[0] = slices.Concat(before, batches[0])
	}
	for _, b := range batches {
		if err := p.sock.transact(b); err != nil {
			return err
		}
	}
	return nil
}
