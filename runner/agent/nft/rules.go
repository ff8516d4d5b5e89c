package nft

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// Names of what is in the table.
const (
	TableName    = "cuepod"
	SoleSet      = "sole"      // virtual address . protocol . port : address . port, of services with one endpoint
	EndpointsSet = "endpoints" // virtual address . protocol . port . slot : address . port, of those with several
	RefusedSet   = "refused"   // virtual address . protocol . port, of TCP
	TurnedSet    = "turned"    // as RefusedSet: all that ever were in it, which counts
	HeldSet      = "held"      // port
	LeftSet      = "left"      // endpoint's address . port . port that it answers to : virtual address . port . client's port
)

// LeftFor is how long the answer to a datagram may take when its endpoint has left.
const LeftFor = 5 * time.Second

// Reg is one of the sixteen registers of 32 bits that a rule works with.
// Whatever is shorter begins at its start, and the rest is zero.
type Reg int

// Field is what a rule can load into a register.
type Field string

// The fields, in the words of nft(8).
const (
	SrcAddr  Field = "ip saddr"
	SrcPort  Field = "th sport"
	DstAddr  Field = "ip daddr"
	Protocol Field = "meta l4proto"
	DstPort  Field = "th dport"
	Random   Field = "meta random"
	MarkOf   Field = "meta mark"
	Bytes    Field = "ct bytes" // of the connection so far; two registers
)

// Expr is one step of a rule. A step that finds nothing ends its rule, and the
// next rule begins.
type Expr interface{ fmt.Stringer }

// The steps there are.
type (
	// Load puts a field of the packet into a register.
	Load struct {
		Field Field
		To    Reg
	}
	// Mask keeps some bits of a number in a register.
	Mask struct {
		Reg  Reg
		Bits uint32
	}
	// Compare goes on when a register begins with a value, or with Not when it
	// does not.
	Compare struct {
		Reg   Reg
		Not   bool
		Value []byte
	}
	// Lookup goes on when a set has the key that begins at a register. In a map it
	// puts what stands beside the key at Data.
	Lookup struct {
		Set  string
		Key  Reg
		Data *Reg // nil in a set
	}
	// Immediate puts a value into a register.
	Immediate struct {
		To    Reg
		Value []byte
	}
	// Store writes a register into a field of the packet.
	Store struct {
		Field Field
		From  Reg
	}
	// DNAT sends the connection to the address and the port in two registers.
	DNAT struct{ Addr, Port Reg }
	// Redirect sends the connection to this pod itself, to the port in a register.
	Redirect struct{ Port Reg }
	// Reject refuses a connection, with a reset.
	Reject struct{}
)

// Rule is steps in order, with the reason for them.
type Rule struct {
	Why   string
	Steps []Expr
}

// Chain is where the kernel enters.
type Chain struct {
	Name     string
	Type     string // nat or filter
	Hook     string // prerouting or output; "" for a chain that no packet enters
	Priority int32
	Rules    []Rule
}

// Set is a set, or a map when it has Data. Key and Data are the types of the
// parts that it is a concatenation of. Count has each element count the packets
// that it was looked up for, which are connections: rules of NAT see the first
// packet of each alone. Kernels before 5.7 do not count.
type Set struct {
	Name      string
	Key, Data []Type
	Count     bool
	Lasts     time.Duration // of an element; 0 for ever
}

// Type is a type of part of a key, in the words of nft(8).
type Type string

// The types. A slot is a mark for the want of a plain number of 32 bits.
const (
	TypeAddr     Type = "ipv4_addr"
	TypeProtocol Type = "inet_proto"
	TypePort     Type = "inet_service"
	TypeMark     Type = "mark"
)

// Table is everything that is made at boot.
type Table struct {
	Name   string
	Sets   []Set
	Chains []Chain
}

// natPriority is before the engine's own rules in a pod, which lead to its name
// server and stand at -100. They never look at the same packets.
const natPriority = -110

// Rules are those of the pod with the address self.
func Rules(self netip.Addr) Table {
	data := Reg(4)
	front := []Expr{Load{DstAddr, 0}, Load{Protocol, 1}, Load{DstPort, 2}}
	held := []Expr{Load{Protocol, 0}, Compare{Reg: 0, Value: []byte{protocolTCP}}, Load{DstPort, 0}, Lookup{Set: HeldSet, Key: 0}}
	hold := []Expr{Immediate{0, binary.BigEndian.AppendUint16(nil, HoldPort)}, Redirect{0}}
	own := []Expr{Load{DstAddr, 0}, Compare{Reg: 0, Value: self.AsSlice()}, Load{MarkOf, 0}, Compare{Reg: 0, Not: true, Value: native(api.ProbeMark)}}
	return Table{
		Name: TableName,
		Sets: []Set{
			{SoleSet, []Type{TypeAddr, TypeProtocol, TypePort}, []Type{TypeAddr, TypePort}, true, 0},
			{EndpointsSet, []Type{TypeAddr, TypeProtocol, TypePort, TypeMark}, []Type{TypeAddr, TypePort}, false, 0},
			{RefusedSet, []Type{TypeAddr, TypeProtocol, TypePort}, nil, false, 0},
			{TurnedSet, []Type{TypeAddr, TypeProtocol, TypePort}, nil, true, 0},
			{HeldSet, []Type{TypePort}, nil, false, 0},
			{LeftSet, []Type{TypeAddr, TypePort, TypePort}, []Type{TypeAddr, TypePort, TypePort}, false, LeftFor},
		},
		Chains: []Chain{
			{"arriving", "nat", "prerouting", natPriority, []Rule{
				{"new connections to a held port wait with the agent", join(held, hold)},
				{"an answer whose flow was forgotten meanwhile comes from where the client asked, to where it asked from", []Expr{
					Load{Protocol, 0}, Compare{Reg: 0, Value: []byte{protocolUDP}}, Load{SrcAddr, 0}, Load{SrcPort, 1}, Load{DstPort, 2},
					Lookup{Set: LeftSet, Key: 0, Data: &data}, Store{SrcAddr, 4}, Store{SrcPort, 5}, Store{DstPort, 6}}},
			}},
			{"leaving", "nat", "output", natPriority, []Rule{
				{"the pod's own too, unless they are probes", join(own, held, hold)},
				{"a service's connections go to its only endpoint", join(front, []Expr{Lookup{Set: SoleSet, Key: 0, Data: &data}, DNAT{4, 5}})},
				{"or to that of a random slot", join(front, []Expr{
					Load{Random, 3}, Mask{3, Slots - 1}, Lookup{Set: EndpointsSet, Key: 0, Data: &data}, DNAT{4, 5}})},
			}},
			{"refusing", "filter", "output", 0, []Rule{
				{"without an endpoint connections are refused", join(front, []Expr{
					Compare{Reg: 1, Value: []byte{protocolTCP}}, Lookup{Set: RefusedSet, Key: 0}, Lookup{Set: TurnedSet, Key: 0}, Reject{}})},
			}},
			{"accounting", "", "", 0, []Rule{
				{"never run: that it is here has the kernel count the bytes of connections", []Expr{Load{Bytes, 0}}},
			}},
		},
	}
}

// uncounted is the table for a kernel that has no counters.
func (t Table) uncounted() Table {
	t.Sets = slices.Clone(t.Sets)
	for i := range t.Sets {
		t.Sets[i].Count = false
	}
	return t
}

func join(parts ...[]Expr) (out []Expr) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// native is a number as the kernel keeps it in a register.
func native(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

func (e Load) String() string { return fmt.Sprintf("r%d = %s", e.To, e.Field) }
func (e Mask) String() string { return fmt.Sprintf("r%d &= %d", e.Reg, e.Bits) }
func (e Compare) String() string {
	op := "=="
	if e.Not {
		op = "!="
	}
	if len(e.Value) == 4 && !e.Not {
		return fmt.Sprintf("r%d %s %s", e.Reg, op, netip.AddrFrom4([4]byte(e.Value)))
	}
	if len(e.Value) == 4 {
		return fmt.Sprintf("r%d %s %#x", e.Reg, op, binary.NativeEndian.Uint32(e.Value))
	}
	return fmt.Sprintf("r%d %s %d", e.Reg, op, e.Value[0])
}
func (e Lookup) String() string {
	if e.Data != nil {
		return fmt.Sprintf("r%d.. = %s[r%d..]", *e.Data, e.Set, e.Key)
	}
	return fmt.Sprintf("r%d.. in %s", e.Key, e.Set)
}
func (e Store) String() string { return fmt.Sprintf("%s = r%d", e.Field, e.From) }
func (e Immediate) String() string {
	return fmt.Sprintf("r%d = port %d", e.To, binary.BigEndian.Uint16(e.Value))
}
func (e DNAT) String() string     { return fmt.Sprintf("dnat to r%d, port r%d", e.Addr, e.Port) }
func (e Redirect) String() string { return fmt.Sprintf("redirect to port r%d", e.Port) }
func (Reject) String() string     { return "reject with tcp reset" }

// String prints the table in the order in which it is made.
func (t Table) String() string {
	var b strings.Builder
	types := func(list []Type) string {
		var s []string
		for _, t := range list {
			s = append(s, string(t))
		}
		return strings.Join(s, " . ")
	}
	fmt.Fprintf(&b, "table ip %s\n", t.Name)
	for _, s := range t.Sets {
		if s.Data == nil {
			fmt.Fprintf(&b, "  set %s: %s\n", s.Name, types(s.Key))
		} else {
			fmt.Fprintf(&b, "  map %s: %s : %s\n", s.Name, types(s.Key), types(s.Data))
		}
		if s.Count {
			b.WriteString("    each element counts\n")
		}
		if s.Lasts > 0 {
			fmt.Fprintf(&b, "    each element lasts %v\n", s.Lasts)
		}
	}
	for _, c := range t.Chains {
		if c.Hook == "" {
			fmt.Fprintf(&b, "  chain %s, without a hook\n", c.Name)
		} else {
			fmt.Fprintf(&b, "  chain %s: %s, hook %s, priority %d\n", c.Name, c.Type, c.Hook, c.Priority)
		}
		for _, r := range c.Rules {
			fmt.Fprintf(&b, "    # %s\n", r.Why)
			var steps []string
			for _, e := range r.Steps {
				steps = append(steps, e.String())
			}
			fmt.Fprintf(&b, "    %s\n", strings.Join(steps, "; "))
		}
	}
	return b.String()
}
