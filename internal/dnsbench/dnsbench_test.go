package dnsbench

import (
	"net"
	"strings"
	"testing"
)

// What does not answer is told, and what does is counted; the first server is
// what the others are measured by.
func TestRun(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			conn.WriteTo(buf[:n], from)
		}
	}()
	echo := Server{Name: "echo", Addr: conn.LocalAddr().String(), Query: Query("web.shop.svc.cluster.local.")}
	results, err := Run([]Server{echo, echo}, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	if r := results[0]; r.PerSecond == 0 || r.P50 == 0 || r.Ratio != 1 || results[1].Ratio == 0 {
		t.Errorf("got %+v", results)
	}
	if table := Table(results); !strings.Contains(table, "1.00x") {
		t.Errorf("got %s", table)
	}
	echo.Query[3] = 3 // the code of the answer
	if _, err := Run([]Server{echo}, 1, 1); err == nil {
		t.Error("an error of the server's is not told")
	}
}
