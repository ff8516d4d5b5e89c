package agent

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/agent/swap"
)

func TestListeningPorts(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   2: 0302010A:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   3: 0302010A:0051 0402010A:8000 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
`
	const table6 = `  sl  local_address                         remote_address                        st tx_queue
   0: 00000000000000000000000000000000:1F92 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000
   1: 00000000000000000000000001000000:1F93 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000
`
	// A socket that is connected takes datagrams of one other alone.
	const udp = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 1126: 0302010A:A3F1 0402010A:0035 01 00000000:00000000 00:00000000 00000000     0        0 1 2 0 0
 1127: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 0
 1128: 0100007F:0036 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 0
`
	got := map[swap.Port]bool{}
	for _, text := range []string{table, table6} {
		addListening(got, bufio.NewScanner(strings.NewReader(text)), false)
	}
	addListening(got, bufio.NewScanner(strings.NewReader(udp)), true)
	var list []string
	for port := range got {
		list = append(list, port.String())
	}
	slices.Sort(list)
	if fmt.Sprint(list) != "[53/udp 80 8080 8082]" {
		t.Errorf("%v", list)
	}
	ln, err := net.Listen("tcp", ":0") // the real table has it, and not one of the loopback
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	datagrams, err := net.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	tcp := func(a net.Addr) swap.Port { return swap.Port{Number: a.(*net.TCPAddr).Port} }
	real, err := listeningPorts()
	if err != nil || !real[tcp(ln.Addr())] || real[tcp(inner.Addr())] || !real[swap.Port{Number: datagrams.LocalAddr().(*net.UDPAddr).Port, UDP: true}] {
		t.Errorf("listening on %v, %v and %v: %v %v", ln.Addr(), inner.Addr(), datagrams.LocalAddr(), real, err)
	}
}

// A client waits a fortieth longer at most, and a swap that hangs costs little.
func TestLookPause(t *testing.T) {
	for waited, want := range map[time.Duration]time.Duration{
		0: holdLook, 100 * time.Millisecond: holdLook, time.Second: 25 * time.Millisecond, time.Minute: holdLookMax,
	} {
		if got := lookPause(waited); got != want {
			t.Errorf("after %v: %v, want %v", waited, got, want)
		}
	}
}
