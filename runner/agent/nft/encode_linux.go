package nft

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Messages to nf_tables: a struct nlmsghdr, a struct nfgenmsg, attributes.
// Numbers in attributes are in network byte order. Source:
// include/uapi/linux/netfilter/nf_tables.h.

// message is one netlink message without its header.
type message struct {
	kind, flags uint16
	family      byte
	resource    uint16 // of struct nfgenmsg: the subsystem, of a batch
	body        []byte
}

// attrs is a list of attributes under way.
type attrs struct{ b []byte }

const (
	attrHeader = 4 // struct nlattr
	// maxElements is how many elements go into one message: a list of them is one
	// attribute, whose length has 16 bits, and an element has up to 48 bytes.
	maxElements = 1000
)

func (a *attrs) bytes(kind uint16, value []byte) {
	a.b = binary.NativeEndian.AppendUint16(a.b, uint16(attrHeader+len(value)))
	a.b = binary.NativeEndian.AppendUint16(a.b, kind)
	a.b = append(a.b, value...)
	for len(a.b)%4 != 0 {
		a.b = append(a.b, 0)
	}
}

func (a *attrs) string(kind uint16, s string) { a.bytes(kind, append([]byte(s), 0)) }

func (a *attrs) number(kind uint16, n uint32) { a.bytes(kind, binary.BigEndian.AppendUint32(nil, n)) }

// nest fills one attribute with others.
func (a *attrs) nest(kind uint16, fill func(*attrs)) {
	start := len(a.b)
	a.b = append(a.b, 0, 0, 0, 0)
	fill(a)
	binary.NativeEndian.PutUint16(a.b[start:], uint16(len(a.b)-start))
	binary.NativeEndian.PutUint16(a.b[start+2:], kind|unix.NLA_F_NESTED)
}

// value is data as the kernel takes it: a value in an attribute of its own.
func (a *attrs) value(kind uint16, value []byte) {
	a.nest(kind, func(a *attrs) { a.bytes(unix.NFTA_DATA_VALUE, value) })
}

func (a *attrs) register(kind uint16, r Reg) { a.number(kind, uint32(unix.NFT_REG32_00+int(r))) }

func tableMessage(kind uint16, fill func(*attrs)) message {
	var a attrs
	fill(&a)
	return message{kind: unix.NFNL_SUBSYS_NFTABLES<<8 | kind, family: unix.NFPROTO_IPV4, body: a.b}
}

func (m message) with(flags uint16) message {
	m.flags |= flags
	return m
}

// create makes the table anew, whatever there was of its name: adding what is
// there is no error, and what was just added can be deleted.
func (t Table) create() []message {
	named := func(kind uint16) message {
		return tableMessage(kind, func(a *attrs) { a.string(unix.NFTA_TABLE_NAME, t.Name) })
	}
	add := named(unix.NFT_MSG_NEWTABLE).with(unix.NLM_F_CREATE)
	out := []message{add, t.remove(), add}
	for i, s := range t.Sets {
		out = append(out, s.create(t.Name, i+1))
	}
	for _, c := range t.Chains {
		out = append(out, c.create(t.Name)...)
	}
	return out
}

func (t Table) remove() message {
	return tableMessage(unix.NFT_MSG_DELTABLE, func(a *attrs) { a.string(unix.NFTA_TABLE_NAME, t.Name) })
}

// create makes a set. id is its number within the batch.
func (s Set) create(table string, id int) message {
	return tableMessage(unix.NFT_MSG_NEWSET, func(a *attrs) {
		a.string(unix.NFTA_SET_TABLE, table)
		a.string(unix.NFTA_SET_NAME, s.Name)
		a.number(unix.NFTA_SET_ID, uint32(id))
		a.number(unix.NFTA_SET_KEY_TYPE, typeNumber(s.Key))
		a.number(unix.NFTA_SET_KEY_LEN, typeLen(s.Key))
		var flags uint32
		if s.Lasts > 0 {
			flags |= unix.NFT_SET_TIMEOUT
			a.bytes(unix.NFTA_SET_TIMEOUT, binary.BigEndian.AppendUint64(nil, uint64(s.Lasts.Milliseconds())))
		}
		if s.Data != nil {
			flags |= unix.NFT_SET_MAP
		}
		if flags != 0 {
			a.number(unix.NFTA_SET_FLAGS, flags)
		}
		if s.Data != nil {
			a.number(unix.NFTA_SET_DATA_TYPE, typeNumber(s.Data))
			a.number(unix.NFTA_SET_DATA_LEN, typeLen(s.Data))
		}
		if s.Count {
			const setExpr = 17 // NFTA_SET_EXPR
			a.nest(setExpr, func(a *attrs) {
				a.string(unix.NFTA_EXPR_NAME, "counter")
				a.nest(unix.NFTA_EXPR_DATA, func(*attrs) {})
			})
		}
	}).with(unix.NLM_F_CREATE)
}

// typeNumber is what nft(8) goes by when it prints a set; the kernel only keeps
// it. Six bits each. Source: libnftables, enum datatypes.
func typeNumber(parts []Type) (n uint32) {
	numbers := map[Type]uint32{TypeAddr: 7, TypeProtocol: 12, TypePort: 13, TypeMark: 19}
	for _, p := range parts {
		n = n<<6 | numbers[p]
	}
	return n
}

// typeLen is the length of a key in bytes: a register for each part, and what it
// really has when it is alone.
func typeLen(parts []Type) uint32 {
	if len(parts) == 1 && parts[0] == TypePort {
		return 2
	}
	return uint32(4 * len(parts))
}

func (c Chain) create(table string) []message {
	hooks := map[string]uint32{"prerouting": unix.NF_INET_PRE_ROUTING, "output": unix.NF_INET_LOCAL_OUT, "input": unix.NF_INET_LOCAL_IN}
	out := []message{tableMessage(unix.NFT_MSG_NEWCHAIN, func(a *attrs) {
		a.string(unix.NFTA_CHAIN_TABLE, table)
		a.string(unix.NFTA_CHAIN_NAME, c.Name)
		if c.Hook == "" {
			return
		}
		a.string(unix.NFTA_CHAIN_TYPE, c.Type)
		a.nest(unix.NFTA_CHAIN_HOOK, func(a *attrs) {
			a.number(unix.NFTA_HOOK_HOOKNUM, hooks[c.Hook])
			a.number(unix.NFTA_HOOK_PRIORITY, uint32(c.Priority))
		})
	}).with(unix.NLM_F_CREATE)}
	for _, r := range c.Rules {
		out = append(out, tableMessage(unix.NFT_MSG_NEWRULE, func(a *attrs) {
			a.string(unix.NFTA_RULE_TABLE, table)
			a.string(unix.NFTA_RULE_CHAIN, c.Name)
			a.nest(unix.NFTA_RULE_EXPRESSIONS, func(a *attrs) {
				for _, e := range r.Steps {
					a.nest(unix.NFTA_LIST_ELEM, func(a *attrs) { a.expr(e) })
				}
			})
		}).with(unix.NLM_F_CREATE|unix.NLM_F_APPEND))
	}
	return out
}

// expr is the kernel's expression for a step.
func (a *attrs) expr(e Expr) {
	named := func(name string, fill func(*attrs)) {
		a.string(unix.NFTA_EXPR_NAME, name)
		a.nest(unix.NFTA_EXPR_DATA, fill)
	}
	switch e := e.(type) {
	case Load:
		a.load(e)
	case Mask:
		named("bitwise", func(a *attrs) {
			a.register(unix.NFTA_BITWISE_SREG, e.Reg)
			a.register(unix.NFTA_BITWISE_DREG, e.Reg)
			a.number(unix.NFTA_BITWISE_LEN, 4)
			a.value(unix.NFTA_BITWISE_MASK, native(e.Bits))
			a.value(unix.NFTA_BITWISE_XOR, native(0))
		})
	case Compare:
		op := uint32(unix.NFT_CMP_EQ)
		if e.Not {
			op = unix.NFT_CMP_NEQ
		}
		named("cmp", func(a *attrs) {
			a.register(unix.NFTA_CMP_SREG, e.Reg)
			a.number(unix.NFTA_CMP_OP, op)
			a.value(unix.NFTA_CMP_DATA, e.Value)
		})
	case Lookup:
		named("lookup", func(a *attrs) {
			a.string(unix.NFTA_LOOKUP_SET, e.Set)
			a.register(unix.NFTA_LOOKUP_SREG, e.Key)
			if e.Data != nil {
				a.register(unix.NFTA_LOOKUP_DREG, *e.Data)
			}
		})
	case Immediate:
		named("immediate", func(a *attrs) {
			a.register(unix.NFTA_IMMEDIATE_DREG, e.To)
			a.value(unix.NFTA_IMMEDIATE_DATA, e.Value)
		})
	case Store:
		named("payload", func(a *attrs) { a.store(e) })
	case DNAT:
		named("nat", func(a *attrs) {
			a.number(unix.NFTA_NAT_TYPE, unix.NFT_NAT_DNAT)
			a.number(unix.NFTA_NAT_FAMILY, unix.NFPROTO_IPV4)
			a.register(unix.NFTA_NAT_REG_ADDR_MIN, e.Addr)
			a.register(unix.NFTA_NAT_REG_PROTO_MIN, e.Port)
		})
	case Redirect:
		named("redir", func(a *attrs) { a.register(unix.NFTA_REDIR_REG_PROTO_MIN, e.Port) })
	case Enqueue:
		a.enqueue(e, named)
	case Reject:
		named("reject", func(a *attrs) { a.number(unix.NFTA_REJECT_TYPE, unix.NFT_REJECT_TCP_RST) })
	}
}

// enqueue passes by when nobody takes packets from the queue.
func (a *attrs) enqueue(e Enqueue, named func(string, func(*attrs))) {
	const bypass = 1
	be := binary.BigEndian
	if !e.Xtables {
		named("queue", func(a *attrs) {
			a.bytes(unix.NFTA_QUEUE_NUM, be.AppendUint16(nil, e.Number))
			a.bytes(unix.NFTA_QUEUE_TOTAL, be.AppendUint16(nil, 1))
			a.bytes(unix.NFTA_QUEUE_FLAGS, be.AppendUint16(nil, bypass))
		})
		return
	}
	ne := binary.NativeEndian
	info := ne.AppendUint16(ne.AppendUint16(ne.AppendUint16(nil, e.Number), 1), bypass) // struct xt_NFQ_info_v3
	named("target", func(a *attrs) {
		const name, revision, data = 1, 2, 3 // NFTA_TARGET_*
		a.string(name, "NFQUEUE")
		a.number(revision, 3)
		a.bytes(data, append(info, 0, 0))
	})
}

// place is where a field of a packet is.
type place struct{ base, offset, length uint32 }

func placeOf(f Field) place {
	return map[Field]place{
		SrcAddr: {unix.NFT_PAYLOAD_NETWORK_HEADER, 12, 4},
		DstAddr: {unix.NFT_PAYLOAD_NETWORK_HEADER, 16, 4},
		SrcPort: {unix.NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2},
		DstPort: {unix.NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2},
	}[f]
}

func (a *attrs) place(p place) {
	a.number(unix.NFTA_PAYLOAD_BASE, p.base)
	a.number(unix.NFTA_PAYLOAD_OFFSET, p.offset)
	a.number(unix.NFTA_PAYLOAD_LEN, p.length)
}

// store writes a field of a datagram and corrects the checksums that it is in: an
// address is in the IP header's and, as part of the pseudo header, in UDP's.
func (a *attrs) store(e Store) {
	const ipChecksum, udpChecksum = 10, 6
	p := placeOf(e.Field)
	a.register(unix.NFTA_PAYLOAD_SREG, e.From)
	a.place(p)
	a.number(unix.NFTA_PAYLOAD_CSUM_TYPE, unix.NFT_PAYLOAD_CSUM_INET)
	if p.base == unix.NFT_PAYLOAD_NETWORK_HEADER {
		a.number(unix.NFTA_PAYLOAD_CSUM_OFFSET, ipChecksum)
		a.number(unix.NFTA_PAYLOAD_CSUM_FLAGS, unix.NFT_PAYLOAD_L4CSUM_PSEUDOHDR)
	} else {
		a.number(unix.NFTA_PAYLOAD_CSUM_OFFSET, udpChecksum)
	}
}

func (a *attrs) load(e Load) {
	meta := map[Field]uint32{Protocol: unix.NFT_META_L4PROTO, Random: unix.NFT_META_PRANDOM, MarkOf: unix.NFT_META_MARK}
	if key, ok := meta[e.Field]; ok {
		a.string(unix.NFTA_EXPR_NAME, "meta")
		a.nest(unix.NFTA_EXPR_DATA, func(a *attrs) {
			a.number(unix.NFTA_META_KEY, key)
			a.register(unix.NFTA_META_DREG, e.To)
		})
		return
	}
	if e.Field == Bytes {
		a.string(unix.NFTA_EXPR_NAME, "ct")
		a.nest(unix.NFTA_EXPR_DATA, func(a *attrs) {
			a.number(unix.NFTA_CT_KEY, unix.NFT_CT_BYTES)
			a.register(unix.NFTA_CT_DREG, e.To)
		})
		return
	}
	a.string(unix.NFTA_EXPR_NAME, "payload")
	a.nest(unix.NFTA_EXPR_DATA, func(a *attrs) {
		a.register(unix.NFTA_PAYLOAD_DREG, e.To)
		a.place(placeOf(e.Field))
	})
}

// element is one element of a set: a key, and in a map what stands beside it.
type element struct{ key, data []byte }

// elements adds elements to a set or removes them; none are no message.
func elements(kind uint16, table, set string, list []element) (out []message) {
	for len(list) > 0 {
		n := min(len(list), maxElements)
		m := tableMessage(kind, func(a *attrs) {
			a.b = make([]byte, 0, 64+48*n)
			a.string(unix.NFTA_SET_ELEM_LIST_TABLE, table)
			a.string(unix.NFTA_SET_ELEM_LIST_SET, set)
			a.nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS, func(a *attrs) {
				for _, e := range list[:n] {
					a.element(e)
				}
			})
		})
		if kind == unix.NFT_MSG_NEWSETELEM {
			m = m.with(unix.NLM_F_CREATE)
		}
		out, list = append(out, m), list[n:]
	}
	return out
}

func (a *attrs) element(e element) {
	a.nest(unix.NFTA_LIST_ELEM, func(a *attrs) {
		a.value(unix.NFTA_SET_ELEM_KEY, e.key)
		if e.data != nil {
			a.value(unix.NFTA_SET_ELEM_DATA, e.data)
		}
	})
}

// maxBatch is how many elements go into one batch, unless those of one port of a
// service are more: a batch is one write to a socket, whose buffer has some
// 200 KB where nobody may make it larger.
const maxBatch = 2000

// batches are the changes as batches of messages, each of which the kernel takes
// or leaves as a whole. One port of a service is never in two of them.
func (c Changes) batches() (out [][]message) {
	b := batch{hold: ports(c.Hold), release: ports(c.Release)}
	for _, f := range c.Fronts {
		b.front(f)
		if b.size >= maxBatch {
			out = append(out, b.messages())
			b = batch{}
		}
	}
	if rest := b.messages(); len(rest) > 0 {
		out = append(out, rest)
	}
	return out
}

// batch gathers elements.
type batch struct {
	gain, lose                   []element // of SoleSet
	add, remove                  []element // of EndpointsSet
	refuse, carry, hold, release []element
	size                         int
}

func (b *batch) front(f Change) {
	if key := frontKey(f.Front); f.Sole.From != f.Sole.To {
		if f.Sole.From.IsValid() {
			b.lose = append(b.lose, element{key: key})
		}
		if f.Sole.To.IsValid() {
			b.gain = append(b.gain, element{key, endpointData(f.Sole.To)})
		}
	}
	for _, s := range f.Slots {
		key := slotKey(f.Front, s.Slot)
		if s.From.IsValid() {
			b.remove = append(b.remove, element{key: key})
		}
		if s.To.IsValid() {
			b.add = append(b.add, element{key, endpointData(s.To)})
		}
	}
	if f.Refuse {
		b.refuse = append(b.refuse, element{key: frontKey(f.Front)})
	}
	if f.Carry {
		b.carry = append(b.carry, element{key: frontKey(f.Front)})
	}
	b.size += 2*len(f.Slots) + 1
}

// messages removes before it adds: an element that gets other data is another.
func (b *batch) messages() (out []message) {
	const add, remove = unix.NFT_MSG_NEWSETELEM, unix.NFT_MSG_DELSETELEM
	out = append(out, elements(remove, TableName, SoleSet, b.lose)...)
	out = append(out, elements(add, TableName, SoleSet, b.gain)...)
	out = append(out, elements(remove, TableName, EndpointsSet, b.remove)...)
	out = append(out, elements(add, TableName, EndpointsSet, b.add)...)
	out = append(out, elements(remove, TableName, RefusedSet, b.carry)...)
	out = append(out, elements(add, TableName, TurnedSet, b.refuse)...) // one that is there stays, and what it counted
	out = append(out, elements(add, TableName, RefusedSet, b.refuse)...)
	out = append(out, elements(remove, TableName, HeldSet, b.release)...)
	return append(out, elements(add, TableName, HeldSet, b.hold)...)
}

func ports(list []uint16) (out []element) {
	for _, p := range list {
		out = append(out, element{key: binary.BigEndian.AppendUint16(nil, p)})
	}
	return out
}
