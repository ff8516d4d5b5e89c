package nft

import (
	"encoding/binary"
	"net/netip"

	"github.com/cuepod/cuepod/runner/proxy"
)

// Numbers of protocols in an IP header.
const (
	protocolTCP = 6
	protocolUDP = 17
)

// frontKey is the key of SoleSet and RefusedSet, and the beginning of that of
// EndpointsSet: each part in registers of its own.
func frontKey(f proxy.Front) []byte {
	protocol := byte(protocolTCP)
	if f.Protocol == proxy.UDP {
		protocol = protocolUDP
	}
	addr := f.Addr.Addr().As4()
	b := append(make([]byte, 0, 16), addr[:]...)
	b = append(b, protocol, 0, 0, 0)
	return append(b, portPart(f.Addr.Port())...)
}

// slotKey is the key of EndpointsSet. The slot is as the rules' number: in the
// machine's byte order.
func slotKey(f proxy.Front, slot int) []byte {
	return append(frontKey(f), native(uint32(slot))...)
}

// endpointData is what stands beside a key of SoleSet and EndpointsSet.
func endpointData(e netip.AddrPort) []byte {
	addr := e.Addr().As4()
	return append(addr[:], portPart(e.Port())...)
}

// portPart is a port in a register of its own.
func portPart(port uint16) []byte {
	return append(binary.BigEndian.AppendUint16(nil, port), 0, 0)
}
