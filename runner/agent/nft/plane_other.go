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

// Self is none.
func (*Plane) Self() netip.Addr { return netip.Addr{} }

// Hold does nothing.
func (*Plane) Hold(...uint16) error { return nil }

// Release does nothing.
func (*Plane) Release(...uint16) error { return nil }

// Origin is none.
func (*Plane) Origin(netip.AddrPort) uint16 { return 0 }

// Expire does nothing.
func (*Plane) Expire(time.Time) (time.Duration, error) { return 0, nil }

// Traffic is none.
func (*Plane) Traffic() (proxy.Counts, error) { return nil, nil }

// Flowing does nothing.
func (*Plane) Flowing() bool { return false }

// Flows are there on Linux alone.
type Flows struct{}

// WatchRefusals always fails.
func WatchRefusals() (*Flows, error) { return nil, errors.New("there is no netfilter on this system") }

// Name does nothing.
func (*Flows) Name(proxy.Table) error { return nil }

// Counts are none.
func (*Flows) Counts() (proxy.Counts, error) { return nil, nil }

// Close does nothing.
func (*Flows) Close() {}

// Close does nothing.
func (*Plane) Close() error { return nil }
