package agent

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"reflect"
	"testing"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/proxy"
)

// An agent that follows brief lines knows at every moment what whole ones would say,
// and what it keeps of its work is what it would work out anew.
func TestBrief_FollowedIsWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var sent *api.ToAgent
	var know api.ToAgent
	var ready []api.Service
	var table proxy.Table
	saved, shared := 0, 0
	for i := range 500 {
		now := api.ToAgent{Generation: int64(i), Namespace: "default", Pod: &api.Pod{Name: "web-0", IP: fmt.Sprint("10.1.2.", r.IntN(2))}, Standing: map[string]api.Standing{}}
		for n := range 4 {
			if r.IntN(5) > 0 {
				var backends []api.Backend
				for pod := range r.IntN(3) {
					backends = append(backends, api.Backend{Pod: fmt.Sprint("web-", pod+n%2), IP: fmt.Sprint("10.1.3.", pod), Port: 8000 + r.IntN(20)/19})
				}
				now.Services = append(now.Services, api.Service{Name: fmt.Sprint("s", n), VIP: fmt.Sprint("10.1.4.", n), Headless: n == 3, Backends: backends,
					Ports: []api.ServicePort{{Port: 80, Backends: backends}, {Port: 90 + r.IntN(20)/19, Protocol: "UDP", Backends: backends}}})
			}
		}
		for n := range 4 {
			if r.IntN(4) > 0 {
				now.Standing[fmt.Sprint("web-", n)] = []api.Standing{{Ready: true}, {Serving: true}, {Held: true, Waits: []api.Wait{{Port: 80, Limit: 1 + r.IntN(2)}}}, {}}[r.IntN(4)]
			}
		}
		line, err := json.Marshal(brief(sent, now))
		if err != nil {
			t.Fatal(err)
		}
		whole, err := json.Marshal(now)
		if err != nil {
			t.Fatal(err)
		}
		saved += len(whole) - len(line)
		var heard api.ToAgent
		if err := json.Unmarshal(line, &heard); err != nil {
			t.Fatal(err)
		}
		before := know
		know = follow(know, heard)
		then := ready
		ready = endpoints(know, before, then)
		if want := readyServices(now.Services, now.Standing); !reflect.DeepEqual(ready, want) {
			t.Fatalf("step %d: the endpoints are %+v, want %+v", i, ready, want)
		}
		table = proxy.Renew(table, then, ready)
		if want, err := proxy.NewTable(ready); err != nil || !reflect.DeepEqual(table, want) {
			t.Fatalf("step %d: the table is\n%v\nwant\n%v\n%v", i, table, want, err)
		}
		for k := range min(len(ready), len(then)) {
			if proxy.Shares(ready[k], then[k]) {
				shared++
			}
		}
		if !reflect.DeepEqual(nothingIsNil(know), nothingIsNil(now)) {
			t.Fatalf("step %d: the agent knows %+v, the gateway %+v; the line was %s", i, know, now, line)
		}
		sent = &now
	}
	if saved <= 0 || shared < 100 {
		t.Errorf("the lines are %d bytes shorter than whole ones, %d times a service was kept", saved, shared)
	}
}

// nothingIsNil writes in one way what means the same.
func nothingIsNil(m api.ToAgent) api.ToAgent {
	m.Standing = maps.Clone(m.Standing)
	maps.DeleteFunc(m.Standing, func(_ string, st api.Standing) bool { return reflect.DeepEqual(st, api.Standing{}) })
	if m.Services == nil {
		m.Services = []api.Service{}
	}
	return m
}

// What became ready is all that the line says.
func TestBrief_IsBrief(t *testing.T) {
	before := api.ToAgent{Generation: 7, Namespace: "default", Pod: &api.Pod{Name: "web-0"}, Services: []api.Service{{Name: "web"}}, Standing: map[string]api.Standing{"web-1": {Ready: true}}}
	now := before
	now.Standing = map[string]api.Standing{"web-0": {Ready: true}, "web-1": {Ready: true}}
	line, err := json.Marshal(brief(&before, now))
	if want := `{"generation":7,"namespace":"default","standing":{"web-0":{"ready":true}}}`; err != nil || string(line) != want {
		t.Errorf("%s, %v; want %s", line, err, want)
	}
	if got := brief(nil, now); !reflect.DeepEqual(got, now) {
		t.Errorf("the first line leaves out something: %+v", got)
	}
}

// A gateway of an earlier version says everything each time, and whoever it names
// receives.
func TestFollow_EarlierGateway(t *testing.T) {
	var m api.ToAgent
	line := `{"generation":3,"namespace":"default","services":[{"name":"web","ports":[{"port":80,"backends":[{"pod":"a","ip":"10.1.2.3","port":80}]}]}],"pod":{"name":"a","ip":"10.1.2.3"}}`
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		t.Fatal(err)
	}
	before := api.ToAgent{Services: []api.Service{{Name: "gone"}}}
	got := endpoints(follow(before, m), before, nil)
	if len(got) != 1 || got[0].Name != "web" || len(got[0].Ports[0].Backends) != 1 {
		t.Errorf("%+v", got)
	}
}

// reuse makes one of what is the same, and changes nothing of what a snapshot says.
func TestReuse(t *testing.T) {
	backends := func(ip string) []api.ServicePort {
		return []api.ServicePort{{Port: 80, Backends: []api.Backend{{Pod: "a", IP: ip}}}}
	}
	before := &api.Snapshot{Services: []api.Service{{Name: "a", Ports: backends("1")}, {Name: "b", Ports: backends("1")}}, Pods: []api.Pod{{Name: "a", Containers: []api.Container{{ID: "1"}}}}}
	now := &api.Snapshot{Services: []api.Service{{Name: "a", Ports: backends("1")}, {Name: "b", Ports: backends("2")}}, Pods: []api.Pod{{Name: "a", Containers: []api.Container{{ID: "1"}}}}}
	reuse(before, now)
	if now.Services[1].Ports[0].Backends[0].IP != "2" || &now.Services[0].Ports[0] != &before.Services[0].Ports[0] || &now.Pods[0].Containers[0] != &before.Pods[0].Containers[0] {
		t.Errorf("%+v", now)
	}
	same := &api.Snapshot{Services: []api.Service{{Name: "a", Ports: backends("1")}, {Name: "b", Ports: backends("2")}}}
	if reuse(now, same); &same.Services[0] != &now.Services[0] {
		t.Error("the services are the same, and are compared again")
	}
}

// An agent of an earlier version gets whole lines, with those backends that receive.
func TestGateway_EarlierAgent(t *testing.T) {
	h := newHub(t)
	h.send(api.ToGateway{Snapshot: snapshot(1, "127.0.0.9", "a", "b")})
	h.await("the snapshot", func(s api.Status) bool { return s.Generation == 1 })
	lines := map[bool]chan api.ToAgent{}
	for _, follows := range []bool{false, true} {
		pod := map[bool]string{false: "a", true: "b"}[follows]
		conn, err := net.Dial("tcp", h.control)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		hello, err := json.Marshal(api.Hello{Pod: pod, Token: api.Token(testKey, pod), Follows: follows})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(append(hello, '\n')); err != nil {
			t.Fatal(err)
		}
		heard := make(chan api.ToAgent, 100)
		lines[follows] = heard
		go func() { _ = readLines(conn, maxLine, func(m api.ToAgent) { heard <- m }, nil) }()
	}
	first := map[bool]api.ToAgent{false: <-lines[false], true: <-lines[true]}
	if m := first[false]; m.Standing != nil || m.Pod == nil || len(m.Services) != 2 || len(m.Services[0].Ports[0].Backends) != 0 {
		t.Errorf("the earlier agent gets %+v", m)
	}
	if m := first[true]; m.Standing == nil || m.Pod == nil || len(m.Services) != 2 || len(m.Services[0].Ports[0].Backends) != 2 {
		t.Errorf("the other gets %+v", m)
	}
	h.send(api.ToGateway{Snapshot: snapshot(2, "127.0.0.9", "a", "b")})
	if m := <-lines[false]; m.Generation != 2 || m.Pod == nil || len(m.Services) != 2 {
		t.Errorf("then the earlier agent gets %+v", m)
	}
	if m := <-lines[true]; m.Generation != 2 || m.Pod != nil || m.Services != nil {
		t.Errorf("then the other gets %+v", m)
	}
}
