package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/agent/netif"
	"github.com/cuepod/cuepod/runner/agent/nft"
	"github.com/cuepod/cuepod/runner/agent/router"
	"github.com/cuepod/cuepod/runner/dns"
	"github.com/cuepod/cuepod/runner/proxy"
)

// statusPause is how long changes gather before a Status goes out: long enough
// for the pods of a start to come in one, short enough not to be felt.
const statusPause = 20 * time.Millisecond

// gatewayConfig is what a gateway needs of its surroundings.
type gatewayConfig struct {
	stdin  io.Reader
	stdout io.Writer
	log    *log.Logger
	// control takes the agents, http the requests for the router.
	control, http net.Listener
	// names answers for pods in the machine's network, which have no address of
	// their own to ask; nil where nobody does.
	names *nameServer
	// setAddresses puts virtual addresses on the interface; nil where they are there.
	setAddresses func([]netip.Addr) error
	// openRefusals begins to count what the kernel refuses.
	openRefusals func() (refusals, error)
}

// gateway is the hub of one app. One goroutine, run, owns the state; everything
// that happens is a function on its channel.
type gateway struct {
	gatewayConfig
	events chan func(*gatewayState)
	proxy  *proxy.Server
	router *router.Router
	out    *writer[api.FromGateway]
	wg     sync.WaitGroup
}

// gatewayState is what the gateway knows.
type gatewayState struct {
	*gateway
	key          string
	snapshot     *api.Snapshot
	agents       map[string]*agentConn     // by pod
	reports      map[string]*api.FromAgent // by pod: the last one, connected or not
	standing     map[string]api.Standing   // in force, of the pods
	carried      *api.Snapshot             // in force
	services     []api.Service             // see ready; nil when nobody has asked
	zone         []api.Service             // whose names are served
	table        proxy.Table               // in force
	certificates []api.Certificate         // in force
	complete     bool                      // the table in force was carried out without an error
	stale        bool                      // something changed since the last update
	followed     []string                  // pods whose agents have followed a snapshot since then
	lastErr      string                    // told last, so as not to repeat it
	status       api.Status
	pending      <-chan time.Time // when set, a Status is due then

	began     time.Time
	ledger    *ledger
	refusals  refusals          // nil where the kernel does not tell
	uncounted map[string]string // why counts are missing, by who should have them
	asking    *asking           // nil when nobody asks for traffic
}

// agentConn is one agent on the line.
type agentConn struct {
	pod     string
	conn    net.Conn
	out     *writer[api.ToAgent]
	counts  bool        // it can be asked to
	follows bool        // it knows Standing
	sent    api.ToAgent // last
}

func runGateway(stdin io.Reader, stdout io.Writer, log *log.Logger) error {
	ctx, stop := untilTerminated()
	defer stop()
	nic, err := netif.Find()
	if err != nil {
		return err
	}
	listen := func(port int) (net.Listener, error) {
		// On the engine's address alone: services may use the same port numbers on theirs.
		return net.Listen("tcp", netip.AddrPortFrom(nic.Primary, uint16(port)).String())
	}
	control, err := listen(api.ControlPort)
	if err != nil {
		return fmt.Errorf("listen for agents: %w", err)
	}
	http, err := listen(api.HTTPPort)
	if err != nil {
		return fmt.Errorf("listen for HTTP requests: %w", err)
	}
	names, err := listenForNames(nic.Primary, "/etc/resolv.conf")
	if err != nil {
		return err
	}
	newGateway(gatewayConfig{stdin, stdout, log, control, http, names, nic.SetAddresses, openRefusals}).run(ctx)
	return nil
}

func openRefusals() (refusals, error) { return nft.WatchRefusals() }

func newGateway(c gatewayConfig) *gateway {
	return &gateway{
		gatewayConfig: c,
		events:        make(chan func(*gatewayState)),
		proxy:         proxy.New(proxy.Config{SetAddresses: c.setAddresses}),
		router:        router.New(),
		out:           newWriter[api.FromGateway](c.stdout),
	}
}

// run works until ctx is done. The reader of standard input is left behind: a
// read cannot be interrupted, and the process ends.
func (g *gateway) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go followLines(ctx, g.stdin, func(m api.ToGateway) {
		g.do(ctx, func(s *gatewayState) { s.hear(m) })
	}, func() { g.out.Note(api.FromGateway{Garbled: true}) })
	g.wg.Go(func() { g.write(ctx) })
	g.wg.Go(func() { g.acceptAgents(ctx) })
	g.wg.Go(func() { _ = g.router.Serve(ctx, g.http) })
	if g.names != nil {
		g.wg.Go(func() { g.names.serve(ctx, g.log) })
	}
	s := &gatewayState{
		gateway: g, agents: map[string]*agentConn{}, reports: map[string]*api.FromAgent{},
		began: time.Now(), ledger: newLedger(), uncounted: map[string]string{},
	}
	s.watchRefusals()
	for ctx.Err() == nil {
		select {
		case event := <-g.events:
			event(s)
			g.more(s)
			s.update()
		case <-s.pending:
			s.sendStatus()
		case <-s.due():
			s.answerTraffic(true)
		case <-ctx.Done():
		}
	}
	cancel()
	g.control.Close()
	for _, a := range s.agents {
		a.conn.Close()
	}
	g.proxy.Close()
	if s.refusals != nil {
		s.refusals.Close()
	}
	g.wg.Wait()
}

// maxEvents is how many events there may be to an update.
const maxEvents = 256

// more takes the events that wait, so that one update is for all of them: when
// fifty agents say that they have followed, that is once.
func (g *gateway) more(s *gatewayState) {
	for range maxEvents {
		select {
		case event := <-g.events:
			event(s)
		default:
			return
		}
	}
}

// do runs an event on the owner of the state.
func (g *gateway) do(ctx context.Context, event func(*gatewayState)) {
	select {
	case g.events <- event:
	case <-ctx.Done():
	}
}

// write sends to the supervisor, whoever that is; when nobody takes it the
// state that waits is replaced by newer ones.
func (g *gateway) write(ctx context.Context) {
	if err := g.out.Run(ctx); err != nil && ctx.Err() == nil {
		g.log.Printf("standard output is gone, the gateway goes on without: %v", err)
	}
}

// hear takes one line from a supervisor.
func (s *gatewayState) hear(m api.ToGateway) {
	if m.Bootstrap != nil {
		s.key = m.Bootstrap.Key
	}
	if m.Snapshot != nil {
		if s.snapshot != nil && m.Snapshot.Generation < s.snapshot.Generation {
			s.complain(fmt.Errorf("snapshot %d is older than %d, which is in force: ignored", m.Snapshot.Generation, s.snapshot.Generation))
		} else {
			reuse(s.snapshot, m.Snapshot)
			s.snapshot, s.stale = m.Snapshot, true
			s.ledger.know(s.snapshot)
		}
	}
	if m.Traffic {
		s.askTraffic()
	}
	if m.Report {
		s.update()
		s.status.Generation = s.generation()
		s.sendStatus()
	}
}

func (s *gatewayState) generation() int64 {
	if s.snapshot == nil {
		return 0
	}
	return s.snapshot.Generation
}

// update works everything out anew after anything changed, and passes on what
// is different.
func (s *gatewayState) update() {
	if s.snapshot == nil || !s.stale {
		return
	}
	s.stale = false
	status := api.Status{Generation: s.snapshot.Generation, Images: s.snapshot.Images, Pods: make(map[string]api.PodStatus, len(s.snapshot.Pods))}
	stand := make(map[string]api.Standing, len(s.snapshot.Pods))
	for _, p := range s.snapshot.Pods {
		report := s.reports[p.Name]
		pod := podStatus(p, report, s.agents[p.Name] != nil)
		pod.Since = readySince(s.status.Pods[p.Name], pod, time.Now())
		status.Pods[p.Name] = pod
		stand[p.Name] = standing(pod, p, report, s.snapshot.Generation)
	}
	for name := range s.reports {
		if _, ok := status.Pods[name]; !ok && s.agents[name] == nil {
			delete(s.reports, name)
		}
	}
	other := !s.complete || s.carried != s.snapshot || !maps.EqualFunc(stand, s.standing, api.Standing.Same)
	if other {
		s.standing, s.carried, s.services = stand, s.snapshot, nil
	}
	for i := range s.snapshot.Pods {
		if a := s.agents[s.snapshot.Pods[i].Name]; a != nil && (other || a.sent.Pod == nil) {
			a.tell(s.order(a, &s.snapshot.Pods[i])) // first, for all that they have to do with it
		}
	}
	if other {
		s.carry(s.ready())
	}
	s.changed(status)
}

// order is what an agent is to follow.
func (s *gatewayState) order(a *agentConn, p *api.Pod) api.ToAgent {
	m := api.ToAgent{Generation: s.snapshot.Generation, Namespace: s.snapshot.Namespace, Services: s.snapshot.Services, Standing: s.standing, Pod: p, ProxyMode: s.snapshot.ProxyMode}
	if !a.follows {
		m.Services, m.Standing = s.ready(), nil
	}
	return m
}

// ready are the services with those backends that receive.
func (s *gatewayState) ready() []api.Service {
	if s.services == nil {
		s.services = readyServices(s.snapshot.Services, s.standing)
	}
	return s.services
}

// changed has a Status go out if there is something new: soon, or at once when
// connections wait from now on, where every moment counts.
func (s *gatewayState) changed(status api.Status) {
	if !reflect.DeepEqual(status, s.status) {
		s.status = status
		if s.pending == nil {
			s.pending = time.After(statusPause)
		}
	}
	waiting := slices.ContainsFunc(s.followed, func(pod string) bool { return s.status.Pods[pod].Held })
	s.followed = nil
	if waiting && s.pending != nil {
		s.sendStatus()
	}
}

// carry puts the endpoints in force.
func (s *gatewayState) carry(services []api.Service) {
	if s.names != nil && !reflect.DeepEqual(services, s.zone) {
		namespace, self := s.snapshot.Namespace, s.names.addr
		s.names.server.SetZone(func() *dns.Zone { return dns.NewZone(namespace, services, self) })
		s.zone = services
	}
	s.router.Set(router.NewTable(s.snapshot.App, services, s.snapshot.Routes))
	if !reflect.DeepEqual(s.certificates, s.snapshot.Certificates) {
		s.certificates = s.snapshot.Certificates
		if err := s.router.SetCertificates(s.certificates); err != nil {
			s.complain(err)
		}
	}
	table, err := proxy.NewTable(services)
	if s.complete && reflect.DeepEqual(table, s.table) {
		return
	}
	s.table = table
	if s.refusals != nil {
		err = errors.Join(err, s.refusals.Name(table))
	}
	if applyErr := s.proxy.Apply(table); applyErr != nil {
		err = applyErr
	}
	s.complete = err == nil
	s.complain(err)
}

// complain tells the supervisor about an error, once.
func (s *gatewayState) complain(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != s.lastErr {
		s.log.Print(text)
		s.out.Note(api.FromGateway{Error: text})
	}
	s.lastErr = text
}

func (s *gatewayState) sendStatus() {
	s.pending = nil
	status := s.status
	status.Time = time.Now().UnixMilli()
	s.out.Put(api.FromGateway{Status: &status})
}

func (a *agentConn) tell(m api.ToAgent) {
	if !reflect.DeepEqual(a.sent, m) {
		a.sent = m
		a.out.Put(m)
	}
}
