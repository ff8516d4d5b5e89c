package runner

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/engine"
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
			case _, ok := <-changes:
				if !ok || r.call(ctx, func() { r.filesChanged(ctx, key) }) != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
}

// filesChanged follows a change, or tells that it waits.
func (r *supervisor) filesChanged(ctx context.Context, key string) {
	if f := r.loop.followers[key]; f != nil {
		f.failures, f.waits = 0, false
		r.follow(ctx, f)
	}
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
// way: then it does so once more.
func (r *supervisor) follow(ctx context.Context, f *devFollower) {
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

// devDone is what became of an action.
type devDone struct {
	put, removed int
	copying      time.Duration
	verb         string // what followed, for people: "restarted"; "" for nothing
	acting       time.Duration
	waits        bool // a change waits for somebody to ask
	problems     []string
	again        bool // it is worth another try by itself
}

// doAction carries an action out in every pod. It is the part that may take long.
func (r *supervisor) doAction(ctx context.Context, a *devAction) devDone {
	var done devDone
	var due []devTarget
	digests := map[string]string{} // by container
	for _, t := range a.targets {
		how := bringHow{acted: a.dev.OnChange == docker.NoAction, look: a.dev.Trigger == docker.Manual && !a.asked}
		got, err := r.copies.bring(ctx, t.copied, how)
		if err != nil {
			done.fail(a, t, err)
			continue
		}
		for _, text := range got.errors {
			done.problem(a, t, text)
		}
		done.put, done.removed = max(done.put, got.put), max(done.removed, got.removed)
		if acted := r.actedOn(t.container, got.acted); how.look {
			done.waits = done.waits || got.changed() || acted != "" && acted != got.digest
		} else if a.dev.OnChange == docker.NoAction && t.running {
			r.note(t.container, got.digest)
		} else if acted != got.digest && (acted != "" || len(t.c.Synced()) > 0) || got.changed() {
			due = append(due, t)
			digests[t.container] = got.digest
		} else if acted == "" {
			r.note(t.container, got.digest)
		}
	}
	done.copying = time.Since(a.began)
	if len(due) > 0 {
		began := time.Now()
		r.react(ctx, a, due, digests, &done)
		done.acting = time.Since(began)
	}
	return done
}

func (d *devDone) problem(a *devAction, t devTarget, text string) {
	if len(a.targets) > 1 {
		text = t.pod + ": " + text
	}
	if !slices.Contains(d.problems, text) {
		d.problems = append(d.problems, text)
	}
}

func (d *devDone) fail(a *devAction, t devTarget, err error) {
	d.problem(a, t, "files cannot be copied: "+err.Error())
	d.again = true
}

// react does what follows a change, in the containers that have not acted on it.
// One that does not run is started anew whatever follows: the change may be what
// it needs.
func (r *supervisor) react(ctx context.Context, a *devAction, due []devTarget, digests map[string]string, done *devDone) {
	var restart []devTarget
	for _, t := range due {
		var err error
		switch {
		case !t.running || a.dev.OnChange == docker.Restart:
			restart = append(restart, t)
			continue
		case a.dev.OnChange == docker.ExecIn:
			done.verb, err = "ran "+a.dev.Exec[0], r.runIn(ctx, t, a.dev.Exec)
		case a.dev.OnChange == docker.Signal:
			done.verb, err = "sent "+a.dev.Signal, r.cfg.Engine.SignalContainer(ctx, t.container, a.dev.Signal)
		}
		if err == nil {
			err = r.markActed(ctx, t, digests[t.container])
		}
		if err != nil {
			done.verb = ""
			done.problem(a, t, err.Error())
			var own *commandError
			done.again = done.again || !errors.As(err, &own)
		}
	}
	if len(restart) > 0 {
		r.restartAll(ctx, a, restart, done)
	}
}

// actedOn is the digest on which a container acted last, as far as is known.
func (r *supervisor) actedOn(container, written string) string {
	if written != "" {
		return written
	}
	r.notes.Lock()
	defer r.notes.Unlock()
	return r.noted[container]
}

// note remembers what a container has acted on that has no copy to write it beside.
func (r *supervisor) note(container, digest string) {
	r.notes.Lock()
	defer r.notes.Unlock()
	if r.noted == nil {
		r.noted = map[string]string{}
	}
	r.noted[container] = digest
}

func (r *supervisor) forgetNote(container string) {
	r.notes.Lock()
	defer r.notes.Unlock()
	delete(r.noted, container)
}

func (r *supervisor) markActed(ctx context.Context, t devTarget, digest string) error {
	r.note(t.container, digest)
	return r.copies.acted(ctx, t.copied, digest)
}

// commandError is a command of the user's that failed.
type commandError struct {
	command string
	code    int
	output  string
}

func (e *commandError) Error() string {
	text := fmt.Sprintf("%s failed with code %d", e.command, e.code)
	if e.output != "" {
		text += "\n    " + strings.ReplaceAll(e.output, "\n", "\n    ")
	}
	return text
}

// commandLimit is how long a command may take that follows a change. One that
// lasts longer is no step on the way to something.
const commandLimit = 10 * time.Minute

// runIn runs a command in a container, as its user.
func (r *supervisor) runIn(ctx context.Context, t devTarget, command []string) error {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	out := &tail{}
	code, err := r.cfg.Engine.Exec(ctx, t.container, engine.ExecSpec{Cmd: command, Stdout: out, Stderr: out})
	if err == nil && code != 0 {
		err = &commandError{command[0], code, lastOf(out.String())}
	}
	return err
}

// restartAll has the next plan replace containers, in place, and waits until
// that is done.
func (r *supervisor) restartAll(ctx context.Context, a *devAction, list []devTarget, done *devDone) {
	ids := map[string]bool{}
	err := r.call(ctx, func() {
		for _, t := range list {
			ids[t.container] = true
			r.loop.again[t.container] = true
		}
		r.markAgain()
		r.loop.main.failures, r.loop.main.retryAt = 0, time.Time{}
		r.loop.main.drop() // it may wait for what this is the cure of
		r.lookSoon()
	})
	limited, cancel := context.WithTimeout(ctx, restartLimit)
	defer cancel()
	if err == nil {
		err = r.board.wait(limited, func(v view) (bool, error) { return restarted(v.seen, list, ids), nil })
	}
	switch {
	case err == nil:
		done.verb = "restarted"
	case ctx.Err() == nil:
		done.verb = "restart is under way" // what keeps it is told by whoever does it
	}
}

// restartLimit is how long a restart is waited for, to tell that it is done.
const restartLimit = 30 * time.Second

// restarted reports whether other instances run in place of some.
func restarted(seen *observation, list []devTarget, ids map[string]bool) bool {
	if seen == nil {
		return false
	}
	for _, t := range list {
		p := seen.Pods[t.pod]
		if p == nil {
			continue // it went
		}
		if m := p.Living(t.c.Name); m == nil || ids[m.ID] || m.Started.IsZero() {
			return false
		}
	}
	return true
}

// markAgain marks the containers that are to be started anew as their files
// changed.
func (r *supervisor) markAgain() {
	l := &r.loop
	if l.seen == nil {
		return
	}
	for id := range l.again {
		if l.seen.byID(id) == nil {
			delete(l.again, id)
		}
	}
	for _, p := range l.seen.Pods {
		for i := range p.Members {
			if m := &p.Members[i]; l.again[m.ID] {
				m.Again = reconcile.FilesChanged
			}
		}
	}
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

// tellFollowed is a line for an action that did something, and one for what is
// wrong, once, until it is right again.
func (r *supervisor) tellFollowed(a *devAction, d devDone) {
	f := a.follower
	problem := strings.Join(d.problems, "; ")
	did := d.words(len(a.targets))
	switch {
	case problem != "" && problem == f.told:
	case problem != "" && did != "":
		r.report(EventProblem, a.object, "%s, and %s", did, problem)
	case problem != "":
		r.report(EventProblem, a.object, "%s", problem)
	case f.told != "":
		r.report(EventFixed, a.object, "%s", orElse(did, "files are copied again"))
	case did != "":
		r.report(EventSync, a.object, "%s", did)
	}
	f.told = problem
	if d.waits && !f.waits {
		r.report(EventNotice, a.object, "%s; the key y or 'cuepod sync' has them follow", waiting(d))
	}
	f.waits = d.waits
}

func waiting(d devDone) string {
	if n := d.put + d.removed; n > 0 {
		return count(n, "changed file") + " waiting"
	}
	return "changed files are waiting"
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// words say what an action did, "" for nothing.
func (d *devDone) words(pods int) string {
	if d.waits {
		return ""
	}
	var out []string
	switch {
	case d.put > 0 && d.removed > 0:
		out = append(out, fmt.Sprintf("synced %s and removed %d in %s", count(d.put, "file"), d.removed, short(d.copying)))
	case d.put > 0:
		out = append(out, fmt.Sprintf("synced %s in %s", count(d.put, "file"), short(d.copying)))
	case d.removed > 0:
		out = append(out, fmt.Sprintf("removed %s in %s", count(d.removed, "file"), short(d.copying)))
	}
	if len(out) > 0 && pods > 1 {
		out[0] = strings.Replace(out[0], " in ", fmt.Sprintf(" in %d pods in ", pods), 1)
	}
	if d.verb != "" {
		verb := d.verb
		if d.verb == "restarted" || strings.HasPrefix(d.verb, "ran ") {
			verb += " in " + short(d.acting)
		}
		out = append(out, verb)
	}
	return strings.Join(out, ", ")
}

// short is a time as people read it.
func short(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// copiesMade takes what was copied to a container before its start. The app's
// first containers are told as started; later it is worth a word.
func (r *supervisor) copiesMade(s reconcile.Step, c *docker.Container, id string, got brought) {
	r.note(id, got.digest)
	f := r.loop.followers[workloadOf(r.loop.present, s.Pod)+"/"+c.Name]
	if f == nil {
		return
	}
	f.waits = false
	if problem := strings.Join(got.errors, "; "); problem != "" && problem != f.told {
		f.told = problem
		r.report(EventProblem, f.workload, "%s", problem)
	}
}

func workloadOf(s *docker.State, pod string) string {
	if p := s.Pod(pod); p != nil {
		return p.Workload
	}
	return ""
}

// tail keeps the end of what is written to it.
type tail struct{ text []byte }

const maxTail = 8 << 10 // bytes

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if len(t.text) > maxTail {
		t.text = slices.Clone(t.text[len(t.text)-maxTail:])
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.text) }
