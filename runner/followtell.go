package runner

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// What people are told of files that are followed.

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
		r.report(EventFixed, a.object, "%s", cmp.Or(did, "files are copied again"))
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

// count is so many of something.
func count(n int, noun string) string { return fmt.Sprintf("%d %s", n, plural(noun, n)) }

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
