package compose_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/compiler/app"
)

// Sidecars, StatefulSets, Jobs and CronJobs run as they are meant to under the
// real docker compose, with hooks, the host's files, projected volumes, groups
// and shared namespaces.
func TestWorkloads_RunUnderDockerCompose(t *testing.T) {
	t.Setenv("WORKLOADS_TOKEN", "s3cret")
	project := startedProject(t)
	port, node := freePort(t), freePort(t)
	host := t.TempDir()
	if err := os.WriteFile(filepath.Join(host, "note"), []byte("of the host"), 0o644); err != nil {
		t.Fatal(err)
	}
	project.write(t, workloads(port, node, host))
	project.compose(t, "up", "--detach")
	eventually(t, "the pod answers", func() bool { return get(port, "/ready") == "ready" })
	for path, want := range map[string]string{
		"/file?of=/host/note":                      "of the host",
		"/file?of=/all/bytes":                      "\x00\xff\x01",
		"/file?of=/all/pod/namespace":              "default",
		"/mode?of=/all/pod/namespace":              "-r--r-----", // 0400 and the group's
		"/file?of=/all/token":                      "s3cret",     // by its group: the user is nobody's
		"/mode?of=/state":                          "dgrwxrwxrwx",
		"/file?of=/state/started":                  "touched", // by the hook, before this container started
		"/env?of=CPU":                              "250",
		"/get?of=http://away.default.svc:81/ready": "ready",
		"/get?of=http://alias:9000/":               "404 page not found",
	} {
		if got := get(port, path); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	if got := get(port, "/pid"); got == "1" || got == "" {
		t.Errorf("the process has number %q: the pod's processes are not shared", got)
	}
	eventually(t, "the pod on the host's network answers", func() bool { return get(node, "/ready") == "ready" })
	checkStatefulSet(t, port)
	checkJobs(t, project)
	checkStop(t, project, port)
}

// checkStatefulSet looks at names and storage through the pod that answers.
func checkStatefulSet(t *testing.T, port int) {
	t.Helper()
	at := func(replica, path string) string {
		return get(port, "/get?of=http://"+replica+".db.default.svc.cluster.local:8080"+path)
	}
	for _, replica := range []string{"db-3", "db-4"} {
		if got := at(replica, "/host"); got != replica {
			t.Errorf("%s says that it is %q", replica, got)
		}
	}
	if got := at("db-3", "/write?of=/data/mine"); got != "written" {
		t.Errorf("db-3 writes: %s", got)
	}
	if got := at("db-4", "/file?of=/data/mine"); !strings.Contains(got, "no such file") {
		t.Errorf("db-4 has what db-3 wrote: %s", got)
	}
}

// checkJobs wants a Job done, after a failure, its pods one after the other,
// and a CronJob not begun until it is asked for.
func checkJobs(t *testing.T, project *project) {
	t.Helper()
	state := func(service string) string {
		return project.run(t, "--profile", "report", "ps", "--all", "--format", "{{.State}} {{.ExitCode}}", service)
	}
	eventually(t, "both pods of the Job have succeeded", func() bool {
		return state("load-0-try") == "exited 0" && state("load-1-try") == "exited 0"
	})
	started := func(service string) string {
		return command(t, "docker", "inspect", "--format", "{{.Created}} {{.State.FinishedAt}} {{.State.StartedAt}}", project.run(t, "ps", "--all", "--quiet", service))
	}
	first, second := strings.Fields(started("load-0-try")), strings.Fields(started("load-1-try"))
	if first[1] > second[2] {
		t.Errorf("the second pod of the Job started at %s, before the first ended at %s", second[2], first[1])
	}
	if got := state("report-0-main"); got != "" {
		t.Errorf("the CronJob ran by itself: %s", got)
	}
	project.compose(t, "--profile", "report", "up", "--detach", "report-0-main")
	eventually(t, "the CronJob has run once", func() bool { return state("report-0-main") == "exited 0" })
}

// checkStop wants the hook before the end run.
func checkStop(t *testing.T, project *project, port int) {
	t.Helper()
	project.compose(t, "stop", "web-0-main")
	if got := get(port+1, "/file?of=/state/stopped"); got != "touched" {
		t.Errorf("the hook before the end left %q", got)
	}
}

func workloads(port, node int, host string) *app.App {
	image := "cuepod-compose-test:latest"
	yes, group, nobody, private := true, int64(2000), int64(65532), 0o400
	serve := func(name, address string) app.Container {
		return app.Container{Name: name, Image: image, Command: []string{"/cuepod-agent"}, Args: []string{"serve", address}}
	}
	proxy := serve("proxy", ":9000")
	proxy.RestartPolicy = "Always"
	proxy.StartupProbe = probe(app.Probe{HTTPGet: &app.HTTPGetAction{Path: "/ready", Port: app.PortRef{Number: 9000}}})
	proxy.VolumeMounts = []app.VolumeMount{{Name: "state", MountPath: "/state"}}
	proxy.Ports = []app.ContainerPort{{Name: "side", ContainerPort: 9000, HostPort: port + 1}}
	web := serve("main", ":8080")
	web.Ports = []app.ContainerPort{{Name: "http", ContainerPort: 8080, HostPort: port}}
	web.VolumeMounts = []app.VolumeMount{{Name: "state", MountPath: "/state"}, {Name: "host", MountPath: "/host", ReadOnly: true}, {Name: "all", MountPath: "/all"}}
	web.Resources.Limits = map[string]app.Quantity{"cpu": "250m"}
	web.Env = []app.EnvVar{{Name: "CPU", ValueFrom: &app.EnvVarSource{ResourceFieldRef: &app.ResourceFieldSelector{Resource: "limits.cpu", Divisor: "1m"}}}}
	touch := func(name string) *app.LifecycleHandler {
		return &app.LifecycleHandler{Exec: &app.ExecAction{Command: []string{"/cuepod-agent", "touch", "/state/" + name}}}
	}
	web.Lifecycle = &app.Lifecycle{PostStart: touch("started"), PreStop: touch("stopped")}
	db := serve("main", ":8080")
	db.VolumeMounts = []app.VolumeMount{{Name: "data", MountPath: "/data"}}
	db.ReadinessProbe = probe(app.Probe{HTTPGet: &app.HTTPGetAction{Path: "/ready", Port: app.PortRef{Number: 8080}}})
	try := app.Container{Name: "try", Image: image, Args: []string{"flaky", "/state/$(JOB_COMPLETION_INDEX)"}, VolumeMounts: []app.VolumeMount{{Name: "state", MountPath: "/state"}}}
	two := 2
	web.TTY, web.Stdin = true, true
	web.SecurityContext = app.SecurityContext{ProcMount: "Unmasked", SeccompProfile: &app.SeccompProfile{Type: "Unconfined"}, SELinuxOptions: &app.SELinuxOptions{Level: "s0"}}
	return &app.App{
		Name: "workloads",
		Pods: []app.Pod{{
			Name: "web", Kind: "Deployment", Replicas: 1, TerminationGracePeriodSeconds: 1, DependsOn: []app.Dependency{{Service: "db", Condition: "ready"}},
			ShareProcessNamespace: &yes, DNSConfig: &app.PodDNSConfig{Options: []app.PodDNSConfigOption{{Name: "ndots", Value: "2"}}},
			HostAliases:     []app.HostAlias{{IP: "127.0.0.1", Hostnames: []string{"alias"}}},
			SecurityContext: app.PodSecurityContext{RunAsUser: &nobody, RunAsGroup: &nobody, FSGroup: &group, Sysctls: []app.Sysctl{{Name: "net.core.somaxconn", Value: "1024"}}},
			InitContainers: []app.Container{
				proxy,
				{Name: "ask", Image: image, Args: []string{"get", "http://alias:9000/ready"}}, // the sidecar answers already
			},
			Containers: []app.Container{web},
			Volumes: []app.Volume{
				{Name: "state", EmptyDir: &app.EmptyDir{}},
				{Name: "host", HostPath: &app.HostPathVolumeSource{Path: host, Type: "Directory"}},
				{Name: "all", Projected: &app.ProjectedVolumeSource{DefaultMode: &private, Sources: []app.VolumeProjection{
					{ConfigMap: &app.ConfigMapProjection{Name: "settings"}},
					{Secret: &app.SecretProjection{Name: "workloads"}},
					{DownwardAPI: &app.DownwardAPIProjection{Items: []app.DownwardAPIVolumeFile{{Path: "pod/namespace", FieldRef: &app.ObjectFieldSelector{FieldPath: "metadata.namespace"}}}}},
				}}},
			},
		}, {
			Name: "db", Kind: "StatefulSet", Replicas: 2, TerminationGracePeriodSeconds: 1, Ordinals: &app.StatefulSetOrdinals{Start: 3},
			Containers: []app.Container{db}, VolumeClaimTemplates: []app.Claim{{Name: "data", Storage: "1Mi"}},
		}, {
			Name: "node", Kind: "DaemonSet", Replicas: 1, TerminationGracePeriodSeconds: 1, HostNetwork: true, HostPID: true, HostIPC: true,
			Containers: []app.Container{serve("main", fmt.Sprintf("127.0.0.1:%d", node))},
		}, {
			Name: "load", Kind: "Job", Replicas: 1, Completions: &two, BackoffLimit: &two, CompletionMode: "Indexed", TerminationGracePeriodSeconds: 1,
			Containers: []app.Container{try}, Volumes: []app.Volume{{Name: "state", EmptyDir: &app.EmptyDir{}}},
		}, {
			Name: "report", Kind: "CronJob", Replicas: 1, Schedule: "@daily", TerminationGracePeriodSeconds: 1,
			Containers: []app.Container{{Name: "main", Image: image, Args: []string{"get", "http://db:8080/ready"}}},
		}},
		Services: []app.Service{{
			Name: "db", Selector: map[string]string{app.LabelComponent: "db"}, Type: "ClusterIP", Headless: true,
			Ports: []app.ServicePort{{Name: "http", Port: 8080, TargetPort: app.PortRef{Number: 8080}, Protocol: "TCP"}},
		}, {
			Name: "away", Type: "ExternalName", ExternalName: "db.default.svc.cluster.local",
			Ports: []app.ServicePort{{Name: "http", Port: 81, TargetPort: app.PortRef{Number: 8080}, Protocol: "TCP"}},
		}},
		ConfigMaps: []app.ConfigMap{{Name: "settings", BinaryData: map[string][]byte{"bytes": {0, 255, 1}}}},
		Secrets:    []app.Secret{{Name: "workloads", Keys: []app.SecretKey{{Name: "token", External: true}}}},
	}
}
