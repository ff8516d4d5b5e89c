package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
)

// Traffic is what took an app's services since its gateway began.
type Traffic struct {
	App      string           `json:"app"`
	Since    time.Time        `json:"since,omitzero"` // by the gateway's clock, as is Time
	Time     time.Time        `json:"time,omitzero"`
	Services []ServiceTraffic `json:"services"`
	Edges    []api.Edge       `json:"edges"`
	// Missing says in words whose counts are not in it, or not up to date.
	Missing []string `json:"missing,omitempty"`
}

// ServiceTraffic is the sum of a service's edges, of one of its ports.
type ServiceTraffic struct {
	Service  string `json:"service"`
	Port     int    `json:"port"`
	Protocol string `json:"protocol"`
	api.Traffic
}

// GetTraffic tells what connections the app's services had. See api.TrafficReport
// for what becomes of the counts of pods that are gone.
func GetTraffic(ctx context.Context, eng engine.Engine, id Identity) (Traffic, error) {
	seen, err := observe(ctx, eng, id, nil, "")
	if err != nil {
		return Traffic{}, err
	}
	if len(seen.all) == 0 {
		return Traffic{}, fmt.Errorf("app %s: %w", id.App, ErrNoApp)
	}
	out := Traffic{App: id.App, Services: []ServiceTraffic{}, Edges: []api.Edge{}}
	answered := false
	err = ask(ctx, eng, seen.Gateway, api.ToGateway{Traffic: true}, func(msg api.FromGateway) bool {
		if t := msg.Traffic; t != nil {
			out.Since, out.Time, out.Edges, out.Missing = time.UnixMilli(t.Since), time.UnixMilli(t.Time), t.Edges, t.Missing
			answered = true
		}
		return answered
	})
	if err != nil {
		return out, fmt.Errorf("the gateway does not answer: %w", err)
	}
	if !answered {
		out.Missing = []string{"no gateway runs: nothing is counted"}
	}
	out.Services = sumServices(out.Edges)
	return out, nil
}

// sumServices adds up edges that are in order.
func sumServices(edges []api.Edge) []ServiceTraffic {
	out := []ServiceTraffic{}
	for _, e := range edges {
		if n := len(out); n == 0 || out[n-1].Service != e.Service || out[n-1].Port != e.Port || out[n-1].Protocol != e.Protocol {
			out = append(out, ServiceTraffic{Service: e.Service, Port: e.Port, Protocol: e.Protocol})
		}
		s := &out[len(out)-1]
		s.Traffic = s.Add(e.Traffic)
	}
	return out
}
