package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/agent/http1"
	"github.com/cuepod/cuepod/runner/agent/http2"
	"github.com/cuepod/cuepod/runner/proxy"
)

// forwardTimeout is how long a port of the pod itself may take to answer.
const forwardTimeout = 10 * time.Second

// stdio is standard input and output as one connection.
type stdio struct {
	io.Reader
	io.Writer
}

// Close leaves the streams to the process' end: a read of them cannot be
// interrupted.
func (stdio) Close() error                     { return nil }
func (stdio) LocalAddr() net.Addr              { return &net.UnixAddr{Name: "stdio"} }
func (stdio) RemoteAddr() net.Addr             { return &net.UnixAddr{Name: "stdio"} }
func (stdio) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (stdio) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (stdio) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// runForward carries connections to ports of its own network namespace, as many
// as are asked for over standard input and output: each is a stream of HTTP/2
// whose path is the port, and ends when the input does.
func runForward(stdin io.Reader, stdout io.Writer) error {
	http2.Serve(stdio{stdin, stdout}, bufio.NewReader(stdin), func(s *http2.Stream) {
		head, err := s.Head()
		if err != nil {
			return
		}
		conn, err := dialLocal(strings.TrimPrefix(head.Get(":path"), "/"))
		if err != nil {
			if s.WriteHead(http1.Fields{{Name: ":status", Value: "502"}}, false) == nil {
				_, _ = io.WriteString(s, err.Error())
				_ = s.End(nil)
			}
			return
		}
		carry(s, conn)
	})
	return nil
}

// dialLocal connects to what listens on localhost or on every address, as
// Kubernetes' runtimes do: first by IPv4.
func dialLocal(port string) (proxy.Stream, error) {
	var errs []error
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(host, port), forwardTimeout)
		if err == nil {
			return conn.(proxy.Stream), nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("%w", errs[0]) // the one that people know
}

// carry makes a stream and a connection one, each direction until its end.
func carry(s *http2.Stream, conn proxy.Stream) {
	defer conn.Close()
	if s.WriteHead(http1.Fields{{Name: ":status", Value: "200"}}, false) != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer context.AfterFunc(ctx, func() { proxy.Reset(conn) })()
	s.OnFail(cancel)
	back := make(chan error, 1)
	go func() {
		_, err := io.Copy(s, conn)
		if err == nil {
			err = s.End(nil)
		} else {
			s.Reset(http2.Cancel) // what is cut does not look whole
		}
		back <- err
	}()
	if _, err := io.Copy(conn, s); err == nil {
		_ = conn.CloseWrite() // fails only when the connection is gone, which the other half sees
	} else if !errors.Is(err, io.EOF) {
		s.Reset(http2.Cancel)
	}
	<-back
}
