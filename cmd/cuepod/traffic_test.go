package main

import (
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/agent/api"
)

func someTraffic() runner.Traffic {
	way := func(client, endpoint string) api.Way {
		return api.Way{Service: "web", Port: 80, Protocol: "TCP", Client: client, Endpoint: endpoint}
	}
	at := time.Unix(1000, 0)
	return runner.Traffic{
		App: "shop", Since: at, Time: at.Add(90 * time.Second),
		Services: []runner.ServiceTraffic{{Service: "web", Port: 80, Protocol: "TCP", Traffic: api.Traffic{Connections: 1203, Errors: 2, Sent: 1_234_567, Received: 999}}},
		Edges: []api.Edge{
			{Way: way("", "web-0"), Traffic: api.Traffic{Connections: 3, Sent: 567, Received: 0}},
			{Way: way("worker-0", ""), Traffic: api.Traffic{Errors: 2}},
			{Way: way("worker-0", "web-1"), Traffic: api.Traffic{Connections: 1200, Sent: 1_234_000, Received: 999}},
		},
		Missing: []string{"pod web-2: its agent is not on the line"},
	}
}

func TestPrintTraffic(t *testing.T) {
	var b strings.Builder
	printTraffic(&b, someTraffic(), style{})
	want := `shop  connections to services, since 90s ago

SERVICE  PORT    CONNECTIONS  ERRORS  SENT    RECEIVED
web      80/TCP  1203         2       1.2 MB  999 B

CLIENT    SERVICE     ENDPOINT  CONNECTIONS  ERRORS  SENT    RECEIVED
host      web:80/TCP  web-0     3            0       567 B   0 B
worker-0  web:80/TCP  -         0            2       0 B     0 B
worker-0  web:80/TCP  web-1     1200         0       1.2 MB  999 B
  ! not counted: pod web-2: its agent is not on the line
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestByteWord(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_940: "999.9 kB", 999_960: "1.0 MB", 5_300_000_000: "5.3 GB", 1 << 63: "9.2 EB"} {
		if got := byteWord(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// Rates are the difference of two looks; with another gateway, all of it.
func TestLoad(t *testing.T) {
	before := sample{time.Unix(50, 0), []runner.PodUsage{{Pod: "web-0", CPU: time.Second, Memory: 1}}, someTraffic()}
	now := sample{time.Unix(52, 0), []runner.PodUsage{{Pod: "new-0", CPU: time.Hour, Memory: 5e6}, {Pod: "web-0", CPU: 4 * time.Second, Memory: 12e6}}, someTraffic()}
	now.traffic.Missing = nil
	now.traffic.Edges = append(now.traffic.Edges[:1:1], api.Edge{Way: now.traffic.Edges[2].Way, Traffic: api.Traffic{Connections: 1300, Errors: 1, Sent: 3_234_000, Received: 999}})
	var b strings.Builder
	printLoad(&b, loadOf(before, now), style{}, false)
	want := `shop  over 2.0 s

POD    CPU    MEMORY
new-0  0m     5.0 MB
web-0  1500m  12.0 MB

CLIENT    SERVICE     ENDPOINT  CONN/S  ERR/S  SENT/S  RECEIVED/S  CONNECTIONS
host      web:80/TCP  web-0     0.0     0.0    0 B     0 B         3
worker-0  web:80/TCP  web-1     50.0    0.5    1.0 MB  0 B         1300
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	now.traffic.Since = now.traffic.Since.Add(time.Second)
	if l := loadOf(before, now); l.Edges[0].Connections != 1.5 {
		t.Errorf("with another gateway: %+v", l.Edges[0])
	}
}
