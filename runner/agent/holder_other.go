//go:build !linux

package agent

import (
	"errors"
	"net"
	"net/netip"

	"github.com/cuepod/cuepod/runner/agent/swap"
)

func originalDst(net.Conn) netip.AddrPort { return netip.AddrPort{} }

func listeningPorts() (map[swap.Port]bool, error) {
	return nil, errors.New("only Linux tells which ports are listened on")
}
