package agent

import (
	"fmt"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/agent/netif"
	"github.com/cuepod/cuepod/runner/agent/nft"
	"github.com/cuepod/cuepod/runner/proxy"
)

// servicePath is the way that the pod's connections to services take: rules in
// the kernel where they can be had, else none, which leads to the gateway: it has
// the virtual addresses and carries what reaches it.
type servicePath struct {
	open    func() (*nft.Plane, error)
	leave   func()        // called before the rules are removed
	plane   *nft.Plane    // nil for the way through the gateway
	queue   *nft.Queue    // of datagrams, together with plane
	led     []api.Service // by the rules, as far as they can be: the gateway tells of what cannot
	table   proxy.Table   // of led
	state   api.Proxy     // the way, and why it is not the best
	settled bool          // it was chosen, for the mode that was asked for
	asked   string
}

func openPlane() (*nft.Plane, error) {
	nic, err := netif.Find()
	if err != nil {
		return nil, err
	}
	return nft.Open(nic.Primary)
}

// apply leads services, whose backends all receive, as the gateway says.
func (s *servicePath) apply(m api.ToAgent, services []api.Service) error {
	if err := s.choose(m); err != nil {
		return err
	}
	if s.plane == nil {
		return nil
	}
	s.table = proxy.Renew(s.table, s.led, services)
	s.led = services
	return s.plane.Apply(s.table)
}

// expire has pods that were silent lose their endpoint where a service says so. It
// returns when to look again; nil is never, until something is applied.
func (s *servicePath) expire() (<-chan time.Time, error) {
	if s.plane == nil {
		return nil, nil
	}
	next, err := s.plane.Expire(time.Now())
	if next == 0 {
		return nil, err
	}
	return time.After(next), err
}

// choose takes the best way that is allowed and possible. What is possible is
// found out once; only a way that somebody insists on is tried again.
func (s *servicePath) choose(m api.ToAgent) error {
	if s.settled && s.asked == m.ProxyMode {
		return nil
	}
	s.asked, s.settled = m.ProxyMode, true
	switch {
	case m.Pod.Names.HostNetwork:
		return s.userspace("the pod has the machine's network, whose rules are not ours to change")
	case m.ProxyMode == api.ProxyUserspace:
		return s.userspace("it was asked for")
	case s.plane != nil:
		return nil
	}
	plane, err := s.open()
	if err == nil {
		s.plane, s.queue, s.state = plane, nft.NewQueue(plane.Self()), api.Proxy{Mode: api.ProxyNFTables}
		return nil
	}
	s.state = api.Proxy{Mode: api.ProxyUserspace, Why: err.Error()}
	if m.ProxyMode == api.ProxyNFTables {
		s.settled = false
		return err
	}
	return nil
}

func (s *servicePath) userspace(why string) error {
	if s.plane != nil {
		s.leave()
		if err := s.plane.Close(); err != nil {
			s.settled = false
			return fmt.Errorf("remove the rules for services: %w", err)
		}
		if err := s.queue.Close(); err != nil {
			s.settled = false
			return err
		}
		s.plane, s.queue = nil, nil
	}
	s.state = api.Proxy{Mode: api.ProxyUserspace, Why: why}
	return nil
}
