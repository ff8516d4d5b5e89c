// Package nft is the fast path of services: nftables rules in a pod's own
// network namespace that lead a connection to a service's virtual address
// straight to one of its endpoints, in the kernel.
//
// Three kinds of values, and no decisions outside of them:
//
//   - Rules is the table with its hooks. It is made once, at the pod's boot.
//   - Content is what the table's map and sets hold. Fill makes it from services.
//   - Changes is the way from one Content to the next, element by element.
//
// All three print, and all three are plain values on any system. A Plane carries
// them out over netlink, on Linux. README.md draws the packet's way.
package nft

import (
	"cmp"
	"hash/fnv"
	"net/netip"
	"slices"

	"github.com/cuepod/cuepod/runner/proxy"
)

const (
	// Slots is how many elements of the map each port of a service has. A packet's
	// slot is a random number below it. A power of two, because the rules mask it;
	// 64 makes the shares of up to eight endpoints equal within an eighth, which
	// pods that begin at different endpoints even out between them.
	Slots = 64
	// HoldPort is where connections to held ports arrive. Whoever holds a port
	// listens there, on all addresses, before it does.
	HoldPort = 15002
	// nobodyPort is of UDP, and never listened on. A rule that rejects would have the
	// client's write fail with "operation not permitted", which no network does.
	nobodyPort = 15002
)

// Content is what the map and the sets hold.
type Content struct {
	// Fronts are the services' ports with the endpoints that this pod's connections
	// go to, in the order of the slots: slot n belongs to endpoint n modulo their
	// number. None means that connections are refused; datagrams then go to a port
	// of the pod itself where nobody listens, whose kernel says so.
	Fronts map[proxy.Front][]netip.AddrPort
	// Held are the pod's own TCP ports whose new connections go to HoldPort, in order.
	Held []uint16
}

// Choices says to which endpoints a pod goes. The pod is the client: its containers
// share its address.
type Choices map[proxy.Front]Choice

// Choice is one of them: the endpoints in the order of the slots, as in Content,
// and with session affinity the one that the pod has. Turn grows each time that one
// is to be chosen anew.
type Choice struct {
	Endpoints []netip.AddrPort
	Turn      int
	of        []netip.AddrPort // it was made of these, in order; none with session affinity
	target    []netip.AddrPort // the same, as the table has them
}

// Fill makes the content of the pod with the address self from the services'
// table. The choices that it returns replace those it is given, which it leaves
// alone: with session affinity a pod keeps its endpoint as long as that is there,
// and else as few slots as can be go to another one. When one of fifty endpoints
// leaves, its one slot moves, of each service and in each pod.
//
// Of a held port of this pod itself, connections that begin in the pod and come
// through a service go to the holder at once: there is no second look at what a
// rule has sent on its way.
func Fill(table proxy.Table, self netip.Addr, held []uint16, before Choices) (Content, Choices) {
	c := Content{Fronts: make(map[proxy.Front][]netip.AddrPort, len(table)), Held: slices.Clone(held)}
	next := make(Choices, len(table))
	for front, target := range table {
		if target.Waits() {
			continue // the gateway has whom it holds
		}
		choice := before[front]
		if target.Affinity || !choice.madeOf(target.Endpoints) {
			choice = choose(front, self, target, choice)
		}
		next[front] = choice
		endpoints := choice.Endpoints
		switch {
		case front.Protocol == proxy.UDP && len(endpoints) == 0:
			endpoints = []netip.AddrPort{netip.AddrPortFrom(self, nobodyPort)}
		case front.Protocol == proxy.TCP && len(held) > 0:
			endpoints = slices.Clone(endpoints)
			for i, e := range endpoints {
				if e.Addr() == self && slices.Contains(held, e.Port()) {
					endpoints[i] = netip.AddrPortFrom(self, HoldPort)
				}
			}
		}
		c.Fronts[front] = endpoints
	}
	slices.Sort(c.Held)
	c.Held = slices.Compact(c.Held)
	return c, next
}

// madeOf reports whether it was made of these very endpoints.
func (c Choice) madeOf(endpoints []netip.AddrPort) bool {
	return len(endpoints) > 0 && len(c.target) == len(endpoints) && &c.target[0] == &endpoints[0]
}

func choose(front proxy.Front, self netip.Addr, target proxy.Target, before Choice) Choice {
	endpoints := slices.Clone(target.Endpoints)
	slices.SortFunc(endpoints, netip.AddrPort.Compare)
	endpoints = slices.Compact(endpoints)
	switch {
	case target.Affinity:
		return stay(front, self, endpoints, before)
	case len(before.of) == 0 || !slices.Equal(before.of, endpoints):
		before = Choice{Endpoints: spread(begin(front, self, endpoints), before.Endpoints), of: endpoints}
	}
	before.target = target.Endpoints
	return before
}

// stay keeps the endpoint of before, or chooses the one that ranks first for
// this client: another one for each turn, and for each client.
func stay(front proxy.Front, self netip.Addr, endpoints []netip.AddrPort, before Choice) Choice {
	switch {
	case len(endpoints) == 0:
		return Choice{Turn: before.Turn}
	case len(before.Endpoints) == 1 && slices.Contains(endpoints, before.Endpoints[0]):
		return before
	}
	first := slices.MaxFunc(endpoints, func(a, b netip.AddrPort) int {
		return cmp.Compare(rank(front, self, a, before.Turn), rank(front, self, b, before.Turn))
	})
	return Choice{Endpoints: []netip.AddrPort{first}, Turn: before.Turn}
}

// begin turns the endpoints so that each pod begins at another one: what is left
// over when 64 is divided does not go to the same endpoints everywhere, and of
// more than 64 endpoints each has its clients.
func begin(front proxy.Front, self netip.Addr, endpoints []netip.AddrPort) []netip.AddrPort {
	if len(endpoints) < 2 {
		return endpoints
	}
	n := int(rank(front, self, netip.AddrPort{}, 0) % uint64(len(endpoints)))
	return slices.Concat(endpoints[n:], endpoints[:n])
}

// spread gives each endpoint its share of the slots, those that come first one more
// where 64 does not divide. Whoever had a slot keeps it up to its share.
func spread(endpoints, before []netip.AddrPort) []netip.AddrPort {
	if len(endpoints) > Slots {
		endpoints = keepSome(endpoints, before)
	}
	if len(before) == 0 || len(endpoints) < 2 {
		return endpoints
	}
	share, more := Slots/len(endpoints), Slots%len(endpoints)
	slots := make([]netip.AddrPort, Slots)
	has := make(map[netip.AddrPort]int, len(endpoints))
	for _, e := range endpoints {
		has[e] = 0
	}
	var free []int
	for slot := range slots {
		e := inSlot(before, slot)
		switch n, there := has[e]; {
		case there && n < share:
		case there && n == share && more > 0:
			more--
		default:
			free = append(free, slot)
			continue
		}
		has[e]++
		slots[slot] = e
	}
	give := func(e netip.AddrPort) {
		slots[free[0]] = e
		has[e]++
		free = free[1:]
	}
	for _, e := range endpoints {
		for has[e] < share {
			give(e)
		}
	}
	for _, e := range endpoints {
		if more > 0 && has[e] == share {
			give(e)
			more--
		}
	}
	return slots
}

// keepSome are as many endpoints as there are slots: first those that have one.
func keepSome(endpoints, before []netip.AddrPort) []netip.AddrPort {
	has := make(map[netip.AddrPort]bool, len(before))
	for _, e := range before {
		has[e] = true
	}
	some := slices.Clone(endpoints)
	slices.SortStableFunc(some, func(a, b netip.AddrPort) int {
		switch {
		case has[a] == has[b]:
			return 0
		case has[a]:
			return -1
		}
		return 1
	})
	return some[:Slots]
}

func rank(front proxy.Front, self netip.Addr, endpoint netip.AddrPort, turn int) uint64 {
	h := fnv.New64a()
	h.Write([]byte(front.Protocol))
	h.Write(front.Addr.Addr().AsSlice())
	h.Write([]byte{byte(front.Addr.Port() >> 8), byte(front.Addr.Port())})
	h.Write(self.AsSlice())
	h.Write(endpoint.Addr().AsSlice())
	h.Write([]byte{byte(endpoint.Port() >> 8), byte(endpoint.Port()), byte(turn), byte(turn >> 8)})
	return mix(h.Sum64())
}

// mix spreads what differs in the last bytes over all bits, which FNV alone does
// not. Source: the finalizer of MurmurHash3.
func mix(x uint64) uint64 {
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
