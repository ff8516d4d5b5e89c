package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/cuepod/cuepod/runner/agent/api"
)

const namespace = "shop"

// Table is services and what is behind them, from which both name servers get
// what they know, each in its own words.
type Table struct {
	services []service
}

// service is one, with the pods behind it.
type service struct {
	name     string
	external string // ExternalName
	headless bool
	virtual  string
	ports    []servicePort
	pods     []pod
}

type servicePort struct {
	name, protocol string
	port           int
}

type pod struct {
	ip, hostname string
	ready        bool
	targets      []int // for each port of the service
}

// newTable makes services of all kinds. many is how many pods the largest has.
func newTable(r *rand.Rand, many int) Table {
	names := []string{"web", "api", "db", "cache", "a-b-c", "svc", "pod", "ns", "dns", "x", "www", "mail", "q1", "empty", "big", "peers"}
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	var t Table
	for i, name := range names {
		s := service{name: name, ports: ports(r)}
		switch n := r.IntN(10); {
		case n < 3:
			s.external = external(r, names)
			s.ports = nil
		case n < 6:
			s.virtual = fmt.Sprintf("10.1.2.%d", 130+i)
			if r.IntN(5) == 0 {
				s.virtual = fmt.Sprintf("fd00:1::%x", 130+i)
			}
		default:
			s.headless = true
			if r.IntN(4) == 0 {
				s.ports = nil // a headless service may have none
			}
		}
		if s.external == "" {
			s.pods = pods(r, &s, r.IntN(6))
			if name == "big" {
				s.pods = pods(r, &s, many)
			}
		}
		t.services = append(t.services, s)
	}
	return t
}

func ports(r *rand.Rand) []servicePort {
	all := []servicePort{
		{"http", "TCP", 80}, {"dns", "UDP", 53}, {"dns-tcp", "TCP", 53}, {"grpc", "TCP", 9000}, {"metrics", "TCP", 80},
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	all = all[:1+r.IntN(3)]
	if len(all) == 1 && r.IntN(2) == 0 {
		all[0].name = ""
	}
	return all
}

func external(r *rand.Rand, names []string) string {
	in := func(name string) string { return name + "." + namespace + ".svc.cluster.local" }
	return pick(r,
		"example.com", "Mixed.Example.COM.", "nx.example.com", "fail.example.com", "alias.example.com", "big.example.com", "192.0.2.7",
		in(pick(r, names...)), in(pick(r, names...)), in(pick(r, names...)), strings.ToUpper(in(pick(r, names...))),
		in("missing"), "_http._tcp."+in(pick(r, names...)), "below."+in(pick(r, names...)),
		"10-1-2-3."+namespace+".pod.cluster.local", "ns.dns.cluster.local", "cluster.local", "4.3.2.1.in-addr.arpa")
}

func pods(r *rand.Rand, s *service, n int) (out []pod) {
	for i := range n {
		p := pod{ip: fmt.Sprintf("10.1.%d.%d", r.IntN(2), 10+i%200), ready: r.IntN(5) > 0}
		if i >= 200 {
			p.ip = fmt.Sprintf("10.1.%d.%d", 2+i/200, i%200)
		}
		switch r.IntN(8) {
		case 0:
			p.ip = fmt.Sprintf("fd00::%x", 16+i)
		case 1:
			p.ip = "fd00:2:0:" + fmt.Sprintf("%x::", 16+i) // ends in what a label must not end in
		}
		switch r.IntN(4) {
		case 0:
			p.hostname = fmt.Sprintf("%s-%d", s.name, i)
		case 1:
			p.hostname = "shared"
		}
		if slices.ContainsFunc(out, func(have pod) bool { return have.ip == p.ip }) {
			continue
		}
		for _, port := range s.ports {
			target := port.port + 8000*r.IntN(2)
			p.targets = append(p.targets, target)
		}
		out = append(out, p)
	}
	return out
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// ours is the table in our own words.
func (t *Table) ours() (out []api.Service) {
	for _, s := range t.services {
		o := api.Service{Name: s.name, ExternalName: s.external, Headless: s.headless, VIP: s.virtual, Ports: []api.ServicePort{}}
		for i, p := range s.ports {
			o.Ports = append(o.Ports, api.ServicePort{Name: p.name, Port: p.port, Protocol: p.protocol, Backends: backends(&s, i)})
		}
		if s.headless && len(s.ports) == 0 {
			o.Backends = backends(&s, -1)
		}
		out = append(out, o)
	}
	return out
}

func backends(s *service, port int) (out []api.Backend) {
	for _, p := range s.pods {
		if !p.ready {
			continue // the gateway leaves them out
		}
		b := api.Backend{Hostname: p.hostname, IP: p.ip}
		if port >= 0 {
			b.Port = p.targets[port]
		}
		out = append(out, b)
	}
	return out
}

// cluster is the table in Kubernetes' words.
func (t *Table) cluster() *cluster {
	c := &cluster{namespaces: []corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: namespace, ResourceVersion: "1"}}}}
	for i := range t.services {
		s := &t.services[i]
		k := corev1.Service{ObjectMeta: meta(s.name), Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: s.virtual, ClusterIPs: []string{s.virtual}}}
		switch {
		case s.external != "":
			k.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: s.external}
		case s.headless:
			k.Spec.ClusterIP, k.Spec.ClusterIPs = corev1.ClusterIPNone, []string{corev1.ClusterIPNone}
		}
		for _, p := range s.ports {
			k.Spec.Ports = append(k.Spec.Ports, corev1.ServicePort{Name: p.name, Port: int32(p.port), Protocol: corev1.Protocol(p.protocol)})
		}
		c.services = append(c.services, k)
		c.slices = append(c.slices, endpointSlices(s)...)
	}
	return c
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: namespace, ResourceVersion: "1"}
}

// endpointSlices puts pods of one family and with the same ports into one, as the
// controller does, and no more than a hundred.
func endpointSlices(s *service) []discovery.EndpointSlice {
	var out []discovery.EndpointSlice
	find := map[string]int{}
	for _, p := range s.pods {
		family := discovery.AddressTypeIPv4
		if netip.MustParseAddr(p.ip).Is6() {
			family = discovery.AddressTypeIPv6
		}
		key := fmt.Sprint(family, p.targets)
		i, ok := find[key]
		if !ok || len(out[i].Endpoints) == 100 {
			i = len(out)
			find[key] = i
			slice := discovery.EndpointSlice{ObjectMeta: meta(fmt.Sprintf("%s-%d", s.name, i)), AddressType: family}
			slice.Labels = map[string]string{discovery.LabelServiceName: s.name}
			for n, port := range s.ports {
				number, protocol := int32(p.targets[n]), corev1.Protocol(port.protocol)
				slice.Ports = append(slice.Ports, discovery.EndpointPort{Name: &port.name, Port: &number, Protocol: &protocol})
			}
			out = append(out, slice)
		}
		e := discovery.Endpoint{Addresses: []string{p.ip}, Conditions: discovery.EndpointConditions{Ready: &p.ready}}
		if p.hostname != "" {
			e.Hostname = &p.hostname
		}
		out[i].Endpoints = append(out[i].Endpoints, e)
	}
	return out
}
