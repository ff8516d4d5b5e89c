package suite

import (
	"os"
	"path/filepath"
	"strings"
)

func securityCases() []Case {
	const common, node = "common/node/security_context.go", "node/security_context.go"
	return []Case{
		{
			Name: "user", Rows: append(rows(common, "Security Context, runAsUser=65534"), rows(node, "Security Context, test RunAsGroup at pod level", "Security Context, test RunAsGroup at container level")...),
			Items: []int{129},
			CUE: `app: pods: {
	"user": _once & {
		securityContext: {runAsUser: 1001, runAsGroup: 2002, supplementalGroups: [3003, 3004]}
		containers: {
			main: _witness & {args: ["id"]}
			own: _witness & {args: ["id"], securityContext: {runAsUser: 65534, runAsGroup: 2003}}
		}
	}
	"user-image": _once & {containers: {main: {image: "cuepod-witness:user", args: ["id"]}, named: {image: "cuepod-witness:named", args: ["id"]}, group: _witness & {args: ["id"], securityContext: runAsGroup: 2002}}}
}`,
			Check: func(r *Run) {
				r.Logs("user-0", "uid=1001 gid=2002 groups=[2002 3003 3004]")
				r.Logs("user-0/own", "uid=65534 gid=2003 groups=[2003 3003 3004]")
				r.LogsTimes(1, "user-image-0", "uid=1234 gid=0")
				r.LogsTimes(1, "user-image-0/named", "uid=4321 gid=4321")
				r.LogsTimes(1, "user-image-0/group", "uid=0 gid=2002")
			},
		}, {
			Name: "non-root", Items: []int{3, 129},
			CUE: `app: pods: {
	"non-root": _once & {securityContext: runAsNonRoot: true, containers: {main: {image: "cuepod-witness:user", args: ["id"]}, said: _witness & {securityContext: runAsUser: 7, args: ["id"]}}}
	"non-root-named": {replicas: 0, securityContext: runAsNonRoot: true, containers: main: {image: "cuepod-witness:named", args: ["say ran", "wait"]}}
	"non-root-root": {replicas: 0, securityContext: runAsNonRoot: true, containers: main: _witness & {args: ["say ran", "wait"]}}
}`,
			Check: func(r *Run) {
				r.LogsTimes(1, "non-root-0", "uid=1234")
				r.LogsTimes(1, "non-root-0/said", "uid=7")
				r.Edit("replicas: 0", "replicas: 1") // a first run that cannot begin ends
				for _, pod := range []string{"non-root-named-0", "non-root-root-0"} {
					r.WaitPod(pod, "waits with CreateContainerConfigError", func(p Pod) bool { return p.Container("main").Reason == "CreateContainerConfigError" })
					r.LogsNo(pod, "ran")
				}
			},
		}, {
			Name: "rights", Rows: append(rows(common, "Security Context, privileged=false.", "Security Context, readOnlyRootFilesystem=false.", "Security Context, allowPrivilegeEscalation=false."),
				rows("common/node/kubelet.go", "Kubelet, pod with read only root file system")...), Items: []int{130},
			CUE: `app: pods: "rights": _once & {containers: {
	main: _witness & {args: ["rights"], securityContext: {privileged: false, readOnlyRootFilesystem: false}}
	"read-only": _witness & {args: ["rights"], securityContext: readOnlyRootFilesystem: true}
	none: _witness & {args: ["rights"], securityContext: {allowPrivilegeEscalation: false, capabilities: drop: ["ALL"]}}
	bind: _witness & {args: ["rights"], securityContext: capabilities: {drop: ["ALL"], add: ["NET_BIND_SERVICE"]}}
	may: _witness & {args: ["rights"], securityContext: allowPrivilegeEscalation: true}
}}`,
			Check: func(r *Run) {
				r.Logs("rights-0", "root writable=true", "Seccomp=2")
				r.LogsNo("rights-0", "CapEff=0000003f", "CapEff=000001ff")
				r.Logs("rights-0/read-only", "root writable=false")
				r.Logs("rights-0/none", "CapEff=0000000000000000", "CapBnd=0000000000000000", "NoNewPrivs=1")
				r.Logs("rights-0/bind", "CapEff=0000000000000400")
				r.Logs("rights-0/may", "NoNewPrivs=0")
			},
		}, {
			Name: "sysctls", Rows: rows("common/node/sysctl.go", "Sysctl, test sysctls"), Items: []int{132},
			CUE: `app: pods: "sysctls": _once & {
	securityContext: sysctls: [{name: "kernel.shm_rmid_forced", value: "1"}, {name: "net.ipv4.ip_unprivileged_port_start", value: "1111"}]
	containers: main: _witness & {args: ["cat /proc/sys/kernel/shm_rmid_forced", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"]}
}`,
			Check: func(r *Run) {
				r.Logs("sysctls-0", "/proc/sys/kernel/shm_rmid_forced: 1", "/proc/sys/net/ipv4/ip_unprivileged_port_start: 1111")
			},
		}, {
			Name: "sysctls-refused", Rows: rows("common/node/sysctl.go", "Sysctls, reject invalid sysctls"), Items: []int{132},
			CUE: `app: pods: "sysctls-refused": containers: main: _witness & {args: ["wait"]}`,
			Check: func(r *Run) {
				out := r.Refused(`app: pods: a: {securityContext: sysctls: [{name: "foo-", value: "bar"}, {name: "safe-and-unsafe", value: "100"}, {name: "bar..", value: "42"}], containers: main: image: "x"}`)
				for _, name := range []string{"foo-", "bar.."} {
					if !strings.Contains(out, name) {
						r.Fatalf("nothing is said of %s:\n%s", name, out)
					}
				}
			},
		}, {
			Name: "shared-processes", Items: []int{91},
			CUE: `app: pods: {
	"shared-processes": {shareProcessNamespace: true, containers: {main: _witness & {args: ["say main", "wait"]}, other: _witness & {args: ["loop 200ms ps", "wait"]}}}
	"own-processes": {containers: {main: _witness & {args: ["say main", "wait"]}, other: _witness & {args: ["loop 200ms ps", "wait"]}}}
}`,
			Check: func(r *Run) {
				r.Ready("shared-processes-0")
				r.Wait("it sees the other container", func() error {
					for _, l := range r.Log("shared-processes-0/other") {
						if strings.HasSuffix(l, "/witness say main wait") {
							return nil
						}
					}
					return errNotSeen
				})
				r.Ready("own-processes-0")
				r.LogsTimes(5, "own-processes-0/other", "process 1 /witness loop")
				for _, l := range r.Log("own-processes-0/other") {
					if strings.Contains(l, "say main") {
						r.Fatalf("it sees the processes of another container: %s", l)
					}
				}
			},
		}, {
			Name: "out-of-memory", Items: []int{125, 127}, Negative: []int{125},
			CUE: `app: pods: "out-of-memory": _once & {containers: {
	main: _witness & {args: ["allocate 120"], resources: limits: memory: "64Mi"}
	fits: _witness & {args: ["allocate 20"], resources: limits: memory: "64Mi"}
}}`,
			Check: func(r *Run) {
				p := r.Phase("out-of-memory-0", "Failed")
				if c := p.Container("main"); c.Reason != "OOMKilled" || c.ExitCode != 137 {
					r.Fatalf("the container is %+v", c)
				}
				r.Logs("out-of-memory-0/fits", "allocated 20")
			},
		}, {
			Name: "shared-memory", Items: []int{78},
			CUE: `app: pods: "shared-memory": {containers: {
	main: _witness & {args: ["write /dev/shm/a hello", "fs /dev/shm", "wait"]}
	other: _witness & {args: ["await /dev/shm/a", "cat /dev/shm/a", "wait"]}
}}`,
			Check: func(r *Run) {
				r.Logs("shared-memory-0", "/dev/shm tmpfs=true size=67108864")
				r.Logs("shared-memory-0/other", "/dev/shm/a: hello")
			},
		},
	}
}

// Refused checks a definition of its own, which cuepod has to refuse, and gives
// what it says.
func (r *Run) Refused(cue string) string {
	dir, err := os.MkdirTemp("", "refused")
	if err != nil {
		r.Fatalf("%v", err)
	}
	defer os.RemoveAll(dir)
	text := "package app\n\nimport \"cuepod.dev/core\"\n\napp: core.#App & {name: \"refused\"}\n" + cue + "\n"
	if err := os.WriteFile(filepath.Join(dir, "app.cue"), []byte(text), 0o644); err != nil {
		r.Fatalf("%v", err)
	}
	out, err := r.Cuepod("vet", dir)
	if err == nil {
		r.Fatalf("it is not refused:\n%s", text)
	}
	return out
}
