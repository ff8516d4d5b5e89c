package runner

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"

	"github.com/cuepod/cuepod/targets/docker"
)

// addresses is the address plan of an app's network, a /22: pods in the lower
// half, where the engine hands out addresses, the gateway and the virtual IPs
// in the upper half, where it does not. Virtual IPs lie in the pods' own subnet
// so that a pod reaches them without a route.
type addresses struct{ subnet netip.Prefix }

const (
	subnetBits  = 22
	podHalf     = 512 // addresses for pods
	firstVIP    = 16  // in the upper half; those before are for the gateway
	maxServices = 480
	poolFirst   = 64 // 10.64.0.0 to 10.127.255.255: away from the ranges that
	poolSize    = 64 // engines, clusters and home routers take by default
	subnetTries = 16 // other networks in the way before we give up
)

// candidate is the n-th subnet to try for an app; the first depends only on
// the app's identity.
func candidate(id string, n int) addresses {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d", id, n))
	v := binary.BigEndian.Uint16(sum[:])
	return addresses{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, poolFirst + byte(v>>8)%poolSize, byte(v) &^ 3, 0}), subnetBits)}
}

func (a addresses) nth(n int) netip.Addr {
	base := a.subnet.Masked().Addr().As4()
	binary.BigEndian.PutUint32(base[:], binary.BigEndian.Uint32(base[:])+uint32(n))
	return netip.AddrFrom4(base)
}

// host is the engine's own address on the network.
func (a addresses) host() string { return a.nth(1).String() }

// pods is the range that the engine hands out.
func (a addresses) pods() string {
	return netip.PrefixFrom(a.subnet.Masked().Addr(), subnetBits+1).String()
}

// gateway is the address of the gateway container.
func (a addresses) gateway() string { return a.nth(podHalf + 2).String() }

// vip is the virtual IP of a slot.
func (a addresses) vip(slot int) string { return a.nth(podHalf + firstVIP + slot).String() }

// assignSlots gives every service with a virtual IP a slot. A service keeps the
// slot it had; a new one gets the slot its name points to, or the next free.
func assignSlots(services []docker.Service, previous map[string]int) map[string]int {
	slots := map[string]int{}
	var taken []int
	for _, s := range services {
		if slot, ok := previous[s.Name]; ok && s.Virtual() {
			slots[s.Name] = slot
			taken = append(taken, slot)
		}
	}
	for _, s := range services {
		if _, ok := slots[s.Name]; ok || !s.Virtual() {
			continue
		}
		h := fnv.New32a()
		h.Write([]byte(s.Name))
		slot := int(h.Sum32() % maxServices)
		for slices.Contains(taken, slot) {
			slot = (slot + 1) % maxServices
		}
		slots[s.Name] = slot
		taken = append(taken, slot)
	}
	return slots
}
