package suite

import (
	"fmt"
	"slices"
	"strings"
)

func workloadCases() []Case {
	const deployment, set = "apps/deployment.go", "apps/statefulset.go"
	return []Case{
		{
			Name: "deployment-scales", Rows: append(rows(deployment, "Deployment, completes the scaling of a Deployment subresource"), rows("apps/replica_set.go", "Replica Set, run basic image")...), Items: []int{117}, Negative: []int{117},
			CUE: `app: services: "deployment-scales": {pod: "deployment-scales", ports: http: port: 8080}
app: pods: "deployment-scales": {replicas: 1, containers: main: _witness & {args: ["serve 8080", "wait"], readinessProbe: {httpGet: {path: "/ok", port: 8080}, periodSeconds: 1}}}`,
			Check: func(r *Run) {
				r.Ready("deployment-scales-0")
				r.Edit("replicas: 1", "replicas: 3")
				for n := range 3 {
					p := r.Ready(fmt.Sprint("deployment-scales-", n))
					if got := r.Exec(p.Name, "get http://"+p.IP+":8080/hostname"); !strings.Contains(got, "200 "+p.Name) {
						r.Fatalf("it answers %q", got)
					}
				}
				r.Edit("replicas: 3", "replicas: 2")
				r.Gone("deployment-scales-2")
			},
		}, {
			Name: "daemon-set", Rows: rows("apps/daemon_set.go", "DaemonSet-Creation"), Items: []int{121},
			CUE: `app: pods: "daemon-set": {kind: "DaemonSet", containers: main: _witness & {args: ["wait"]}}`,
			Check: func(r *Run) {
				r.Wait("it has one pod", func() error {
					if pods := r.Pods("daemon-set"); len(pods) != 1 || !pods[0].Ready {
						return fmt.Errorf("it has %+v", pods)
					}
					return nil
				})
			},
		}, {
			Name: "deployment-rolls", Rows: rows(deployment, "Deployment RollingUpdate", "Deployment Rollover", "Deployment Proportional Scaling"), Items: []int{117},
			CUE: `app: pods: "deployment-rolls": {
	replicas: 3
	containers: main: _witness & {env: GENERATION: value: "1", args: ["say generation $(GENERATION)", "serve 8080", "wait"], readinessProbe: {httpGet: {path: "/ok", port: 8080}, periodSeconds: 1}}
}`,
			Check: func(r *Run) {
				for n := range 3 {
					r.Ready(fmt.Sprint("deployment-rolls-", n))
				}
				r.Edit(`value: "1"`, `value: "2"`)
				r.Logs("deployment-rolls-0", "generation 2")
				r.Edit(`value: "2"`, `value: "3"`) // while the one before is under way
				r.Edit(`replicas: 3`, `replicas: 4`)
				for n := range 4 {
					pod := fmt.Sprint("deployment-rolls-", n)
					r.Logs(pod, "generation 3")
					r.Ready(pod)
				}
			},
		}, {
			Name: "deployment-recreates", Rows: rows(deployment, "Deployment Recreate"), Items: []int{117},
			CUE: `app: pods: "deployment-recreates": _timed & {
	replicas: 2, updateStrategy: type: "Recreate"
	containers: main: {env: GENERATION: value: "1", args: ["mark start$(GENERATION)", "wait"]}
}`,
			Check: func(r *Run) {
				for n := range 2 {
					r.Ready(fmt.Sprint("deployment-recreates-", n))
				}
				r.Edit(`value: "1"`, `value: "2"`)
				for n := range 2 {
					r.Happens(fmt.Sprint("deployment-recreates-", n), "main start2", 1)
				}
				last := max(r.First("deployment-recreates-0", "main term"), r.First("deployment-recreates-1", "main term"))
				if first := min(r.First("deployment-recreates-0", "main start2"), r.First("deployment-recreates-1", "main start2")); first < last {
					r.Fatalf("a new pod began %d ns before the last old one was stopped", last-first)
				}
			},
		},
		setScalesCase(set), setUpdatesCase(set), setFailsCase(set),
		{
			Name: "set-parallel", Rows: rows(set, "StatefulSet, Burst Scaling"), Items: []int{118},
			CUE: `app: services: "set-parallel": {pod: "set-parallel", headless: true, ports: http: port: 8080}
app: pods: "set-parallel": {
	kind: "StatefulSet", replicas: 3, podManagementPolicy: "Parallel"
	containers: main: _witness & {args: ["say up", "wait"], readinessProbe: {exec: command: ["/witness", "exists /ready"], periodSeconds: 1, timeoutSeconds: 20}}
}`,
			Check: func(r *Run) { // none waits for another to be ready
				for n := range 3 {
					r.Logs(fmt.Sprintf("set-parallel-%d", n), "up")
				}
			},
		},
	}
}

const setCUE = `app: services: "@NAME@": {pod: "@NAME@", headless: true, ports: http: port: 8080}
app: pods: "@NAME@": _timed & {
	kind: "StatefulSet", replicas: 3, serviceName: "@NAME@"
	volumeClaimTemplates: data: storage: "1Mi"
	containers: main: {
		env: GENERATION: value: "1"
		volumeMounts: "/data": name: "data"
		args: ["mark start$(GENERATION)", "attempt /data/starts", "host", "serve 8080", "wait"]
		readinessProbe: {httpGet: {path: "/mark?event=probed", port: 8080}, periodSeconds: 1, timeoutSeconds: 20}
	}
	updateStrategy: {type: "RollingUpdate", rollingUpdate: partition: 0}
}`

func setOf(name string) string { return strings.ReplaceAll(setCUE, "@NAME@", name) }

func setScalesCase(file string) Case {
	return Case{
		Name: "set-scales", Rows: rows(file, "StatefulSet, Scaling"), Items: []int{118}, CUE: setOf("set-scales"),
		Check: func(r *Run) {
			for n := range 3 {
				pod := fmt.Sprint("set-scales-", n)
				r.Ready(pod)
				r.Logs(pod, "hostname="+pod+"")
				if n > 0 && r.First(pod, "main start1") < r.First(fmt.Sprint("set-scales-", n-1), "main probed") {
					r.Fatalf("%s began before the one before it was ready", pod)
				}
			}
			r.Edit("replicas: 3", "replicas: 0")
			for n := range 3 {
				r.Gone(fmt.Sprint("set-scales-", n))
			}
			for n := range 2 {
				if r.First(fmt.Sprint("set-scales-", n), "main term") < r.First(fmt.Sprint("set-scales-", n+1), "main term") {
					r.Fatalf("set-scales-%d was stopped before the one behind it", n)
				}
			}
			r.Edit("replicas: 0", "replicas: 1") // what it wrote is still there
			r.Logs("set-scales-0", "attempt 2")
		},
	}
}

func setUpdatesCase(file string) Case {
	return Case{
		Name: "set-updates", Rows: rows(file, "StatefulSet, Rolling Update", "StatefulSet, Rolling Update with Partition"), Items: []int{118},
		CUE: setOf("set-updates"),
		Check: func(r *Run) {
			for n := range 3 {
				r.Ready(fmt.Sprint("set-updates-", n))
			}
			r.Edit("partition: 0", "partition: 2")
			r.Edit(`value: "1"`, `value: "2"`)
			r.Happens("set-updates-2", "main start2", 1)
			r.Ready("set-updates-2")
			for n := range 2 {
				r.Count(fmt.Sprint("set-updates-", n), "main start2", 0)
			}
			r.Edit("partition: 2", "partition: 0")
			for n := range 2 {
				r.Happens(fmt.Sprint("set-updates-", n), "main start2", 1)
				r.Ready(fmt.Sprint("set-updates-", n))
			}
			if r.First("set-updates-1", "main start2") > r.First("set-updates-0", "main start2") {
				r.Fatalf("the first was updated before the second")
			}
		},
	}
}

// setFailsCase: a pod of a set that fails comes again under its name. Its
// sandbox is killed, as locally nobody evicts pods.
func setFailsCase(file string) Case {
	return Case{
		Name: "set-recreates", Rows: rows(file, "StatefulSet, Recreate Failed Pod"), Items: []int{14, 118}, CUE: setOf("set-recreates"),
		Check: func(r *Run) {
			for n := range 3 {
				r.Ready(fmt.Sprint("set-recreates-", n))
			}
			r.KillSandbox("set-recreates-1")
			r.Happens("set-recreates-1", "main start1", 2)
			r.Ready("set-recreates-1")
			if !slices.Contains(r.Log("set-recreates-1"), "attempt 2") {
				r.Fatalf("its volume is another")
			}
		},
	}
}
