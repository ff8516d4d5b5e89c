package docker

import (
	"testing"

	"github.com/cuepod/cuepod/compiler/app"
)

func workloadOf(t *testing.T, p app.Pod, claims ...app.Claim) Workload {
	t.Helper()
	p.Name, p.Containers = "web", []app.Container{{Name: "web", Image: "web:1"}}
	s, _, err := Render(&app.App{Name: "shop", Pods: []app.Pod{p}, Claims: claims}, Options{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	return s.Workloads[0]
}

// Percentages are rounded up for pods beyond the replicas and down for those
// that may be away; both zero means one away.
//
// conformance:S117
func TestWorkload_CountsAreRoundedAsInKubernetes(t *testing.T) {
	rolling := func(surge, unavailable app.CountOrPercent) *app.UpdateStrategy {
		return &app.UpdateStrategy{RollingUpdate: &app.RollingUpdate{MaxSurge: surge, MaxUnavailable: unavailable}}
	}
	tests := []struct {
		kind               string
		replicas           int
		update             *app.UpdateStrategy
		surge, unavailable int
	}{
		{"Deployment", 1, nil, 1, 0},
		{"Deployment", 3, nil, 1, 0},
		{"Deployment", 4, nil, 1, 1},
		{"Deployment", 10, nil, 3, 2},
		{"Deployment", 10, rolling("0", "5%"), 0, 1},
		{"Deployment", 10, rolling("100%", "0"), 10, 0},
		{"Deployment", 2, rolling("3", "1"), 3, 1},
		{"DaemonSet", 5, nil, 0, 1},
		{"DaemonSet", 5, rolling("1", "0"), 1, 0},
		{"StatefulSet", 5, nil, 0, 1},
		{"StatefulSet", 5, rolling("", "30%"), 0, 2},
	}
	for _, tt := range tests {
		w := workloadOf(t, app.Pod{Kind: tt.kind, Replicas: tt.replicas, UpdateStrategy: tt.update})
		if w.MaxSurge != tt.surge || w.MaxUnavailable != tt.unavailable || len(w.Surge) != tt.surge {
			t.Errorf("%s of %d, %+v: surge %d (%d pods) unavailable %d, want %d and %d", tt.kind, tt.replicas, tt.update, w.MaxSurge, len(w.Surge), w.MaxUnavailable, tt.surge, tt.unavailable)
		}
	}
}

// One machine is every node: a DaemonSet has one pod, whatever its replicas say.
//
// conformance:S121
func TestWorkload_ADaemonSetIsOnePod(t *testing.T) {
	p := app.Pod{Name: "web", Kind: "DaemonSet", Replicas: 3, Containers: []app.Container{{Name: "web", Image: "web:1"}}}
	s, _, err := Render(&app.App{Name: "shop", Pods: []app.Pod{p}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Pods) != 1 || s.Pods[0].Name != "web-0" || s.Workloads[0].Replicas != 1 {
		t.Errorf("pods %+v", s.Pods)
	}
}

func TestWorkload_RevisionIsOfTheTemplate(t *testing.T) {
	base := func() app.Pod { return app.Pod{Kind: "Deployment", Replicas: 2, Labels: map[string]string{"a": "1"}} }
	first := workloadOf(t, base()).Revision
	same := map[string]func(*app.Pod){
		"replicas":        func(p *app.Pod) { p.Replicas = 5 },
		"strategy":        func(p *app.Pod) { p.UpdateStrategy = &app.UpdateStrategy{Type: "Recreate"} },
		"minReadySeconds": func(p *app.Pod) { p.MinReadySeconds = 5 },
		"a position":      func(p *app.Pod) { p.Pos = app.Pos{File: "a.cue", Line: 3} },
		"dependsOn":       func(p *app.Pod) { p.DependsOn = []app.Dependency{{Service: "db"}} },
	}
	for name, change := range same {
		p := base()
		change(&p)
		if got := workloadOf(t, p).Revision; got != first {
			t.Errorf("%s changes the revision", name)
		}
	}
	other := map[string]func(*app.Pod){
		"a label":      func(p *app.Pod) { p.Labels["a"] = "2" },
		"grace":        func(p *app.Pod) { p.TerminationGracePeriodSeconds = 5 },
		"a host alias": func(p *app.Pod) { p.HostAliases = []app.HostAlias{{IP: "10.0.0.1", Hostnames: []string{"x"}}} },
	}
	for name, change := range other {
		p := base()
		change(&p)
		if got := workloadOf(t, p).Revision; got == first {
			t.Errorf("%s does not change the revision", name)
		}
	}
}

func TestWorkload_OfAnExclusiveClaimIsRecreated(t *testing.T) {
	p := app.Pod{Kind: "Deployment", Replicas: 1, Volumes: []app.Volume{{Name: "data", Claim: &app.ClaimSource{ClaimName: "data"}}}}
	if w := workloadOf(t, p, app.Claim{Name: "data", Storage: "1Gi", AccessModes: []string{"ReadWriteOnce"}}); w.Strategy != Recreate {
		t.Errorf("ReadWriteOnce: %s", w.Strategy)
	}
	if w := workloadOf(t, p, app.Claim{Name: "data", Storage: "1Gi", AccessModes: []string{"ReadWriteMany"}}); w.Strategy != RollingUpdate {
		t.Errorf("ReadWriteMany: %s", w.Strategy)
	}
}
