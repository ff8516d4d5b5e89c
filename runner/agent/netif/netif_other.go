//go:build !linux

package netif

import (
	"errors"
	"net/netip"
)

func addAddress(int, netip.Addr) error    { return errors.ErrUnsupported }
func deleteAddress(int, netip.Addr) error { return errors.ErrUnsupported }
