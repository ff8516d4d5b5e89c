package nft

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/runner/proxy"
)

// Changes is the way from one Content to another, in an order that is the same
// each time.
type Changes struct {
	Hold, Release []uint16
	Fronts        []Change
}

// Change is what becomes of one port of a service. All of it is in force at once.
type Change struct {
	Front proxy.Front
	Sole  Move // of the only endpoint
	Slots []SlotChange
	// Refuse and Carry say that connections are refused from now on, or no more.
	Refuse, Carry bool
}

// SlotChange gives a slot to another endpoint.
type SlotChange struct {
	Slot int
	Move
}

// Move puts an endpoint in another's place. The zero AddrPort is none.
type Move struct{ From, To netip.AddrPort }

// Diff finds what has to change for have to become want.
func Diff(have, want Content) Changes {
	var c Changes
	c.Hold, c.Release = missing(want.Held, have.Held), missing(have.Held, want.Held)
	for front, endpoints := range want.Fronts {
		before, known := have.Fronts[front]
		if known && slices.Equal(before, endpoints) {
			continue
		}
		refused := known && len(before) == 0
		refuse := len(endpoints) == 0
		c.Fronts = append(c.Fronts, Change{
			Front: front, Sole: Move{sole(before), sole(endpoints)}, Slots: slotChanges(before, endpoints), Refuse: refuse && !refused, Carry: refused && !refuse,
		})
	}
	for front, before := range have.Fronts {
		if _, ok := want.Fronts[front]; !ok {
			c.Fronts = append(c.Fronts, Change{Front: front, Sole: Move{From: sole(before)}, Slots: slotChanges(before, nil), Carry: len(before) == 0})
		}
	}
	slices.SortFunc(c.Fronts, func(a, b Change) int { return compareFronts(a.Front, b.Front) })
	return c
}

func compareFronts(a, b proxy.Front) int {
	return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Protocol, b.Protocol))
}

// missing are those of a that b has not.
func missing(a, b []uint16) (out []uint16) {
	for _, p := range a {
		if !slices.Contains(b, p) {
			out = append(out, p)
		}
	}
	return out
}

// sole is the only endpoint, which needs no slots: one element in place of 64.
func sole(endpoints []netip.AddrPort) netip.AddrPort {
	if len(endpoints) != 1 {
		return netip.AddrPort{}
	}
	return endpoints[0]
}

func slotChanges(from, to []netip.AddrPort) (out []SlotChange) {
	if len(from) < 2 && len(to) < 2 {
		return nil
	}
	for slot := range Slots {
		c := SlotChange{slot, Move{inSlot(from, slot), inSlot(to, slot)}}
		if c.From != c.To {
			out = append(out, c)
		}
	}
	return out
}

// inSlot is who has a slot, none where there are not several endpoints.
func inSlot(endpoints []netip.AddrPort, slot int) netip.AddrPort {
	if len(endpoints) < 2 {
		return netip.AddrPort{}
	}
	return endpoints[slot%len(endpoints)]
}

// Empty reports whether there is nothing to do.
func (c Changes) Empty() bool { return len(c.Hold)+len(c.Release)+len(c.Fronts) == 0 }

// String prints a line for each thing that changes.
func (c Changes) String() string {
	var b strings.Builder
	for _, p := range c.Hold {
		fmt.Fprintf(&b, "hold %d\n", p)
	}
	for _, p := range c.Release {
		fmt.Fprintf(&b, "release %d\n", p)
	}
	for _, f := range c.Fronts {
		fmt.Fprintf(&b, "%s:%s\n", f.Front, f)
	}
	return b.String()
}

// String prints how many slots go from where to where.
func (c Change) String() string {
	var b strings.Builder
	if c.Refuse {
		b.WriteString(" refuse")
	}
	if c.Carry {
		b.WriteString(" refuse no more")
	}
	count := map[Move]int{}
	var moves []Move
	for _, s := range c.Slots {
		if count[s.Move]++; count[s.Move] == 1 {
			moves = append(moves, s.Move)
		}
	}
	slices.SortFunc(moves, func(a, b Move) int { return cmp.Or(a.From.Compare(b.From), a.To.Compare(b.To)) })
	name := func(e netip.AddrPort) string {
		if !e.IsValid() {
			return "nothing"
		}
		return e.String()
	}
	if c.Sole != (Move{}) {
		fmt.Fprintf(&b, "\n  all from %s to %s", name(c.Sole.From), name(c.Sole.To))
	}
	for _, m := range moves {
		fmt.Fprintf(&b, "\n  %d slots from %s to %s", count[m], name(m.From), name(m.To))
	}
	return b.String()
}

// String prints the content, one port of a service a line, with the share that
// each endpoint has of the slots.
func (c Content) String() string {
	var lines []string
	for front, endpoints := range c.Fronts {
		line := front.String()
		if len(endpoints) == 0 {
			line += " refuse"
		}
		if e := sole(endpoints); e.IsValid() {
			line += " " + e.String()
		}
		share := map[netip.AddrPort]int{}
		for slot := range Slots {
			share[inSlot(endpoints, slot)]++
		}
		for _, e := range slices.SortedFunc(maps.Keys(share), netip.AddrPort.Compare) {
			if !e.IsValid() {
				continue
			}
			line += fmt.Sprintf(" %s x%d", e, share[e])
		}
		lines = append(lines, line+"\n")
	}
	slices.Sort(lines)
	for _, p := range c.Held {
		lines = append(lines, fmt.Sprintf("hold %d\n", p))
	}
	return strings.Join(lines, "")
}
