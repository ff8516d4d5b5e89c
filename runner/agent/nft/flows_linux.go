package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"net/netip"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/proxy"
)

const (
	// gatherPause is how long the kernel's word about flows that ended gathers, so
	// that many of them wake us once.
	gatherPause = 100 * time.Millisecond
	// flowBuffer is the buffer for it, in bytes: some thousand flows. The kernel
	// keeps what does not fit and says it again.
	flowBuffer = 4 << 20
)

// Flows counts connections to services by the kernel's list of flows: it counts
// itself what each carries, and says it when one has ended. Nothing is done while
// they last. All methods are safe for concurrent use.
//
// Linux before 5.19 says so by default, later ones when somebody listens.
type Flows struct {
	refusals bool // and nothing else
	dump     *socket
	events   *os.File
	raw      syscallConn
	buf      []byte
	done     chan struct{}
	wg       sync.WaitGroup
	closing  sync.Once

	mu    sync.Mutex
	names map[proxy.Front]string // of services, of all fronts there ever were
	ended proxy.Counts
	live  map[flowKey]tallied // as they were when somebody asked last
	fresh bool                // a flow ended since then
}

type syscallConn interface {
	Control(func(fd uintptr)) error
	Read(func(fd uintptr) bool) error
}

type flowKey struct {
	id     uint32
	front  proxy.Front
	client netip.AddrPort
}

type tallied struct {
	edge    proxy.Edge
	traffic api.Traffic
}

// WatchFlows begins to count connections from this process' network namespace.
func WatchFlows() (*Flows, error) { return watch(false) }

// WatchRefusals begins to count the connections of TCP to this network namespace
// that were refused for want of an endpoint: no program hears of those.
func WatchRefusals() (*Flows, error) { return watch(true) }

func watch(refusals bool) (*Flows, error) {
	dump, err := openSocket()
	if err != nil {
		return nil, err
	}
	fd, err := openEvents()
	if err != nil {
		dump.close()
		return nil, fmt.Errorf("listen for the ends of connections: %w", err)
	}
	f := &Flows{
		refusals: refusals, dump: dump, events: os.NewFile(uintptr(fd), "conntrack"), buf: make([]byte, 32<<10), done: make(chan struct{}),
		names: map[proxy.Front]string{}, ended: proxy.Counts{}, live: map[flowKey]tallied{},
	}
	if f.raw, err = f.events.SyscallConn(); err != nil {
		f.events.Close()
		dump.close()
		return nil, err
	}
	f.wg.Go(f.listen)
	return f, nil
}

// openEvents opens a socket that hears of each flow that ends, and loses none.
func openEvents() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return 0, err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, flowBuffer) // else what the system gives
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_BROADCAST_ERROR, 1), // what does not fit is said again
		attachFilter(fd, netip.Prefix{}),
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.NFNLGRP_CONNTRACK_DESTROY - 1)}),
	)
	if err != nil {
		unix.Close(fd)
		return 0, err
	}
	return fd, nil
}

// attachFilter has the socket hear of flows to these addresses alone: a pod's
// queries for names are flows, too. The zero Prefix is none of them.
//
// The address stands where it stands in every message: struct nlmsghdr, struct
// nfgenmsg, and in CTA_TUPLE_ORIG, CTA_TUPLE_IP after CTA_IP_V4_SRC.
func attachFilter(fd int, to netip.Prefix) error {
	const at = unix.SizeofNlMsghdr + sizeofNfgenmsg + attrHeader + attrHeader + 8 + attrHeader
	const load, and, equal, answer = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	program := []unix.SockFilter{{Code: answer, K: 0}}
	if to.IsValid() {
		addr := to.Masked().Addr().As4()
		program = []unix.SockFilter{
			{Code: load, K: at},
			{Code: and, K: uint32(uint64(0xffffffff) << (32 - to.Bits()))},
			{Code: equal, K: binary.BigEndian.Uint32(addr[:]), Jf: 1},
			{Code: answer, K: 0xffffffff},
			{Code: answer, K: 0},
		}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(program)), Filter: (*unix.SockFilter)(unsafe.Pointer(&program[0]))})
}

// Name tells of the services there are. Those that were before are still counted.
func (f *Flows) Name(table proxy.Table) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := common(f.names)
	for front, t := range table {
		if front.Addr.Addr().Is4() {
			f.names[front] = t.Service
		}
	}
	now := common(f.names)
	if now == before {
		return nil
	}
	var err error
	return errors.Join(f.raw.Control(func(fd uintptr) { err = attachFilter(int(fd), now) }), err)
}

func (f *Flows) name(front proxy.Front) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.names[front]
}

// news reports whether a flow ended since Counts was called last.
func (f *Flows) news() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fresh
}

// common is the longest prefix that all fronts have.
func common(fronts map[proxy.Front]string) (p netip.Prefix) {
	number := func(a netip.Addr) uint32 { b := a.As4(); return binary.BigEndian.Uint32(b[:]) }
	for front := range fronts {
		addr := front.Addr.Addr()
		if !p.IsValid() {
			p = netip.PrefixFrom(addr, 32)
		}
		p = netip.PrefixFrom(p.Addr(), min(p.Bits(), bits.LeadingZeros32(number(addr)^number(p.Addr())))).Masked()
	}
	return p
}

// listen takes the kernel's word until Close.
func (f *Flows) listen() {
	for {
		err := f.raw.Read(func(fd uintptr) bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.take(int(fd)) > 0
		})
		if err != nil {
			return
		}
		select {
		case <-time.After(gatherPause):
		case <-f.done:
			return
		}
	}
}

// take reads what the kernel has said, and returns how often it read. The caller
// holds the lock.
func (f *Flows) take(fd int) (reads int) {
	for {
		n, _, err := unix.Recvfrom(fd, f.buf, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENOBUFS):
			continue // the kernel says again what did not fit
		case err != nil:
			return reads
		}
		reads++
		_ = eachMessage(f.buf[:n], func(_ unix.NlMsghdr, body []byte) {
			if len(body) >= sizeofNfgenmsg {
				f.end(body[sizeofNfgenmsg:])
			}
		})
	}
}

func (f *Flows) end(body []byte) {
	flow, ok := parseFlow(body)
	if !ok {
		return
	}
	if key, t, ours := f.tally(flow, true); ours {
		f.ended.Add(t.edge, t.traffic)
		f.fresh = true
		delete(f.live, key)
	}
}

// tally is what a flow counts for. One of TCP that has not been established
// counts for nothing until it ends, and then as an error.
func (f *Flows) tally(w flow, ended bool) (flowKey, tallied, bool) {
	service, ours := f.names[w.front]
	key := flowKey{w.id, w.front, w.client}
	t := tallied{edge: proxy.Edge{Client: w.client.Addr(), Service: service, Protocol: w.front.Protocol, Port: w.front.Addr.Port(), Endpoint: w.endpoint}}
	switch {
	case f.refusals:
		ours = ours && ended && w.front.Protocol == proxy.TCP && !w.assured && w.endpoint == w.front.Addr
		t.edge.Endpoint, t.traffic.Errors = netip.AddrPort{}, 1
	case w.front.Protocol == proxy.UDP && w.endpoint.Port() == nobodyPort && w.endpoint.Addr() == w.client.Addr():
		t.edge.Endpoint = netip.AddrPort{}
		t.traffic = api.Traffic{Errors: 1}
	case w.front.Protocol == proxy.UDP || w.assured:
		t.traffic = api.Traffic{Connections: 1, Sent: w.sent, Received: w.received}
	case ended:
		t.traffic = api.Traffic{Errors: 1}
	}
	return key, t, ours
}

// Counts is everything until now. It never goes back.
//
// A flow may end while the list is read: what is in the list and has ended by
// then counts by its end alone. One that is no longer in the list counts as it
// was, until the kernel's word about its end is here.
func (f *Flows) Counts() (proxy.Counts, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	if !f.refusals {
		err = f.list()
	}
	if controlErr := f.raw.Control(func(fd uintptr) { f.take(int(fd)) }); err == nil {
		err = controlErr
	}
	f.fresh = false
	out := maps.Clone(f.ended)
	for _, t := range f.live {
		out.Add(t.edge, t.traffic)
	}
	return out, err
}

// list reads the flows that there are. The caller holds the lock.
func (f *Flows) list() error {
	return f.dump.ask(ctMessage(ctGet, nil).with(unix.NLM_F_DUMP), func(body []byte) {
		flow, ok := parseFlow(body)
		if !ok || flow.dying {
			return
		}
		if key, t, ours := f.tally(flow, false); ours {
			f.live[key] = t
		}
	})
}

// Close ends it. It is no error to close what is closed.
func (f *Flows) Close() {
	f.closing.Do(func() {
		close(f.done)
		f.events.Close()
		f.wg.Wait()
		f.mu.Lock()
		defer f.mu.Unlock()
		f.dump.close()
	})
}
