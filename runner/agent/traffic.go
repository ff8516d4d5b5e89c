package agent

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/agent/nft"
	"github.com/cuepod/cuepod/runner/proxy"
)

const (
	// countPatience is how long the gateway waits for the agents' counts.
	countPatience = 2 * time.Second
	// countEvery is how often an agent tells of its counts without being asked: so
	// much of them is lost when a pod is killed.
	countEvery = 15 * time.Second
	// lastWords is how long an agent that is to end may take to tell of them.
	lastWords = 300 * time.Millisecond
)

// asking is a question for all counts that is under way.
type asking struct {
	waits map[string]bool // for these pods
	until <-chan time.Time
}

// askTraffic has all agents tell what they counted. Whoever asks meanwhile gets
// the same answer.
func (s *gatewayState) askTraffic() {
	if s.asking != nil {
		return
	}
	s.asking = &asking{map[string]bool{}, time.After(countPatience)}
	for pod, a := range s.agents {
		if a.counts {
			s.asking.waits[pod] = true
			a.out.Note(api.ToAgent{Count: true})
		}
	}
	s.answerTraffic(false)
}

// due is when an answer has to go out without those who said nothing.
func (s *gatewayState) due() <-chan time.Time {
	if s.asking == nil {
		return nil
	}
	return s.asking.until
}

// counted takes an agent's counts.
func (s *gatewayState) counted(pod string, t *api.Tally) {
	for i := range t.Edges {
		t.Edges[i].Client = pod
	}
	s.ledger.add(pod, t.Boot, t.Edges)
	s.uncounted[pod] = t.Error
	if s.asking != nil {
		delete(s.asking.waits, pod)
		s.answerTraffic(false)
	}
}

// answerTraffic sends the report when everybody has said what there is, or now.
func (s *gatewayState) answerTraffic(now bool) {
	if s.asking == nil || len(s.asking.waits) > 0 && !now {
		return
	}
	report := api.TrafficReport{Since: s.began.UnixMilli(), Time: time.Now().UnixMilli()}
	s.ledger.add(byProxy, 0, s.proxy.Traffic().Ways())
	s.ledger.add(byRouter, 0, s.router.Traffic().Ways())
	if s.refusals == nil {
		report.Missing = append(report.Missing, "connections that the gateway refuses are not counted: "+s.uncounted[byKernel])
	} else if counts, err := s.refusals.Counts(); err != nil {
		report.Missing = append(report.Missing, "gateway: "+err.Error())
	} else {
		s.ledger.add(byKernel, 0, counts.Ways())
	}
	report.Edges = s.ledger.edges()
	report.Missing = append(report.Missing, s.silent()...)
	s.asking = nil
	s.out.Note(api.FromGateway{Traffic: &report})
}

// silent are the pods whose counts are missing, with the reason.
func (s *gatewayState) silent() (out []string) {
	if s.snapshot == nil {
		return nil
	}
	for _, p := range s.snapshot.Pods {
		switch a := s.agents[p.Name]; {
		case a == nil:
			out = append(out, fmt.Sprintf("pod %s: its agent is not on the line", p.Name))
		case !a.counts:
			out = append(out, fmt.Sprintf("pod %s: its agent is of an earlier version", p.Name))
		case s.asking.waits[p.Name]:
			out = append(out, fmt.Sprintf("pod %s: its agent did not answer within %v", p.Name, countPatience))
		case s.uncounted[p.Name] != "":
			out = append(out, fmt.Sprintf("pod %s: %s", p.Name, s.uncounted[p.Name]))
		}
	}
	slices.Sort(out)
	return out
}

// watchRefusals counts what the kernel refuses at the services' addresses.
func (s *gatewayState) watchRefusals() {
	refusals, err := s.openRefusals()
	if err != nil {
		s.uncounted[byKernel] = err.Error()
		return
	}
	s.refusals = refusals
}

// refusals counts connections that were refused.
type refusals interface {
	Name(proxy.Table) error
	Counts() (proxy.Counts, error)
	Close()
}

var _ refusals = (*nft.Flows)(nil)

// tally is what this pod's connections to services were. Those on the way through
// the gateway are counted there.
func (p *pod) tally() api.Tally {
	t := api.Tally{Boot: p.began.UnixNano()}
	if p.services.plane == nil {
		t.Edges = p.kept
		return t
	}
	counts, err := p.services.plane.Traffic()
	if err != nil {
		t.Edges, t.Error = p.told.Edges, err.Error()
		return t
	}
	t.Edges = addEdges(p.kept, counts.Ways())
	return t
}

// keepCounts keeps what was counted before the rules are removed.
func (p *pod) keepCounts() { p.kept = p.tally().Edges }

// addEdges joins two counts.
func addEdges(a, b []api.Edge) []api.Edge {
	if len(a) == 0 {
		return b
	}
	out := slices.Clone(a)
	for _, e := range b {
		e.Client = ""
		i := slices.IndexFunc(out, func(o api.Edge) bool { o.Client = ""; return o.Way == e.Way })
		if i < 0 {
			out = append(out, e)
		} else {
			out[i].Traffic = out[i].Add(e.Traffic)
		}
	}
	return out
}

// countShare is of one processor, the most that counting without being asked costs a
// pod. To list the flows of one pod the kernel walks through those of the machine.
const countShare = 1.0 / 2000

// count tells of the counts without being asked, where there is anything to count and
// the last time was long enough ago for what it cost.
func (p *pod) count(now time.Time) {
	if now.Before(p.countNext) || p.services.plane != nil && !p.services.plane.Flowing() {
		return
	}
	p.tell(false)
	took := time.Since(now)
	p.countNext = now.Add(time.Duration(float64(took) / countShare))
}

// tell tells of the counts: when asked, or when they are others than told last.
func (p *pod) tell(asked bool) {
	t := p.tally()
	if !asked && reflect.DeepEqual(t, p.told) {
		return
	}
	p.told = t
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line != nil {
		p.line.Note(api.FromAgent{Tally: &t})
	}
}

// tellLast tells of them before the end.
func (p *pod) tellLast(ctx context.Context) {
	p.mu.Lock()
	line := p.line
	p.mu.Unlock()
	if line == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lastWords)
	defer cancel()
	t := p.tally()
	line.Last(ctx, api.FromAgent{Tally: &t})
}
