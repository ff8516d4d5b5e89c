package reconcile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/targets/docker"
)

// controllers decide which replicas there are to be now, and of which revision
// of their template, as the controllers of Kubernetes do. It follows from what
// is there: what a rollout comes to next is decided when what it waits for has
// come, by whoever supervises then.
type controllers struct {
	desired  Desired
	observed *Observed
	now      time.Time

	pods    []Instance        // there are to be now
	replace map[string]string // of those: to be made anew though they live, and why
	causes  map[string]string // why a replica is removed, or made beyond the wanted ones
	unknown map[string]bool   // stay as they are: of a revision that the record does not know
	earlier []Instance        // what replicas of earlier revisions were made from
	former  []Instance        // what containers were made from that are still to be replaced in place
	waits   []Wait

	// Looked up for every replica.
	instances map[string]*Instance     // of the definition, those of a surge included, by name
	wanted    map[string][]*docker.Pod // by workload
	seen      map[string][]*Pod        // by workload, without those of jobs
}

func newControllers(d Desired, o *Observed) *controllers {
	c := &controllers{
		desired: d, observed: o, replace: map[string]string{}, causes: map[string]string{}, unknown: map[string]bool{},
		instances: instancesOf(d.State), wanted: map[string][]*docker.Pod{}, seen: map[string][]*Pod{},
	}
	for i := range d.State.Pods {
		p := &d.State.Pods[i]
		c.wanted[p.Workload] = append(c.wanted[p.Workload], p)
	}
	for _, p := range o.Pods {
		if p.Job == "" {
			c.seen[p.Workload] = append(c.seen[p.Workload], p)
		}
	}
	return c
}

// replica is one pod of a workload, there or not.
type replica struct {
	name      string
	ordinal   int
	want      *Instance // by the definition; nil for one beyond the wanted and those of a surge
	surplus   bool      // beyond the wanted
	seen      *Pod      // nil: it is not there
	live      bool      // it is there, and not dead
	old       bool      // of an earlier revision
	held      *Instance // what it stays, though the definition is another
	available bool      // ready for long enough
}

// control decides about all workloads. It returns the state as it is to be now.
func (c *controllers) control(now time.Time) *docker.State {
	c.now = now
	s := c.desired.State
	controlled := map[string]bool{}
	for i := range s.Workloads {
		w := &s.Workloads[i]
		controlled[w.Name] = true
		c.workload(w)
	}
	out := *s
	out.Pods, out.Volumes = nil, slices.DeleteFunc(slices.Clone(s.Volumes), func(v docker.Volume) bool {
		i := c.instances[v.Pod]
		return i != nil && controlled[i.Pod.Workload]
	})
	for i := range s.Pods {
		if p := &s.Pods[i]; !controlled[p.Workload] {
			out.Pods = append(out.Pods, *p)
		}
	}
	for _, i := range c.pods {
		out.Pods = append(out.Pods, i.Pod)
		out.Volumes = append(out.Volumes, i.Volumes...)
	}
	return &out
}

func (c *controllers) workload(w *docker.Workload) {
	all := c.replicas(w)
	c.settling(w, all)
	if !c.desired.Strict {
		c.inPlace(w, all)
		return
	}
	for i := range all {
		c.remember(&all[i])
	}
	switch {
	case w.Paused, w.Strategy == docker.OnDelete:
		c.fill(w, all)
	case w.Strategy == docker.Recreate:
		c.recreate(w, all)
	case w.Kind == docker.StatefulSet:
		c.oneByOne(w, all)
	default:
		c.roll(w, all)
	}
	c.tell(w, all)
}

// replicas are the wanted ones and those that are there, by number.
func (c *controllers) replicas(w *docker.Workload) []replica {
	var out []replica
	known := map[string]bool{}
	for _, p := range c.wanted[w.Name] {
		known[p.Name] = true
		out = append(out, replica{name: p.Name, ordinal: p.Ordinal, want: c.instances[p.Name], seen: c.observed.Pods[p.Name]})
	}
	for _, p := range c.seen[w.Name] {
		if !known[p.Name] {
			out = append(out, replica{name: p.Name, ordinal: serial(p.Name), want: c.instances[p.Name], seen: p, surplus: true})
		}
	}
	slices.SortFunc(out, func(x, y replica) int {
		return cmp.Or(cmp.Compare(x.ordinal, y.ordinal), strings.Compare(x.name, y.name))
	})
	for i := range out {
		r := &out[i]
		r.live = r.seen != nil && r.seen.Infra != nil && r.seen.Infra.State != Exited && c.observed.Network != ""
		r.old = r.live && c.outdated(w, r)
		r.held = c.held(w, r)
		r.available = r.live && c.observed.Available(r.name, w.MinReady, c.now)
	}
	return out
}

// Available reports whether a pod has been ready for that many seconds.
func (o *Observed) Available(pod string, minReady int, now time.Time) bool {
	return o.Ready[pod] && (minReady == 0 || !o.Since[pod].IsZero() && !now.Before(o.Since[pod].Add(time.Duration(minReady)*time.Second)))
}

// outdated reports whether a rollout has to replace a pod: it is of another
// revision, or from another version of cuepod, or of an image that was built
// anew under the same name.
func (c *controllers) outdated(w *docker.Workload, r *replica) bool {
	if r.seen.Revision != w.Revision || r.seen.Infra.Image != c.desired.AgentImage {
		return true
	}
	return slices.ContainsFunc(r.seen.Members, func(m Container) bool {
		id := c.observed.Images[m.Image]
		return !m.Init && m.Infra == r.seen.Infra.ID && id != "" && m.ImageID != "" && id != m.ImageID
	})
}

// held is what a replica stays though its template is another now, or nil.
func (c *controllers) held(w *docker.Workload, r *replica) *Instance {
	if r.surplus {
		return nil
	}
	switch {
	case w.Paused:
	case w.Strategy == docker.OnDelete && r.live:
	case w.Kind == docker.StatefulSet && w.Strategy == docker.RollingUpdate && r.ordinal < w.Start+w.Partition:
	default:
		return nil
	}
	last := c.observed.Record.last(r.name)
	if r.seen != nil {
		if made := c.observed.Record.made(r.name, r.seen.Revision); made != nil {
			last = made
		}
	}
	if last == nil || last.Pod.Revision == w.Revision {
		return nil
	}
	return last
}

// current is what a pod that is there was made from; nil when it is as the
// definition says, or nobody knows.
func (c *controllers) current(w *docker.Workload, want *Instance, p *Pod) *Instance {
	r := replica{name: p.Name, ordinal: serial(p.Name), want: want, seen: p, live: true, surplus: c.desired.State.Pod(p.Name) == nil}
	if held := c.held(w, &r); held != nil {
		return held
	}
	if !c.desired.Strict {
		return halfway(want, c.observed.Record.former(want, p), p)
	}
	if want != nil && p.Revision == want.Pod.Revision {
		return nil
	}
	return c.observed.Record.made(p.Name, p.Revision)
}

// own is what a pod of an earlier revision was made from, or nil.
func (c *controllers) own(p *Pod) *docker.Pod {
	for i := range c.earlier {
		if e := &c.earlier[i].Pod; e.Name == p.Name && e.Revision == p.Revision {
			return e
		}
	}
	if made := c.observed.Record.made(p.Name, p.Revision); made != nil && c.desired.Strict && p.Job == "" {
		return &made.Pod
	}
	return nil
}

// remember keeps what a replica of an earlier revision was made from.
func (c *controllers) remember(r *replica) {
	switch {
	case r.held != nil:
		c.earlier = append(c.earlier, *r.held)
	case r.seen != nil && (r.want == nil || r.seen.Revision != r.want.Pod.Revision):
		if made := c.observed.Record.made(r.name, r.seen.Revision); made != nil {
			c.earlier = append(c.earlier, *made)
		}
	}
}

// inPlace wants every replica as it is defined, but those that are held back:
// what replaces containers within living pods takes care of the order.
func (c *controllers) inPlace(w *docker.Workload, all []replica) {
	for i := range all {
		r := &all[i]
		switch {
		case r.surplus:
		case r.held != nil:
			c.earlier = append(c.earlier, *r.held)
			c.keepHeld(w, r)
		case r.seen == nil && w.Paused && !c.rolledOut(w, all):
			c.later("pod "+r.name, "its "+string(w.Kind)+" is paused")
		default:
			c.pods = append(c.pods, *r.want)
			if former := c.observed.Record.former(r.want, r.seen); former != nil {
				c.former = append(c.former, *former)
			}
		}
	}
}

// rolledOut reports whether a replica of the latest revision is there.
func (c *controllers) rolledOut(w *docker.Workload, all []replica) bool {
	return slices.ContainsFunc(all, func(r replica) bool { return r.live && r.seen.Revision == w.Revision })
}

func (c *controllers) keepHeld(w *docker.Workload, r *replica) {
	c.pods = append(c.pods, *r.held)
	why := fmt.Sprintf("it is below the partition, %d", w.Partition)
	switch {
	case w.Paused:
		why = "its " + string(w.Kind) + " is paused"
	case w.Strategy == docker.OnDelete:
		why = "its updateStrategy is OnDelete"
	}
	c.later("pod "+r.name, "it stays as it is: "+why)
}

// later is a wait that keeps nobody from calling the app ready.
func (c *controllers) later(object, reason string) {
	c.waits = append(c.waits, Wait{Object: object, Reason: reason, Aside: true})
}

// keep leaves a replica that is there as it is.
func (c *controllers) keep(w *docker.Workload, r *replica) {
	switch made := c.made(r); {
	case r.held != nil:
		c.keepHeld(w, r)
	case made != nil:
		c.pods = append(c.pods, *made)
	default: // it is not touched as long as it lives
		c.unknown[r.name] = true
		if r.want != nil {
			c.pods = append(c.pods, *r.want)
		}
	}
}

func (c *controllers) made(r *replica) *Instance {
	if r.want != nil && r.seen.Revision == r.want.Pod.Revision {
		return r.want
	}
	return c.observed.Record.made(r.name, r.seen.Revision)
}

// bring wants a replica as it is defined, in place of one that is there of an
// earlier revision.
func (c *controllers) bring(r *replica) {
	c.pods = append(c.pods, *r.want)
	if r.old {
		c.replace[r.name] = c.why(r)
	}
}

// drop removes a replica.
func (c *controllers) drop(r *replica, cause string) { c.causes[r.name] = cause }

// why says what of the template changed since a replica was made.
func (c *controllers) why(r *replica) string {
	switch {
	case r.want == nil:
		return "its template changed"
	case r.seen.Revision != r.want.Pod.Revision:
		if made := c.observed.Record.made(r.name, r.seen.Revision); made != nil {
			return change(&made.Pod, &r.want.Pod)
		}
		return "its template changed"
	case r.seen.Infra.Image != c.desired.AgentImage:
		return "it is from another version of cuepod"
	}
	return "an image of it was rebuilt"
}

// fill makes what is missing and leaves the rest: nothing replaces a pod.
func (c *controllers) fill(w *docker.Workload, all []replica) {
	for i := range all {
		r := &all[i]
		switch {
		case r.surplus:
		case r.held != nil:
			c.keepHeld(w, r)
		case r.live:
			c.keep(w, r)
		case w.Paused && !c.rolledOut(w, all):
			c.later("pod "+r.name, "its "+string(w.Kind)+" is paused")
		default:
			c.bring(r)
		}
	}
}

// recreate makes new replicas when no old one is left.
func (c *controllers) recreate(w *docker.Workload, all []replica) {
	left := slices.ContainsFunc(all, func(r replica) bool { return r.old })
	for i := range all {
		r := &all[i]
		switch {
		case r.old:
			c.drop(r, c.why(r))
		case r.surplus:
		case r.live || !left:
			c.bring(r)
		}
	}
}

// oneByOne replaces the replicas of a set from the last to the first, as many
// at a time as may be away. One that is away already is replaced at once. Those
// beyond the wanted ones go first. Source: pkg/controller/statefulset/stateful_set_control.go.
func (c *controllers) oneByOne(w *docker.Workload, all []replica) {
	budget := w.MaxUnavailable
	for i := range all {
		if r := &all[i]; !r.surplus && !r.available {
			budget--
		}
	}
	shrinks := slices.ContainsFunc(all, func(r replica) bool { return r.surplus })
	stay := map[string]bool{}
	for i := range slices.Backward(all) {
		if r := &all[i]; r.old && r.held == nil && !r.surplus && (r.available || shrinks) {
			stay[r.name] = budget <= 0 || shrinks
			budget--
		}
	}
	for i := range all {
		r := &all[i]
		switch {
		case r.surplus:
		case r.held != nil:
			c.keepHeld(w, r)
		case stay[r.name]:
			c.keep(w, r)
		case r.live || !shrinks:
			c.bring(r)
		}
	}
}

// stays reports whether a pod does not follow the definition live: it is of an
// earlier revision.
func (c *controllers) stays(pod string) bool {
	return c.replace[pod] != "" || slices.ContainsFunc(c.earlier, func(i Instance) bool { return i.Pod.Name == pod })
}

// settling waits for pods that are ready and not yet for long enough.
func (c *controllers) settling(w *docker.Workload, all []replica) {
	for i := range all {
		r := &all[i]
		if !r.live || r.available || !c.observed.Ready[r.name] {
			continue
		}
		since := c.observed.Since[r.name]
		if since.IsZero() {
			since = c.now
		}
		c.waits = append(c.waits, Wait{
			Object: "pod " + r.name, Reason: fmt.Sprintf("it is ready, and available after %d s of it", w.MinReady),
			Until: since.Add(time.Duration(w.MinReady) * time.Second),
		})
	}
}

// tell says how far a rollout is.
func (c *controllers) tell(w *docker.Workload, all []replica) {
	updated, available, wanted := 0, 0, 0
	for i := range all {
		r := &all[i]
		if r.surplus || r.held != nil {
			continue
		}
		wanted++
		if r.live && !r.old {
			updated++
		}
		if r.live && !r.old && r.available {
			available++
		}
	}
	surplus := slices.ContainsFunc(all, func(r replica) bool { return r.surplus })
	if available < wanted || surplus {
		c.waits = append(c.waits, Wait{
			Object: strings.ToLower(string(w.Kind)) + " " + w.Name,
			Reason: fmt.Sprintf("%d of %d replicas are up to date, %d available", updated, wanted, available),
		})
	}
}

// Moves are the pods that the controllers want changed now, by name. A plan
// that does not know one of them is out of date.
func Moves(d Desired, o *Observed, now time.Time) map[string]bool {
	out := map[string]bool{}
	if !d.Strict {
		return out
	}
	c := newControllers(d, o)
	s := c.control(now)
	for i := range s.Pods {
		if name := s.Pods[i].Name; o.Pods[name] == nil {
			out[name] = true
		}
	}
	for name := range maps.Keys(c.replace) {
		out[name] = true
	}
	for name, p := range o.Pods {
		if p.Job == "" && s.Pod(name) == nil && !c.unknown[name] {
			out[name] = true
		}
	}
	return out
}
