package nft

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/proxy"
)

// led reads how many connections services' only endpoints got since they are that.
func (s *socket) led() (map[proxy.Front]uint64, error) { return s.packets(SoleSet) }

// turned reads how many connections were refused for want of an endpoint.
func (s *socket) turned() (map[proxy.Front]uint64, error) { return s.packets(TurnedSet) }

// packets reads the counts of a set by services' ports.
func (s *socket) packets(set string) (map[proxy.Front]uint64, error) {
	out := map[proxy.Front]uint64{}
	return out, s.elements(set, func(e counted) {
		if len(e.key) == 12 {
			out[parseFront(e.key)] = e.packets
		}
	})
}

// counted is an element of a set or a map that counts.
type counted struct {
	key, data []byte
	packets   uint64
}

// elements reads a set.
func (s *socket) elements(set string, each func(counted)) error {
	get := tableMessage(unix.NFT_MSG_GETSETELEM, func(a *attrs) {
		a.string(unix.NFTA_SET_ELEM_LIST_TABLE, TableName)
		a.string(unix.NFTA_SET_ELEM_LIST_SET, set)
	})
	return s.ask(get.with(unix.NLM_F_DUMP), func(body []byte) {
		eachAttr(body, func(kind uint16, list []byte) {
			if kind == unix.NFTA_SET_ELEM_LIST_ELEMENTS {
				eachAttr(list, func(_ uint16, element []byte) { each(parseElement(element)) })
			}
		})
	})
}

func parseElement(element []byte) (e counted) {
	value := func(b []byte) (v []byte) {
		eachAttr(b, func(_ uint16, inner []byte) { v = inner })
		return v
	}
	eachAttr(element, func(kind uint16, b []byte) {
		switch kind {
		case unix.NFTA_SET_ELEM_KEY:
			e.key = value(b)
		case unix.NFTA_SET_ELEM_DATA:
			e.data = value(b)
		case unix.NFTA_SET_ELEM_EXPR:
			e.packets = parseCounter(b)
		}
	})
	return e
}

// parseFront reads what frontKey wrote.
func parseFront(key []byte) proxy.Front {
	f := proxy.Front{Protocol: proxy.TCP, Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte(key)), binary.BigEndian.Uint16(key[8:]))}
	if key[4] == protocolUDP {
		f.Protocol = proxy.UDP
	}
	return f
}

// parseCounter reads the packets of a counter.
func parseCounter(expr []byte) (packets uint64) {
	counter := false
	eachAttr(expr, func(kind uint16, b []byte) {
		switch kind {
		case unix.NFTA_EXPR_NAME:
			counter = bytes.Equal(b, []byte("counter\x00"))
		case unix.NFTA_EXPR_DATA:
			eachAttr(b, func(kind uint16, b []byte) {
				if counter && kind == unix.NFTA_COUNTER_PACKETS && len(b) == 8 {
					packets = binary.BigEndian.Uint64(b)
				}
			})
		}
	})
	return packets
}

// Traffic is what this pod's connections to services were, since Open. It costs
// what it takes to list the pod's flows.
func (p *Plane) Traffic() (proxy.Counts, error) {
	if p.flows == nil {
		return nil, p.unwatched
	}
	out, err := p.flows.Counts()
	if err != nil {
		return nil, fmt.Errorf("read the kernel's list of flows: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	turned, err := p.sock.turned()
	for front, n := range p.turned {
		turned[front] += n
	}
	for front, n := range turned {
		out.Add(proxy.Edge{Client: p.self, Service: p.flows.name(front), Protocol: front.Protocol, Port: front.Addr.Port()}, api.Traffic{Errors: n})
	}
	return out, err
}

// Flowing reports whether the pod has flows, or had some since Traffic last said: if
// not, there is nothing new to count. True where the kernel does not say.
func (p *Plane) Flowing() bool {
	if p.flows == nil {
		return false
	}
	text, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count") // of this network namespace
	return err != nil || strings.TrimSpace(string(text)) != "0" || p.flows.news()
}

// keepTurned adds up what is lost with the table, as far as it is there. The
// caller holds the lock.
func (p *Plane) keepTurned() {
	turned, err := p.sock.turned()
	if err != nil {
		return // somebody removed the table
	}
	for front, n := range turned {
		p.turned[front] += n
	}
}

// use is when a service with session affinity was last connected to.
type use struct {
	connections uint64
	last        time.Time
}

// Limits of the time between two calls of Expire.
const (
	minSweep = time.Second
	maxSweep = time.Minute
)

// Expire has services with session affinity choose another endpoint where this
// pod has opened no connection for the service's time. It returns when to call it
// again, an eighth of the shortest time, so that a pod may keep its endpoint that
// much longer; 0 is never, until the next Apply. Where the kernel does not count,
// a connection does not prolong the time.
func (p *Plane) Expire(now time.Time) (time.Duration, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var next time.Duration
	for _, t := range p.table {
		if t.Affinity && len(t.Endpoints) > 1 {
			if at := min(max(timeout(t)/8, minSweep), maxSweep); next == 0 || at < next {
				next = at
			}
		}
	}
	if next == 0 {
		return 0, nil
	}
	led, err := p.sock.led()
	if err != nil {
		return next, err
	}
	expired := false
	for front, t := range p.table {
		if !t.Affinity {
			continue
		}
		u, known := p.used[front]
		if !known || u.connections != led[front] {
			u = use{led[front], now}
		}
		if now.Sub(u.last) > timeout(t) {
			p.chosen[front] = Choice{Turn: p.chosen[front].Turn + 1}
			u.last, expired = now, true
		}
		p.used[front] = u
	}
	if expired {
		err = p.update()
	}
	return next, err
}

func timeout(t proxy.Target) time.Duration {
	if t.Timeout == 0 {
		return proxy.DefaultTimeout
	}
	return t.Timeout
}
