// Package load makes requests of several kinds without a pause for thought and
// counts those that fail: what the clients of a service see of its changes.
package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kinds of requests.
const (
	KeepAlive = "HTTP, keep-alive"
	PerConn   = "HTTP, a connection each"
	TCP       = "TCP"
	UDP       = "UDP"
)

// Kinds are all kinds, in the order of tables.
func Kinds() []string { return []string{KeepAlive, PerConn, TCP, UDP} }

const (
	// patience is how long one request may take before it has failed: longer
	// than any change should take on a busy machine.
	patience = 20 * time.Second
	// datagramPatience is the same for a datagram, for whose loss nothing else tells.
	datagramPatience = 10 * time.Second
	// maxErrors bounds the different errors that are kept of a kind.
	maxErrors = 8
)

// Target is what is asked and how.
type Target struct {
	Kind string
	Addr string // host:port
	// Exchanges is how many words a connection of kind TCP exchanges before it
	// ends; 0 is one.
	Exchanges int
}

// Count is what became of the requests of one kind.
type Count struct {
	Requests int
	Failed   int
	Worst    time.Duration // the longest wait for an answer that came
	Errors   []string      // different ones, the first of them
}

// Add joins two counts.
func (c Count) Add(o Count) Count {
	c.Requests, c.Failed, c.Worst = c.Requests+o.Requests, c.Failed+o.Failed, max(c.Worst, o.Worst)
	for _, e := range o.Errors {
		c.note(e)
	}
	return c
}

func (c *Count) note(text string) {
	if len(c.Errors) < maxErrors && !slices.Contains(c.Errors, text) {
		c.Errors = append(slices.Clone(c.Errors), text)
	}
}

// Counts are counts by kind.
type Counts map[string]Count

// Add joins counts, kind by kind, into c.
func (c Counts) Add(o Counts) {
	for kind, n := range o {
		c[kind] = c[kind].Add(n)
	}
}

// Total is all kinds together.
func (c Counts) Total() Count {
	var out Count
	for _, n := range c {
		out = out.Add(n)
	}
	return out
}

// Loops ask their targets, each in a goroutine of its own, until they are
// stopped.
type Loops struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	counts Counts // since the last Take
}

// Start begins one loop for each target, with a pause between its requests.
func Start(targets []Target, pause time.Duration) *Loops {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Loops{cancel: cancel, counts: Counts{}}
	for _, t := range targets {
		c := &client{target: t}
		l.wg.Go(func() {
			defer c.close()
			for ctx.Err() == nil {
				l.once(ctx, c)
				select {
				case <-time.After(pause):
				case <-ctx.Done():
				}
			}
		})
	}
	return l
}

// once makes one request. One that the end of the loops cuts short is whole all
// the same: it is waited for.
func (l *Loops) once(ctx context.Context, c *client) {
	begun := time.Now()
	err := c.ask(context.WithoutCancel(ctx))
	took := time.Since(begun)
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.counts[c.target.Kind]
	n.Requests++
	if err != nil {
		n.Failed++
		n.note(plain(err))
	} else {
		n.Worst = max(n.Worst, took)
	}
	l.counts[c.target.Kind] = n
}

// plain is an error without the addresses in it, which differ from one to the
// next.
func plain(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}

// Take gives the counts since the last Take.
func (l *Loops) Take() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.counts
	l.counts = Counts{}
	return out
}

// Stop ends the loops and waits for their last requests.
func (l *Loops) Stop() {
	l.cancel()
	l.wg.Wait()
}

// client asks one target.
type client struct {
	target Target
	conn   net.Conn // kept between requests, of the kinds that do
	in     *bufio.Reader
	serial int
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// ask makes one request. It retries nothing.
func (c *client) ask(ctx context.Context) (err error) {
	c.serial++
	switch c.target.Kind {
	case KeepAlive:
		err = c.http(ctx, true)
	case PerConn:
		err = c.http(ctx, false)
	case TCP:
		err = c.words(ctx)
	case UDP:
		err = c.datagram(ctx)
	}
	if err != nil {
		c.close()
	}
	return err
}

func (c *client) dial(ctx context.Context, network string) error {
	if c.conn != nil {
		return nil
	}
	d := net.Dialer{Timeout: patience}
	conn, err := d.DialContext(ctx, network, c.target.Addr)
	if err != nil {
		return err
	}
	c.conn, c.in = conn, bufio.NewReader(conn)
	return nil
}

// http sends a request that nobody repeats, and reads the answer whole. The
// connection is kept unless the server says that it will close it.
func (c *client) http(ctx context.Context, keep bool) error {
	if err := c.dial(ctx, "tcp"); err != nil {
		return err
	}
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.target.Addr+"/", strings.NewReader("x"))
	if err != nil {
		return err
	}
	req.Close = !keep
	if err := req.Write(c.conn); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.in, req)
	if err != nil {
		return fmt.Errorf("read the answer: %s", plain(err))
	}
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if err != nil {
		return fmt.Errorf("read the answer: %s", plain(err))
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("answer %s", resp.Status)
	}
	if resp.Close || !keep {
		c.close()
	}
	return nil
}

// wordPause is between the words of one connection: it has to outlive what is
// done to its server meanwhile.
const wordPause = 20 * time.Millisecond

// words connects, exchanges words and hangs up.
func (c *client) words(ctx context.Context) error {
	defer c.close()
	if err := c.dial(ctx, "tcp"); err != nil {
		return err
	}
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	for i := range max(c.target.Exchanges, 1) {
		if i > 0 {
			time.Sleep(wordPause)
		}
		word := fmt.Sprintf("word %d.%d\n", c.serial, i)
		if _, err := io.WriteString(c.conn, word); err != nil {
			return err
		}
		got, err := c.in.ReadString('\n')
		if err != nil {
			return fmt.Errorf("word %d of a connection: %s", i+1, plain(err))
		}
		if got != word {
			return fmt.Errorf("sent %q, got %q", word, got)
		}
	}
	return nil
}

// datagram sends one datagram from a socket that is kept, once: one that is lost
// is a request that failed, whatever protocols over UDP make of it.
func (c *client) datagram(ctx context.Context) error {
	if err := c.dial(ctx, "udp"); err != nil {
		return err
	}
	word := fmt.Sprintf("datagram %d", c.serial)
	if err := c.conn.SetDeadline(time.Now().Add(datagramPatience)); err != nil {
		return err
	}
	if _, err := io.WriteString(c.conn, word); err != nil {
		return err
	}
	buf := make([]byte, 1500)
	n, err := c.conn.Read(buf)
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("a datagram was not answered")
	case err != nil:
		return err
	case string(buf[:n]) != word:
		return fmt.Errorf("sent %q, got %q", word, buf[:n])
	}
	return nil
}
