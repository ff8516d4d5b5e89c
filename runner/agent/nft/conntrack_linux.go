package nft

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/cuepod/cuepod/runner/proxy"
)

// The kernel's list of flows. Source: include/uapi/linux/netfilter/nfnetlink_conntrack.h
// and nf_conntrack_common.h.
const (
	ctGet    = 1
	ctDelete = 2

	ctaTupleOrig     = 1
	ctaTupleReply    = 2
	ctaStatus        = 3
	ctaCountersOrig  = 9
	ctaCountersReply = 10
	ctaID            = 12

	ctaTupleIP    = 1
	ctaTupleProto = 2

	ctaIPv4Src = 1
	ctaIPv4Dst = 2

	ctaProtoNum     = 1
	ctaProtoSrcPort = 2
	ctaProtoDstPort = 3

	ctaCountersPackets = 1
	ctaCountersBytes   = 2

	statusAssured = 1 << 2 // of TCP: that the connection was established
	statusDying   = 1 << 9 // it has ended, and the kernel has said so or will
)

// flow is a flow that the kernel keeps: where the client sent it, and who answers.
type flow struct {
	client         netip.AddrPort
	front          proxy.Front
	endpoint       netip.AddrPort
	answered       netip.AddrPort // where the endpoint answers to: the client, or another port when the kernel had to choose one
	original       []byte         // the attribute that names the flow
	id             uint32
	assured, dying bool
	sent, received uint64 // bytes of payload, see api.Traffic
}

func ctMessage(kind uint16, body []byte) message {
	return message{kind: unix.NFNL_SUBSYS_CTNETLINK<<8 | kind, family: unix.AF_INET, body: body}
}

// forget has the kernel forget the flows of datagrams to these fronts that do not
// end at one of the front's endpoints: a client's socket would else send to one
// that has left for as long as it sends at all. What such an endpoint has yet to
// answer goes by LeftSet. It returns how many there were.
func (s *socket) forget(fronts map[netip.AddrPort][]netip.AddrPort) (forgotten int, err error) {
	var stale []flow
	err = s.ask(ctMessage(ctGet, nil).with(unix.NLM_F_DUMP), func(body []byte) {
		f, ok := parseFlow(body)
		if !ok {
			return
		}
		if endpoints, ours := fronts[f.front.Addr]; ours && f.front.Protocol == proxy.UDP && !slices.Contains(endpoints, f.endpoint) {
			f.original = slices.Clone(f.original)
			stale = append(stale, f)
		}
	})
	for _, f := range stale {
		// One socket that has asked both of two services with one endpoint, within
		// seconds, has an element there already; it stays.
		left := s.transact(elements(unix.NFT_MSG_NEWSETELEM, TableName, LeftSet, []element{f.left()}))
		if !errors.Is(left, unix.EEXIST) && !errors.Is(left, unix.EBUSY) {
			err = errors.Join(err, left)
		}
		var a attrs
		a.bytes(ctaTupleOrig|unix.NLA_F_NESTED, f.original)
		if gone := s.ask(ctMessage(ctDelete, a.b), func([]byte) {}); !errors.Is(gone, unix.ENOENT) {
			err = errors.Join(err, gone)
		}
	}
	return len(stale), err
}

// parseFlow reads one entry of the list; it reports false for what is neither TCP
// nor UDP.
func parseFlow(body []byte) (f flow, ok bool) {
	var protocol byte
	headers := uint64(ipHeader + udpHeader)
	eachAttr(body, func(kind uint16, value []byte) {
		switch kind {
		case ctaTupleOrig:
			f.original = value
			f.client, f.front.Addr, protocol = parseTuple(value)
			switch protocol {
			case protocolUDP:
				f.front.Protocol = proxy.UDP
			case protocolTCP:
				f.front.Protocol, headers = proxy.TCP, ipHeader+tcpHeader
			}
		case ctaTupleReply:
			f.endpoint, f.answered, _ = parseTuple(value)
		case ctaStatus:
			if len(value) == 4 {
				status := binary.BigEndian.Uint32(value)
				f.assured, f.dying = status&statusAssured != 0, status&statusDying != 0
			}
		case ctaID:
			if len(value) == 4 {
				f.id = binary.BigEndian.Uint32(value)
			}
		case ctaCountersOrig:
			f.sent = parsePayload(value, headers)
		case ctaCountersReply:
			f.received = parsePayload(value, headers)
		}
	})
	return f, f.front.Protocol != "" && f.front.Addr.IsValid() && f.endpoint.IsValid()
}

// The shortest headers, in bytes.
const (
	ipHeader  = 20
	tcpHeader = 20
	udpHeader = 8
)

// parsePayload reads the counters of one direction: bytes without headers.
func parsePayload(b []byte, headers uint64) uint64 {
	var packets, bytes uint64
	eachAttr(b, func(kind uint16, value []byte) {
		switch {
		case len(value) != 8:
		case kind == ctaCountersPackets:
			packets = binary.BigEndian.Uint64(value)
		case kind == ctaCountersBytes:
			bytes = binary.BigEndian.Uint64(value)
		}
	})
	return bytes - min(bytes, packets*headers)
}

func parseTuple(b []byte) (src, dst netip.AddrPort, protocol byte) {
	var ips [2]netip.Addr
	var ports [2]uint16
	eachAttr(b, func(kind uint16, value []byte) {
		eachAttr(value, func(inner uint16, value []byte) {
			switch {
			case kind == ctaTupleIP && len(value) == 4 && (inner == ctaIPv4Src || inner == ctaIPv4Dst):
				ips[inner-ctaIPv4Src] = netip.AddrFrom4([4]byte(value))
			case kind == ctaTupleProto && inner == ctaProtoNum && len(value) == 1:
				protocol = value[0]
			case kind == ctaTupleProto && len(value) == 2 && (inner == ctaProtoSrcPort || inner == ctaProtoDstPort):
				ports[inner-ctaProtoSrcPort] = binary.BigEndian.Uint16(value)
			}
		})
	})
	return netip.AddrPortFrom(ips[0], ports[0]), netip.AddrPortFrom(ips[1], ports[1]), protocol
}

// eachAttr calls each for every attribute of a list.
func eachAttr(b []byte, each func(kind uint16, value []byte)) {
	ne := binary.NativeEndian
	for len(b) >= attrHeader {
		n := int(ne.Uint16(b))
		if n < attrHeader || n > len(b) {
			return
		}
		each(ne.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[attrHeader:n])
		b = b[min(len(b), (n+3)&^3):]
	}
}

// datagramFronts are the UDP fronts among the changes, with the endpoints that
// they have now.
func (c Changes) datagramFronts(table proxy.Table) map[netip.AddrPort][]netip.AddrPort {
	changed := proxy.Table{}
	for _, f := range c.Fronts {
		changed[f.Front] = table[f.Front]
	}
	return datagramFronts(changed)
}

// datagramFronts are the UDP fronts of a table, with their endpoints.
func datagramFronts(table proxy.Table) map[netip.AddrPort][]netip.AddrPort {
	out := map[netip.AddrPort][]netip.AddrPort{}
	for front, t := range table {
		switch {
		case front.Protocol != proxy.UDP:
		case t.Waits():
			out[front.Addr] = nil // the gateway has what comes next
		default:
			out[front.Addr] = t.Endpoints
		}
	}
	return out
}

// left is the element of LeftSet for a flow of datagrams.
func (f flow) left() element {
	key := append(endpointData(f.endpoint), portPart(f.answered.Port())...)
	return element{key, append(endpointData(f.front.Addr), portPart(f.client.Port())...)}
}
