package suite

import (
	"slices"
	"strings"
)

func lifecycleCases() []Case {
	const hooks, inits = "common/node/lifecycle_hook.go", "common/node/init_container.go"
	return []Case{
		{
			Name: "hook-start-exec", Rows: rows(hooks, "Pod Lifecycle, post start exec hook"), Items: []int{12, 52},
			CUE: `app: pods: "hook-start-exec": {
	volumes: data: emptyDir: {}
	containers: main: _witness & {
		volumeMounts: "/data": name: "data"
		lifecycle: postStart: exec: command: ["/witness", "write /data/hook it ran"]
		args: ["await /data/hook", "cat /data/hook", "wait"]
	}
}`,
			Check: func(r *Run) { r.Logs("hook-start-exec-0", "/data/hook: it ran"); r.Ready("hook-start-exec-0") },
		}, {
			Name: "hook-start-http", Rows: rows(hooks, "Pod Lifecycle, post start http hook"), Items: []int{52},
			CUE: `app: pods: "hook-start-http": containers: main: _witness & {
	ports: http: containerPort: 8080
	lifecycle: postStart: httpGet: {port: "http", path: "/mark?event=poststart", httpHeaders: [{name: "X-Witness", value: "yes"}]}
	args: ["serve 8080", "wait"]
}`,
			Check: func(r *Run) { r.LogsTimes(1, "hook-start-http-0", " poststart "); r.Ready("hook-start-http-0") },
		}, {
			Name: "hook-stop-exec", Rows: rows(hooks, "Pod Lifecycle, prestop exec hook"), Items: []int{45, 52},
			CUE: `app: pods: "hook-stop-exec": _timed & {containers: main: {
	lifecycle: preStop: exec: command: ["/witness", "mark prestop"]
	args: ["mark start", "wait"]
}}`,
			Check: func(r *Run) { r.Ready("hook-stop-exec-0") },
			Ended: func(r *Run) { r.Order("hook-stop-exec-0", "main start", "main prestop", "main term") },
		}, {
			Name: "hook-stop-http", Rows: append(rows(hooks, "Pod Lifecycle, prestop http hook"), rows("node/pre_stop.go", "Pods, prestop hook")...), Items: []int{45, 52},
			CUE: `app: pods: "hook-stop-http": _timed & {containers: main: {
	lifecycle: preStop: httpGet: {port: 8080, path: "/mark?event=prestop"}
	args: ["mark start", "serve 8080", "wait"]
}}`,
			Check: func(r *Run) { r.Ready("hook-stop-http-0") },
			Ended: func(r *Run) { r.Order("hook-stop-http-0", "main start", "main prestop", "main term") },
		}, {
			Name: "init-always", Rows: rows(inits, "init-container-starts-app-restartalways-pod"), Items: []int{4, 5},
			CUE: `app: pods: "init-always": {
	volumes: data: emptyDir: {}
	_init: _witness & {volumeMounts: "/data": name: "data"}
	initContainers: {first: _init & {args: ["missing /data/first", "write /data/first 1"]}, second: _init & {args: ["exists /data/first", "write /data/second 2"]}}
	containers: main: _init & {args: ["ls /data", "wait"]}
}`,
			Check: func(r *Run) {
				p := r.Ready("init-always-0")
				r.Logs("init-always-0", "/data has 2")
				for _, name := range []string{"first", "second"} {
					if c := p.Container(name); c.State != "terminated" || c.ExitCode != 0 {
						r.Fatalf("init container %+v", c)
					}
				}
			},
		}, {
			Name: "init-never", Rows: rows(inits, "init-container-starts-app-restartnever-pod"), Items: []int{5},
			CUE: `app: pods: "init-never": _once & {
	initContainers: {first: _witness & {args: ["exit 0"]}, second: _witness & {args: ["exit 0"]}}
	containers: main: _witness & {args: ["exit 0"]}
}`,
			Check: func(r *Run) {
				if p := r.Phase("init-never-0", "Succeeded"); p.Restarts != 0 {
					r.Fatalf("it is %+v", p)
				}
			},
		}, {
			Name: "init-fails", Rows: rows(inits, "init-container-fails-stops-app-restartalways-pod"), Items: []int{6},
			CUE: `app: pods: "init-fails": {
	initContainers: {first: _witness & {args: ["say tried", "exit 1"]}, second: _witness & {args: ["say second"]}}
	containers: main: _witness & {args: ["say main", "wait"]}
}`,
			Check: func(r *Run) {
				r.WaitPod("init-fails-0", "was tried three times", func(p Pod) bool { return p.Container("first").Restarts >= 2 })
				p := r.Phase("init-fails-0", "Pending")
				if c := p.Container("main"); c.State != "waiting" || c.Reason != "PodInitializing" {
					r.Fatalf("the container is %+v", c)
				}
				r.LogsNo("init-fails-0/second", "second")
				r.LogsNo("init-fails-0", "main")
			},
		}, {
			Name: "init-fails-never", Rows: rows(inits, "init-container-fails-stops-app-restartnever-pod"), Items: []int{1, 6},
			CUE: `app: pods: "init-fails-never": _once & {
	initContainers: {first: _witness & {args: ["exit 0"]}, second: _witness & {args: ["exit 1"]}}
	containers: main: _witness & {args: ["say main"]}
}`,
			Check: func(r *Run) {
				p := r.Phase("init-fails-never-0", "Failed")
				if c := p.Container("main"); c.State != "waiting" || c.Reason != "PodInitializing" {
					r.Fatalf("the container is %+v", c)
				}
				r.LogsNo("init-fails-never-0", "main")
			},
		},
		restartKeepsCase(),
		{
			Name: "pod-deadline", Rows: rows("common/node/pods.go", "Pods, ActiveDeadlineSeconds"), Items: []int{16},
			// A definition has a deadline for the pods of Jobs alone: others keep running.
			CUE: `app: pods: "pod-deadline": _timed & {
	kind: "Job", backoffLimit: 0, restartPolicy: "Never", activeDeadlineSeconds: 60
	containers: main: {args: ["mark start", "wait"]}
}`,
			Check: func(r *Run) {
				if j := r.Job("pod-deadline", "Failed"); j.Reason != "DeadlineExceeded" {
					r.Fatalf("it is %+v", j)
				}
				r.Happens("pod-deadline-0", "main term", 1)
				r.Order("pod-deadline-0", "main start", "main term")
			},
		}, {
			Name: "pod-qos", Rows: rows("node/pods.go", "Pods, QOS"), Items: []int{126},
			CUE: `app: pods: "pod-qos": containers: main: _witness & {resources: {limits: {cpu: "100m", memory: "100Mi"}, requests: {cpu: "100m", memory: "100Mi"}}, args: ["wait"]}`,
			Check: func(r *Run) {
				r.WaitPod("pod-qos-0", "is Guaranteed", func(p Pod) bool { return p.QOS == "Guaranteed" })
			},
		}, {
			Name: "pod-lifecycle", Rows: rows("common/node/pods.go", "Pods, lifecycle"), Items: []int{54},
			CUE: `app: pods: "pod-lifecycle": _timed & {replicas: 1, containers: main: {args: ["mark start", "wait"]}}`,
			Check: func(r *Run) {
				r.Ready("pod-lifecycle-0")
				r.Edit("replicas: 1", "replicas: 0")
				r.Gone("pod-lifecycle-0")
			},
			Ended: func(r *Run) {
				r.Order("pod-lifecycle-0", "main start", "main term")
				r.Count("pod-lifecycle-0", "main start", 1)
			},
		}, {
			Name: "pod-update", Rows: rows("common/node/pods.go", "Pods, update"), Items: []int{13},
			CUE: `app: pods: "pod-update": {labels: time: "first", initContainers: before: _witness & {args: ["say before"]}, containers: {main: _witness & {args: ["say as it was", "wait"]}, other: _witness & {args: ["wait"]}}}`,
			Check: func(r *Run) {
				before := r.Ready("pod-update-0")
				r.Edit(`"first"`, `"second"`)
				r.Edit("as it was", "as it is now")
				r.Logs("pod-update-0", "as it is now")
				after := r.Ready("pod-update-0")
				if after.Container("other").ID != before.Container("other").ID || after.IP != before.IP {
					r.Fatalf("the change of a container has touched others: %+v, before %+v", after, before)
				}
				r.Once("pod-update-0/before", "before")
			},
		},
	}
}

// restartKeepsCase: what a restart within a pod keeps, and what it does not.
func restartKeepsCase() Case {
	return Case{
		Name: "restart-keeps", Items: []int{7, 77}, Negative: []int{7},
		CUE: `app: pods: "restart-keeps": {
	volumes: data: emptyDir: {}
	_in: _witness & {volumeMounts: "/data": name: "data"}
	initContainers: before: _in & {args: ["attempt /data/init"]}
	containers: main: _in & {args: ["missing /root-of-main", "write /root-of-main x", "attempt /data/main", "until 3 /data/tries", "ls /data", "wait"]}
}`,
		Check: func(r *Run) {
			r.Logs("restart-keeps-0", "attempt 3", "/data has 3")
			r.Ready("restart-keeps-0")
			r.Once("restart-keeps-0/before", "attempt 1")
			if slices.ContainsFunc(r.Log("restart-keeps-0/before"), func(l string) bool { return strings.HasPrefix(l, "attempt 2") }) {
				r.Fatalf("the init container ran again")
			}
		},
	}
}

// Once fails unless a container has said a line exactly once.
func (r *Run) Once(container, line string) {
	n := 0
	for _, l := range r.Log(container) {
		if l == line {
			n++
		}
	}
	if n != 1 {
		r.Fatalf("%s says %q %d times", full(container), line, n)
	}
}
