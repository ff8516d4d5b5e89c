package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
)

const (
	// copyBuffer is the piece a connection is copied in, in bytes.
	copyBuffer = 32 << 10
	// bulkReads is how many full buffers in a row make a transfer bulk. Then the
	// kernel takes over (splice), which moves bulk faster and small messages
	// slower than copying does, by two more calls for each.
	bulkReads = 4
	// bulkPiece is how much the kernel moves before it is counted, in bytes.
	bulkPiece = 1 << 20
)

// Stream is a connection that can close one direction, as *net.TCPConn does.
type Stream interface {
	net.Conn
	CloseWrite() error
}

// Pipe carries bytes both ways until both ends have finished, then closes both.
// The end of one direction is passed on as such; a broken connection breaks the
// other one, with a reset where TCP allows, so that nobody takes a cut stream
// for a whole one.
func Pipe(a, b Stream) { Carry(a, b, &Meter{}) }

// Carry is Pipe from a client to an endpoint, counted.
func Carry(a, b Stream, m *Meter) {
	var wg sync.WaitGroup
	half := func(dst, src Stream, count func(int)) {
		if err := copyHalf(dst, src, count); err != nil {
			Reset(a)
			Reset(b)
			return
		}
		_ = dst.CloseWrite() // fails only when dst is gone, which the other half sees
	}
	wg.Go(func() { half(a, b, m.Received) })
	half(b, a, m.Sent)
	wg.Wait()
	a.Close()
	b.Close()
}

// Reset closes a connection so that the other end sees it broken, not finished.
func Reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	c.Close()
}

// copyHalf carries one direction to its end, and counts what it wrote.
func copyHalf(dst, src net.Conn, count func(int)) error {
	buf := make([]byte, copyBuffer)
	for full := 0; full < bulkReads; {
		n, err := src.Read(buf)
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				return err
			}
			count(n)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if full++; n < len(buf) {
			full = 0
		}
	}
	for {
		n, err := io.CopyN(dst, src, bulkPiece)
		count(int(n))
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
