package nft

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cuepod/cuepod/runner/proxy"
)

// inside marks the test process that runs in a network namespace of its own.
const inside = "CUEPOD_TEST_NETNS"

// self is the pod's address in a namespace, where all of 10.9.0.0/16 is local:
// servers are on endpoints' addresses, and on virtual ones for what the rules
// leave to the gateway.
var self = netip.MustParseAddr("10.9.0.1")

// inNamespace runs the test again in a network namespace of its own, and reports
// whether this is there.
func inNamespace(t *testing.T) bool {
	if os.Getenv(inside) == t.Name() {
		ip(t, "link set lo up")
		ip(t, "addr add 10.9.0.1/16 dev lo")
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("needs root for a network namespace of its own")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs the ip command to make an interface")
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if err != nil && strings.Contains(err.Error(), "operation not permitted") {
		t.Skipf("needs the right to make a network namespace: %v", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), "--- SKIP") {
		t.Skipf("%s", out)
	}
	return false
}

func ip(t testing.TB, args string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
}

// open opens the plane, and skips the test where the kernel has none.
func open(t testing.TB) *Plane {
	t.Helper()
	p, err := Open(self)
	if err != nil {
		t.Skipf("needs nf_tables: %v", err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// serve answers on an address with the address, by TCP and by UDP.
func serve(t testing.TB, address string) {
	t.Helper()
	serveTCP(t, address)
	udp, err := net.ListenPacket("udp4", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close() })
	go func() {
		buf := make([]byte, 100)
		for {
			_, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = udp.WriteTo([]byte(address), from)
		}
	}()
}

// answer says on each connection who it is, and where the client is and sent it.
func answer(ln net.Listener, address string) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		fmt.Fprintf(c, "%s from %s to %s", address, c.RemoteAddr().(*net.TCPAddr).IP, original(c.(*net.TCPConn)))
		c.Close()
	}
}

// original is where the client of a connection sent it.
func original(c *net.TCPConn) netip.AddrPort {
	raw, err := c.SyscallConn()
	if err != nil {
		return netip.AddrPort{}
	}
	var dst netip.AddrPort
	_ = raw.Control(func(fd uintptr) {
		const soOriginalDst = 80 // linux/netfilter_ipv4.h; the answer is a struct sockaddr_in
		m, err := unix.GetsockoptIPv6Mreq(int(fd), unix.IPPROTO_IP, soOriginalDst)
		if err != nil {
			return
		}
		b := m.Multiaddr
		dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), uint16(b[2])<<8|uint16(b[3]))
	})
	return dst
}

// reach says who answers at an address: the address of a server, "refused", or
// what else became of it.
func reach(protocol, address string) string {
	answer, _, _ := strings.Cut(said(protocol, address, nil), " ")
	return answer
}

// said is all that the server said.
func said(protocol, address string, control func(network, address string, c syscall.RawConn) error) string {
	d := net.Dialer{Timeout: 2 * time.Second, Control: control}
	c, err := d.Dial(protocol+"4", address)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "refused"
	}
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	return exchange(c)
}

func exchange(c net.Conn) string {
	buf := make([]byte, 100)
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, isUDP := c.(*net.UDPConn); isUDP {
		if _, err := c.Write([]byte("?")); err != nil {
			return err.Error()
		}
	}
	n, err := c.Read(buf)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "refused"
	}
	if err != nil {
		return err.Error()
	}
	return string(buf[:n])
}

func front(protocol, address string) proxy.Front {
	return proxy.Front{Protocol: protocol, Addr: netip.MustParseAddrPort(address)}
}

func target(endpoints ...string) proxy.Target {
	var t proxy.Target
	for _, e := range endpoints {
		t.Endpoints = append(t.Endpoints, netip.MustParseAddrPort(e))
	}
	return t
}
