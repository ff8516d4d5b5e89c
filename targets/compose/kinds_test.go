package compose_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets"
	"github.com/cuepod/cuepod/targets/compose"
)

// rendered is what compose-go reads of the app, and the findings.
func rendered(t *testing.T, a *app.App) (*types.Project, []targets.Finding) {
	t.Helper()
	out, err := compose.Render(a, compose.Options{})
	if err != nil {
		t.Fatal(err)
	}
	project, err := loadAll(t, out.Files[0].Data, values(out.Files[0].Data))
	if err != nil {
		t.Fatalf("%v\n%s", err, out.Files[0].Data)
	}
	return project, out.Findings
}

// found are the codes of findings, each once.
func found(findings []targets.Finding) []string {
	var codes []string
	for _, f := range findings {
		codes = append(codes, strings.TrimPrefix(f.Code, "compose/"))
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

func TestRender_RestartsAsThePodSays(t *testing.T) {
	none, three := 0, 3
	for _, c := range []struct {
		pod             app.Pod
		init, container string // of each its own policy
		want            string // of the init container, then the container
	}{
		{app.Pod{Kind: "Deployment"}, "", "", "on-failure unless-stopped"},
		{app.Pod{Kind: "Deployment", RestartPolicy: "Always"}, "Always", "", "unless-stopped unless-stopped"},
		{app.Pod{Kind: "Deployment"}, "", "Never", "on-failure no"},
		{app.Pod{Kind: "Deployment"}, "", "OnFailure", "on-failure on-failure"},
		{app.Pod{Kind: "Job"}, "", "", "on-failure:6 on-failure:6"},
		{app.Pod{Kind: "Job", RestartPolicy: "OnFailure", BackoffLimit: &three}, "Always", "", "unless-stopped on-failure:3"},
		{app.Pod{Kind: "Job", RestartPolicy: "Never", BackoffLimit: &none}, "", "", "no no"},
		{app.Pod{Kind: "Job", BackoffLimit: &none, BackoffLimitPerIndex: &three}, "", "", "on-failure:3 on-failure:3"},
		{app.Pod{Kind: "CronJob", BackoffLimit: &three}, "", "Never", "on-failure:3 no"},
	} {
		project, _ := rendered(t, one(func(_ *app.App, p *app.Pod, m *app.Container) {
			p.Kind, p.RestartPolicy, p.BackoffLimit, p.BackoffLimitPerIndex = c.pod.Kind, c.pod.RestartPolicy, c.pod.BackoffLimit, c.pod.BackoffLimitPerIndex
			p.InitContainers = []app.Container{{Name: "init", Image: "i", RestartPolicy: c.init}}
			m.RestartPolicy = c.container
		}))
		if got := project.Services["web-0-init"].Restart + " " + project.Services["web-0-c"].Restart; got != c.want {
			t.Errorf("%s of policy %q, init %q, container %q: %s, want %s", c.pod.Kind, c.pod.RestartPolicy, c.init, c.container, got, c.want)
		}
	}
}

// The replicas of a StatefulSet start one after the other unless it says
// otherwise; those of a Deployment never wait.
func TestRender_OrderOfReplicas(t *testing.T) {
	for _, c := range []struct {
		kind, management string
		want             []string
	}{
		{"StatefulSet", "", []string{"web-0", "web-0-c"}},
		{"StatefulSet", "OrderedReady", []string{"web-0", "web-0-c"}},
		{"StatefulSet", "Parallel", nil},
		{"Deployment", "", nil},
	} {
		project, _ := rendered(t, one(func(_ *app.App, p *app.Pod, _ *app.Container) {
			p.Kind, p.PodManagementPolicy, p.Replicas = c.kind, c.management, 2
		}))
		var got []string
		for name := range project.Services["web-1"].DependsOn {
			got = append(got, name)
		}
		slices.Sort(got)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s %s: %s", c.kind, c.management, diff)
		}
	}
}

// As many pods of a Job run at once as it says.
func TestRender_JobsWaitForAPlace(t *testing.T) {
	five := 5
	for parallelism, want := range map[int]string{1: "web-3-c", 2: "web-2-c", 4: "web-0-c", 5: ""} {
		project, _ := rendered(t, one(func(_ *app.App, p *app.Pod, _ *app.Container) {
			p.Kind, p.Completions, p.Parallelism = "Job", &five, &parallelism
		}))
		got := ""
		for name, d := range project.Services["web-4"].DependsOn {
			got += name
			if d.Condition != types.ServiceConditionCompletedSuccessfully {
				t.Errorf("waits for %s until %s", name, d.Condition)
			}
		}
		if got != want {
			t.Errorf("%d at once: the last waits for %q, want %q", parallelism, got, want)
		}
	}
}

// What nothing starts by itself has a profile, and nobody waits for it.
func TestRender_WaitsToBeAskedFor(t *testing.T) {
	yes, no, none := true, false, 0
	for _, c := range []struct {
		pod  app.Pod
		want bool
	}{
		{app.Pod{Kind: "CronJob"}, true},
		{app.Pod{Kind: "Job", Suspend: &yes}, true},
		{app.Pod{Kind: "Job", Parallelism: &none}, true},
		{app.Pod{Kind: "Job", Suspend: &no}, false},
		{app.Pod{Kind: "Deployment"}, false},
	} {
		a := one(func(a *app.App, p *app.Pod, _ *app.Container) {
			p.Kind, p.Suspend, p.Parallelism = c.pod.Kind, c.pod.Suspend, c.pod.Parallelism
			a.Services[0].Type = "NodePort"
			a.Pods = append(a.Pods, app.Pod{Name: "client", Kind: "Deployment", Replicas: 1, DependsOn: []app.Dependency{{Service: "web"}}, Containers: []app.Container{{Name: "c", Image: "i"}}})
		})
		project, findings := rendered(t, a)
		for name, s := range project.Services {
			if asked := len(s.Profiles) > 0; strings.HasPrefix(name, "web-0") && asked != c.want {
				t.Errorf("%s: profiles of %s: %v", c.pod.Kind, name, s.Profiles)
			}
		}
		if waits := len(project.Services["client-0"].DependsOn) > 0; waits == c.want {
			t.Errorf("%s: the client waits: %v", c.pod.Kind, waits)
		}
		if told := slices.Contains(found(findings), "depends-on"); told != c.want {
			t.Errorf("%s: findings: %v", c.pod.Kind, found(findings))
		}
	}
}

// A sidecar has started before the next container does, however that is asked;
// an init container has ended.
func TestRender_SidecarsStartFirst(t *testing.T) {
	http := &app.Probe{HTTPGet: &app.HTTPGetAction{Port: app.PortRef{Number: 80}}, PeriodSeconds: 1, TimeoutSeconds: 1, FailureThreshold: 1}
	exec := &app.Probe{Exec: &app.ExecAction{Command: []string{"true"}}, PeriodSeconds: 1, TimeoutSeconds: 1, FailureThreshold: 1}
	for name, c := range map[string]struct {
		side app.Container
		want string // what the container waits for, and whether holder and sidecar have healthchecks
	}{
		"init":            {app.Container{}, "web-0-side service_completed_successfully"},
		"no probe":        {app.Container{RestartPolicy: "Always"}, "web-0-side service_started"},
		"a command":       {app.Container{RestartPolicy: "Always", StartupProbe: exec}, "web-0-side service_healthy side"},
		"a request":       {app.Container{RestartPolicy: "Always", StartupProbe: http}, "web-0-side-started service_completed_successfully"},
		"readiness alone": {app.Container{RestartPolicy: "Always", ReadinessProbe: http}, "web-0-side service_started holder"},
		"both":            {app.Container{RestartPolicy: "Always", ReadinessProbe: http, StartupProbe: exec}, "web-0-side service_healthy holder side"},
		"the other way":   {app.Container{RestartPolicy: "Always", ReadinessProbe: exec, StartupProbe: http}, "web-0-side-started service_completed_successfully side"},
	} {
		project, _ := rendered(t, one(func(a *app.App, p *app.Pod, _ *app.Container) {
			c.side.Name, c.side.Image = "side", "i"
			p.InitContainers = []app.Container{c.side}
			a.Pods = append(a.Pods, app.Pod{Name: "client", Kind: "Deployment", Replicas: 1, DependsOn: []app.Dependency{{Service: "web"}}, Containers: []app.Container{{Name: "c", Image: "i"}}})
		}))
		got := ""
		for service, d := range project.Services["web-0-c"].DependsOn {
			if service != "web-0" { // whose network it joins
				got += service + " " + d.Condition
			}
		}
		for _, checked := range [][2]string{{"web-0", "holder"}, {"web-0-side", "side"}} {
			if project.Services[checked[0]].HealthCheck != nil {
				got += " " + checked[1]
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		for service, d := range project.Services["client-0"].DependsOn {
			if d.Condition == types.ServiceConditionHealthy && project.Services[service].HealthCheck == nil {
				t.Errorf("%s: the client waits for the health of %s, which has none", name, service)
			}
		}
	}
}
