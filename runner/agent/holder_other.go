//go:build !linux

package agent

import (
	"errors"
	"net"
	"net/netip"
)

func originalDst(net.Conn) netip.AddrPort { return netip.AddrPort{} }

func listeningPorts() (map[int]bool, error) {
	return nil, errors.New("only Linux tells which ports are listened on")
}
