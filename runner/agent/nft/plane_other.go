//go:build !linux

package nft

import (
	"errors"
	"net/netip"
	"time"

	"github.com/cuepod/cuepod/runner/proxy"
)

// Plane is there on Linux alone.
type Plane struct{}

// Open always fails.
func Open(netip.Addr) (*Plane, error) { return nil, errors.New("there is no nf_tables on this system") }

// Apply does nothing: there is no Plane.
func (*Plane) Apply(proxy.Table) error { return nil }

// Hold does nothing.
func (*Plane) Hold(...uint16) error { return nil }

// Release does nothing.
func (*Plane) Release(...uint16) error { return nil }

// Origin is none.
func (*Plane) Origin(netip.AddrPort) uint16 { return 0 }

// Expire does nothing.
func (*Plane) Expire(time.Time) (time.Duration, error) { return 0, nil }

// Close does nothing.
func (*Plane) Close() error { return nil }
