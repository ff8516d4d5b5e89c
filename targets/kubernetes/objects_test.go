package kubernetes_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets"
	"github.com/cuepod/cuepod/targets/kubernetes"
)

// rendered is what an app became: its objects as JSON, by kind and name.
type rendered struct {
	order    []string
	objects  map[string]map[string]any
	findings []targets.Finding
}

func objectsOf(t *testing.T, a *app.App) rendered {
	t.Helper()
	out := render(t, a, kubernetes.JSON)
	var list struct{ Items []map[string]any }
	if err := json.Unmarshal(out.Files[0].Data, &list); err != nil {
		t.Fatal(err)
	}
	r := rendered{objects: map[string]map[string]any{}, findings: out.Findings}
	for _, o := range list.Items {
		id := fmt.Sprint(o["kind"], " ", o["metadata"].(map[string]any)["name"])
		r.order = append(r.order, id)
		r.objects[id] = o
	}
	return r
}

// at is the value at a path as JSON, "" when there is none: "Job a: spec.suspend".
func (r rendered) at(path string) string {
	id, rest, _ := strings.Cut(path, ": ")
	var value any = r.objects[id]
	if r.objects[id] == nil {
		return "no " + id
	}
	for name := range strings.SplitSeq(rest, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[name]
		case []any:
			value = v[int(name[0]-'0')]
		default:
			value = nil
		}
	}
	if value == nil {
		return ""
	}
	data, _ := json.Marshal(value)
	return string(data)
}

// expect holds paths against the JSON that is there; "" is for nothing.
func (r rendered) expect(t *testing.T, want map[string]string) {
	t.Helper()
	for path, text := range want {
		if got := r.at(path); got != text {
			t.Errorf("%s is %s, want %s", path, got, text)
		}
	}
}

func (r rendered) codes() []string {
	var codes []string
	for _, f := range r.findings {
		codes = append(codes, f.Code)
	}
	return codes
}

func ptr[T any](v T) *T { return &v }

// kind is an app whose only pod is of a kind.
func kind(name string, change func(*app.Pod)) *app.App {
	p := app.Pod{Name: "a", Kind: name, Replicas: 2, TerminationGracePeriodSeconds: 30, Containers: []app.Container{{Name: "c", Image: "i:1"}}}
	if change != nil {
		change(&p)
	}
	return &app.App{Name: "x", Pods: []app.Pod{p}}
}

// Each kind has the fields that the API gives it, and none of the others'.
func TestRender_Kinds(t *testing.T) {
	all := func(p *app.Pod) {
		p.RevisionHistoryLimit, p.Suspend, p.ActiveDeadlineSeconds = ptr(3), ptr(true), ptr(int64(9))
		p.BackoffLimit, p.Schedule, p.TimeZone, p.Paused, p.PodManagementPolicy = ptr(0), "1 2 3 4 5", "Etc/UTC", true, "Parallel"
	}
	selector := `{"matchLabels":{"app.kubernetes.io/component":"a","app.kubernetes.io/name":"x"}}`
	for kindOf, want := range map[string]map[string]string{
		"Deployment": {
			"apiVersion": `"apps/v1"`, "spec.replicas": "2", "spec.selector": selector, "spec.revisionHistoryLimit": "3", "spec.paused": "true",
			"spec.suspend": "", "spec.schedule": "", "spec.template.spec.activeDeadlineSeconds": "", "spec.template.spec.restartPolicy": "", "spec.serviceName": "",
		},
		"StatefulSet": {
			"apiVersion": `"apps/v1"`, "spec.replicas": "2", "spec.selector": selector, "spec.serviceName": `"a"`, "spec.podManagementPolicy": `"Parallel"`,
			"spec.paused": "", "spec.backoffLimit": "",
		},
		"DaemonSet": {
			"apiVersion": `"apps/v1"`, "spec.replicas": "", "spec.selector": selector, "spec.revisionHistoryLimit": "3", "spec.paused": "", "spec.podManagementPolicy": "",
		},
		"Job": {
			"apiVersion": `"batch/v1"`, "spec.replicas": "", "spec.selector": "", "spec.suspend": "true", "spec.activeDeadlineSeconds": "9", "spec.backoffLimit": "0",
			"spec.template.spec.restartPolicy": `"Never"`, "spec.template.spec.activeDeadlineSeconds": "", "spec.schedule": "", "spec.revisionHistoryLimit": "",
		},
		"CronJob": {
			"apiVersion": `"batch/v1"`, "spec.schedule": `"1 2 3 4 5"`, "spec.timeZone": `"Etc/UTC"`, "spec.suspend": "true", "spec.jobTemplate.spec.suspend": "",
			"spec.jobTemplate.spec.activeDeadlineSeconds": "9", "spec.jobTemplate.spec.backoffLimit": "0", "spec.jobTemplate.spec.selector": "",
			"spec.jobTemplate.spec.template.spec.restartPolicy": `"Never"`, "spec.template": "", "spec.backoffLimit": "",
		},
	} {
		r := objectsOf(t, kind(kindOf, all))
		for path, text := range want {
			r.expect(t, map[string]string{kindOf + " a: " + path: text})
		}
	}
}

func TestRender_WrittenRestartPolicyOfAJobStays(t *testing.T) {
	a := kind("Job", func(p *app.Pod) { p.RestartPolicy = "OnFailure" })
	objectsOf(t, a).expect(t, map[string]string{"Job a: spec.template.spec.restartPolicy": `"OnFailure"`})
}

func TestRender_UpdateStrategy(t *testing.T) {
	written := &app.UpdateStrategy{Type: "RollingUpdate", RollingUpdate: &app.RollingUpdate{MaxSurge: "25%", MaxUnavailable: "0", Partition: ptr(0)}}
	text := `{"rollingUpdate":{"maxSurge":"25%","maxUnavailable":0,"partition":0},"type":"RollingUpdate"}`
	for kindOf, field := range map[string]string{"Deployment": "strategy", "StatefulSet": "updateStrategy", "DaemonSet": "updateStrategy"} {
		a := kind(kindOf, func(p *app.Pod) { p.UpdateStrategy = written })
		objectsOf(t, a).expect(t, map[string]string{kindOf + " a: spec." + field: text})
		a.Pods[0].UpdateStrategy = nil
		objectsOf(t, a).expect(t, map[string]string{kindOf + " a: spec." + field: ""})
	}

	// Storage that one node holds is let go first, unless somebody says otherwise.
	a := kind("Deployment", func(p *app.Pod) { p.Volumes = []app.Volume{{Name: "v", Claim: &app.ClaimSource{ClaimName: "d"}}} })
	a.Claims = []app.Claim{{Name: "d", Storage: "1Gi", AccessModes: []string{"ReadWriteOnce"}}}
	objectsOf(t, a).expect(t, map[string]string{"Deployment a: spec.strategy": `{"type":"Recreate"}`})
	a.Pods[0].UpdateStrategy = written
	objectsOf(t, a).expect(t, map[string]string{"Deployment a: spec.strategy": text})
	a.Pods[0].UpdateStrategy, a.Claims[0].AccessModes = nil, []string{"ReadWriteMany"}
	objectsOf(t, a).expect(t, map[string]string{"Deployment a: spec.strategy": ""})
}

// The service of a StatefulSet is the written one, else the first headless one
// in front of it, else one of its own name.
func TestRender_ServiceNameOfAStatefulSet(t *testing.T) {
	a := kind("StatefulSet", nil)
	a.Services = []app.Service{
		{Name: "front", Pod: "a", Ports: []app.ServicePort{{Name: "p", Port: 1}}},
		{Name: "other", Headless: true, Selector: map[string]string{"no": "pod"}},
		{Name: "peers", Headless: true, Selector: map[string]string{app.LabelComponent: "a"}},
		{Name: "more", Headless: true, Pod: "a"},
	}
	field := "StatefulSet a: spec.serviceName"
	objectsOf(t, a).expect(t, map[string]string{field: `"peers"`})
	a.Pods[0].ServiceName = "front"
	objectsOf(t, a).expect(t, map[string]string{field: `"front"`})
	a.Pods[0].ServiceName, a.Services = "", a.Services[:2]
	objectsOf(t, a).expect(t, map[string]string{field: `"a"`})
}

func TestRender_VolumeClaimTemplates(t *testing.T) {
	a := kind("StatefulSet", func(p *app.Pod) {
		p.VolumeClaimTemplates = []app.Claim{{Name: "data", Storage: "1Gi", AccessModes: []string{"ReadWriteOnce"}, Labels: map[string]string{"a": "b"}}}
	})
	a.Labels = map[string]string{"team": "t"}
	objectsOf(t, a).expect(t, map[string]string{"StatefulSet a: spec.volumeClaimTemplates": `[{"metadata":{"labels":{"a":"b"},"name":"data"},` +
		`"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}]`})
}

func TestRender_Autoscaling(t *testing.T) {
	a := kind("StatefulSet", func(p *app.Pod) {
		p.Autoscaling = &app.Autoscaling{MinReplicas: 1, MaxReplicas: 5, CPU: 80,
			Metrics:  []app.MetricSpec{{Type: "Pods", Pods: &app.PodsMetricSource{Metric: &app.MetricIdentifier{Name: "q"}, Target: &app.MetricTarget{Type: "AverageValue", AverageValue: "10"}}}},
			Behavior: &app.HorizontalPodAutoscalerBehavior{ScaleDown: &app.HPAScalingRules{StabilizationWindowSeconds: ptr(0)}}}
		p.DisruptionBudget = &app.DisruptionBudget{MaxUnavailable: "50%"}
	})
	r := objectsOf(t, a)
	r.expect(t, map[string]string{
		"StatefulSet a: spec.replicas":                       "",
		"HorizontalPodAutoscaler a: spec.scaleTargetRef":     `{"apiVersion":"apps/v1","kind":"StatefulSet","name":"a"}`,
		"HorizontalPodAutoscaler a: spec.minReplicas":        "",
		"HorizontalPodAutoscaler a: spec.maxReplicas":        "5",
		"HorizontalPodAutoscaler a: spec.metrics.0.resource": `{"name":"cpu","target":{"averageUtilization":80,"type":"Utilization"}}`,
		"HorizontalPodAutoscaler a: spec.metrics.1.pods":     `{"metric":{"name":"q"},"target":{"averageValue":"10","type":"AverageValue"}}`,
		"HorizontalPodAutoscaler a: spec.behavior":           `{"scaleDown":{"stabilizationWindowSeconds":0}}`,
		"PodDisruptionBudget a: spec":                        `{"maxUnavailable":"50%","selector":{"matchLabels":{"app.kubernetes.io/component":"a","app.kubernetes.io/name":"x"}}}`,
	})
	a.Pods[0].Autoscaling, a.Pods[0].DisruptionBudget = nil, nil
	if r = objectsOf(t, a); len(r.order) != 1 || r.at("StatefulSet a: spec.replicas") != "2" {
		t.Errorf("without both: %v with %s replicas", r.order, r.at("StatefulSet a: spec.replicas"))
	}
}

func TestRender_Services(t *testing.T) {
	ports := []app.ServicePort{{Name: "p", Port: 1}}
	a := kind("Deployment", nil)
	a.Services = []app.Service{
		{Name: "one", Pod: "a", Ports: ports, Type: "ClusterIP", SessionAffinity: "None"},
		{Name: "any", Selector: map[string]string{"team": "t"}, Ports: ports},
		{Name: "none", Ports: ports},
		{Name: "alias", Type: "ExternalName", ExternalName: "a.example"},
		{Name: "peers", Pod: "a", Headless: true, PublishNotReadyAddresses: true},
		{Name: "balanced", Pod: "a", Type: "LoadBalancer", Ports: ports, LoadBalancerSourceRanges: []string{"10.0.0.0/8"}, AllocateLoadBalancerNodePorts: ptr(false)},
	}
	r := objectsOf(t, a)
	r.expect(t, map[string]string{
		"Service one: spec":                                    `{"ports":[{"name":"p","port":1}],"selector":{"app.kubernetes.io/component":"a","app.kubernetes.io/name":"x"}}`,
		"Service any: spec":                                    `{"ports":[{"name":"p","port":1}],"selector":{"team":"t"}}`,
		"Service none: spec":                                   `{"ports":[{"name":"p","port":1}]}`,
		"Service alias: spec":                                  `{"externalName":"a.example","type":"ExternalName"}`,
		"Service peers: spec":                                  `{"clusterIP":"None","publishNotReadyAddresses":true,"selector":{"app.kubernetes.io/component":"a","app.kubernetes.io/name":"x"}}`,
		"Service balanced: spec.type":                          `"LoadBalancer"`,
		"Service balanced: spec.loadBalancerSourceRanges":      `["10.0.0.0/8"]`,
		"Service balanced: spec.allocateLoadBalancerNodePorts": "false",
	})
}

func TestRender_Network(t *testing.T) {
	a := kind("Deployment", nil)
	a.Ingresses = []app.Ingress{{Name: "i", IngressClassName: "n", Annotations: map[string]string{"k": "v"},
		DefaultBackend: &app.IngressBackend{Service: "s", Port: app.PortRef{Number: 1}},
		Tls:            []app.IngressTLS{{Hosts: []string{"h"}, SecretName: "t"}},
		Rules: []app.IngressRule{
			{Host: "*", Paths: []app.IngressPath{{Path: "/", PathType: "Exact", Service: "s", Port: app.PortRef{Name: "p"}}}},
			{Host: "h", Paths: []app.IngressPath{{Path: "/a", PathType: "Prefix", Service: "s", Port: app.PortRef{Number: 2}}}}}}}
	a.NetworkPolicies = []app.NetworkPolicy{
		{Name: "one", Pod: "a", PolicyTypes: []string{"Egress"}},
		{Name: "all", PodSelector: &app.LabelSelector{}},
		{Name: "some", PodSelector: &app.LabelSelector{MatchLabels: map[string]string{"a": "b"}},
			Ingress: []app.NetworkPolicyIngressRule{{From: []app.NetworkPolicyPeer{{NamespaceSelector: &app.LabelSelector{}}}}}},
	}
	a.HTTPRoutes = []app.HTTPRoute{{Name: "r", Rules: []app.HTTPRouteRule{{BackendRefs: []app.HTTPBackendRef{{Name: "s", Port: ptr(80), Weight: ptr(0)}}}}}}
	r := objectsOf(t, a)
	r.expect(t, map[string]string{
		"Ingress i: metadata.annotations":  `{"k":"v"}`,
		"Ingress i: spec.ingressClassName": `"n"`,
		"Ingress i: spec.defaultBackend":   `{"service":{"name":"s","port":{"number":1}}}`,
		"Ingress i: spec.tls":              `[{"hosts":["h"],"secretName":"t"}]`,
		"Ingress i: spec.rules.0":          `{"http":{"paths":[{"backend":{"service":{"name":"s","port":{"name":"p"}}},"path":"/","pathType":"Exact"}]}}`,
		"Ingress i: spec.rules.1.host":     `"h"`,
		"NetworkPolicy one: spec":          `{"podSelector":{"matchLabels":{"app.kubernetes.io/component":"a","app.kubernetes.io/name":"x"}},"policyTypes":["Egress"]}`,
		"NetworkPolicy all: spec":          `{"podSelector":{}}`,
		"NetworkPolicy some: spec":         `{"ingress":[{"from":[{"namespaceSelector":{}}]}],"podSelector":{"matchLabels":{"a":"b"}}}`,
		"HTTPRoute r: spec.rules.0":        `{"backendRefs":[{"name":"s","port":80,"weight":0}]}`,
		"HTTPRoute r: apiVersion":          `"gateway.networking.k8s.io/v1"`,
	})
	a.NetworkPolicies[0].Pod = "absent"
	if _, err := kubernetes.Render(a, kubernetes.Options{}); err == nil || err.Error() != `networkPolicy one: there is no pod "absent"` {
		t.Error(err)
	}
}

func TestRender_ServiceAccounts(t *testing.T) {
	rules := []app.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}}
	a := kind("Deployment", nil)
	a.ServiceAccounts = []app.ServiceAccount{{Name: "plain", AutomountServiceAccountToken: ptr(false)}, {Name: "s", Rules: rules, ClusterRules: rules}}
	r := objectsOf(t, a)
	r.expect(t, map[string]string{
		"ServiceAccount plain: automountServiceAccountToken": "false",
		"Role s: rules":                    `[{"apiGroups":[""],"resources":["pods"],"verbs":["get"]}]`,
		"RoleBinding s: roleRef":           `{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"s"}`,
		"RoleBinding s: subjects":          `[{"kind":"ServiceAccount","name":"s"}]`,
		"ClusterRole x-s: rules":           `[{"apiGroups":[""],"resources":["pods"],"verbs":["get"]}]`,
		"ClusterRoleBinding x-s: roleRef":  `{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"x-s"}`,
		"ClusterRoleBinding x-s: subjects": `[{"kind":"ServiceAccount","name":"s","namespace":"default"}]`,
		"Role plain: rules":                "no Role plain",
	})
	if got := r.codes(); !slices.Equal(got, []string{"kubernetes/cluster-rules"}) {
		t.Errorf("findings %v", got)
	}
	a.Namespace = "n"
	r = objectsOf(t, a)
	r.expect(t, map[string]string{
		"RoleBinding s: metadata.namespace":          `"n"`,
		"ClusterRoleBinding n-s: metadata.namespace": "",
		"ClusterRoleBinding n-s: subjects":           `[{"kind":"ServiceAccount","name":"s","namespace":"n"}]`,
	})
	if got := r.codes(); len(got) != 0 {
		t.Errorf("with a namespace: findings %v", got)
	}
}

// What is read is applied before who reads it, however the definition is
// ordered.
func TestRender_Order(t *testing.T) {
	a := kind("Deployment", func(p *app.Pod) {
		p.ServiceAccountName = "s"
		p.Autoscaling, p.DisruptionBudget = &app.Autoscaling{MinReplicas: 1, MaxReplicas: 2}, &app.DisruptionBudget{MinAvailable: "1"}
	})
	a.HTTPRoutes = []app.HTTPRoute{{Name: "r"}}
	a.Ingresses = []app.Ingress{{Name: "i"}}
	a.Services = []app.Service{{Name: "a", Pod: "a", Headless: true}}
	a.NetworkPolicies = []app.NetworkPolicy{{Name: "n"}}
	a.Claims = []app.Claim{{Name: "c", Storage: "1"}}
	a.ServiceAccounts = []app.ServiceAccount{{Name: "s", Rules: []app.PolicyRule{{Verbs: []string{"get"}}}}}
	want := []string{"ServiceAccount s", "Role s", "RoleBinding s", "PersistentVolumeClaim c", "NetworkPolicy n", "Service a",
		"Deployment a", "HorizontalPodAutoscaler a", "PodDisruptionBudget a", "Ingress i", "HTTPRoute r"}
	if got := objectsOf(t, a).order; !slices.Equal(got, want) {
		t.Errorf("order\n%v, want\n%v", got, want)
	}
}

// A ConfigMap's hash is over its bytes too, and a projected volume follows it.
func TestRender_BinaryDataAndProjectedVolumes(t *testing.T) {
	a := kind("Deployment", func(p *app.Pod) {
		p.Volumes = []app.Volume{{Name: "v", Projected: &app.ProjectedVolumeSource{Sources: []app.VolumeProjection{{ConfigMap: &app.ConfigMapProjection{Name: "m"}}}}}}
	})
	seen := map[string]bool{}
	for _, m := range []app.ConfigMap{
		{Data: map[string]string{"a": "1"}},
		{BinaryData: map[string][]byte{"a": []byte("1")}},
		{BinaryData: map[string][]byte{"a": {0, 255}}},
		{Data: map[string]string{"a": "1"}, BinaryData: map[string][]byte{"b": nil}},
	} {
		m.Name = "m"
		a.ConfigMaps = []app.ConfigMap{m}
		r := objectsOf(t, a)
		name := strings.TrimPrefix(r.order[0], "ConfigMap ")
		if seen[name] {
			t.Errorf("%+v has the name of another's data", m)
		}
		seen[name] = true
		r.expect(t, map[string]string{"Deployment a: spec.template.spec.volumes.0.projected.sources.0.configMap.name": fmt.Sprintf("%q", name)})
		if bytes := m.BinaryData["a"]; len(bytes) == 2 {
			r.expect(t, map[string]string{r.order[0] + ": binaryData.a": `"AP8="`})
		}
	}
}

// A hatch addresses what its pod became, whatever the kind is.
func TestRender_HatchesOfEachKind(t *testing.T) {
	str := func(name, text string) app.Raw { return app.Raw{Name: name, Kind: app.RawString, Text: text} }
	nested := func(name string, items ...app.Raw) app.Raw {
		return app.Raw{Name: name, Kind: app.RawStruct, Items: items}
	}
	for kindOf, spec := range map[string]string{"Deployment": "spec.template.spec", "StatefulSet": "spec.template.spec", "DaemonSet": "spec.template.spec",
		"Job": "spec.template.spec", "CronJob": "spec.jobTemplate.spec.template.spec"} {
		a := kind(kindOf, func(p *app.Pod) {
			p.Kubernetes = &app.Hatch{Raw: nested("", nested("workload", nested("spec", str("new", "1"))), nested("podSpec", str("new", "2")))}
			p.Containers[0].Kubernetes = &app.Hatch{Raw: nested("", str("new", "3"))}
		})
		objectsOf(t, a).expect(t, map[string]string{
			kindOf + " a: spec.new":                        `"1"`,
			kindOf + " a: " + spec + ".new":                `"2"`,
			kindOf + " a: " + spec + ".containers.0.new":   `"3"`,
			kindOf + " a: " + spec + ".containers.0.image": `"i:1"`,
		})
	}
	clash := kind("CronJob", func(p *app.Pod) {
		p.Schedule = "1 2 3 4 5"
		p.Kubernetes = &app.Hatch{Raw: nested("", nested("workload", nested("spec", str("schedule", "other"))))}
	})
	if _, err := kubernetes.Render(clash, kubernetes.Options{}); err == nil || !strings.Contains(err.Error(), "spec.schedule: two values that exclude each other") {
		t.Error(err)
	}

	a := kind("Deployment", nil)
	rule := func(host, service string) app.Raw {
		path := nested("", str("path", "/"), str("pathType", "Prefix"), nested("backend", nested("service", str("name", service))))
		return nested("", str("host", host), nested("http", app.Raw{Name: "paths", Kind: app.RawList, Items: []app.Raw{path}}))
	}
	a.Ingresses = []app.Ingress{{Name: "i", Rules: []app.IngressRule{{Host: "h", Paths: []app.IngressPath{{Path: "/", PathType: "Prefix", Service: "s", Port: app.PortRef{Number: 1}}}}},
		Kubernetes: &app.Hatch{Raw: nested("", app.Raw{Name: "rules", Kind: app.RawList, Items: []app.Raw{rule("h", "s"), rule("other", "o")}})}}}
	objectsOf(t, a).expect(t, map[string]string{
		"Ingress i: spec.rules.0.http.paths.0.backend.service": `{"name":"s","port":{"number":1}}`,
		"Ingress i: spec.rules.1.host":                         `"other"`,
	})
}

// What a local run has and a cluster has not is told; the rest is exact.
func TestRender_Findings(t *testing.T) {
	a := kind("Deployment", func(p *app.Pod) {
		p.DependsOn = []app.Dependency{{Service: "s", Pos: app.Pos{File: "a.cue", Line: 1, Column: 1}}}
		p.Containers[0].Build = &app.Build{Context: ".", Pos: app.Pos{File: "a.cue", Line: 2, Column: 1}}
		p.Containers[0].Dev = &app.Dev{OnChange: "restart", Pos: app.Pos{File: "a.cue", Line: 3, Column: 1}}
	})
	r := objectsOf(t, a)
	if got, want := r.codes(), []string{"kubernetes/depends-on", "kubernetes/build", "kubernetes/dev"}; !slices.Equal(got, want) {
		t.Errorf("findings %v, want %v", got, want)
	}
	if got := objectsOf(t, kind("Deployment", nil)).codes(); len(got) != 0 {
		t.Errorf("findings %v of nothing", got)
	}
}

func TestSupport_HasEveryFieldAndNoOther(t *testing.T) {
	table := kubernetes.Support()
	reachable := table.Reachable()
	if len(reachable) < 500 {
		t.Fatalf("only %d fields", len(reachable))
	}
	for _, field := range reachable {
		if table[field].Level == "" {
			t.Errorf("%s has no level", field)
		}
	}
	for field, f := range table {
		if !slices.Contains(reachable, field) {
			t.Errorf("%s is no field", field)
		}
		for _, code := range f.Codes {
			if !slices.ContainsFunc(kubernetes.Rules(), func(r targets.Rule) bool { return r.Code == code }) {
				t.Errorf("%s: %s is no rule", field, code)
			}
		}
	}
}
