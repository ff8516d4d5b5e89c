package reconcile

import (
	"fmt"
	"time"
)

// Progress is how far a workload is on its way to what it should be.
type Progress struct {
	Workload string
	Complete bool
	Last     time.Time // when something came on: a pod was made or got available
	Why      string    // what is missing
}

// Progressing tells how far all workloads are that have a deadline for it.
// Source: pkg/controller/deployment/progress.go.
func Progressing(d Desired, o *Observed, now time.Time) []Progress {
	var out []Progress
	c := newControllers(d, o)
	c.now = now
	for i := range d.State.Workloads {
		w := &d.State.Workloads[i]
		if w.ProgressDeadline == 0 || w.Paused {
			continue
		}
		p := Progress{Workload: w.Name}
		wanted, done, surplus := 0, 0, 0
		for _, r := range c.replicas(w) {
			if r.surplus {
				surplus++
				continue
			}
			wanted++
			current := r.live && !r.old
			if !d.Strict {
				current = r.live && !Outdated(&r.want.Pod, r.seen)
			}
			if current && r.available {
				done++
			}
			if current {
				p.came(r.seen.Infra.Started)
				p.came(o.Since[r.name])
				for n := range r.seen.Members {
					if m := &r.seen.Members[n]; m.Restarts == 0 {
						p.came(m.Started)
					}
				}
			}
		}
		p.Complete = done == wanted && surplus == 0
		p.Why = fmt.Sprintf("%d of %d replicas are up to date and available", done, wanted)
		out = append(out, p)
	}
	return out
}

func (p *Progress) came(at time.Time) {
	if at.After(p.Last) {
		p.Last = at
	}
}
