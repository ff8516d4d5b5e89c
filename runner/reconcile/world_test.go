package reconcile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/targets/docker"
)

// now is the moment of every comparison in these tests.
var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const agentImage = "cuepod/infra:test"

// world is an engine reduced to what Diff sees. Its apply does what each step
// promises, so that a plan can be carried out without an engine.
type world struct {
	Observed
	now        time.Time
	next       int
	staleCrons map[string]bool
	earlier    []Instance        // of the plan that is carried out
	copies     map[string]string // programs that agents have put, by pod, container and slot: the image that each is of
}

// removeObject removes what stands for a run or a CronJob.
func (w *world) removeObject(id string) bool {
	before := len(w.Jobs)
	w.Jobs = slices.DeleteFunc(w.Jobs, func(j Job) bool { return j.ID == id })
	found := len(w.Jobs) < before || w.staleCrons[id]
	for i := range w.Jobs {
		stale := &w.Jobs[i].Stale
		if n := slices.Index(*stale, id); n >= 0 {
			*stale, found = slices.Delete(slices.Clone(*stale), n, n+1), true
		}
	}
	for name, c := range w.Crons {
		if c.ID == id {
			delete(w.Crons, name)
			found = true
		}
	}
	delete(w.staleCrons, id)
	return found
}

func newWorld(images ...string) *world {
	w := &world{now: now, staleCrons: map[string]bool{}, Observed: Observed{Crons: map[string]*Cron{}, Portals: map[string]*Container{}, Pods: map[string]*Pod{}, Volumes: map[string]bool{}, Images: map[string]string{}, Ready: map[string]bool{}, Since: map[string]time.Time{}}}
	for _, ref := range images {
		w.Images[ref] = "id of " + ref
	}
	return w
}

func (w *world) id() string { w.next++; return fmt.Sprintf("id%d", w.next) }

// apply carries out one step for the desired state d. It fails the test when
// the step could not be done on an engine.
func (w *world) apply(t *testing.T, d Desired, s Step) {
	t.Helper()
	must := func(ok bool, what string) {
		if !ok {
			t.Fatalf("step %q %q: %s", s.Op, s.Object, what)
		}
	}
	switch s.Op {
	case RemoveImage:
		for _, p := range w.Pods {
			for i := range p.Members {
				for c := range p.Members[i].instances() {
					must(c.ImageID == "" || c.ImageID != w.Images[s.Name], "container "+c.Name+" uses the image")
				}
			}
		}
		delete(w.Images, s.Name)
		w.Built = slices.DeleteFunc(w.Built, func(img Image) bool { return img.Ref == s.Name })
	case LoadImage, PullImage, BuildImage:
		w.Images[s.Name] = "id of " + s.Name
		if p := d.State.Pod(s.Pod); p != nil && s.Op == BuildImage && p.Container(s.Container).Build.Base != "" {
			delete(w.Fetches, s.Name)
			w.Built = append(w.Built, Image{Ref: s.Name, ID: "id of " + s.Name, Base: p.Container(s.Container).Build.Base})
		}
	case CompileProgram:
		w.Fetches = map[string]Fetch{s.Name: {Program: true}}
	case PutProgram:
		must(w.Pods[s.Pod] != nil && w.Pods[s.Pod].Infra.running(), "no agent")
		ref := d.State.Pod(s.Pod).Container(s.Container).Image
		must(w.Fetches[ref].Program, "nobody has the program")
		if w.copies == nil {
			w.copies = map[string]string{}
		}
		w.copies[s.Pod+"/"+s.Container+"/"+s.Slot] = ref
	case CreateNetwork:
		must(w.Network == "", "there is a network")
		w.Network = w.id()
	case CreateVolume:
		must(!w.Volumes[s.Name], "the volume exists")
		w.Volumes[s.Name] = true
	case RemoveVolume:
		must(w.Volumes[s.Name], "no such volume")
		delete(w.Volumes, s.Name)
	case WriteJob, WriteCron:
		j := *s.Job
		j.ID = w.id()
		if s.Role == RoleCron {
			if old := w.Crons[j.Workload]; old != nil {
				w.staleCrons[old.ID] = true
			}
			w.Crons[j.Workload] = &Cron{ID: j.ID, Hash: j.Hash, Since: j.Created}
			return
		}
		for i, old := range w.Jobs {
			if old.Name == j.Name && old.Run == j.Run {
				must(old.Result == "" && j.Result != "", "the run is recorded")
				j.Stale = append(old.Stale, old.ID)
				w.Jobs[i] = j
				return
			}
		}
		w.Jobs = append(w.Jobs, j)
	case WriteRecord:
		w.Record = &Record{ID: w.id(), State: d.State, AgentImage: d.AgentImage, Strict: d.Strict, Earlier: w.earlier}
	case CreateContainer:
		w.create(t, d, s, must)
	case StartContainer:
		c := w.find(s.Name)
		must(c != nil, "not there")
		earlier := c.State == Exited && s.Role == RoleApp &&
			(c.Hash != d.State.Pod(s.Pod).Container(s.Container).Hash || w.Pods[s.Pod].Infra.Hash != d.State.Pod(s.Pod).Hash)
		must(c.State == Created || earlier, "not created")
		must(c.Infra == "" || w.Pods[s.Pod].Infra.State == Running && w.Pods[s.Pod].Infra.ID == c.Infra, "its infra container does not run")
		must(c.Program == "" || w.copies[s.Pod+"/"+s.Container+"/"+c.Program] == d.State.Pod(s.Pod).Container(s.Container).Image, "it has another program")
		c.State, c.Started, c.Up = Running, w.now, true
		defer w.pair()
		if s.Role == RoleApp || s.Role == RoleSidecar {
			if dc := d.State.Pod(s.Pod).Container(s.Container); dc.PostStart != nil {
				c.PostStart, c.Up = HookDue, false
			}
		}
	case PostStart:
		c := w.find(s.Name)
		must(c != nil && c.State == Running, "not running")
		c.PostStart, c.Up = HookDone, true
	case PreStop:
		c := w.findID(s.ID)
		must(c != nil && c.State == Running, "not running")
		must(w.findID(s.Infra) != nil, "its infra container is gone")
	case AwaitTurn:
		c := w.findID(s.ID)
		must(c != nil && c.State == Running, "not running")
	case AwaitStarted:
		c := w.find(s.Name)
		must(c != nil && c.State == Running && c.Up, "has not started")
	case AwaitExit:
		c := w.find(s.Name)
		must(c != nil && c.State == Running, "not running")
		c.State, c.Finished = Exited, w.now
	case StopContainer:
		c := w.findID(s.ID)
		must(c != nil && c.State == Running, "not running")
		c.State, c.ExitCode, c.Finished = Exited, 143, w.now
		w.pair()
	case RenameContainer:
		c := w.findID(s.ID)
		must(c != nil, "no such container")
		must(w.find(s.Name) == nil, "the name is taken")
		c.Name = s.Name
		w.pair()
	case RemoveContainer:
		if s.Role == RoleJob || s.Role == RoleCron {
			must(w.removeObject(s.ID), "no such object")
			return
		}
		must(w.findID(s.ID) != nil, "no such container")
		w.remove(s.ID)
	case AwaitReady:
		w.Ready[s.Pod] = true
	case Drain:
		w.Ready[s.Pod] = false
	}
}

func (w *world) create(t *testing.T, d Desired, s Step, must func(bool, string)) {
	must(w.find(s.Name) == nil, "the name is taken")
	must(w.Network != "", "no network")
	c := Container{ID: w.id(), Name: s.Name, State: Created, Restarts: s.Restarts, Backoff: s.Backoff, Image: d.AgentImage}
	switch s.Role {
	case RoleGateway:
		w.Gateway = &c
	case RolePortal:
		for _, p := range d.State.Portals {
			if p.Service == s.Service {
				c.Hash = p.Hash
			}
		}
		w.Portals[s.Service] = &c
	case RoleInfra:
		p := d.State.Pod(s.Pod)
		c.Hash = p.Hash
		for _, m := range p.Mounts {
			must(w.Volumes[m.Volume], "no volume "+m.Volume)
		}
		if w.Pods[s.Pod] == nil {
			w.Pods[s.Pod] = &Pod{Name: s.Pod, Workload: p.Workload, Job: p.Job, Run: p.Run}
		}
		must(w.Pods[s.Pod].Infra == nil, "there is an infra container")
		w.Pods[s.Pod].Revision, w.Pods[s.Pod].Ordered = p.Revision, p.Ordered
		w.Pods[s.Pod].Infra = &c
	default:
		dc := d.State.Pod(s.Pod).Container(s.Container)
		for _, m := range dc.Mounts {
			must(w.Volumes[m.Volume], "no volume "+m.Volume)
		}
		from := cmp.Or(s.Base, dc.Image)
		must(w.Images[from] != "", "no image "+from)
		must(w.Pods[s.Pod].Infra.running(), "the pod has no address that it could be told, and no agent that makes the places of copies")
		o := w.Pods[s.Pod]
		must(o != nil && o.Infra != nil, "no infra container to join")
		c.Key, c.Init, c.Hash, c.Image, c.ImageID, c.Infra = s.Container, s.Role == RoleInit, dc.Hash, from, w.Images[from], o.Infra.ID
		c.Program = s.Slot
		c.Sidecar = s.Role == RoleSidecar
		o.Members = append(o.Members, c)
		w.pair()
	}
}

// pair sorts the instances of all containers anew, as a look at the engine does.
func (w *world) pair() {
	for _, p := range w.Pods {
		var flat []Container
		for _, m := range p.Members {
			for _, other := range []*Container{m.Previous, m.Next} {
				if other != nil {
					flat = append(flat, *other)
				}
			}
			m.Previous, m.Next = nil, nil
			flat = append(flat, m)
		}
		p.Members = pair(flat)
	}
}

func (w *world) each(f func(*Container) bool) *Container {
	for _, p := range w.Portals {
		if f(p) {
			return p
		}
	}
	if w.Gateway != nil && f(w.Gateway) {
		return w.Gateway
	}
	for _, p := range w.Pods {
		if p.Infra != nil && f(p.Infra) {
			return p.Infra
		}
		for i := range p.Members {
			if f(&p.Members[i]) {
				return &p.Members[i]
			}
			for _, other := range []*Container{p.Members[i].Previous, p.Members[i].Next} {
				if other != nil && f(other) {
					return other
				}
			}
		}
	}
	return nil
}

func (w *world) find(name string) *Container {
	return w.each(func(c *Container) bool { return c.Name == name })
}

func (w *world) findID(id string) *Container {
	return w.each(func(c *Container) bool { return c.ID == id })
}

func (w *world) remove(id string) {
	maps.DeleteFunc(w.Portals, func(_ string, c *Container) bool { return c.ID == id })
	if w.Gateway != nil && w.Gateway.ID == id {
		w.Gateway = nil
	}
	for name, p := range w.Pods {
		if p.Infra != nil && p.Infra.ID == id {
			p.Infra = nil
		}
		p.Members = slices.DeleteFunc(p.Members, func(c Container) bool { return c.ID == id && c.Previous == nil && c.Next == nil })
		for i := range p.Members {
			m := &p.Members[i]
			switch {
			case m.Previous != nil && m.Previous.ID == id:
				m.Previous = nil
			case m.Next != nil && m.Next.ID == id:
				m.Next = nil
			case m.ID == id && m.Next != nil:
				*m = *m.Next
			case m.ID == id:
				*m = *m.Previous
			}
		}
		if p.Infra == nil && len(p.Members) == 0 {
			delete(w.Pods, name)
		}
	}
}

// settle compares and applies until nothing is left to do, and returns the
// plans. Waits are not waited for.
func (w *world) settle(t *testing.T, d Desired) []Plan {
	t.Helper()
	var plans []Plan
	for range 10 {
		p := Diff(d, w.Observed, w.now)
		checkOrder(t, p)
		if p.Empty() {
			return plans
		}
		plans = append(plans, p)
		w.carryOut(t, d, p)
	}
	t.Fatalf("does not settle; the last plan:\n%s", plans[len(plans)-1])
	return nil
}

// carryOut applies all steps of a plan.
func (w *world) carryOut(t *testing.T, d Desired, p Plan) {
	t.Helper()
	do := w.doer(t, d, p)
	for _, s := range p.Steps {
		do(s)
	}
}

// doer applies steps of a plan.
func (w *world) doer(t *testing.T, d Desired, p Plan) func(Step) {
	full := d
	full.State = WithJobs(p.State, &w.Observed, p)
	w.earlier = p.Earlier
	return func(s Step) {
		if s.Op == WriteRecord {
			w.apply(t, d, s)
			return
		}
		w.apply(t, full, s)
	}
}

// checkOrder holds every plan to the one rule of its form: a step comes after
// steps before it in the list, so the graph has no cycle.
func checkOrder(t *testing.T, p Plan) {
	t.Helper()
	for i, s := range p.Steps {
		for _, a := range slices.Concat(s.After, s.Behind) {
			if a < 0 || a >= i {
				t.Fatalf("step %d comes after step %d:\n%s", i+1, a+1, p)
			}
		}
	}
}

// names lists what runs, with identity: a container that is replaced has
// another ID.
func (w *world) running() map[string]string {
	out := map[string]string{}
	w.each(func(c *Container) bool {
		if c.State == Running {
			out[c.Name] = c.ID
		}
		return false
	})
	return out
}

// shopState is an app with most of what there is: replicas, an init container,
// a sidecar, every kind of volume, a dependency and a published service.
func shopState(change ...func(*docker.State)) Desired {
	s := &docker.State{App: "shop", Namespace: "default"}
	db := docker.Pod{Name: "db-0", Workload: "db", EngineName: "shop_db-0", Hostname: "db-0", GracePeriod: 30, Hash: "p-db",
		Containers: []docker.Container{{Name: "postgres", EngineName: "shop_db-0_postgres", Image: "postgres:1", Hash: "c-pg",
			Mounts: []docker.Mount{{Volume: "shop_data", Path: "/data"}}}}}
	s.Volumes = append(s.Volumes, docker.Volume{Name: "shop_data", Kind: docker.Claim, Claim: "data"})
	s.Pods = append(s.Pods, db)
	for i := range 2 {
		name := fmt.Sprintf("web-%d", i)
		vol := "shop_" + name + "_tmp"
		s.Volumes = append(s.Volumes, docker.Volume{Name: vol, Kind: docker.EmptyDir, Pod: name})
		s.Pods = append(s.Pods, docker.Pod{Name: name, Workload: "web", Ordinal: i, EngineName: "shop_" + name, Hostname: name, GracePeriod: 30, Hash: "p-web",
			Mounts:    []docker.Mount{{Volume: vol, Path: "/volumes/tmp"}},
			Init:      []docker.Container{{Name: "migrate", EngineName: "shop_" + name + "_migrate", Image: "web:1", Hash: "c-migrate"}},
			DependsOn: []docker.Dependency{{Service: "db", Condition: "ready"}},
			Containers: []docker.Container{
				{Name: "app", EngineName: "shop_" + name + "_app", Image: "web:1", Hash: "c-app", Mounts: []docker.Mount{{Volume: vol, Path: "/tmp"}}},
				{Name: "log", EngineName: "shop_" + name + "_log", Image: "log:1", Hash: "c-log"},
			}})
	}
	s.Services = []docker.Service{
		{Name: "db", Pods: []string{"db-0"}, Ports: []docker.ServicePort{{Name: "pg", Port: 5432, Protocol: "TCP", Targets: map[string]int{"db-0": 5432}}}},
		{Name: "web", Pods: []string{"web-0", "web-1"}, Ports: []docker.ServicePort{{Name: "http", Port: 80, Protocol: "TCP", Targets: map[string]int{"web-0": 8080, "web-1": 8080}}}},
	}
	s.Portals = []docker.Portal{{Service: "web", EngineName: "shop_portal_web", Hash: "portal", Ports: []docker.PortalPort{{Name: "http", HostPort: 30080, Port: 80, Protocol: "TCP"}}}}
	for _, f := range change {
		f(s)
	}
	return Desired{State: s, AgentImage: agentImage}
}

// running returns a world in which the shop runs.
func runningShop(t *testing.T) *world {
	w := newWorld("postgres:1", "web:1", "log:1")
	w.settle(t, shopState())
	for name := range w.Pods {
		w.Ready[name] = true
	}
	return w
}

// changedContainers says what is different between two looks at what runs.
func changedContainers(before, after map[string]string) string {
	var out []string
	for name, id := range after {
		switch old, had := before[name]; {
		case !had:
			out = append(out, "+"+name)
		case old != id:
			out = append(out, "~"+name)
		}
	}
	for name := range before {
		if _, has := after[name]; !has {
			out = append(out, "-"+name)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
