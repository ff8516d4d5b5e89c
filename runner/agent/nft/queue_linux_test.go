package nft

import (
	"fmt"
	"net"
	"os"
	"testing"
	"time"
)

// udpServer answers each datagram with what it says, and who sent it.
func udpServer(t *testing.T, address string) net.PacketConn {
	t.Helper()
	conn, err := net.ListenPacket("udp4", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 2000)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(fmt.Appendf(nil, "%s from %s", buf[:n], from), from)
		}
	}()
	return conn
}

// udpClient sends and reads from one socket.
type udpClient struct {
	t    *testing.T
	conn net.Conn
}

func newUDPClient(t *testing.T, address string) udpClient {
	t.Helper()
	conn, err := net.Dial("udp4", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return udpClient{t, conn}
}

func (c udpClient) send(text string) {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// hears reads one answer, or says that there is none.
func (c udpClient) hears(patience time.Duration) string {
	buf := make([]byte, 2000)
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	n, err := c.conn.Read(buf)
	if err != nil {
		return err.Error()
	}
	return string(buf[:n])
}

func (c udpClient) answered(text string) {
	c.t.Helper()
	want := fmt.Sprintf("%s from %s", text, c.conn.LocalAddr())
	if got := c.hears(5 * time.Second); got != want {
		c.t.Errorf("answer %q, want %q", got, want)
	}
}

// Datagrams wait in the kernel while nobody listens, of sockets that have talked
// to the server before, too, and are answered by the next one, who sees the client
// itself. Those to other ports are not touched. The twin is what a datagram to a
// port meets that nobody holds.
func TestQueue_DatagramsWaitForTheNextServer(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	q := NewQueue(self)
	t.Cleanup(func() { q.Close() })
	const at, other = "10.9.0.1:8000", "10.9.0.1:8001"
	old, client := udpServer(t, at), newUDPClient(t, at)
	udpServer(t, other)
	client.send("before")
	client.answered("before")
	if err := q.Hold(8000); err != nil {
		t.Skipf("needs a kernel that queues packets: %v", err)
	}
	if err := q.Hold(8000, 9999); err != nil {
		t.Error(err)
	}
	client.send("one") // its server is there, and is told to end
	old.Close()
	client.send("two")
	newcomer := newUDPClient(t, at)
	newcomer.send("three")
	passerby := newUDPClient(t, other)
	passerby.send("untouched")
	passerby.answered("untouched")
	if got := client.hears(50 * time.Millisecond); !os.IsTimeout(errorOfText(got)) {
		t.Errorf("while nobody listens the client hears %q", got)
	}
	udpServer(t, at)
	if err := q.Release(8000); err != nil {
		t.Fatal(err)
	}
	client.answered("one")
	client.answered("two")
	newcomer.answered("three")
	client.send("after")
	client.answered("after")
	if err := q.Release(9999); err != nil {
		t.Error(err)
	}
	lost := newUDPClient(t, "10.9.0.1:9999")
	lost.send("nobody")
	if got := lost.hears(5 * time.Second); got == "" || os.IsTimeout(errorOfText(got)) {
		t.Errorf("a port that nobody holds, where nobody listens: %q, want a refusal at once", got)
	}
}

// More than may wait are lost, and everything else goes on.
func TestQueue_HasABound(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	q := NewQueue(self)
	t.Cleanup(func() { q.Close() })
	if err := q.Hold(8000); err != nil {
		t.Skipf("needs a kernel that queues packets: %v", err)
	}
	client := newUDPClient(t, "10.9.0.1:8000")
	for range MaxQueued + 500 {
		client.send("x")
	}
	conn, err := net.ListenPacket("udp4", "10.9.0.1:8000")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.(*net.UDPConn).SetReadBuffer(4 << 20)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	got, buf := 0, make([]byte, 10)
	for _ = conn.SetReadDeadline(time.Now().Add(5 * time.Second)); got < MaxQueued; got++ {
		if _, _, err := conn.ReadFrom(buf); err != nil {
			break
		}
	}
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, _, err := conn.ReadFrom(buf); got < 200 || err == nil {
		t.Errorf("%d datagrams came, and then %v; want at most %d", got, err, MaxQueued)
	}
}

type textError string

func (e textError) Error() string { return string(e) }
func (e textError) Timeout() bool { return len(e) > 11 && e[len(e)-11:] == "i/o timeout" }

// errorOfText has os.IsTimeout look at the words of an error.
func errorOfText(text string) error { return textError(text) }
