package agent

import (
	"bufio"
	"context"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"net"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
)

const (
	// helloTimeout is how long a caller may take to say who it is.
	helloTimeout = 5 * time.Second
	// maxHello and maxReport bound lines from agents, in bytes.
	maxHello  = 4 << 10
	maxReport = 1 << 20
	// maxStrangers bounds the callers that have not said who they are: any
	// container of the network can call.
	maxStrangers = 64
)

// acceptAgents serves agents until ctx is done.
func (g *gateway) acceptAgents(ctx context.Context) {
	strangers := make(chan struct{}, maxStrangers)
	for {
		conn, err := g.control.Accept()
		if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // out of file descriptors: let some go
			continue
		}
		select {
		case strangers <- struct{}{}:
			g.wg.Go(func() { g.serveAgent(ctx, conn, func() { <-strangers }) })
		default:
			conn.Close()
		}
	}
}

// serveAgent is one connection from its hello to its end. known is called once
// the hello is in, good or not.
func (g *gateway) serveAgent(ctx context.Context, conn net.Conn, known func()) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	in := bufio.NewReader(conn)
	hello, err := readHello(conn, in)
	known()
	if err != nil {
		return
	}
	a := &agentConn{pod: hello.Pod, conn: conn, out: newWriter[api.ToAgent](conn), counts: hello.Counts, follows: hello.Follows}
	if a.follows {
		a.out.brief = brief
	}
	admitted := make(chan bool, 1)
	g.do(ctx, func(s *gatewayState) { admitted <- s.join(a, hello.Token) })
	select {
	case ok := <-admitted:
		if !ok {
			return
		}
	case <-ctx.Done():
		return
	}
	defer g.do(ctx, func(s *gatewayState) { s.leave(a) })
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g.wg.Go(func() {
		_ = a.out.Run(ctx) // fails when the connection does, which ends the reader below
		conn.Close()
	})
	_ = readLines(in, maxReport, func(m api.FromAgent) { // its end is the agent's leaving, whatever the cause
		g.do(ctx, func(s *gatewayState) { s.reported(a, m) })
	}, nil)
}

func readHello(conn net.Conn, in *bufio.Reader) (api.Hello, error) {
	var hello api.Hello
	if err := conn.SetDeadline(time.Now().Add(helloTimeout)); err != nil {
		return hello, err
	}
	line, err := readLine(in, maxHello)
	if err != nil {
		return hello, err
	}
	if err := json.Unmarshal(line, &hello); err != nil {
		return hello, err
	}
	return hello, conn.SetDeadline(time.Time{})
}

// join admits an agent that has proved which pod it is; it takes the place of
// an earlier one of that pod.
func (s *gatewayState) join(a *agentConn, token string) bool {
	if s.key == "" || !hmac.Equal([]byte(token), []byte(api.Token(s.key, a.pod))) {
		s.log.Printf("an agent was refused: no valid token for pod %q, from %v", a.pod, a.conn.RemoteAddr())
		return false
	}
	if old := s.agents[a.pod]; old != nil {
		old.conn.Close()
	}
	s.agents[a.pod] = a
	s.stale = true
	return true
}

func (s *gatewayState) leave(a *agentConn) {
	if s.agents[a.pod] == a {
		delete(s.agents, a.pod)
		if s.asking != nil {
			delete(s.asking.waits, a.pod)
			s.answerTraffic(false)
		}
		s.stale = true
	}
}

func (s *gatewayState) reported(a *agentConn, m api.FromAgent) {
	switch {
	case s.agents[a.pod] != a:
	case m.Tally != nil:
		s.counted(a.pod, m.Tally)
	default:
		before := s.reports[a.pod]
		s.reports[a.pod] = &m
		s.stale = true
		if before == nil || before.Generation != m.Generation {
			s.followed = append(s.followed, a.pod)
		}
	}
}
