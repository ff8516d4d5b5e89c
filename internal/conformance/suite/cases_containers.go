package suite

import (
	"fmt"
	"strings"
)

func containerCases() []Case {
	const file = "common/node/containers.go"
	return []Case{
		{
			Name: "command-none", Rows: rows(file, "Containers, without command and arguments"), Items: []int{56},
			CUE:   `app: pods: "command-none": _once & {containers: main: _witness}`,
			Check: func(r *Run) { r.Logs("command-none-0", `["/witness","argv","of the image"]`) },
		}, {
			Name: "command-args", Rows: rows(file, "Containers, with arguments"), Items: []int{56},
			CUE:   `app: pods: "command-args": _once & {containers: main: _witness & {args: ["argv", "override", "arguments"]}}`,
			Check: func(r *Run) { r.Logs("command-args-0", `["/witness","argv","override","arguments"]`) },
		}, {
			// The image's arguments go with its command: the step is missing.
			Name: "command-command", Rows: rows(file, "Containers, with command"), Items: []int{56},
			CUE:   `app: pods: "command-command": _once & {containers: main: _witness & {command: ["/witness-2", "argv0", "argv"]}}`,
			Check: func(r *Run) { r.Logs("command-command-0", "/witness-2", `["/witness-2","argv0","argv"]`) },
		}, {
			Name: "command-both", Rows: rows(file, "Containers, with command and arguments"), Items: []int{56},
			CUE:   `app: pods: "command-both": _once & {containers: main: _witness & {command: ["/witness-2"], args: ["argv", "override", "arguments"]}}`,
			Check: func(r *Run) { r.Logs("command-both-0", `["/witness-2","argv","override","arguments"]`) },
		},
		runtimeCase(), messagesCase(),
		{
			Name: "log-output", Rows: rows("common/node/kubelet.go", "Kubelet, log output, default"),
			CUE: `app: pods: "log-output": _once & {containers: main: _witness & {args: ["say Hello World", "complain Hello Errors"]}}`,
			Check: func(r *Run) {
				r.Logs("log-output-0", "Hello World", "Hello Errors")
				out, err := r.Cuepod("logs", "-C", r.Dir(), "log-output-0")
				if err != nil || !strings.Contains(out, "| Hello World\n") {
					r.Fatalf("cuepod logs: %v\n%s", err, out)
				}
			},
		}, {
			Name: "logs-and-exec", Rows: rows("common/node/pods.go", "Pods, remote command execution over websocket", "Pods, logs from websockets"),
			CUE: `app: pods: "logs-and-exec": containers: main: _witness & {args: ["say container is alive", "wait"]}`,
			Check: func(r *Run) {
				r.Ready("logs-and-exec-0")
				r.Logs("logs-and-exec-0", "container is alive")
				if got := r.Exec("logs-and-exec-0", "say remote execution test"); got != "remote execution test\n" {
					r.Fatalf("exec prints %q", got)
				}
			},
		}, {
			Name: "failed-reason", Rows: rows("common/node/kubelet.go", "Kubelet, failed pod, terminated reason"), Items: []int{3},
			CUE: `app: pods: "failed-reason": _once & {containers: main: _witness & {args: ["exit 1"]}}`,
			Check: func(r *Run) {
				p := r.Phase("failed-reason-0", "Failed")
				if c := p.Container("main"); c.State != "terminated" || c.Reason != "Error" || c.ExitCode != 1 {
					r.Fatalf("the container is %+v", c)
				}
			},
		}, {
			Name: "failed-removed", Rows: rows("common/node/kubelet.go", "Kubelet, failed pod, delete"), Items: []int{2}, Negative: []int{2},
			CUE: `app: pods: "failed-removed": {replicas: 1, containers: main: _witness & {args: ["exit 1"]}}`,
			Check: func(r *Run) {
				r.WaitPod("failed-removed-0", "waits in CrashLoopBackOff while it is Running", func(p Pod) bool {
					c := p.Container("main")
					return p.Phase == "Running" && c.State == "waiting" && c.Reason == "CrashLoopBackOff"
				})
				r.Edit("replicas: 1", "replicas: 0")
				r.Gone("failed-removed-0")
			},
		},
		hostNamesCase(),
		{
			Name: "host-aliases", Rows: rows("common/node/kubelet.go", "Kubelet, hostAliases"), Items: []int{88},
			CUE: `app: pods: "host-aliases": _once & {
	hostAliases: "123.45.67.89": hostnames: ["foo", "bar"]
	containers: main: _witness & {args: ["cat /etc/hosts", "lookup foo"]}
}`,
			Check: func(r *Run) {
				r.Wait("the hosts file has the aliases", func() error {
					for _, line := range r.Log("host-aliases-0") {
						if f := strings.Fields(line); len(f) == 4 && f[1] == "123.45.67.89" && f[2] == "foo" && f[3] == "bar" {
							return nil
						}
					}
					return fmt.Errorf("it has not:\n%s", strings.Join(r.Log("host-aliases-0"), "\n"))
				})
				r.Logs("host-aliases-0", "lookup foo: 123.45.67.89")
			},
		}, {
			Name: "hosts-managed", Rows: rows("common/node/kubelet_etc_hosts.go", "Kubelet, managed etc hosts"), Items: []int{88},
			CUE: `app: pods: "hosts-managed": {
	volumes: own: configMap: name: "hosts-managed"
	containers: {
		managed: _witness & {args: ["cat /etc/hosts", "wait"]}
		also: _witness & {args: ["cat /etc/hosts", "wait"]}
		own: _witness & {args: ["cat /etc/hosts", "wait"], volumeMounts: "/etc/hosts": {name: "own", subPath: "hosts"}}
	}
}
app: configMaps: "hosts-managed": data: hosts: "127.0.0.1 mine\n"`,
			Check: func(r *Run) {
				r.Ready("hosts-managed-0")
				for _, c := range []string{"managed", "also"} {
					r.Logs("hosts-managed-0/"+c, "/etc/hosts: # Kubernetes-managed hosts file.")
				}
				r.Logs("hosts-managed-0/own", "/etc/hosts: 127.0.0.1 mine")
				r.LogsNo("hosts-managed-0/own", "/etc/hosts: # Kubernetes-managed")
			},
		}, {
			Name: "working-dir",
			CUE: `app: pods: "working-dir": _once & {containers: {
	main: {image: "cuepod-witness:workdir", args: ["cwd"]}
	other: {image: "cuepod-witness:workdir", args: ["cwd"], workingDir: "/etc"}
}}`,
			Check: func(r *Run) {
				r.Logs("working-dir-0", "/content")
				r.Logs("working-dir-0/other", "/etc")
			},
		},
	}
}

// runtimeCase is one pod of each restart policy.
func runtimeCase() Case {
	return Case{
		Name: "restart-policies", Rows: rows("common/node/runtime.go", "Container Runtime, Restart Policy, Pod Phases"), Items: []int{1, 22, 25},
		CUE: `app: pods: {
	"restart-policies": {
		volumes: data: emptyDir: {}
		containers: main: _witness & {args: ["attempt /data/n", "until 3 /data/m", "wait"], volumeMounts: "/data": name: "data"}
	}
	"restart-zero": containers: main: _witness & {args: ["exit 0"]}
	"restart-on-failure": {
		kind: "Job", backoffLimit: 6, restartPolicy: "OnFailure"
		volumes: data: emptyDir: {}
		containers: main: _witness & {args: ["until 2 /data/m", "exit 0"], volumeMounts: "/data": name: "data"}
	}
	"restart-never": _once & {containers: main: _witness & {args: ["exit 1"]}}
}`,
		Check: func(r *Run) {
			r.Restarted("restart-policies-0", "main", 2)
			r.WaitPod("restart-policies-0", "runs after two restarts", func(p Pod) bool {
				return p.Phase == "Running" && p.Ready && p.Container("main").State == "running" && p.Container("main").Restarts == 2
			})
			p := r.Phase("restart-on-failure-0", "Succeeded")
			if c := p.Container("main"); c.Restarts != 1 || c.ExitCode != 0 || p.Ready {
				r.Fatalf("OnFailure: %+v", p)
			}
			p = r.Phase("restart-never-0", "Failed")
			if c := p.Container("main"); c.Restarts != 0 || c.ExitCode != 1 || p.Ready {
				r.Fatalf("Never: %+v", p)
			}
			r.WaitPod("restart-zero-0", "backs off though it exits with 0", func(p Pod) bool {
				return p.Phase == "Running" && p.Container("main").Reason == "CrashLoopBackOff" && p.Container("main").Restarts > 1
			})
		},
	}
}

func messagesCase() Case {
	return Case{
		Name: "termination-message", Rows: rows("common/node/runtime.go",
			"Container Runtime, TerminationMessage, from log output of succeeding container",
			"Container Runtime, TerminationMessage, from file of succeeding container",
			"Container Runtime, TerminationMessage, from container's log output of failing container",
			"Container Runtime, TerminationMessagePath, non-root user and non-default path"), Items: []int{19},
		CUE: `app: pods: "termination-message": _once & {containers: {
	succeeds: _witness & {args: ["say DONE", "exit 0"], terminationMessagePolicy: "FallbackToLogsOnError"}
	file: _witness & {args: ["write /dev/termination-log OK", "say DONE", "exit 0"], terminationMessagePolicy: "FallbackToLogsOnError"}
	fails: _witness & {args: ["say FAILED", "exit 1"], terminationMessagePolicy: "FallbackToLogsOnError"}
	path: _witness & {args: ["write /dev/custom-log DONE"], terminationMessagePath: "/dev/custom-log", securityContext: runAsUser: 1000}
}}`,
		Check: func(r *Run) {
			p := r.Phase("termination-message-0", "Failed")
			for name, want := range map[string]string{"succeeds": "", "file": "OK", "path": "DONE"} {
				if got := p.Container(name).Message; got != want {
					r.Fatalf("the message of %s is %q, not %q", name, got, want)
				}
			}
			if got := p.Container("fails").Message; strings.TrimSpace(got) != "FAILED" {
				r.Fatalf("the message of what fails is %q", got)
			}
		},
	}
}

func hostNamesCase() Case {
	long := strings.Repeat("a", 50) + "-" + strings.Repeat("b", 11) // with its number, over 63
	return Case{
		Name: "host-names", Items: []int{86, 87}, Negative: []int{86},
		CUE: strings.ReplaceAll(`app: pods: {
	"@LONG@": _once & {containers: main: _witness & {args: ["host"]}}
	"host-own": _once & {hostname: "chosen", subdomain: "below", containers: main: _witness & {args: ["host"]}}
	"host-full": {hostname: "chosen", subdomain: "below", setHostnameAsFQDN: true, containers: main: _witness & {args: ["host", "wait"]}}
}`, "@LONG@", long),
		Check: func(r *Run) {
			r.Logs(long+"-0", "hostname="+strings.TrimRight((long + "-0")[:63], "-")+"")
			r.Logs("host-own-0", "hostname=chosen")
			r.Logs("host-full-0", "hostname=chosen.below.default.svc.cluster.local")
		},
	}
}
