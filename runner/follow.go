package runner

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/ignore"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/runner/watch"
	"github.com/cuepod/cuepod/targets/docker"
)

// follower of files: what follows when files change that a container's dev
// names. Each container of a workload has one, so that one that takes long or
// fails keeps no other waiting.
//
// Nothing is queued: that something is due follows from comparing what the module
// has with what the container has (copies), and with what it has acted on, which is
// written down beside the copy. So what failed stays due, and what happened while
// nobody looked is found.
type devFollower struct {
	key      string // "web/app": workload and container, and the name of its group of inputs
	workload string
	name     string // of the container

	busy  bool
	again bool // something changed while it was busy
	asked bool // by a person, whatever the trigger
	// failures in a row, after which it tries again by itself. What a command of the
	// user's says is no such failure: that follows the next change.
	failures int
	retry    *time.Timer
	told     string // what is wrong, as told last
	waits    bool   // told that a change waits for somebody to ask
}

// devAction is what a follower does in one go.
type devAction struct {
	follower *devFollower
	dev      *docker.Dev
	object   string // for people
	targets  []devTarget
	asked    bool
	began    time.Time
}

// devTarget is the container in one pod.
type devTarget struct {
	copied
	pod     string
	running bool
}

// watchDev gives the inputs of all followers, and makes and forgets followers as
// the definition says.
func (r *supervisor) watchDev() []watch.Group {
	l := &r.loop
	groups := FollowedInputs(r.id.Root, l.desired)
	wanted := map[string]bool{}
	for _, g := range groups {
		wanted[g.Name] = true
		if l.followers[g.Name] == nil {
			workload, name, _ := strings.Cut(g.Name, "/")
			l.followers[g.Name] = &devFollower{key: g.Name, workload: workload, name: name}
		}
	}
	for key, f := range l.followers {
		if !wanted[key] {
			f.stopRetry()
			delete(l.followers, key)
		}
	}
	return groups
}

// FollowedInputs are what containers' dev names: a group for each container of a
// workload, called after both, "web/app". root is the module's directory.
func FollowedInputs(root string, s *docker.State) []watch.Group {
	var groups []watch.Group
	seen := map[string]bool{}
	for i := range s.Pods {
		p := &s.Pods[i]
		for _, c := range p.Lasting() {
			if key := p.Workload + "/" + c.Name; c.Dev != nil && !seen[key] {
				seen[key] = true
				groups = append(groups, devInputs(root, key, c.Dev))
			}
		}
	}
	return groups
}

// devInputs are what a container's dev names.
func devInputs(root, key string, d *docker.Dev) watch.Group {
	matcher, _ := ignore.New(d.Ignore) // the compiler has checked it
	g := watch.Group{Name: key, Pace: watch.SyncPace()}
	add := func(name, why string) {
		g.Inputs = append(g.Inputs, watch.Input{Path: filepath.Join(root, filepath.FromSlash(name)), Kind: watch.Tree, Why: why + key, Ignore: matcher})
	}
	for _, s := range d.Sync {
		add(s.From, "copied into ")
	}
	for _, name := range d.Watch {
		add(name, "watched for ")
	}
	return g
}

func (f *devFollower) stopRetry() {
	if f.retry != nil {
		f.retry.Stop()
		f.retry = nil
	}
}

// setWatch watches what the state depends on and what containers' dev names.
func (r *supervisor) setWatch(ctx context.Context, w watcher, groups []watch.Group) {
	if w == nil {
		return
	}
	dev := r.watchDev()
	w.Set(slices.Concat(groups, dev))
	for _, g := range dev {
		if !r.loop.heeded[g.Name] {
			r.loop.heeded[g.Name] = true
			r.heed(ctx, w.Changes(g.Name), g.Name)
		}
	}
}

// heed hands changes of one follower's files to the loop.
func (r *supervisor) heed(ctx context.Context, changes <-chan watch.Change, key string) {
	go func() {
		for {
			select {
			case c, ok := <-changes:
				if !ok || r.call(ctx, func() { r.filesChanged(ctx, key, c.Paths) }) != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
}

// filesChanged follows a change, or tells that it waits.
func (r *supervisor) filesChanged(ctx context.Context, key string, paths []string) {
	f := r.loop.followers[key]
	if f == nil {
		return
	}
	f.failures, f.waits = 0, false
	if r.loop.paused {
		r.tellWaiting(paths)
	}
	r.follow(ctx, f)
}

// meetFollowed looks at containers that have started since the last look: what
// changed between what they got and their start is known only now. It is how a
// supervisor that comes new finds what changed while none was there.
func (r *supervisor) meetFollowed(ctx context.Context) {
	l := &r.loop
	if len(l.followers) == 0 {
		return
	}
	for id := range l.met {
		if l.seen.byID(id) == nil {
			delete(l.met, id)
			r.forgetNote(id)
		}
	}
	infras := map[string]bool{}
	for _, p := range l.seen.Pods {
		if p.Infra != nil && p.Infra.State == reconcile.Running {
			infras[p.Infra.ID] = true
		}
		for i := range p.Members {
			m := &p.Members[i]
			f := l.followers[p.Workload+"/"+m.Key]
			if f != nil && !l.met[m.ID] && !m.Started.IsZero() {
				l.met[m.ID] = true
				r.follow(ctx, f)
			}
		}
	}
	r.copies.forget(func(infra string) bool { return !infras[infra] })
}

// followAll looks whether there is something to follow anywhere.
func (r *supervisor) followAll(ctx context.Context) {
	for _, f := range r.loop.followers {
		r.follow(ctx, f)
	}
}

// askAll follows what changed, whatever the triggers say.
func (r *supervisor) askAll(ctx context.Context) {
	for _, f := range r.loop.followers {
		f.asked, f.waits = true, false
		r.follow(ctx, f)
	}
}

// follow brings the copies up to date and does what follows, unless that is under
// way: then it does so once more. While somebody has it paused only who is asked
// follows; see goOn.
func (r *supervisor) follow(ctx context.Context, f *devFollower) {
	if r.loop.paused && !f.asked {
		return
	}
	if f.busy {
		f.again = true
		return
	}
	f.stopRetry()
	a := r.devAction(f)
	if a == nil {
		return // no container is there: it has what there is when it starts
	}
	f.busy, f.again, f.asked = true, false, false // asked is in a
	r.following.Go(func() {
		done := r.doAction(ctx, a)
		_ = r.call(ctx, func() { r.followed(ctx, a, done) })
	})
}

// devAction is what there is to do; nil for nothing.
func (r *supervisor) devAction(f *devFollower) *devAction {
	l := &r.loop
	if l.seen == nil {
		return nil
	}
	a := &devAction{follower: f, object: f.workload, asked: f.asked, began: time.Now()}
	for i := range l.desired.Pods {
		p := &l.desired.Pods[i]
		c := p.Container(f.name)
		if p.Workload != f.workload || c == nil || c.Dev == nil {
			continue
		}
		a.dev = c.Dev
		if n := followed(p); n > 1 {
			a.object = f.key
		}
		seen := l.seen.Pods[p.Name]
		if seen == nil || seen.Infra == nil || seen.Infra.State != reconcile.Running {
			continue
		}
		m := seen.Living(f.name)
		if m == nil || m.Infra != seen.Infra.ID || m.ImageID == "" || m.Waiting != "" || m.Hash != c.Hash || m.State == reconcile.Created {
			continue // the next one has what there is when it starts
		}
		a.targets = append(a.targets, devTarget{
			copied: copied{c: c, infra: seen.Infra.ID, container: m.ID, image: m.ImageID}, pod: p.Name, running: m.State == reconcile.Running,
		})
	}
	if a.dev == nil || len(a.targets) == 0 || a.dev.Trigger == docker.Paused && !a.asked {
		return nil
	}
	return a
}

// followed is how many containers of a pod have a follower.
func followed(p *docker.Pod) (n int) {
	for _, c := range p.Lasting() {
		if c.Dev != nil {
			n++
		}
	}
	return n
}

// followed takes the end of an action: it tells what there is to tell, and goes
// on with what is due.
func (r *supervisor) followed(ctx context.Context, a *devAction, d devDone) {
	f := a.follower
	f.busy = false
	if r.loop.followers[f.key] != f {
		return // it is not defined any more
	}
	r.tellFollowed(a, d)
	switch {
	case f.again || f.asked:
		r.follow(ctx, f)
	case d.again:
		f.failures++
		delay := min(retryFirst<<min(f.failures-1, 5), retryMax)
		f.retry = time.AfterFunc(delay, func() { _ = r.call(ctx, func() { r.follow(ctx, f) }) })
	default:
		f.failures = 0
	}
}

func workloadOf(s *docker.State, pod string) string {
	if p := s.Pod(pod); p != nil {
		return p.Workload
	}
	return ""
}
