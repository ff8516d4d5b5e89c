package suite

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// serviceCases are how a service is reached: from pods and from the machine, by
// every type that it can have, and as it changes.
func serviceCases() []Case {
	const network, service, hostport, latency = "common/network/networking.go", "network/service.go", "network/hostport.go", "network/service_latency.go"
	const endpoints = "network/endpointslice.go"
	return []Case{
		{
			Name: "from-node", Rows: rows(network, "Networking, intra pod http, from node"),
			CUE: `app: pods: "from-node": {replicas: 2, containers: main: _witness & {args: ["serve 8080", "serve-udp 8081", "wait"]}}`,
			Check: func(r *Run) {
				for _, name := range []string{"from-node-0", "from-node-1"} {
					pod := r.Ready(name)
					r.HostGet("http://"+pod.IP+":8080/hostname", name)
					r.HostUDP(pod.IP+":8081", "hello from "+name)
				}
			},
		}, {
			Name: "host-port", Rows: rows(hostport, "Scheduling, HostPort matching and HostIP and Protocol not-matching"),
			CUE: `_host: X={#ip: string, #protocol: *"TCP" | "UDP", containers: main: _witness & {
	args: ["serve 8080", "serve-udp 8080", "wait"]
	ports: web: {containerPort: 8080, hostPort: 54323, hostIP: X.#ip, protocol: X.#protocol}
}}
app: pods: {
	"host-port-1": _host & {#ip: "127.0.0.1"}
	"host-port-2": _host & {#ip: "127.0.0.2"}
	"host-port-3": _host & {#ip: "127.0.0.2", #protocol: "UDP"}
}`,
			Check: func(r *Run) {
				r.HostGet("http://127.0.0.1:54323/hostname", "host-port-1-0")
				r.HostGet("http://127.0.0.2:54323/hostname", "host-port-2-0")
				r.HostUDP("127.0.0.2:54323", "hello from host-port-3-0")
			},
		}, {
			Name: "service-type", Items: []int{93, 106},
			Rows: rows(service, "Service, change type, ExternalName to ClusterIP", "Service, change type, ClusterIP to ExternalName",
				"Service, change type, ExternalName to NodePort", "Service, change type, NodePort to ExternalName"),
			CUE: `app: services: {
	"service-type": {type: "ExternalName", externalName: "service-type-other.default.svc.cluster.local"}
	"service-type-other": {pod: "service-type-other", ports: http: port: 80}
}
app: pods: {
	"service-type": containers: main: _witness & {args: ["serve 80", "wait"]}
	"service-type-other": containers: main: _witness & {args: ["serve 80", "wait"]}
}`,
			Check: func(r *Run) {
				const external = `{type: "ExternalName", externalName: "service-type-other.default.svc.cluster.local"}`
				r.Ready("service-type-0")
				r.Ready("service-type-other-0")
				now, asked := external, "service-type-other-0"
				become := func(next, pod string) {
					r.Edit(`"service-type": `+now, `"service-type": `+next)
					now, asked = next, pod
				}
				look := func() {
					r.Wait("service-type leads to "+asked, func() error {
						if got := r.Exec(asked, "get http://service-type/hostname"); !strings.Contains(got, "200 "+asked) {
							return fmt.Errorf("it answered %q", got)
						}
						return nil
					})
				}
				look()
				for _, kind := range []string{"ClusterIP", "NodePort"} {
					become(`{type: "`+kind+`", pod: "service-type", ports: http: port: 80}`, "service-type-0")
					look()
					if kind == "NodePort" {
						r.HostGet(r.URL("service-type")+"/hostname", "service-type-0")
					}
					become(external, "service-type-other-0")
					look()
				}
			},
		}, {
			Name: "node-port", Rows: rows(service, "Service, NodePort Service"), Items: []int{101},
			CUE: `app: services: "node-port": {type: "NodePort", pod: "node-port", ports: {
	http: {port: 80, targetPort: 8080, nodePort: 31980}
	udp: {port: 80, targetPort: 8081, nodePort: 31980, protocol: "UDP"}
}}
app: pods: {
	"node-port": {replicas: 2, containers: main: _witness & {args: ["serve 8080", "serve-udp 8081", "wait"]}}
	"node-port-client": containers: main: _witness & {args: ["get http://node-port/hostname", "wait"]}
}`,
			Check: func(r *Run) {
				r.LogsTimes(1, "node-port-client-0", "http://node-port/hostname: 200 node-port-")
				for _, pod := range []string{"node-port-0", "node-port-1"} {
					r.HostGet("http://127.0.0.1:31980/hostname", pod)
					r.HostUDP("127.0.0.1:31980", "hello from "+pod)
				}
			},
		}, affinityCase("affinity-cluster", "Service, ClusterIP type, session affinity to ClientIP", "Service, ClusterIP type, session affinity to None", "ClusterIP",
			func(r *Run, service string) string {
				return strings.TrimSpace(r.Exec(service+"-client-0", "get http://"+service+"/hostname"))
			}),
		affinityCase("affinity-node", "Service, NodePort type, session affinity to ClientIP", "Service, NodePort type, session affinity to None", "NodePort",
			func(r *Run, service string) string {
				got, err := hostGet(r.URL(service) + "/hostname")
				return fmt.Sprint(got, errorText(err))
			}),
		{
			Name: "endpoints-given", Rows: rows(endpoints, "EndpointSlice, multiple IPs, multiple ports", "EndpointSlice, single IP, multiple ports"), Items: []int{107},
			CUE: `app: services: {
	"endpoints-given": {endpoints: [{address: "198.51.100.1"}], ports: {one: {port: 80, targetPort: 8080}, two: {port: 81, targetPort: 8081}}}
	"endpoints-named": {headless: true, endpoints: [{address: "198.51.100.2"}], ports: one: port: 8080}
}
app: pods: {
	"endpoints-given": {replicas: 2, containers: main: _witness & {args: ["serve-tcp 8080", "serve-tcp 8081", "wait"]}}
	"endpoints-client": containers: main: _witness & {args: ["lookup endpoints-given", "wait"]}
}`,
			Check: func(r *Run) {
				first, second := r.Ready("endpoints-given-0"), r.Ready("endpoints-given-1")
				r.Ready("endpoints-client-0")
				look := func(port int, pods ...string) {
					address := fmt.Sprintf("endpoints-given:%d", port)
					r.Wait(fmt.Sprintf("%s leads to %s", address, pods), func() error {
						var got []string
						for range 12 {
							got = append(got, strings.TrimSpace(strings.TrimPrefix(r.Exec("endpoints-client-0", "dial "+address), "dial "+address+": hello from ")))
						}
						slices.Sort(got)
						if got = slices.Compact(got); !slices.Equal(got, pods) {
							return fmt.Errorf("it leads to %q", got)
						}
						return nil
					})
				}
				// One address, two ports; then an address for each port; then both for both.
				r.Edit("198.51.100.1", first.IP)
				look(80, first.Name)
				look(81, first.Name)
				r.Edit(`{address: "`+first.IP+`"}`, fmt.Sprintf(`{address: %q, ports: one: 8080}, {address: %q, ports: two: 8081}`, first.IP, second.IP))
				look(80, first.Name)
				look(81, second.Name)
				r.Edit(", ports: one: 8080}", "}")
				look(81, first.Name, second.Name)
				r.Edit("198.51.100.2", second.IP)
				r.Wait("the name of a headless service leads to the address", func() error {
					if got := r.Exec("endpoints-client-0", "lookup endpoints-named"); got != "lookup endpoints-named: "+second.IP+"\n" {
						return fmt.Errorf("it says %q", got)
					}
					return nil
				})
			},
		}, {
			Name: "service-many", Rows: rows(latency, "Service endpoint latency, thresholds"), Items: []int{93},
			CUE: `app: services: {for n in _many {"service-many-\(n)": {pod: "service-many", ports: tcp: port: 8081}}}
app: pods: "service-many": containers: main: _witness & {args: ["serve-tcp 8081", "wait"]}
_many: []`,
			// How long it takes is for make bench-propagation: no time counts on a
			// machine that is shared.
			Check: func(r *Run) {
				r.Ready("service-many-0")
				var names, steps []string
				for n := range 20 {
					names = append(names, fmt.Sprint(n))
					steps = append(steps, fmt.Sprintf("dial service-many-%d:8081", n))
				}
				r.Edit("_many: []", "_many: ["+strings.Join(names, ", ")+"]")
				r.Wait("20 services answer", func() error {
					got := r.Exec("service-many-0", steps...)
					if n := strings.Count(got, ": hello from service-many-0\n"); n != len(steps) {
						return fmt.Errorf("%d of %d do:\n%s", n, len(steps), got)
					}
					return nil
				})
			},
		},
	}
}

// affinityCase switches a service's session affinity on and off, beneath a
// client that asks once with each call of ask.
func affinityCase(name, on, off, kind string, ask func(r *Run, service string) string) Case {
	const rowsOf = "network/service.go"
	return Case{
		Name: name, Rows: rows(rowsOf, on, off), Items: []int{100},
		CUE: strings.NewReplacer("@NAME@", name, "@TYPE@", kind).Replace(`app: services: "@NAME@": {type: "@TYPE@", pod: "@NAME@", sessionAffinity: "None", ports: http: {port: 80, targetPort: 8080}}
app: pods: {
	"@NAME@": {replicas: 3, containers: main: _witness & {args: ["serve 8080", "wait"]}}
	"@NAME@-client": containers: main: _witness & {args: ["wait"]}
}`),
		Check: func(r *Run) {
			// As in Kubernetes' own test, so many answers in a row decide.
			const enough = 15
			answers := func() []string {
				var got []string
				for range enough {
					got = append(got, ask(r, name))
				}
				slices.Sort(got)
				return slices.Compact(got)
			}
			for i := range 3 {
				r.Ready(fmt.Sprint(name, "-", i))
			}
			r.Ready(name + "-client-0")
			for _, step := range []struct {
				what     string
				from, to string
				ok       func([]string) bool
			}{
				{"all pods answer", "", "", func(a []string) bool { return len(a) == 3 }},
				{"one pod answers", `"None"`, `"ClientIP"`, func(a []string) bool { return len(a) == 1 && strings.Contains(a[0], name+"-") }},
				{"all pods answer again", `"ClientIP"`, `"None"`, func(a []string) bool { return len(a) == 3 }},
			} {
				if step.from != "" {
					r.Edit("sessionAffinity: "+step.from, "sessionAffinity: "+step.to)
				}
				r.Wait(step.what, func() error {
					if got := answers(); !step.ok(got) {
						return fmt.Errorf("%d times it answered %q", enough, got)
					}
					return nil
				})
			}
		},
	}
}

// URL waits until a service is published on the machine and gives where.
func (r *Run) URL(service string) string {
	url := ""
	r.Wait(service+" is published on the machine", func() error {
		for _, s := range r.world.status().Services {
			for _, u := range s.URLs {
				if s.Name == service && strings.HasPrefix(u, "http://127.0.0.1:") {
					url = u
					return nil
				}
			}
		}
		return fmt.Errorf("the services are %+v", r.world.status().Services)
	})
	return url
}

// HostGet asks for a URL from the machine until the answer is as wanted.
func (r *Run) HostGet(url, want string) {
	r.Wait(url+" answers "+want, func() error {
		got, err := hostGet(url)
		if err == nil && got != want {
			err = fmt.Errorf("it answers %q", got)
		}
		return err
	})
}

// HostUDP asks a UDP address from the machine until the answer is as wanted.
func (r *Run) HostUDP(address, want string) {
	r.Wait("udp://"+address+" answers "+want, func() error {
		conn, err := net.Dial("udp", address)
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		if _, err := conn.Write([]byte("hello")); err != nil {
			return err
		}
		buf := make([]byte, 1500)
		n, err := conn.Read(buf)
		if got := string(buf[:n]); err == nil && got != want {
			err = fmt.Errorf("it answers %q", got)
		}
		return err
	})
}

// hostGet asks for a URL from the machine, by a connection of its own.
func hostGet(url string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return strings.TrimSpace(string(text)), err
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
