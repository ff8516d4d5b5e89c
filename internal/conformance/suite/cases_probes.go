package suite

import "strings"

func probeCases() []Case {
	const file = "common/node/container_probe.go"
	restarts := func(name string, n int) func(*Run) {
		return func(r *Run) { r.Restarted(name+"-0", "main", n) }
	}
	// stays wants no restart for some ten probes.
	stays := func(name, line string) func(*Run) {
		return func(r *Run) {
			r.LogsTimes(8, name+"-0", line)
			if p := r.Ready(name + "-0"); p.Restarts > 0 {
				r.Fatalf("it was restarted: %+v", p)
			}
		}
	}
	return []Case{
		{
			Name: "live-exec", Rows: rows(file, "Pod liveness probe, using local file, restart"), Items: []int{41},
			CUE: `app: pods: "live-exec": containers: main: _witness & {
	args: ["write /health ok", "sleep 3s", "rm /health", "wait"]
	livenessProbe: {exec: command: ["/witness", "exists /health"], initialDelaySeconds: 1, periodSeconds: 1, failureThreshold: 1}
	startupProbe: {exec: command: ["/witness", "exists /health"], periodSeconds: 1, failureThreshold: 60}
}`,
			Check: restarts("live-exec", 1),
		}, {
			Name: "live-exec-well", Rows: rows(file, "Pod liveness probe, using local file, no restart"), Items: []int{41},
			CUE: `app: pods: "live-exec-well": {
	volumes: data: emptyDir: {}
	containers: main: _witness & {
		volumeMounts: "/data": name: "data"
		args: ["write /data/health ok", "follow /data/probes", "wait"]
		livenessProbe: {exec: command: ["/witness", "exists /data/health", "append /data/probes x"], periodSeconds: 1, timeoutSeconds: 20}
	}
}`,
			Check: stays("live-exec-well", "/data/probes: x"),
		}, {
			Name: "live-http", Rows: rows(file, "Pod liveness probe, using http endpoint, restart"), Items: []int{29, 34},
			CUE: `app: pods: "live-http": containers: main: _witness & {
	ports: http: containerPort: 8080
	args: ["serve 8080", "wait"]
	livenessProbe: {httpGet: {path: "/after?d=3s", port: "http"}, periodSeconds: 1, failureThreshold: 1, initialDelaySeconds: 1}
}`,
			Check: restarts("live-http", 1),
		}, {
			Name: "live-http-again", Rows: rows(file, "Pod liveness probe, using http endpoint, multiple restarts (slow)"), Items: []int{22, 44},
			CUE: `app: pods: "live-http-again": containers: main: _witness & {
	args: ["serve 8080", "wait"]
	livenessProbe: {httpGet: {path: "/after?d=1s", port: 8080}, periodSeconds: 1, failureThreshold: 1}
}`,
			Check: restarts("live-http-again", 3),
		}, {
			Name: "live-http-well", Rows: rows(file, "Pod liveness probe, using http endpoint, failure"), Items: []int{34},
			CUE: `app: pods: "live-http-well": containers: main: _witness & {
	args: ["serve 8080", "wait"]
	livenessProbe: {httpGet: {path: "/mark?event=live", port: 8080}, periodSeconds: 1, failureThreshold: 3, timeoutSeconds: 20}
}`,
			Check: stays("live-http-well", " live "),
		}, {
			Name: "live-tcp-well", Rows: rows(file, "Pod liveness probe, using tcp socket, no restart"), Items: []int{39},
			CUE: `app: pods: "live-tcp-well": containers: main: _witness & {
	args: ["serve-tcp 8080", "loop 1s say beat", "wait"]
	livenessProbe: {tcpSocket: port: 8080, periodSeconds: 1, timeoutSeconds: 20}
}`,
			Check: stays("live-tcp-well", "beat"),
		}, {
			Name: "live-grpc-well", Rows: rows(file, "Pod liveness probe, using grpc call, success"), Items: []int{40},
			CUE: `app: pods: "live-grpc-well": containers: main: _witness & {
	args: ["serve-grpc 5000", "loop 1s say beat", "wait"]
	livenessProbe: {grpc: port: 5000, periodSeconds: 1, timeoutSeconds: 20}
	readinessProbe: {grpc: port: 5000, periodSeconds: 1, timeoutSeconds: 20}
}`,
			Check: stays("live-grpc-well", "beat"),
		}, {
			Name: "live-grpc", Rows: rows(file, "Pod liveness probe, using grpc call, failure"), Items: []int{40},
			CUE: `app: pods: "live-grpc": containers: {
	main: _witness & {args: ["serve-grpc 5000", "wait"], livenessProbe: {grpc: port: 2333, periodSeconds: 1, failureThreshold: 1}}
	not: _witness & {args: ["serve-grpc 5001 not", "wait"], livenessProbe: {grpc: port: 5001, periodSeconds: 1, failureThreshold: 1}}
	other: _witness & {args: ["serve-grpc 5002 other", "wait"], livenessProbe: {grpc: port: 5002, periodSeconds: 1, failureThreshold: 1}}
}`,
			Check: func(r *Run) {
				for _, c := range []string{"main", "not", "other"} {
					r.Restarted("live-grpc-0", c, 1)
				}
			},
		}, {
			Name: "ready-delay", Rows: rows(file, "Pod readiness probe, with initial delay"), Items: []int{29, 31},
			CUE: `app: pods: "ready-delay": containers: main: _witness & {
	args: ["mark start", "serve 8080", "wait"]
	readinessProbe: {httpGet: {path: "/mark?event=ready", port: 8080}, initialDelaySeconds: 15, periodSeconds: 1, timeoutSeconds: 20}
}`,
			Check: func(r *Run) {
				p := r.Ready("ready-delay-0")
				start, ready := r.Marked("ready-delay-0", "start"), r.Marked("ready-delay-0", "ready")
				// The container's start comes before its program's, by seconds on a busy machine.
				if p.Restarts > 0 || ready-start < 8e9 {
					r.Fatalf("probed %d ns after the start, though 15 s have to pass; %+v", ready-start, p)
				}
			},
		}, {
			Name: "ready-never", Rows: rows(file, "Pod readiness probe, failure"), Items: []int{31},
			CUE: `app: pods: "ready-never": containers: main: _witness & {
	args: ["serve 8080", "serve 127.0.0.1:9090", "loop 1s say beat", "wait"]
	readinessProbe: {httpGet: {path: "/fail", port: 8080}, periodSeconds: 1}
}`,
			Check: func(r *Run) {
				r.LogsTimes(8, "ready-never-0", "beat")
				r.Never("it was ready or restarted", func(p Pod) bool { return p.Name == "ready-never-0" && (p.Ready || p.Restarts > 0) })
			},
		}, {
			Name: "probe-loopback", Items: []int{37}, Negative: []int{37, 93, 95},
			CUE: `app: services: "probe-loopback": {pod: "probe-loopback", ports: http: port: 8080}
app: services: "probe-none": {pod: "probe-loopback", ports: http: port: 8081}
app: services: "probe-without": {pod: "probe-without", ports: tcp: {port: 80, targetPort: 9090}}
app: pods: {
	"probe-loopback": containers: {
		main: _witness & {args: ["serve 127.0.0.1:8080", "serve-tcp 127.0.0.1:8082", "wait"], readinessProbe: {httpGet: {path: "/ok", port: 8080}, periodSeconds: 1}}
		tcp: _witness & {args: ["loop 1s say beat", "wait"], readinessProbe: {tcpSocket: port: 8082, periodSeconds: 1}}
		grpc: _witness & {args: ["serve-grpc 127.0.0.1:8083", "wait"], readinessProbe: {grpc: port: 8083, periodSeconds: 1}}
	}
	"probe-without": containers: main: _witness & {args: ["serve-tcp 127.0.0.1:9090", "wait"]}
	"probe-client": containers: main: _witness & {args: ["dial probe-loopback:8080", "dial probe-none:8081", "dial probe-without:80", "wait"]}
}`,
			Check: func(r *Run) {
				r.LogsTimes(6, "probe-loopback-0/tcp", "beat")
				r.Never("a container was ready that listens on 127.0.0.1 alone", func(p Pod) bool {
					return p.Name == "probe-loopback-0" && (p.Ready || p.Container("main").Ready || p.Container("tcp").Ready || p.Container("grpc").Ready)
				})
				r.Logs("probe-client-0", "dial probe-loopback:8080: refused", "dial probe-none:8081: refused")
				r.Matches("probe-client-0", `^dial probe-without:80: (refused|reset|.*connection reset by peer)$`)
			},
		}, {
			Name: "probe-http-ways", Items: []int{29, 36, 38},
			CUE: `app: pods: "probe-http-ways": containers: {
	main: _witness & {args: ["serve 8080", "wait"], readinessProbe: {httpGet: {path: "/headers", port: 8080, httpHeaders: [{name: "Host", value: "witness.example"}, {name: "X-Witness", value: "yes"}]}, periodSeconds: 1}}
	tls: _witness & {args: ["serve-tls 8443", "wait"], readinessProbe: {httpGet: {path: "/ok", port: 8443, scheme: "HTTPS"}, periodSeconds: 1}}
	here: _witness & {args: ["serve 8081", "wait"], readinessProbe: {httpGet: {path: "/redirect?to=/ok", port: 8081}, periodSeconds: 1}}
	there: _witness & {args: ["serve 8082", "wait"], readinessProbe: {httpGet: {path: "/redirect?to=http://127.0.0.2:1/", port: 8082}, periodSeconds: 1}}
	named: _witness & {args: ["serve 8083", "wait"], ports: web: containerPort: 8083, readinessProbe: {httpGet: {path: "/ok", port: "web"}, periodSeconds: 1}}
}`,
			Check: func(r *Run) {
				r.Ready("probe-http-ways-0")
				r.LogsTimes(1, "probe-http-ways-0", "headers host=witness.example agent=kube-probe/")
				if log := strings.Join(r.Log("probe-http-ways-0"), "\n"); !strings.Contains(log, "accept=*/* x=yes") {
					r.Fatalf("headers: %s", log)
				}
			},
		}, {
			Name: "probe-startup", Items: []int{31, 32},
			CUE: `app: pods: "probe-startup": containers: main: _witness & {
	args: ["mark start", "serve 8080", "wait"]
	startupProbe: {httpGet: {path: "/until?d=4s", port: 8080}, periodSeconds: 1, failureThreshold: 60}
	readinessProbe: {httpGet: {path: "/mark?event=ready", port: 8080}, periodSeconds: 1, timeoutSeconds: 20}
	livenessProbe: {httpGet: {path: "/mark?event=live", port: 8080}, periodSeconds: 1, timeoutSeconds: 20}
}`,
			Check: func(r *Run) {
				r.Ready("probe-startup-0")
				r.LogsTimes(1, "probe-startup-0", " live ")
				start := r.Marked("probe-startup-0", "start")
				for _, kind := range []string{"ready", "live"} {
					if d := r.Marked("probe-startup-0", kind) - start; d < 3.9e9 {
						r.Fatalf("%s was probed after %d ns, before the container had started", kind, d)
					}
				}
			},
		}, {
			Name: "probe-startup-fails", Items: []int{42},
			CUE: `app: pods: "probe-startup-fails": containers: main: _witness & {
	args: ["serve 8080", "wait"]
	startupProbe: {httpGet: {path: "/fail", port: 8080}, periodSeconds: 1, failureThreshold: 2}
}`,
			Check: restarts("probe-startup-fails", 1),
		}, {
			Name: "probe-exec-timeout", Items: []int{41},
			CUE: `app: pods: "probe-exec-timeout": containers: main: _witness & {
	env: PLACE: value: "/none"
	args: ["wait"]
	livenessProbe: {exec: command: ["/witness", "sleep 60s"], timeoutSeconds: 1, periodSeconds: 1, failureThreshold: 1}
}`,
			Check: restarts("probe-exec-timeout", 1),
		},
	}
}
