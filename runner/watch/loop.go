package watch

import (
	"slices"
	"time"
)

// looker is what a group's loop asks about the filesystem.
type looker interface {
	set(inputs []Input) (changed []string)
	look() (changed []string)
	hints() bool                            // take the hints: is one of them about an input
	stirred() bool                          // would look find something
	polling() bool                          // hints are not to be had for some input
	locked() bool                           // version control is at work on the inputs
	reported(paths []string, now time.Time) // to a reader, who now begins to read
}

// loop is the event loop of one group, apart from the filesystem.
type loop struct {
	name   string
	pace   pacer
	poll   poller
	eyes   looker
	hinted <-chan struct{}
	sets   <-chan setRequest
	out    chan<- Change
	ending <-chan struct{}

	found   []string // changed, to be told after a quiet moment
	pending []string // changed, to be told now
}

// setRequest are new inputs of a group.
type setRequest struct {
	group Group
	done  chan struct{}
}

func (l *loop) run() {
	for {
		var out chan<- Change
		if len(l.pending) > 0 {
			out = l.out
		}
		select {
		case <-l.ending:
			return
		case req := <-l.sets:
			l.pace.quiet, l.pace.cap = req.group.Pace.Quiet, req.group.Pace.Cap
			if found := l.eyes.set(req.group.Inputs); len(found) > 0 {
				l.found = append(l.found, found...)
				l.pace.hint(time.Now()) // perhaps in the middle of a save
			}
			close(req.done)
		case <-l.hinted:
			if l.eyes.hints() {
				l.pace.hint(time.Now())
			}
		case <-after(l.poll.next(time.Now(), l.eyes.polling())):
			began := time.Now()
			if !l.pace.waiting() && l.eyes.stirred() {
				l.pace.hint(time.Now())
			}
			l.poll.done(began, time.Now())
		case <-after(l.pace.next()):
			if l.pace.due(time.Now(), l.eyes.locked) {
				l.add(append(l.found, l.eyes.look()...))
				l.found = nil
			}
		case out <- Change{Group: l.name, Paths: l.pending}:
			l.eyes.reported(l.pending, time.Now())
			l.pending = nil
		}
	}
}

func (l *loop) add(changed []string) {
	l.pending = append(l.pending, changed...)
	slices.Sort(l.pending)
	l.pending = slices.Compact(l.pending)
}

func after(at time.Time, ok bool) <-chan time.Time {
	if !ok {
		return nil
	}
	return time.After(time.Until(at))
}
