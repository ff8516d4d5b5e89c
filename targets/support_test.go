package targets_test

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets"
	"github.com/cuepod/cuepod/targets/compose"
	"github.com/cuepod/cuepod/targets/docker"
	"github.com/cuepod/cuepod/targets/kubernetes"
)

const supportFile = "../docs/targets.md"

// row says how each target keeps the meaning of one field: "exact", with a
// remark perhaps, or the codes of the findings that say what happens instead,
// after "exact but" when only some values make them.
type row struct{ field, kubernetes, compose, docker string }

// support has a row for every field of the model, in the model's order. The
// test holds it against the model, the targets' rules and what they really
// report; docs/targets.md is made from it.
func support() []row {
	const (
		exact = "exact"
		but   = "exact but " // for some values
		other = " (not meant for it)"
	)
	return []row{
		{"App.Name", exact, exact + " (the project's name)", exact},
		{"App.Namespace", exact, exact + " (in the services' names)", exact + " (in the services' names)"},
		{"App.Labels", but + "kubernetes/label-reserved", but + "compose/label-reserved", exact},
		{"App.Annotations", exact, exact + " (Docker Engine 24 or later keeps them)", exact + " (for fieldRef; an engine has no annotations)"},
		{"App.Pods", exact, exact + " (a holder and the services that join it)", exact},
		{"App.Services", exact, "compose/service-endpoints", exact},
		{"App.ConfigMaps", exact, exact, exact},
		{"App.Secrets", "kubernetes/secret-needed", "compose/secret", exact},
		{"App.Claims", exact, "compose/claim", "docker/claim-size"},
		{"App.Objects", exact, "compose/object", "docker/object"},
		{"App.Compose", exact + other, exact, exact + other},

		{"Pod.Name", exact, exact, exact},
		{"Pod.Kind", exact, exact, exact},
		{"Pod.Replicas", exact, "compose/replicas-unrolled", exact},
		{"Pod.Labels", but + "kubernetes/label-reserved", but + "compose/label-reserved", exact},
		{"Pod.Annotations", exact, exact + " (Docker Engine 24 or later keeps them)", exact + " (for fieldRef; an engine has no annotations)"},
		{"Pod.InitContainers", exact, "compose/init-rerun", exact},
		{"Pod.Containers", exact, exact, exact},
		{"Pod.Volumes", exact, exact, exact},
		{"Pod.DependsOn", "kubernetes/depends-on", but + "compose/depends-on", exact},
		{"Pod.Hostname", exact, exact, exact},
		{"Pod.TerminationGracePeriodSeconds", exact, exact, exact},
		{"Pod.Kubernetes", exact, "compose/kubernetes", "docker/kubernetes"},

		{"Dependency.Service", "kubernetes/depends-on", exact, exact},
		{"Dependency.Condition", "kubernetes/depends-on", but + "compose/depends-on", exact},

		{"Container.Name", exact, exact, exact},
		{"Container.Image", exact, exact, exact},
		{"Container.ImagePullPolicy", exact, exact, but + "docker/pull-always"},
		{"Container.Command", exact, exact, exact},
		{"Container.Args", exact, exact, exact},
		{"Container.WorkingDir", exact, exact, exact},
		{"Container.Env", exact, exact, exact},
		{"Container.EnvFrom", exact, exact, exact},
		{"Container.Ports", exact, exact + " (they name ports; any port of a pod can be reached)", exact + " (they name ports; any port of a pod can be reached)"},
		{"Container.VolumeMounts", exact, exact, exact},
		{"Container.Resources", exact, exact, exact},
		{"Container.LivenessProbe", exact, "compose/liveness-probe", exact},
		{"Container.ReadinessProbe", exact, "compose/readiness-probe", exact},
		{"Container.StartupProbe", exact, "compose/startup-probe", exact},
		{"Container.SecurityContext", exact, exact, exact},
		{"Container.Kubernetes", exact, "compose/kubernetes", "docker/kubernetes"},
		{"Container.Compose", exact + other, exact, exact + other},

		{"EnvVar.Name", exact, exact, exact},
		{"EnvVar.Value", exact, exact, exact},
		{"EnvVar.ConfigMapKeyRef", exact, exact, exact},
		{"EnvVar.SecretKeyRef", exact, "compose/secret", exact},
		{"EnvVar.FieldRef", exact, but + "compose/field-ref", exact},
		{"KeyRef.Name", exact, exact, exact},
		{"KeyRef.Key", exact, exact, exact},
		{"KeyRef.Optional", exact, exact, exact},
		{"EnvFrom.Prefix", exact, exact, exact},
		{"EnvFrom.ConfigMap", exact, exact, exact},
		{"EnvFrom.Secret", exact, "compose/secret", exact},
		{"EnvFrom.Optional", exact, exact, exact},

		{"ContainerPort.Name", exact, exact, exact},
		{"ContainerPort.ContainerPort", exact, exact, exact},
		{"ContainerPort.Protocol", exact, exact, exact},

		{"VolumeMount.MountPath", exact, exact, exact},
		{"VolumeMount.Name", exact, exact, exact},
		{"VolumeMount.SubPath", exact, but + "compose/sub-path compose/sub-path-read-only", exact},
		{"VolumeMount.ReadOnly", exact, exact, exact},

		{"Resources.Requests", exact, but + "compose/resource", but + "docker/memory-request"},
		{"Resources.Limits", exact, but + "compose/resource", exact},

		{"Probe.HTTPGet", exact, exact, exact},
		{"Probe.TCPSocket", exact, exact, exact},
		{"Probe.GRPC", exact, exact, exact},
		{"Probe.Exec", exact, exact, exact},
		{"Probe.InitialDelaySeconds", exact, exact + " (failures at the start do not count; an early success does)", exact},
		{"Probe.PeriodSeconds", exact, exact, exact},
		{"Probe.TimeoutSeconds", exact, exact, exact},
		{"Probe.SuccessThreshold", exact, but + "compose/success-threshold", exact},
		{"Probe.FailureThreshold", exact, exact, exact},
		{"HTTPGetAction.Path", exact, exact, exact},
		{"HTTPGetAction.Port", exact, exact, exact},
		{"HTTPGetAction.Scheme", exact, exact, exact},
		{"HTTPGetAction.Headers", exact, exact, exact},
		{"PortRef.Number", exact, exact, exact},
		{"PortRef.Name", exact, exact, exact},
		{"Header.Name", exact, exact, exact},
		{"Header.Value", exact, exact, exact},
		{"TCPSocketAction.Port", exact, exact, exact},
		{"GRPCAction.Port", exact, exact, exact},
		{"GRPCAction.Service", exact, exact, exact},
		{"ExecAction.Command", exact, exact, exact},

		{"SecurityContext.RunAsUser", exact, exact, exact},
		{"SecurityContext.RunAsGroup", exact, but + "compose/run-as-group", exact},
		{"SecurityContext.RunAsNonRoot", exact, but + "compose/run-as-non-root", exact},
		{"SecurityContext.ReadOnlyRootFilesystem", exact, exact, exact},
		{"SecurityContext.AllowPrivilegeEscalation", exact, exact + " (false unless the definition says true)", exact + " (false unless the definition says true)"},
		{"SecurityContext.CapabilitiesAdd", exact, exact, exact},
		{"SecurityContext.CapabilitiesDrop", exact, exact, exact},

		{"Volume.Name", exact, exact, exact},
		{"Volume.EmptyDir", exact, "compose/empty-dir", exact},
		{"Volume.ConfigMap", exact, "compose/files", exact},
		{"Volume.Secret", exact, "compose/files", exact},
		{"Volume.Claim", exact, exact, exact},
		{"Volume.Kubernetes", exact, "compose/kubernetes compose/kubernetes-volume", "docker/kubernetes docker/kubernetes-volume"},
		{"EmptyDir.Medium", exact, exact, exact},
		{"EmptyDir.SizeLimit", exact, but + "compose/size-limit", but + "docker/emptydir-size"},
		{"FilesSource.Name", exact, exact, exact},
		{"FilesSource.Items", exact, exact, exact},
		{"FilesSource.DefaultMode", exact, exact, exact},
		{"FilesSource.Optional", exact, exact, exact},
		{"ClaimSource.ClaimName", exact, exact, exact},
		{"ClaimSource.ReadOnly", exact, exact, exact},

		{"Service.Name", exact, exact + " (in all four forms)", exact},
		{"Service.Pod", exact, exact, exact},
		{"Service.Type", exact, "compose/host-port", "docker/loopback"},
		{"Service.Headless", exact, "compose/service-endpoints", exact},
		{"Service.Ports", exact, but + "compose/service-port compose/service-port-taken", exact},
		{"Service.SessionAffinity", exact, "compose/session-affinity", exact},
		{"Service.Labels", exact, "compose/service-metadata", exact + " (an engine has no object for a service)"},
		{"Service.Annotations", exact, "compose/service-metadata", exact + " (an engine has no object for a service)"},
		{"Service.Kubernetes", exact, "compose/kubernetes", "docker/kubernetes"},
		{"ServicePort.Name", exact, exact, exact},
		{"ServicePort.Port", exact, but + "compose/service-port compose/service-port-taken", exact},
		{"ServicePort.TargetPort", exact, but + "compose/service-port", exact},
		{"ServicePort.NodePort", exact, "compose/host-port", "docker/loopback"},
		{"ServicePort.Protocol", exact, exact, exact},

		{"ConfigMap.Name", exact + " (with a hash of the data behind it)", exact, exact},
		{"ConfigMap.Data", exact, exact, exact},
		{"Secret.Name", "kubernetes/secret-needed", exact, exact},
		{"Secret.Type", "kubernetes/secret-needed", exact + " (no meaning to containers)", exact + " (no meaning to containers)"},
		{"Secret.Keys", "kubernetes/secret-needed", exact, exact},
		{"SecretKey.Name", "kubernetes/secret-needed", exact, exact},
		{"SecretKey.External", "kubernetes/secret-needed", "compose/secret", exact},
		{"SecretKey.Env", "kubernetes/secret-needed", "compose/secret", exact},
		{"SecretKey.File", "kubernetes/secret-needed", "compose/secret", exact},
		{"SecretKey.Generate", "kubernetes/secret-needed", "compose/secret", exact},
		{"GenerateSecret.Length", "kubernetes/secret-needed", "compose/secret", exact},
		{"Claim.Name", exact, exact, exact},
		{"Claim.Storage", exact, "compose/claim", "docker/claim-size"},
		{"Claim.AccessModes", exact, "compose/claim", exact + " (one machine: every mode is granted)"},
		{"Claim.StorageClassName", exact, "compose/claim", but + "docker/claim-class"},

		{"Object.Name", exact + " (only in the definition)", "compose/object", "docker/object"},
		{"Object.Body", exact, "compose/object", "docker/object"},
	}
}

// modelFields lists every field of the model, positions and the insides of raw
// data and of hatches excepted.
func modelFields() []string {
	var fields []string
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(t reflect.Type) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct || seen[t] || t == reflect.TypeFor[app.Pos]() || t == reflect.TypeFor[app.Hatch]() || t == reflect.TypeFor[app.Raw]() {
			return
		}
		seen[t] = true
		for f := range t.Fields() {
			if f.Type != reflect.TypeFor[app.Pos]() {
				fields = append(fields, t.Name()+"."+f.Name)
				walk(f.Type)
			}
		}
	}
	walk(reflect.TypeFor[app.App]())
	return fields
}

// reported are all rules of the targets by code, and those that a golden shows.
func reported(t *testing.T) (rules map[string]targets.Rule, seen map[string]bool) {
	t.Helper()
	rules, seen = map[string]targets.Rule{}, map[string]bool{}
	for _, r := range slices.Concat(kubernetes.Rules(), compose.Rules(), docker.Rules()) {
		rules[r.Code] = r
	}
	for _, path := range goldens(t) {
		_, a := readGolden(t, path)
		for _, r := range renderers {
			out, err := r.render(a)
			if err != nil {
				continue // a golden of an error
			}
			for _, f := range out.Findings {
				seen[f.Code] = true
			}
		}
	}
	return rules, seen
}

func codes(cell string) []string {
	cell, partly := strings.CutPrefix(cell, "exact but ")
	if !partly && strings.HasPrefix(cell, "exact") {
		return nil
	}
	return strings.Fields(cell)
}

func TestSupport_CoversTheModelAndTheFindings(t *testing.T) {
	var fields []string
	rules, seen := reported(t)
	claimed := map[string]bool{}
	for _, r := range support() {
		fields = append(fields, r.field)
		for target, cell := range map[string]string{"kubernetes": r.kubernetes, "compose": r.compose, "docker": r.docker} {
			for _, code := range codes(cell) {
				claimed[code] = true
				if _, ok := rules[code]; !ok || !strings.HasPrefix(code, target+"/") {
					t.Errorf("%s: %s is no finding of %s", r.field, code, target)
				}
			}
		}
	}
	model := modelFields()
	slices.Sort(model)
	slices.Sort(fields)
	if diff := cmp.Diff(model, fields); diff != "" {
		t.Errorf("fields of the model (-) and of the table (+):\n%s", diff)
	}
	for code := range rules {
		if !claimed[code] {
			t.Errorf("%s is in no row of the table", code)
		}
		if !seen[code] {
			t.Errorf("%s is in no golden", code)
		}
	}
}

func TestSupport_DocumentationIsCurrent(t *testing.T) {
	rules, _ := reported(t)
	got := supportText(rules)
	if os.Getenv("CUEPOD_UPDATE") != "" {
		if err := os.WriteFile(supportFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(supportFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not current (CUEPOD_UPDATE=1 updates):\n%s", supportFile, diff)
	}
}

const supportHead = `<!-- Made by targets/support_test.go: CUEPOD_UPDATE=1 go test ./targets -->

# What each target keeps

One definition means the same on every target. Where a target cannot say exactly
what a field means, ` + "`cuepod compile`" + ` reports a finding at your line:

- **exact**: it means what it means in Kubernetes.
- **emulated**: the meaning is kept by other means, which the output shows.
- **cannot**: the target has no way to say it. ` + "`--strict`" + ` makes it an error.

Fields are those of ` + "[compiler/app](../compiler/app/app.go)" + `.

`

const supportTail = `
## What no field says

- **Compose, the pod.** A holder service per replica (` + "`web-0`" + `) owns network namespace, IPC and hostname and never restarts; the pod's
  containers join it. When a holder is restarted by hand, its containers have to be too: ` + "`docker compose up --force-recreate`" + `.
- **Compose, health.** A failing probe never stops the start: failures do not count for ten minutes, Kubernetes' own deadline for a
  rollout, and what depends on the service waits. The first probe comes one period after the start.
- **Compose, secrets.** Every command on the file, ` + "`docker compose down`" + ` too, wants the secrets' variables: keep them in ` + "`.env`" + ` beside it.
- **Compose, restarts.** The engine restarts what ends, at its own pace, not in Kubernetes' CrashLoopBackOff times.
- **Compose, the holder's image.** ` + "`--holder-image`" + ` names it, ` + "`--load-holder`" + ` loads it into the local engine. It has the program
  of targets/compose/holder at ` + "`/cuepod-agent`" + `.
- **Compose, variables of services** (` + "`WEB_SERVICE_HOST`" + `) are not set: use the names.
- **Kubernetes, ConfigMaps** carry a hash of their data in their name, so that a change rolls out; those of earlier versions stay
  until somebody prunes them (` + "`kubectl apply --prune`" + ` or the delivery tool).
- **Kubernetes, claims.** A Deployment that mounts a claim which only one node at a time may mount has the strategy Recreate.
- **Kubernetes and Docker differ in seccomp**: a container on a local engine has the engine's profile, in Kubernetes none unless the cluster says so.
`

func supportText(rules map[string]targets.Rule) string {
	var b strings.Builder
	b.WriteString(supportHead + "| field | Kubernetes | Compose | Docker |\n|---|---|---|---|\n")
	for _, r := range support() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.field, cellText(r.kubernetes, rules), cellText(r.compose, rules), cellText(r.docker, rules))
	}
	b.WriteString("\n## Findings\n\n| code | level | what happens instead |\n|---|---|---|\n")
	var all []targets.Rule
	for _, r := range rules {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b targets.Rule) int { return strings.Compare(a.Code, b.Code) })
	for _, r := range all {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.Code, r.Level, r.Summary)
	}
	b.WriteString(supportTail)
	return b.String()
}

// cellText names the levels of a cell's findings beside their codes.
func cellText(cell string, rules map[string]targets.Rule) string {
	var out []string
	for _, code := range codes(cell) {
		_, short, _ := strings.Cut(code, "/")
		out = append(out, fmt.Sprintf("%s (%s)", rules[code].Level, short))
	}
	switch {
	case out == nil:
		return cell
	case strings.HasPrefix(cell, "exact"):
		return "exact; for some values " + strings.Join(out, ", ")
	}
	return strings.Join(out, ", ")
}
