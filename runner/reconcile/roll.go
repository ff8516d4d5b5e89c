package reconcile

import (
	"fmt"
	"slices"

	"github.com/cuepod/cuepod/targets/docker"
)

// roll is a step of a rolling update: pods of the new revision are made as far
// as maxSurge lets them, and pods of earlier ones go as far as enough are
// available without them. Source: pkg/controller/deployment/rolling.go.
//
// Names stay: a replica that goes is made anew under its name. Those of a surge
// have the next free numbers and serve until all others are replaced.
type roll struct {
	*controllers
	w   *docker.Workload
	all []replica

	total     int // pods that live
	spare     int // available pods beyond those that there have to be
	unhealthy int // pods of earlier revisions that may go though they are not available
	going     map[string]bool
}

func (c *controllers) roll(w *docker.Workload, all []replica) {
	r := roll{controllers: c, w: w, all: all, going: map[string]bool{}}
	r.count()
	r.retire()
	r.retireSurge()
	r.fill()
}

func (r *roll) count() {
	least := r.w.Replicas - r.w.MaxUnavailable
	available, coming := 0, 0
	for i := range r.all {
		p := &r.all[i]
		if !p.live {
			continue
		}
		r.total++
		switch {
		case p.available:
			available++
		case !p.old:
			coming++
		}
	}
	r.spare = available - least
	r.unhealthy = r.total - least - coming
}

// retire lets pods of earlier revisions go: first those that do not serve, then
// those beyond the replicas, then by number.
func (r *roll) retire() {
	var old []*replica
	for i := range r.all {
		if p := &r.all[i]; p.old {
			old = append(old, p)
		}
	}
	slices.SortStableFunc(old, func(x, y *replica) int {
		rank := func(p *replica) int {
			switch {
			case !p.available:
				return 0
			case p.surplus:
				return 1
			}
			return 2
		}
		return rank(x) - rank(y)
	})
	for _, p := range old {
		if p.available {
			r.take(p, &r.spare)
		} else {
			r.take(p, &r.unhealthy)
		}
	}
}

func (r *roll) take(p *replica, budget *int) {
	if *budget <= 0 {
		return
	}
	*budget--
	r.going[p.name] = true
}

// retireSurge lets pods beyond the replicas go that no pod to be replaced needs
// any more, the last one first.
func (r *roll) retireSurge() {
	needed := min(r.w.MaxSurge, r.pending())
	var surge []*replica
	for i := range r.all {
		if p := &r.all[i]; p.surplus && p.live && !p.old {
			surge = append(surge, p)
		}
	}
	for len(surge) > needed {
		p := surge[len(surge)-1]
		surge = surge[:len(surge)-1]
		if !p.available {
			r.going[p.name] = true
			continue
		}
		r.take(p, &r.spare)
	}
}

// pending is how many of the wanted replicas still have to be replaced.
func (r *roll) pending() int {
	n := 0
	for i := range r.all {
		if p := &r.all[i]; p.old && !p.surplus && !r.going[p.name] {
			n++
		}
	}
	return n
}

// fill makes what goes anew, where it is wanted, and what is missing, as far as
// there is room. What a pod that is removed leaves is room for the next step
// alone: steps of one plan have no order between pods.
func (r *roll) fill() {
	room := r.w.Replicas + r.w.MaxSurge - r.total
	surge := 0
	for i := range r.all {
		p := &r.all[i]
		switch going := r.going[p.name]; {
		case going && (p.surplus || room < 0), p.surplus && !p.live:
			r.drop(p, r.goingCause(p))
		case going:
			r.bring(p)
		case p.live:
			r.keep(r.w, p)
			if p.surplus && !p.old {
				surge++
			}
		}
	}
	for i := range r.all {
		if p := &r.all[i]; !p.surplus && !p.live && room > 0 {
			room--
			r.bring(p)
		}
	}
	r.surge(min(room, min(r.w.MaxSurge, r.pending())-surge))
}

func (r *roll) goingCause(p *replica) string {
	if p.old {
		return r.why(p)
	}
	return fmt.Sprintf("%d replicas are enough", r.w.Replicas)
}

// surge makes pods beyond the replicas, so that others can be replaced.
func (r *roll) surge(n int) {
	for i := range r.w.Surge {
		p := &r.w.Surge[i]
		if n <= 0 {
			return
		}
		if r.observed.Pods[p.Name] != nil {
			continue // one of an earlier revision has the number
		}
		n--
		r.pods = append(r.pods, Instance{*p, volumesOf(r.w.SurgeVolumes, p.Name)})
		r.causes[p.Name] = "serves while others are replaced"
	}
}
