package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/netip"
	"reflect"
	"sync"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/agent/nft"
	"github.com/cuepod/cuepod/runner/agent/swap"
	"github.com/cuepod/cuepod/runner/agent/volume"
	"github.com/cuepod/cuepod/runner/dns"
	"github.com/cuepod/cuepod/runner/probe"
)

const (
	// redialPause is how long to wait before calling the gateway again; it
	// doubles up to maxRedialPause. Short, for a gateway that is replaced is
	// back in a second and every pod's endpoints wait for it.
	redialPause    = 50 * time.Millisecond
	maxRedialPause = time.Second
	// applyPause is how long to wait before trying again what failed: a port that
	// is taken, a disk that is full.
	applyPause = 2 * time.Second
	// callTimeout bounds one attempt to connect.
	callTimeout = 3 * time.Second
)

// podConfig is what a pod's agent needs of its surroundings.
type podConfig struct {
	stdin      io.Reader
	log        *log.Logger
	resolvConf string // path; rewritten in place
	hosts      string // path; the same
	dnsAddr    netip.AddrPort
	probe      func(ctx context.Context, ip string, p api.Probe) probe.Outcome
	listening  func() (map[swap.Port]bool, error) // ports that are listened on
	// openPlane makes the rules that lead services' connections in the kernel.
	openPlane func() (*nft.Plane, error)
}

// pod is the agent of one pod. One goroutine, run, applies what the gateway
// says; the others bring it and carry it out.
type pod struct {
	podConfig
	began   time.Time
	orders  chan api.ToAgent
	changed chan struct{} // probes found something new
	probes  *probe.Set
	names   *dns.Server
	wg      sync.WaitGroup

	// Owned by run.
	files    map[string]api.FileVolume // written, by directory
	messages messages                  // of containers that ended
	dirs     map[string]api.Dir        // whose rights are set, by path
	named    identity
	services servicePath
	order    api.ToAgent   // applied last
	ready    []api.Service // its endpoints
	holder   *holder
	report   api.FromAgent
	told     api.Tally  // last
	kept     []api.Edge // counted by rules that were removed
	// countNext is when the counts may be told again without being asked for.
	countNext time.Time

	mu   sync.Mutex
	line *writer[api.FromAgent] // to the gateway; nil while there is none
	last *api.FromAgent         // sent last, to be repeated on a new line
}

func runPod(stdin io.Reader, log *log.Logger) error {
	ctx, stop := untilTerminated()
	defer stop()
	p, err := newPod(podConfig{
		stdin:      stdin,
		log:        log,
		resolvConf: "/etc/resolv.conf",
		hosts:      "/etc/hosts",
		dnsAddr:    netip.MustParseAddrPort("127.0.0.1:53"),
		probe:      probe.Do,
		listening:  listeningPorts,
		openPlane:  openPlane,
	})
	if err != nil {
		return err
	}
	p.run(ctx)
	return nil
}

func newPod(c podConfig) (*pod, error) {
	named, err := readIdentity(c.resolvConf, c.hosts)
	if err != nil {
		return nil, err
	}
	p := &pod{
		named:     named,
		began:     time.Now(),
		podConfig: c,
		orders:    make(chan api.ToAgent),
		changed:   make(chan struct{}, 1),
		names:     dns.NewServer(named.resolver.upstreams(c.dnsAddr.Addr().String())...),
		files:     map[string]api.FileVolume{},
		messages:  messages{map[string]bool{}},
		dirs:      map[string]api.Dir{},
		services:  servicePath{open: c.openPlane},
	}
	p.services.leave = p.keepCounts
	p.holder = &holder{
		listen: listenHeld, listening: c.listening, origin: originalDst, probe: c.probe, log: c.log, wg: &p.wg,
		doors: map[uint16]*door{}, state: swap.State{},
	}
	p.holder.changed = p.look
	p.probes = probe.NewSet(c.probe, p.look)
	return p, nil
}

// look has run see what probes or the holder have to tell.
func (p *pod) look() {
	select {
	case p.changed <- struct{}{}:
	default: // a look is due already
	}
}

// run works until its context is done. The reader of standard input is left
// behind: a read cannot be interrupted, and the process ends.
func (p *pod) run(until context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(until)) // the line is needed to the last
	defer cancel()
	count := time.NewTicker(countEvery)
	defer count.Stop()
	p.holder.ctx = ctx
	boots := make(chan api.Bootstrap)
	go followLines(ctx, p.stdin, func(b api.Bootstrap) {
		select {
		case boots <- b:
		case <-ctx.Done():
		}
	}, nil)
	p.wg.Go(func() { p.call(ctx, boots) })
	var last api.ToAgent
	var again, expire <-chan time.Time
	for until.Err() == nil {
		select {
		case order := <-p.orders:
			if order.Count {
				p.tell(true)
				continue
			}
			last = order
			again = p.apply(ctx, last)
			p.send()
			expire = p.expire()
		case <-again:
			again = p.apply(ctx, last)
			p.send()
			expire = p.expire()
		case <-expire:
			expire = p.expire()
		case <-p.changed:
			p.send()
		case now := <-count.C:
			p.count(now)
		case <-until.Done():
		}
	}
	p.tellLast(ctx)
	cancel()
	p.probes.Close()
	p.wg.Wait()
}

// apply makes everything as the gateway says. When the answer goes out, it is in
// force: no new connection goes to an endpoint that m.Services does not have.
//
// What failed is tried again when the returned channel says so.
func (p *pod) apply(ctx context.Context, m api.ToAgent) (again <-chan time.Time) {
	services := endpoints(m, p.order, p.ready)
	p.order, p.ready = m, services
	errs := []error{p.messages.apply(m.Pod.MessagesDir, m.Pod.Messages), p.applyVolumes(*m.Pod), p.applyNames(ctx, m), p.services.apply(m, services), p.hold(*m.Pod)}
	p.names.SetZone(func() *dns.Zone { return dns.NewZone(m.Namespace, services, p.dnsAddr.Addr()) })
	p.probes.Apply(*m.Pod)
	p.report.Generation, p.report.Error, p.report.Proxy = m.Generation, "", p.services.state
	if err := errors.Join(errs...); err != nil {
		p.report.Error = err.Error()
		p.log.Printf("could not apply all of generation %d: %v", m.Generation, err)
		return time.After(applyPause)
	}
	return nil
}

func (p *pod) expire() <-chan time.Time {
	next, err := p.services.expire()
	if err != nil {
		p.log.Printf("session affinity: %v", err)
	}
	return next
}

// hold follows the orders to let connections wait.
func (p *pod) hold(m api.Pod) error {
	if p.services.plane == nil {
		return p.holder.apply(nil, nil, m)
	}
	return p.holder.apply(p.services.plane, p.services.queue, m)
}

// applyVolumes fills what changed since the last time.
func (p *pod) applyVolumes(m api.Pod) error {
	var errs []error
	for _, v := range m.Files {
		if have, ok := p.files[v.Dir]; ok && reflect.DeepEqual(have, v) {
			continue
		}
		if err := volume.Write(v, time.Now()); err != nil {
			errs = append(errs, err)
			continue
		}
		p.files[v.Dir] = v
	}
	for _, d := range m.Dirs {
		if have, ok := p.dirs[d.Path]; ok && reflect.DeepEqual(have, d) {
			continue // once: what the containers make of it is theirs
		}
		if err := volume.SetRights(d); err != nil {
			errs = append(errs, err)
			continue
		}
		p.dirs[d.Path] = d
	}
	return errors.Join(errs...)
}

// send reports to the gateway, if there is something new.
func (p *pod) send() {
	p.report.Containers = p.probes.Status()
	p.holder.tells(&p.report)
	report := p.report
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last != nil && reflect.DeepEqual(*p.last, report) {
		return
	}
	p.last = &report
	if p.line != nil {
		p.line.Put(report)
	}
}

// call keeps a line to the gateway that the newest Bootstrap names.
func (p *pod) call(ctx context.Context, boots <-chan api.Bootstrap) {
	var current api.Bootstrap
	var end context.CancelFunc
	var lines sync.WaitGroup
	defer lines.Wait()
	for {
		select {
		case b := <-boots:
			if b == current || b.Gateway == "" {
				continue
			}
			if end != nil {
				end()
				lines.Wait()
			}
			var lineCtx context.Context
			lineCtx, end = context.WithCancel(ctx)
			current = b
			lines.Go(func() { p.redial(lineCtx, b) })
		case <-ctx.Done():
			if end != nil {
				end()
			}
			return
		}
	}
}

// redial connects, again and again, until ctx is done.
func (p *pod) redial(ctx context.Context, b api.Bootstrap) {
	pause := redialPause
	for ctx.Err() == nil {
		heard, err := p.talk(ctx, b)
		if heard {
			pause = redialPause
			p.log.Printf("the line to the gateway is lost: %v", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, maxRedialPause)
	}
}

// talk is one connection from its hello to its end. It reports whether the
// gateway said anything, and why it ended.
func (p *pod) talk(ctx context.Context, b api.Bootstrap) (heard bool, err error) {
	d := net.Dialer{Timeout: callTimeout}
	conn, err := d.DialContext(ctx, "tcp", b.Gateway)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	hello, err := json.Marshal(api.Hello{Pod: b.Pod, Token: b.Token, Counts: true, Follows: true})
	if err != nil {
		return false, err
	}
	if _, err := conn.Write(append(hello, '\n')); err != nil {
		return false, err
	}
	out := newWriter[api.FromAgent](conn)
	p.setLine(out)
	defer p.setLine(nil)
	var writing sync.WaitGroup
	defer writing.Wait()
	defer cancel()
	writing.Go(func() {
		_ = out.Run(ctx) // fails when the connection does, which ends the reader below
		conn.Close()
	})
	var last api.ToAgent
	err = readLines(conn, maxLine, func(m api.ToAgent) {
		heard = true
		if !m.Count {
			if m = follow(last, m); m.Pod == nil {
				return // no gateway of ours says nothing of the pod
			}
			last = m
		}
		select {
		case p.orders <- m:
		case <-ctx.Done():
		}
	}, nil)
	if err == nil {
		err = io.EOF
	}
	return heard, err
}

// setLine makes out the line to the gateway and repeats on it what was sent last.
func (p *pod) setLine(out *writer[api.FromAgent]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line = out
	if out != nil && p.last != nil {
		out.Put(*p.last)
	}
}
