package runner

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// executor carries out the steps of one plan. It decides nothing: what to do
// and in which order is in the plan.
type executor struct {
	*supervisor
	hands
	desired *docker.State // as it is recorded
	state   *docker.State // with the pods of jobs
	slots   map[string]int
}

// errNotYet marks a failure that the next comparison answers by itself, such as
// an init container that exited with an error.
var errNotYet = errors.New("not yet")

func (e *executor) do(ctx context.Context, s reconcile.Step) error {
	e.log.Debug("step", "op", s.Op, "object", s.Object)
	if s.Op == reconcile.StopContainer {
		if err := e.call(ctx, func() { e.loop.stopping[s.ID] = true }); err != nil {
			return err
		}
	}
	// An engine call that has begun is finished even when the plan is dropped.
	whole := context.WithoutCancel(ctx)
	known, err := e.hands.do(whole, s)
	if !known {
		err = e.other(ctx, whole, s)
	}
	if changesEngine(s.Op) {
		_ = e.call(whole, func() { e.lookSoon() })
	}
	return err
}

func changesEngine(op reconcile.Op) bool {
	switch op {
	case reconcile.StartContainer, reconcile.StopContainer, reconcile.RemoveContainer, reconcile.WriteRecord, reconcile.CreateNetwork, reconcile.WriteJob, reconcile.WriteCron:
		return true
	}
	return false
}

func (e *executor) other(ctx, whole context.Context, s reconcile.Step) error {
	switch s.Op {
	case reconcile.LoadImage:
		return e.eng().LoadImage(whole, bytes.NewReader(e.agent.archive))
	case reconcile.PullImage:
		return e.pull(ctx, s)
	case reconcile.CreateNetwork:
		return e.hands.createNetwork(whole)
	case reconcile.CreateVolume:
		return e.eng().CreateVolume(whole, volumeSpec(e.hands.id, s.Name, e.state.Volume(s.Name)))
	case reconcile.WriteRecord:
		return e.writeRecord(whole)
	case reconcile.WriteJob:
		return e.write(whole, jobSpec(e.hands.id, e.agent.ref, *s.Job))
	case reconcile.WriteCron:
		return e.write(whole, cronSpec(e.hands.id, e.agent.ref, *s.Job))
	case reconcile.CreateContainer:
		return e.create(ctx, whole, s)
	case reconcile.StartContainer:
		return e.start(ctx, whole, s)
	case reconcile.Connect:
		return e.settled(ctx)
	case reconcile.AwaitAgent:
		return e.awaitAgent(ctx, s.Pod)
	case reconcile.AwaitExit:
		return e.awaitExit(ctx, s)
	case reconcile.AwaitReady:
		return e.awaitReady(ctx, s.Pod)
	case reconcile.AwaitService:
		return e.awaitService(ctx, s)
	case reconcile.Drain:
		return e.drain(ctx, s.Pod)
	case reconcile.Update:
		return e.settled(ctx)
	}
	return fmt.Errorf("step %s: no way to do it", s.Op)
}

func (e *executor) eng() engine.Engine { return e.hands.eng }

func (e *executor) pull(ctx context.Context, s reconcile.Step) error {
	if c := containerOf(s, e.state); c.PullPolicy == "Never" {
		return &engine.Error{Kind: engine.ImageMissing, Op: "pull image", Object: s.Name, Err: errors.New("imagePullPolicy is Never")}
	}
	return e.eng().PullImage(ctx, s.Name, func(line string) { e.log.Debug("pull", "image", s.Name, "progress", line) })
}

// containerOf is the container that a step is about, or nil.
func containerOf(s reconcile.Step, state *docker.State) *docker.Container {
	if j := state.Job(s.Workload); j != nil {
		return j.Template.Container(s.Container)
	}
	if p := state.Pod(s.Pod); p != nil {
		return p.Container(s.Container)
	}
	return nil
}

// write makes a container that only has labels.
func (e *executor) write(ctx context.Context, spec engine.ContainerSpec) error {
	_, err := e.eng().CreateContainer(ctx, spec)
	return err
}

// writeRecord writes the next record, reads or makes the secrets through it,
// and removes the earlier ones.
func (e *executor) writeRecord(ctx context.Context) error {
	packed, err := encodeManifest(manifest{State: e.desired, AgentImage: e.agent.ref, Slots: e.slots})
	if err != nil {
		return err
	}
	old := e.board.get().seen
	generation := int64(1)
	if old.Record != nil {
		generation = old.Record.Generation + 1
	}
	id, err := e.eng().CreateContainer(ctx, recordSpec(e.hands.id, e.agent.ref, generation, packed))
	if err != nil {
		return err
	}
	s, err := e.prepareSecrets(ctx, id)
	if err != nil {
		return errors.Join(err, e.eng().RemoveContainer(ctx, id))
	}
	if err := e.call(ctx, func() { e.loop.secrets = s }); err != nil {
		return err
	}
	for _, r := range old.records {
		if err := e.eng().RemoveContainer(ctx, r.ID); err != nil {
			return err
		}
	}
	return nil
}

// prepareSecrets resolves the secrets of the new state. The vault is read
// through the container, unless it is known from before: nobody else writes it.
func (e *executor) prepareSecrets(ctx context.Context, container string) (*secrets, error) {
	var known *secrets
	if err := e.call(ctx, func() { known = e.loop.secrets }); err != nil {
		return nil, err
	}
	if known == nil {
		v, err := readVault(ctx, e.eng(), container)
		if err != nil {
			return nil, err
		}
		known = &secrets{vault: v}
	}
	s, changed, err := resolveSecrets(e.state.Secrets, known.vault, e.cfg.Secrets, rand.Reader)
	if err != nil {
		return nil, err
	}
	if changed {
		err = writeVault(ctx, e.eng(), container, s.vault)
	}
	return s, err
}

func (e *executor) create(ctx, whole context.Context, s reconcile.Step) error {
	spec, err := e.spec(ctx, whole, s)
	if err != nil {
		return err
	}
	_, err = e.eng().CreateContainer(whole, spec)
	return err
}

func (e *executor) spec(ctx, whole context.Context, s reconcile.Step) (engine.ContainerSpec, error) {
	network, addr, err := e.network(ctx)
	if err != nil {
		return engine.ContainerSpec{}, err
	}
	id := e.hands.id
	switch s.Role {
	case reconcile.RoleGateway:
		return gatewaySpec(id, e.agent.ref, network, addr, e.firstHTTPPort()), nil
	case reconcile.RolePortal:
		for i := range e.state.Portals {
			if p := &e.state.Portals[i]; p.Service == s.Service {
				return portalSpec(id, p, e.agent.ref, network, addr.vip(e.slots[p.Service])), nil
			}
		}
	case reconcile.RoleInfra:
		return infraSpec(id, e.state.Pod(s.Pod), e.agent.ref, network, addr), nil
	}
	return e.memberSpec(ctx, whole, s, addr)
}

func (e *executor) memberSpec(ctx, whole context.Context, s reconcile.Step, addr addresses) (engine.ContainerSpec, error) {
	pod := e.state.Pod(s.Pod)
	infra, err := e.eng().InspectContainer(whole, pod.EngineName)
	if err != nil {
		return engine.ContainerSpec{}, err
	}
	c := pod.Container(s.Container)
	if c.NonRoot {
		if err := e.checkNonRoot(whole, c); err != nil {
			return engine.ContainerSpec{}, err
		}
	}
	var values *secrets
	if err := e.call(ctx, func() { values = e.loop.secrets }); err != nil {
		return engine.ContainerSpec{}, err
	}
	return memberSpec(e.hands.id, pod, c, s.Role, runtime{
		infraID: infra.ID, infra: pod.EngineName, podIP: infra.IP, hostIP: addr.host(),
		secret: values.lookup, restarts: s.Restarts, backoff: s.Backoff,
	})
}

func (e *executor) checkNonRoot(ctx context.Context, c *docker.Container) error {
	user := c.User
	if user == "" {
		image, err := e.eng().InspectImage(ctx, c.Image)
		if err != nil {
			return err
		}
		user = image.User
	}
	if imageRunsAsRoot(user) {
		return fmt.Errorf("container has runAsNonRoot and image %s would run as root; set runAsUser", c.Image)
	}
	if name, _, _ := strings.Cut(user, ":"); strings.Trim(name, "0123456789") != "" {
		return fmt.Errorf("container has runAsNonRoot and image %s has the user name %s, which nobody can tell from root; set runAsUser", c.Image, name)
	}
	return nil
}

// network waits for the network to be seen and gives its name and addresses.
func (e *executor) network(ctx context.Context) (string, addresses, error) {
	err := e.board.wait(ctx, func(v view) (bool, error) { return v.seen.Network != "", nil })
	seen := e.board.get().seen
	return seen.network, seen.addresses, err
}

// defaultHTTPPort is where the search for the HTTP router's port begins.
const (
	defaultHTTPPort = 8080
	httpPortTries   = 100
)

// firstHTTPPort is the port asked for, or the one the last gateway had, or the
// first of the range.
func (e *executor) firstHTTPPort() int {
	if e.cfg.HTTPPort != 0 {
		return e.cfg.HTTPPort
	}
	if port := httpPortOf(e.board.get().seen); port != 0 {
		return port
	}
	return defaultHTTPPort
}

// httpPortOf is the host port of the gateway's HTTP router, or 0.
func httpPortOf(seen *observation) int {
	g := seen.find(func(c *engine.Container) bool { return roleOf(c) == reconcile.RoleGateway })
	if g != nil {
		for _, p := range g.Publish {
			if p.ContainerPort == api.HTTPPort {
				return p.HostPort
			}
		}
	}
	return 0
}

func (e *executor) start(ctx, whole context.Context, s reconcile.Step) error {
	switch s.Role {
	case reconcile.RoleGateway:
		return e.startGateway(whole, s.Name)
	case reconcile.RoleApp, reconcile.RoleInit:
		// Names and files first: an application that resolves a name in its
		// first millisecond must find it.
		if err := e.awaitAgent(ctx, s.Pod); err != nil {
			return err
		}
	}
	if err := e.eng().StartContainer(whole, s.Name); err != nil {
		return err
	}
	if s.Role == reconcile.RoleApp {
		_ = e.call(whole, func() { e.report(EventStep, s.Object, "started") })
	}
	return nil
}

// startGateway starts it on the first free host port, unless the user chose one.
func (e *executor) startGateway(ctx context.Context, name string) error {
	err := e.eng().StartContainer(ctx, name)
	if engine.KindOf(err) != engine.PortTaken || e.cfg.HTTPPort != 0 {
		return err
	}
	network, addr, nerr := e.network(ctx)
	if nerr != nil {
		return nerr
	}
	first := e.firstHTTPPort()
	for port := first + 1; port < first+httpPortTries; port++ {
		if err := e.eng().RemoveContainer(ctx, name); err != nil {
			return err
		}
		if _, err := e.eng().CreateContainer(ctx, gatewaySpec(e.hands.id, e.agent.ref, network, addr, port)); err != nil {
			return err
		}
		if err = e.eng().StartContainer(ctx, name); engine.KindOf(err) != engine.PortTaken {
			return err
		}
	}
	return err
}

// settled waits until the gateway has taken the latest snapshot.
func (e *executor) settled(ctx context.Context) error {
	if err := e.call(ctx, func() { e.lookSoon() }); err != nil {
		return err
	}
	return e.board.wait(ctx, func(v view) (bool, error) {
		return v.linked && v.sent != 0 && v.status.Generation >= v.sent, nil
	})
}

// bootstrapEvery is how long an agent gets to call the gateway before it is
// told again whom to call.
const bootstrapEvery = 3 * time.Second

// awaitAgent makes sure that the pod's agent serves names and has written the
// files. An agent that is not on the line is told whom to call.
func (e *executor) awaitAgent(ctx context.Context, pod string) error {
	synced := func(v view) (bool, error) {
		infra := v.seen.infra(pod)
		if infra == nil || infra.State != engine.Running {
			return false, nil
		}
		s := v.status.Pods[pod]
		if s.Error != "" {
			return false, fmt.Errorf("agent: %s", s.Error)
		}
		var since int64
		var ip string
		if err := e.call(ctx, func() { since, ip = e.loop.podSince[pod], podOf(e.loop.lastSent, pod).IP }); err != nil {
			return false, err
		}
		return s.Connected && ip == infra.IP && since != 0 && s.Generation >= since, nil
	}
	for {
		if ok, err := synced(e.board.get()); ok || err != nil {
			return err
		}
		if !e.board.get().status.Pods[pod].Connected {
			if err := e.bootstrap(ctx, pod); err != nil {
				return err
			}
		}
		round, cancel := context.WithTimeout(ctx, bootstrapEvery)
		err := e.board.wait(round, synced)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
}

// bootstrap tells a pod's agent whom to call. It goes over standard input, as
// the token is nobody else's business.
func (e *executor) bootstrap(ctx context.Context, pod string) error {
	infra := e.state.Pod(pod).EngineName
	c, err := e.eng().InspectContainer(ctx, infra)
	if err != nil {
		return err
	}
	if c.State != engine.Running {
		return fmt.Errorf("pod %s: its infra container is %s", pod, c.State)
	}
	_, addr, err := e.network(ctx)
	if err != nil {
		return err
	}
	var key string
	if err := e.call(ctx, func() { key = e.loop.secrets.vault.Key }); err != nil {
		return err
	}
	stream, err := e.eng().Attach(ctx, infra)
	if err != nil {
		return err
	}
	defer stream.Close()
	if _, err := io.WriteString(stream, "\n"); err != nil {
		return fmt.Errorf("pod %s: %w", pod, err)
	}
	return writeLine(stream, api.Bootstrap{
		Pod:     pod,
		Gateway: net.JoinHostPort(addr.gateway(), strconv.Itoa(api.ControlPort)),
		Token:   api.Token(key, pod),
	})
}

func (e *executor) awaitExit(ctx context.Context, s reconcile.Step) error {
	code, err := e.eng().WaitContainer(ctx, s.Name)
	if err != nil {
		return err
	}
	if code == 0 {
		return nil
	}
	tail := lastLines(context.WithoutCancel(ctx), e.eng(), s.Name)
	_ = e.call(ctx, func() {
		e.problem(s.Object, fmt.Sprintf("exited with code %d; it is tried again%s", code, tail))
	})
	return fmt.Errorf("%w: exited with code %d", errNotYet, code)
}

// awaitReady gives a pod back to its services and waits until it is ready.
func (e *executor) awaitReady(ctx context.Context, pod string) error {
	err := e.call(ctx, func() {
		delete(e.loop.draining, pod)
		e.lookSoon()
	})
	if err != nil {
		return err
	}
	return e.board.wait(ctx, func(v view) (bool, error) { return podReady(v, pod), nil })
}

// podReady reports whether the gateway calls exactly the containers ready that
// run now: its word may be about those before them.
func podReady(v view, pod string) bool {
	p, s := v.seen.Pods[pod], v.status.Pods[pod]
	if p == nil || p.Infra == nil || !s.Ready {
		return false
	}
	for i := range p.Members {
		m := &p.Members[i]
		if !m.Init && (m.State != reconcile.Running || s.Containers[m.Key].ID != m.ID) {
			return false
		}
	}
	return true
}

func (e *executor) awaitService(ctx context.Context, s reconcile.Step) error {
	return e.board.wait(ctx, func(v view) (bool, error) {
		for i := range e.state.Services {
			if e.state.Services[i].Name != s.Service {
				continue
			}
			for _, pod := range e.state.Services[i].Pods {
				if s.Condition == "started" && podStarted(v, e.state.Pod(pod)) || podReady(v, pod) {
					return true, nil
				}
			}
		}
		return false, nil
	})
}

func podStarted(v view, p *docker.Pod) bool {
	for i := range p.Containers {
		m := v.seen.member(p.Name, p.Containers[i].Name)
		if m == nil || m.State != engine.Running {
			return false
		}
	}
	return true
}

// drain takes a pod out of all services and waits until no new connection can
// reach it.
func (e *executor) drain(ctx context.Context, pod string) error {
	var sent int64
	err := e.call(ctx, func() {
		e.loop.draining[pod] = true
		e.push()
		sent = e.loop.sent
	})
	if err != nil || !e.board.get().linked {
		return err
	}
	return e.board.wait(ctx, func(v view) (bool, error) { return !v.linked || v.status.Generation >= sent, nil })
}

// lastLines gives the end of a container's log for a message, each line on its
// own, or "".
func lastLines(ctx context.Context, eng engine.Engine, container string) string {
	const lines = 5
	var out bytes.Buffer
	if err := eng.Logs(ctx, container, engine.LogOptions{Tail: lines}, &out, &out); err != nil || out.Len() == 0 {
		return ""
	}
	return "; its last words:\n    " + strings.ReplaceAll(strings.TrimRight(out.String(), "\n"), "\n", "\n    ")
}
