//go:build !linux

package nft

import "net/netip"

// Queue keeps nothing.
type Queue struct{}

// NewQueue makes one.
func NewQueue(netip.Addr) *Queue { return &Queue{} }

// Hold does nothing.
func (*Queue) Hold(...uint16) error { return nil }

// Release does nothing.
func (*Queue) Release(...uint16) error { return nil }

// Close does nothing.
func (*Queue) Close() error { return nil }
