// Package netif gives the gateway's network interface its addresses.
//
// The virtual addresses of services lie in the pods' own subnet, outside the
// range that pods get theirs from. As addresses of the gateway's interface they
// need nothing else: the kernel answers for them (ARP), for any container of
// the network, with or without an agent.
package netif

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// Interface is one network interface and the virtual addresses put on it. It is
// not safe for concurrent use.
type Interface struct {
	Name    string
	Index   int
	Primary netip.Addr   // the address the engine gave it
	Subnet  netip.Prefix // of the primary address
	virtual []netip.Addr
}

// Find returns the first interface that is up, has an IPv4 address and is not
// the loopback: in a container with one network, its network.
func Find() (*Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		prefixes, err := prefixes(i)
		if err != nil {
			return nil, fmt.Errorf("interface %s: %w", i.Name, err)
		}
		// Virtual addresses are single; the engine's comes with its subnet.
		for _, p := range prefixes {
			if p.Addr().Is4() && !p.IsSingleIP() {
				return &Interface{Name: i.Name, Index: i.Index, Primary: p.Addr(), Subnet: p.Masked()}, nil
			}
		}
	}
	return nil, errors.New("no network interface with an IPv4 address is up")
}

func prefixes(i net.Interface) ([]netip.Prefix, error) {
	addrs, err := i.Addrs()
	if err != nil {
		return nil, err
	}
	var out []netip.Prefix
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p)
		}
	}
	return out, nil
}

// SetAddresses makes the virtual addresses of the interface exactly these. What
// fails is in the error, joined; the rest is done, and the next call tries again.
func (i *Interface) SetAddresses(want []netip.Addr) error {
	var have, added []netip.Addr
	var errs []error
	for _, ip := range i.virtual {
		if !slices.Contains(want, ip) {
			if err := deleteAddress(i.Index, ip); err != nil {
				errs = append(errs, fmt.Errorf("interface %s: remove address %s: %w", i.Name, ip, err))
				have = append(have, ip)
			}
			continue
		}
		have = append(have, ip)
	}
	for _, ip := range want {
		if slices.Contains(have, ip) || ip == i.Primary {
			continue
		}
		if err := addAddress(i.Index, ip); err != nil {
			errs = append(errs, fmt.Errorf("interface %s: add address %s: %w", i.Name, ip, err))
			continue
		}
		have = append(have, ip)
		added = append(added, ip)
	}
	i.virtual = have
	return errors.Join(append(errs, i.announce(added))...)
}

// announce tells the neighbours that these addresses are here now. One that
// talked to them at an earlier gateway's hardware address would else go on with
// that for some eight seconds.
//
// A packet sent from an address to a neighbour nobody has makes the kernel ask
// the whole link for that neighbour, in that address's name; everybody who knows
// the name takes the sender's hardware address from the question (RFC 826).
// Unlike a gratuitous ARP of our own making it needs no raw socket.
func (i *Interface) announce(ips []netip.Addr) error {
	if !i.Subnet.Addr().Is4() {
		return nil
	}
	var errs []error
	nobody := last(i.Subnet)
	for _, ip := range ips {
		for nobody = nobody.Prev(); slices.Contains(i.virtual, nobody) || nobody == i.Primary; {
			nobody = nobody.Prev()
		}
		if !i.Subnet.Contains(nobody) || !ip.Is4() {
			break // more addresses than neighbours: the rest is learned late
		}
		if err := send(ip, nobody); err != nil {
			errs = append(errs, fmt.Errorf("interface %s: announce address %s: %w", i.Name, ip, err))
		}
	}
	return errors.Join(errs...)
}

// send sends one datagram that nobody has to read; 9 is the discard port.
func send(from, to netip.Addr) error {
	conn, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 9)))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte{0})
	return err
}

// last returns the last address of an IPv4 subnet, its broadcast address.
func last(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(b)
}
