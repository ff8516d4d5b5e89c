package runner

import (
	"context"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
)

func (e *executor) create(ctx, whole context.Context, s reconcile.Step) error {
	spec, err := e.spec(ctx, whole, s)
	if err == nil && s.Role.Member() {
		if err = e.prepareSubPaths(ctx, whole, s, &spec); err != nil {
			err = &configError{err}
		}
	}
	if err == nil && s.Role.Member() {
		err = e.mountCopies(whole, s, &spec)
	}
	if err == nil && s.Base != "" {
		err = e.mountProgram(whole, s, &spec)
	}
	if err == nil {
		_, err = e.eng().CreateContainer(whole, spec)
	}
	if reason := whyNotCreated(err); reason != "" && s.Role.Member() {
		return e.standIn(whole, s, reason, err)
	}
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
		return gatewaySpec(id, s.Name, e.agent.ref, network, addr, e.loopbacks(), e.firstHTTPPort()), nil
	case reconcile.RolePortal:
		for i := range e.state.Portals {
			if p := &e.state.Portals[i]; p.Service == s.Service {
				return portalSpec(id, p, e.agent.ref, network, addr.vip(e.slots[p.Service]), e.loopbacks()), nil
			}
		}
	case reconcile.RoleInfra:
		if err := e.checkHostPaths("", e.state.Pod(s.Pod).Mounts); err != nil {
			return engine.ContainerSpec{}, err
		}
		if err := e.undrained(ctx, s.Pod); err != nil {
			return engine.ContainerSpec{}, err
		}
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
	user, err := e.user(whole, c, imageOf(s, c))
	if err != nil {
		return engine.ContainerSpec{}, &configError{err}
	}
	values, err := e.secretsNow(ctx)
	if err != nil {
		return engine.ContainerSpec{}, err
	}
	if err := pod.Lacks(values.lookup); err != nil {
		return engine.ContainerSpec{}, &configError{err}
	}
	spec, err := memberSpec(e.hands.id, pod, c, s.Role, runtime{
		infraID: infra.ID, infra: pod.EngineName, podIP: podIP(pod, &infra, addr), hostIP: addr.host(),
		secret: values.lookup, restarts: s.Restarts, backoff: s.Backoff,
		file:    func(path string) ([]byte, error) { return readFile(whole, e.eng(), infra.ID, path) },
		machine: e.machine, links: e.links(addr),
	})
	if err != nil {
		return spec, &configError{err}
	}
	spec.Image = imageOf(s, c)
	spec.User, spec.OOMScoreAdj = user, e.oomScore(whole, pod, c)
	if err := e.checkHostPaths(c.Line, c.Mounts); err != nil {
		return spec, &configError{err}
	}
	if err := e.bringImages(whole, c); err != nil {
		return spec, &configError{err}
	}
	return spec, nil
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

// loopbacks are the addresses that host ports are bound on: also that of IPv6,
// where this machine is the engine's and has one.
func (e *executor) loopbacks() []string {
	if e.local && listen(loopback6, 0, "TCP") == nil {
		return []string{loopback, loopback6}
	}
	return []string{loopback}
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
	case reconcile.RoleApp, reconcile.RoleInit, reconcile.RoleSidecar:
		// Names and files first: an application that resolves a name in its
		// first millisecond must find it.
		if err := e.awaitAgent(ctx, s.Pod); err != nil {
			return err
		}
		release, err := e.holdSubPaths(ctx, whole, s)
		if err != nil {
			return err
		}
		defer release()
		if err := e.bringCopies(whole, s); err != nil {
			return err
		}
	}
	if err := e.eng().StartContainer(whole, s.Name); err != nil {
		if s.Role.Member() {
			return e.cannotRun(whole, s, err)
		}
		return err
	}
	if (s.Role == reconcile.RoleApp || s.Role == reconcile.RoleSidecar) && !e.quiet {
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
		if _, err := e.eng().CreateContainer(ctx, gatewaySpec(e.hands.id, name, e.agent.ref, network, addr, e.loopbacks(), port)); err != nil {
			return err
		}
		if err = e.eng().StartContainer(ctx, name); engine.KindOf(err) != engine.PortTaken {
			return err
		}
	}
	return err
}
