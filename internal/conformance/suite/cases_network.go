package suite

import (
	"fmt"
	"slices"
	"strings"
)

func networkCases() []Case {
	const network, service, dns = "common/network/networking.go", "network/service.go", "network/dns.go"
	return []Case{
		{
			Name: "service-ways", Rows: append(rows(network, "Networking, intra pod http", "Networking, intra pod udp"),
				rows(service, "Service, endpoints with multiple ports", "Service, should serve endpoints on same port and different protocols.")...),
			Items: []int{93, 97, 98, 108},
			CUE: `app: services: "service-ways": {pod: "service-ways", ports: {
	http: {port: 80, targetPort: "web"}
	tcp: port: 8081
	udp: {port: 8081, protocol: "UDP"}
}}
app: pods: {
	"service-ways": {
		replicas: 2
		containers: main: _witness & {
			ports: web: containerPort: 8080
			args: ["serve 8080", "serve-tcp 8081", "serve-udp 8081", "get http://service-ways/hostname", "wait"]
			readinessProbe: {httpGet: {path: "/ok", port: "web"}, periodSeconds: 1}
		}
	}
	"service-client": containers: main: _witness & {args: ["get http://service-ways/hostname", "background loop 300ms dial service-ways:8081", "loop 300ms udp service-ways:8081", "wait"]}
}`,
			Check: func(r *Run) {
				for _, pod := range []string{"service-ways-0", "service-ways-1"} {
					r.Ready(pod)
					// Both replicas answer, over TCP and UDP, on the same number.
					r.Logs("service-client-0", "dial service-ways:8081: hello from "+pod, "udp service-ways:8081: hello from "+pod)
					r.LogsTimes(1, pod, "http://service-ways/hostname: 200 service-ways-")
				}
			},
		}, {
			Name: "service-names", Rows: rows(dns, "DNS, services", "DNS, PQDN for services", "DNS, resolve the subdomain", "DNS, resolve the hostname"),
			Items: []int{89, 110},
			CUE: `app: services: {
	"service-names": {pod: "service-named", ports: http: port: 80}
	"service-headless": {pod: "service-named", headless: true, ports: http: port: 80}
}
app: pods: {
	"service-named": {kind: "StatefulSet", serviceName: "service-headless", containers: main: _witness & {args: ["host", "lookup service-named-0", "wait"]}}
	"service-asks": containers: main: _witness & {args: ["cat /etc/resolv.conf", "loop 500ms lookup service-names", "loop 500ms lookup service-names.default.svc", "loop 500ms lookup service-names.default.svc.cluster.local",
		"loop 500ms lookup service-headless", "loop 500ms lookup service-named-0.service-headless", "wait"]}
}`,
			Check: func(r *Run) {
				pod := r.Ready("service-named-0")
				var vip string
				for _, s := range r.world.status().Services {
					if s.Name == "service-names" {
						vip = s.VIP
					}
				}
				for _, name := range []string{"service-names", "service-names.default.svc", "service-names.default.svc.cluster.local"} {
					r.Logs("service-asks-0", "lookup "+name+": "+vip)
				}
				r.Logs("service-asks-0", "lookup service-headless: "+pod.IP, "lookup service-named-0.service-headless: "+pod.IP)
				r.Logs("service-named-0", "hostname=service-named-0", "lookup service-named-0: "+pod.IP)
				r.Matches("service-asks-0", `^/etc/resolv.conf: search default\.svc\.cluster\.local svc\.cluster\.local cluster\.local`)
				r.Matches("service-asks-0", `^/etc/resolv.conf: options .*ndots:5`)
			},
		}, {
			Name: "external-name", Rows: rows(dns, "DNS, for ExternalName Services"), Items: []int{106, 111},
			CUE: `app: services: {
	"external-name": {type: "ExternalName", externalName: "external-one.default.svc.cluster.local"}
	"external-one": {pod: "external-asks", ports: http: port: 80}
	"external-two": {pod: "external-asks", ports: http: port: 80}
}
app: pods: "external-asks": containers: main: _witness & {args: ["loop 500ms lookup external-name", "wait"]}`,
			Check: func(r *Run) {
				r.Ready("external-asks-0")
				vips := map[string]string{}
				for _, s := range r.world.status().Services {
					vips[s.Name] = s.VIP
				}
				r.Logs("external-asks-0", "lookup external-name: "+vips["external-one"])
				r.Edit(`externalName: "external-one.`, `externalName: "external-two.`)
				r.Logs("external-asks-0", "lookup external-name: "+vips["external-two"])
			},
		}, {
			Name: "dns-config", Rows: rows(dns, "DNS, custom dnsConfig"), Items: []int{90},
			CUE: `app: pods: {
	"dns-config": _once & {dnsPolicy: "None", dnsConfig: {nameservers: ["1.1.1.1"], searches: ["resolv.conf.local"], options: [{name: "ndots", value: "2"}]}, containers: main: _witness & {args: ["cat /etc/resolv.conf"]}}
	"dns-more": _once & {dnsConfig: {searches: ["more.example"], options: [{name: "ndots", value: "2"}]}, containers: main: _witness & {args: ["cat /etc/resolv.conf"]}}
}`,
			Check: func(r *Run) {
				r.Logs("dns-config-0", "/etc/resolv.conf: nameserver 1.1.1.1", "/etc/resolv.conf: search resolv.conf.local", "/etc/resolv.conf: options ndots:2")
				for _, l := range r.Log("dns-config-0") {
					if strings.Contains(l, "cluster.local") {
						r.Fatalf("dnsPolicy None has %q", l)
					}
				}
				r.Matches("dns-more-0", `^/etc/resolv.conf: search default\.svc\.cluster\.local .* more\.example$|^/etc/resolv.conf: search default\.svc\.cluster\.local .*more\.example `)
				r.Logs("dns-more-0", "/etc/resolv.conf: options ndots:2")
			},
		}, {
			Name: "service-leaves", Rows: rows(service, "Service, endpoints"), Items: []int{50, 93, 95}, Negative: []int{50},
			CUE: `app: services: "service-leaves": {pod: "service-leaves", ports: tcp: port: 8080}
app: pods: {
	"service-leaves": _timed & {replicas: 1, terminationGracePeriodSeconds: 30, containers: main: {
		args: ["mark start", "serve-tcp 8080", "trap sleep 4s", "trap mark exit", "wait"]
		readinessProbe: {tcpSocket: port: 8080, periodSeconds: 1}
	}}
	"service-watch": _timed & {containers: main: {args: ["reach service-leaves:8080", "wait"]}}
}`,
			Check: func(r *Run) {
				r.Ready("service-leaves-0")
				r.Happens("service-watch-0", "main reached", 1)
				r.Edit("replicas: 1", "replicas: 0")
				r.Gone("service-leaves-0")
				// The service refuses while the container still runs, and never hangs.
				r.across("service-watch-0", "main reached", "service-leaves-0", "main term")
				if refused, exit := r.Last("service-watch-0", "main refused"), r.First("service-leaves-0", "main exit"); refused >= exit {
					r.Fatalf("the pod was an endpoint until it ended: it was refused %d ns later", refused-exit)
				}
				r.Count("service-watch-0", "main lost", 0)
			},
		}, {
			Name: "sidecar-readiness", Items: []int{10},
			CUE: `app: pods: "sidecar-readiness": {
	initContainers: side: _witness & {restartPolicy: "Always", args: ["serve 8080", "await /go", "serve 8081", "wait"], readinessProbe: {tcpSocket: port: 8081, periodSeconds: 1}}
	containers: main: _witness & {args: ["say up", "wait"]}
}`,
			Check: func(r *Run) {
				r.WaitPod("sidecar-readiness-0", "has a ready container and is not ready", func(p Pod) bool { return p.Container("main").Ready && !p.Ready })
				r.Exec("sidecar-readiness-0/side", "write /go x")
				r.Ready("sidecar-readiness-0")
				r.Wait("its sidecar is ready", func() error {
					if p := r.Pod("sidecar-readiness-0"); !slices.ContainsFunc(p.Containers, func(c Container) bool { return c.Name == "side" && c.Ready }) {
						return fmt.Errorf("it is %+v", p)
					}
					return nil
				})
			},
		},
	}
}
