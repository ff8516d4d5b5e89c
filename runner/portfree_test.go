package runner

import (
	"net"
	"testing"

	"github.com/cuepod/cuepod/targets/docker"
)

// A port that somebody has on either loopback address is told before anything
// is made, whatever the protocol.
func TestPortFree_BothLoopbacksAndProtocols(t *testing.T) {
	for _, c := range []struct{ protocol, address string }{
		{"TCP", "127.0.0.1:0"}, {"TCP", "[::1]:0"}, {"UDP", "127.0.0.1:0"}, {"UDP", "[::1]:0"},
	} {
		var port int
		var closer func() error
		if c.protocol == "UDP" {
			conn, err := net.ListenPacket("udp", c.address)
			if err != nil {
				t.Skip(err) // a machine without IPv6
			}
			port, closer = conn.LocalAddr().(*net.UDPAddr).Port, conn.Close
		} else {
			ln, err := net.Listen("tcp", c.address)
			if err != nil {
				t.Skip(err)
			}
			port, closer = ln.Addr().(*net.TCPAddr).Port, ln.Close
		}
		p := docker.Portal{Service: "web", Ports: []docker.PortalPort{{HostPort: port, Port: 80, Protocol: c.protocol}}}
		if portFree(p) == nil {
			t.Errorf("%s %s: it counts as free", c.protocol, c.address)
		}
		closer()
	}
}
