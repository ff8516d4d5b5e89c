package nft

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cuepod/cuepod/runner/proxy"
)

// The tracer runs packets through the rules: exactly the steps that Rules makes,
// over sets that are filled by exactly the changes that Diff finds.

// packet is the first packet of a connection that begins in the pod, or with
// arriving, one that reaches it.
type packet struct {
	protocol byte
	dst      netip.AddrPort
	mark     uint32
	random   uint32
}

// tracer is a table with its sets, by name and key.
type tracer struct {
	table Table
	sets  map[string]map[string][]byte
}

func newTracer(self netip.Addr) *tracer {
	t := &tracer{table: Rules(self), sets: map[string]map[string][]byte{}}
	for _, s := range t.table.Sets {
		t.sets[s.Name] = map[string][]byte{}
	}
	return t
}

// change does what the kernel does with the elements; what it would refuse is an
// error.
func (t *tracer) change(c Changes) error {
	for _, f := range c.Fronts {
		key := string(frontKey(f.Front))
		if err := t.move(SoleSet, key, f.Sole); err != nil {
			return fmt.Errorf("%s: %w", f.Front, err)
		}
		for _, s := range f.Slots {
			if err := t.move(EndpointsSet, string(slotKey(f.Front, s.Slot)), s.Move); err != nil {
				return fmt.Errorf("%s slot %d: %w", f.Front, s.Slot, err)
			}
		}
		if _, refused := t.sets[RefusedSet][key]; refused && f.Refuse || !refused && f.Carry {
			return fmt.Errorf("%s is refused: %v; refuse %v, carry %v", f.Front, refused, f.Refuse, f.Carry)
		}
		if delete(t.sets[RefusedSet], key); f.Refuse {
			t.sets[RefusedSet][key], t.sets[TurnedSet][key] = nil, nil
		}
	}
	for _, p := range c.Release {
		delete(t.sets[HeldSet], string(portKey(p)))
	}
	for _, p := range c.Hold {
		t.sets[HeldSet][string(portKey(p))] = nil
	}
	return nil
}

func (t *tracer) move(set, key string, m Move) error {
	if have, ok := t.sets[set][key]; ok != m.From.IsValid() || ok && !bytes.Equal(have, endpointData(m.From)) {
		return fmt.Errorf("it is not %v in %s", m.From, set)
	}
	delete(t.sets[set], key)
	if m.To.IsValid() {
		t.sets[set][key] = endpointData(m.To)
	}
	return nil
}

func portKey(p uint16) []byte { return binary.BigEndian.AppendUint16(nil, p) }

// outcomes of a trace beside a new destination.
const (
	refused = "refused"
	holder  = "holder"
)

// leave traces a packet that begins in the pod, through the chains of the output
// hook in the order of their priorities. It returns where the packet goes:
// refused, holder, or an address and port.
func (t *tracer) leave(p packet) string {
	chains := slices.Clone(t.table.Chains)
	slices.SortStableFunc(chains, func(a, b Chain) int { return int(a.Priority - b.Priority) })
	for _, c := range chains {
		if c.Hook != "output" {
			continue
		}
		for _, r := range c.Rules {
			verdict, dst := t.rule(r, p)
			if verdict == refused || verdict == holder {
				return verdict
			}
			if verdict == "dnat" {
				p.dst = dst
				break // of this chain: the first rule that leads somewhere is the last
			}
		}
	}
	return p.dst.String()
}

// rule runs one rule; the verdict is "" when it does not apply.
func (t *tracer) rule(r Rule, p packet) (verdict string, to netip.AddrPort) {
	var regs [64]byte
	at := func(r Reg) []byte { return regs[4*r:] }
	put := func(r Reg, b []byte) {
		clear(at(r)[:(len(b)+3)&^3])
		copy(at(r), b)
	}
	for _, e := range r.Steps {
		switch e := e.(type) {
		case Load:
			put(e.To, p.field(e.Field))
		case Mask:
			put(e.Reg, native(binary.NativeEndian.Uint32(at(e.Reg))&e.Bits))
		case Compare:
			if bytes.Equal(at(e.Reg)[:len(e.Value)], e.Value) == e.Not {
				return "", to
			}
		case Lookup:
			data, ok := t.sets[e.Set][string(at(e.Key)[:t.keyLen(e.Set)])]
			if !ok {
				return "", to
			}
			if e.Data != nil {
				put(*e.Data, data)
			}
		case Immediate:
			put(e.To, e.Value)
		case DNAT:
			return "dnat", netip.AddrPortFrom(netip.AddrFrom4([4]byte(at(e.Addr))), binary.BigEndian.Uint16(at(e.Port)))
		case Redirect:
			if binary.BigEndian.Uint16(at(e.Port)) == HoldPort {
				return holder, to
			}
			return "redirected to nowhere", to
		case Reject:
			return refused, to
		}
	}
	return "", to
}

func (t *tracer) keyLen(set string) int {
	i := slices.IndexFunc(t.table.Sets, func(s Set) bool { return s.Name == set })
	if key := t.table.Sets[i].Key; len(key) > 1 {
		return 4 * len(key)
	}
	return 2
}

func (p packet) field(f Field) []byte {
	switch f {
	case DstAddr:
		return p.dst.Addr().AsSlice()
	case Protocol:
		return []byte{p.protocol}
	case DstPort:
		return portKey(p.dst.Port())
	case Random:
		return native(p.random)
	default:
		return native(p.mark)
	}
}

// ends are all the places where connections to a front may end, in order.
func (t *tracer) ends(f proxy.Front, self netip.Addr) []string {
	set := map[string]bool{}
	for random := range uint32(Slots) {
		p := packet{protocol: protocolTCP, dst: f.Addr, random: random}
		if f.Protocol == proxy.UDP {
			p.protocol = protocolUDP
		}
		end := t.leave(p)
		if end == netip.AddrPortFrom(self, HoldPort).String() { // through a service; of UDP nobody is there
			end = map[string]string{proxy.TCP: holder, proxy.UDP: refused}[f.Protocol]
		}
		set[end] = true
	}
	var out []string
	for end := range set {
		out = append(out, end)
	}
	slices.Sort(out)
	return out
}
