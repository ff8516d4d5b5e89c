package watch

import "time"

// pacer decides when to look: after a quiet moment, at the latest after cap,
// and not while version control holds its lock, unless that takes longer than
// hold. It is a state machine without a clock.
type pacer struct {
	quiet, cap, hold time.Duration

	first, last time.Time // of the hints since the last look; zero when there are none
	held        time.Time // since when a lock has kept us; zero when none has
	recheck     time.Time // when to ask about the lock again
}

// hint notes that something may have changed.
func (p *pacer) hint(now time.Time) {
	if !p.waiting() {
		p.first = now
	}
	p.last = now
}

// waiting reports whether there are hints since the last look.
func (p *pacer) waiting() bool { return !p.first.IsZero() }

// next is when to ask due again. ok is false when there is nothing to wait for.
func (p *pacer) next() (at time.Time, ok bool) {
	if !p.waiting() {
		return time.Time{}, false
	}
	if !p.held.IsZero() {
		return p.recheck, true
	}
	at = p.last.Add(p.quiet)
	if limit := p.first.Add(p.cap); at.After(limit) {
		at = limit
	}
	return at, true
}

// due reports whether to look now, and if so forgets the hints. locked is only
// asked when it matters.
func (p *pacer) due(now time.Time, locked func() bool) bool {
	at, ok := p.next()
	if !ok || now.Before(at) {
		return false
	}
	if locked() {
		if p.held.IsZero() {
			p.held = now
		}
		if end := p.held.Add(p.hold); now.Before(end) {
			p.recheck = now.Add(p.quiet)
			if p.recheck.After(end) {
				p.recheck = end
			}
			return false
		}
	} else if !p.held.IsZero() { // what the lock's owner did last may not have been heard yet
		p.held, p.first, p.last = time.Time{}, now, now
		return false
	}
	*p = pacer{quiet: p.quiet, cap: p.cap, hold: p.hold}
	return true
}

// poller decides when to look where no hints come. Hints from elsewhere do not
// put it off.
type poller struct {
	every time.Duration
	at    time.Time // zero when not polling
}

// next is when to look. ok is false when there is no need.
func (p *poller) next(now time.Time, needed bool) (at time.Time, ok bool) {
	switch {
	case !needed:
		p.at = time.Time{}
	case p.at.IsZero():
		p.at = now.Add(p.every)
	}
	return p.at, needed
}

// done notes that a look was had, and how long it took: looking all the time
// at a tree that is large would be a high price for being told of a change.
func (p *poller) done(began, now time.Time) {
	const most = 20 // of the time, a 20th is for looking
	p.at = now.Add(max(p.every, most*now.Sub(began)))
}
