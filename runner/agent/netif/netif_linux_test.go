package netif

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cuepod/cuepod/runner/agent/agenttest"
)

// inside marks the test process that runs in a network namespace of its own.
const inside = "CUEPOD_TEST_NETNS"

// TestSetAddresses runs itself again in a private network namespace, where it
// may do as it likes with a veth interface.
func TestSetAddresses(t *testing.T) {
	if os.Getenv(inside) == "" {
		runInside(t)
		return
	}
	nic := newInterface(t)
	ips := []netip.Addr{netip.MustParseAddr("10.9.8.130"), netip.MustParseAddr("10.9.8.131"), netip.MustParseAddr("10.9.8.132")}
	set := func(want ...netip.Addr) {
		t.Helper()
		if err := nic.SetAddresses(want); err != nil {
			t.Fatal(err)
		}
		if got := virtual(t, nic); !slices.Equal(got, want) {
			t.Fatalf("addresses %v, want %v", got, want)
		}
	}
	set(ips[0], ips[1])
	set(ips[1], ips[2])
	set(ips[1], ips[2]) // again: nothing to do
	for _, ip := range ips[1:] {
		ln, err := net.Listen("tcp", netip.AddrPortFrom(ip, 80).String())
		if err != nil {
			t.Fatalf("an address that was set cannot be listened on: %v", err)
		}
		ln.Close()
	}
	if _, err := net.Listen("tcp", netip.AddrPortFrom(ips[0], 80).String()); err == nil {
		t.Error("an address that was removed can be listened on")
	}
	// What an earlier process set is taken over, not an error.
	again := *nic
	again.virtual = nil
	if err := again.SetAddresses(ips[1:2]); err != nil {
		t.Error(err)
	}
	// The primary address is found all the same, and never touched.
	if found, err := Find(); err != nil || found.Primary != nic.Primary {
		t.Errorf("found %+v, %v", found, err)
	}
	set()
	neighbourFollows(t, nic, ips[0])
}

// neighbourFollows has a neighbour that knows an address elsewhere, and sees it
// learn better from the address's being set.
func neighbourFollows(t *testing.T, nic *Interface, ip netip.Addr) {
	neighbour := exec.CommandContext(t.Context(), "/bin/sleep", "60")
	neighbour.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := neighbour.Start(); err != nil {
		t.Fatal(err)
	}
	defer neighbour.Wait()
	defer neighbour.Process.Kill()
	pid := fmt.Sprint(neighbour.Process.Pid)
	there := func(args string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "nsenter", append([]string{"-t", pid, "-n", "ip"}, strings.Fields(args)...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("ip %s: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if out, err := exec.CommandContext(t.Context(), "ip", "link", "set", "other", "netns", pid).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	there("addr add 10.9.8.3/24 dev other")
	there("link set other up")
	there(fmt.Sprintf("neigh replace %s lladdr 02:00:00:00:00:99 nud stale dev other", ip))
	if err := nic.SetAddresses([]netip.Addr{ip}); err != nil {
		t.Fatal(err)
	}
	i, err := net.InterfaceByIndex(nic.Index)
	if err != nil {
		t.Fatal(err)
	}
	agenttest.Eventually(t, func() error {
		if got := there("neigh show " + ip.String()); !strings.Contains(got, i.HardwareAddr.String()) {
			return fmt.Errorf("the neighbour has %q, want %s", got, i.HardwareAddr)
		}
		return nil
	})
}

func TestLast(t *testing.T) {
	for prefix, want := range map[string]string{"10.9.8.0/24": "10.9.8.255", "10.9.8.0/25": "10.9.8.127", "10.9.8.0/20": "10.9.15.255", "10.9.8.7/32": "10.9.8.7"} {
		if got := last(netip.MustParsePrefix(prefix)); got.String() != want {
			t.Errorf("%s: %s, want %s", prefix, got, want)
		}
	}
}

func TestSetAddresses_SaysWhatFailed(t *testing.T) {
	nic := Interface{Name: "none", Index: 1 << 30}
	err := nic.SetAddresses([]netip.Addr{netip.MustParseAddr("10.9.8.130")})
	if err == nil || !strings.Contains(err.Error(), "interface none: add address 10.9.8.130: ") {
		t.Errorf("got %v", err)
	}
	if len(nic.virtual) != 0 {
		t.Error("an address that could not be set counts as set")
	}
}

func runInside(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root for a network namespace of its own")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs the ip command to make an interface")
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestSetAddresses$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if err != nil && strings.Contains(err.Error(), "operation not permitted") {
		t.Skipf("needs the right to make a network namespace: %v", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// newInterface makes a veth pair with an address, as an engine does, and finds it.
func newInterface(t *testing.T) *Interface {
	for _, args := range []string{
		"link add eth0 type veth peer name other", "addr add 10.9.8.2/24 dev eth0", "link set eth0 up", "link set other up", "link set lo up",
	} {
		if out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", args, err, out)
		}
	}
	nic, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	if nic.Name != "eth0" || nic.Primary.String() != "10.9.8.2" || nic.Subnet.String() != "10.9.8.0/24" {
		t.Fatalf("found %+v", nic)
	}
	return nic
}

// virtual lists the interface's single addresses.
func virtual(t *testing.T, nic *Interface) []netip.Addr {
	i, err := net.InterfaceByIndex(nic.Index)
	if err != nil {
		t.Fatal(err)
	}
	all, err := prefixes(*i)
	if err != nil {
		t.Fatal(err)
	}
	var ips []netip.Addr
	for _, p := range all {
		if p.IsSingleIP() && p.Addr().Is4() {
			ips = append(ips, p.Addr())
		}
	}
	slices.SortFunc(ips, netip.Addr.Compare)
	return ips
}
