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
	var have []netip.Addr
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
	}
	i.virtual = have
	return errors.Join(errs...)
}
