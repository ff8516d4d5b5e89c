package agent

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
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
	got := map[int]bool{}
	for _, text := range []string{table, table6} {
		addListening(got, bufio.NewScanner(strings.NewReader(text)))
	}
	if fmt.Sprint(got) != "map[80:true 8080:true 8082:true]" {
		t.Errorf("%v", got)
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
	real, err := listeningPorts()
	if err != nil || !real[ln.Addr().(*net.TCPAddr).Port] || real[inner.Addr().(*net.TCPAddr).Port] {
		t.Errorf("listening on %v and %v: %v %v", ln.Addr(), inner.Addr(), real, err)
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
