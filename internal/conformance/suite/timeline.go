package suite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

var errNotSeen = errors.New("not seen")

// Event is one mark of a timeline: who did what, and when, in nanoseconds of a
// clock that all containers of the machine share.
type Event struct {
	Who, What string
	At        int64
}

// parseEvent reads "who what nanoseconds".
func parseEvent(line string) (Event, bool) {
	i := strings.LastIndexByte(line, ' ')
	if i < 0 {
		return Event{}, false
	}
	at, err := strconv.ParseInt(line[i+1:], 10, 64)
	who, what, ok := strings.Cut(line[:i], " ")
	return Event{who, what, at}, ok && err == nil
}

// Timeline are the marks of a pod so far, in the order in which they came.
func (r *Run) Timeline(pod string) []Event {
	text, err := os.ReadFile(filepath.Join(r.world.timelines(), pod))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.Fatalf("%v", err)
	}
	var out []Event
	for line := range strings.Lines(string(text)) {
		if e, ok := parseEvent(strings.TrimSuffix(line, "\n")); ok {
			out = append(out, e)
		}
	}
	return out
}

func (e Event) name() string { return e.Who + " " + e.What }

func draw(events []Event) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "\n  %8.3f %s", float64(e.At-events[0].At)/1e9, e.name())
	}
	return b.String()
}

// First is when something happened first.
func (r *Run) First(pod, event string) int64 { return r.Nth(pod, event, 1) }

// Last is when something happened last.
func (r *Run) Last(pod, event string) int64 {
	events := r.Timeline(pod)
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].name() == event {
			return events[i].At
		}
	}
	r.Fatalf("timeline of %s: there is no %q:%s", pod, event, draw(events))
	return 0
}

// Nth is when something happened the n-th time.
func (r *Run) Nth(pod, event string, n int) int64 {
	events, left := r.Timeline(pod), n
	for _, e := range events {
		if e.name() == event {
			if left--; left == 0 {
				return e.At
			}
		}
	}
	r.Fatalf("timeline of %s: %q did not happen %d times:%s", pod, event, n, draw(events))
	return 0
}

// Order fails unless all these events happened, each for the first time after
// the one before it had.
func (r *Run) Order(pod string, events ...string) {
	for i := range events[1:] {
		r.Before(pod, events[i], events[i+1])
	}
}

// Before fails unless one event came first, both at their first time.
func (r *Run) Before(pod, a, b string) {
	if at, after := r.First(pod, a), r.First(pod, b); at >= after {
		r.Fatalf("timeline of %s: %q comes %d ns after %q:%s", pod, a, at-after, b, draw(r.Timeline(pod)))
	}
}

// Count fails unless something happened exactly n times.
func (r *Run) Count(pod, event string, n int) {
	got := 0
	for _, e := range r.Timeline(pod) {
		if e.name() == event {
			got++
		}
	}
	if got != n {
		r.Fatalf("timeline of %s: %q happened %d times, not %d:%s", pod, event, got, n, draw(r.Timeline(pod)))
	}
}

// Happens waits until something has happened n times.
func (r *Run) Happens(pod, event string, n int) {
	r.Wait(fmt.Sprintf("%s: %s happens %d times", pod, event, n), func() error {
		got := 0
		for _, e := range r.Timeline(pod) {
			if e.name() == event {
				got++
			}
		}
		if got < n {
			return fmt.Errorf("it did %d times:%s", got, draw(r.Timeline(pod)))
		}
		return nil
	})
}

// Marked is when a container said first that something happened.
func (r *Run) Marked(container, event string) int64 {
	for _, line := range r.Log(container) {
		if e, ok := parseEvent(line); ok && e.What == event {
			return e.At
		}
	}
	r.Fatalf("%s did not mark %s:\n%s", full(container), event, strings.Join(r.Log(container), "\n"))
	return 0
}
