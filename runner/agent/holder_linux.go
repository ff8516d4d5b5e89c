package agent

import (
	"bufio"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cuepod/cuepod/runner/agent/swap"
)

// originalDst is where a redirected connection was sent (SO_ORIGINAL_DST); the
// zero value when it was not redirected.
func originalDst(conn net.Conn) netip.AddrPort {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return netip.AddrPort{}
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return netip.AddrPort{}
	}
	var out netip.AddrPort
	_ = raw.Control(func(fd uintptr) {
		// A struct sockaddr_in, for which this has the room.
		r, err := unix.GetsockoptIPv6Mreq(int(fd), unix.IPPROTO_IP, unix.SO_ORIGINAL_DST)
		if err == nil {
			addr := netip.AddrFrom4([4]byte(r.Multiaddr[4:8]))
			out = netip.AddrPortFrom(addr, binary.BigEndian.Uint16(r.Multiaddr[2:4]))
		}
	})
	return out
}

// listeningPorts are the ports on which somebody listens in this network
// namespace, on other addresses than the loopback's.
func listeningPorts() (map[swap.Port]bool, error) {
	out := map[swap.Port]bool{}
	for _, path := range []string{"/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6"} {
		f, err := os.Open(path)
		if os.IsNotExist(err) {
			continue // there is no IPv6
		}
		if err != nil {
			return nil, err
		}
		addListening(out, bufio.NewScanner(f), strings.Contains(path, "udp"))
		f.Close()
	}
	return out, nil
}

// The kernel's numbers of the state of a socket that takes connections, and of one
// that takes datagrams from everybody.
const (
	stateListen = "0A"
	stateBound  = "07"
)

// addListening reads the kernel's table. In that of TCP the sockets that listen
// come first.
func addListening(out map[swap.Port]bool, lines *bufio.Scanner, udp bool) {
	lines.Scan() // the header
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) < 4:
			return
		case udp && fields[3] != stateBound:
			continue
		case !udp && fields[3] != stateListen:
			return
		}
		addr, port, ok := strings.Cut(fields[1], ":")
		number, err := strconv.ParseUint(port, 16, 16)
		if ok && err == nil && !isLoopback(addr) {
			out[swap.Port{Number: int(number), UDP: udp}] = true
		}
	}
}

// isLoopback looks at an address as the table has it: words of 32 bits in the
// machine's order.
func isLoopback(hex string) bool {
	if len(hex) == 8 {
		n, err := strconv.ParseUint(hex, 16, 32)
		word := binary.NativeEndian.AppendUint32(nil, uint32(n))
		return err == nil && word[0] == 127
	}
	return len(hex) == 32 && strings.TrimLeft(hex[:24], "0") == "" && strings.Trim(hex[24:], "0") == "1"
}
