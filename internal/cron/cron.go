// Package cron reads the schedules of CronJobs and finds the times they name.
// It reads no clock: whoever asks says from when.
//
// The syntax and its meaning are those of Kubernetes, which takes them from
// github.com/robfig/cron: five fields, names, ranges, steps, lists, @daily and
// its like, @every, and a day that either of two restricted day fields names.
package cron

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Schedule is a parsed schedule in its time zone.
type Schedule struct {
	minute, hour, dom, month, dow uint64 // a bit for each value
	eitherDay                     bool   // both day fields are restricted: one of them is enough
	every                         time.Duration
	zone                          *time.Location
}

// Parse reads a schedule. zone is a name of the time zone database; "" is UTC,
// as it is for a control plane in a container.
func Parse(spec, zone string) (Schedule, error) {
	loc, err := loadZone(zone)
	if err != nil {
		return Schedule{}, err
	}
	s := Schedule{zone: loc}
	spec = strings.TrimSpace(spec)
	if strings.Contains(spec, "TZ=") {
		return s, fmt.Errorf("schedule %q: a time zone is set with timeZone, not in the schedule", spec)
	}
	if word, ok := strings.CutPrefix(spec, "@"); ok {
		if spec, err = shorthand(word, &s); err != nil || s.every > 0 {
			return s, err
		}
	}
	parts := strings.Fields(spec)
	if len(parts) != 5 {
		return s, fmt.Errorf("schedule %q: it has %d fields; five are needed: minute hour day-of-month month day-of-week", spec, len(parts))
	}
	restricted := map[string]bool{}
	for i, f := range fields() {
		set, any, err := f.parse(parts[i])
		if err != nil {
			return s, fmt.Errorf("schedule %q: %s %q: %w", spec, f.name, parts[i], err)
		}
		*f.of(&s), restricted[f.name] = set, !any
	}
	s.eitherDay = restricted[dayOfMonth] && restricted[dayOfWeek]
	return s, nil
}

func loadZone(name string) (*time.Location, error) {
	if strings.EqualFold(name, "Local") {
		return nil, fmt.Errorf("time zone %q: it means another on every machine; name one, such as Europe/Berlin", name)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("time zone %q: there is none of this name", name)
	}
	return loc, nil
}

// shorthand gives the five fields that a word behind @ stands for, or fills in
// the interval of @every.
func shorthand(word string, s *Schedule) (string, error) {
	if text, ok := strings.CutPrefix(word, "every "); ok {
		d, err := time.ParseDuration(strings.TrimSpace(text))
		if err != nil || d < time.Second {
			return "", fmt.Errorf("schedule \"@%s\": %q is not a duration of a second or more, such as 90m", word, text)
		}
		s.every = d.Truncate(time.Second)
		return "", nil
	}
	switch word {
	case "yearly", "annually":
		return "0 0 1 1 *", nil
	case "monthly":
		return "0 0 1 * *", nil
	case "weekly":
		return "0 0 * * 0", nil
	case "daily", "midnight":
		return "0 0 * * *", nil
	case "hourly":
		return "0 * * * *", nil
	}
	return "", fmt.Errorf("schedule \"@%s\": there are @yearly, @monthly, @weekly, @daily, @hourly and @every", word)
}

const (
	dayOfMonth = "day of month"
	dayOfWeek  = "day of week"
)

type field struct {
	name     string
	low, top int
	names    []string // of the values from low on
	of       func(*Schedule) *uint64
}

func fields() []field {
	return []field{
		{"minute", 0, 59, nil, func(s *Schedule) *uint64 { return &s.minute }},
		{"hour", 0, 23, nil, func(s *Schedule) *uint64 { return &s.hour }},
		{dayOfMonth, 1, 31, nil, func(s *Schedule) *uint64 { return &s.dom }},
		{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}, func(s *Schedule) *uint64 { return &s.month }},
		{dayOfWeek, 0, 6, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}, func(s *Schedule) *uint64 { return &s.dow }},
	}
}

// parse reads a list. any says that it begins a part with a star, which leaves
// the choice of the day to the other day field.
func (f field) parse(text string) (set uint64, any bool, err error) {
	for _, part := range strings.Split(text, ",") {
		bits, star, err := f.part(part)
		if err != nil {
			return 0, false, err
		}
		set, any = set|bits, any || star
	}
	return set, any, nil
}

// part reads "*", "4", "1-5", each with or without "/step".
func (f field) part(text string) (set uint64, star bool, err error) {
	values, stepText, stepped := strings.Cut(text, "/")
	step := 1
	if stepped {
		if step, err = strconv.Atoi(stepText); err != nil || step < 1 {
			return 0, false, fmt.Errorf("the step %q is not a positive number", stepText)
		}
	}
	first, last, ranged := strings.Cut(values, "-")
	from, to := f.low, f.top
	switch {
	case values == "*" || values == "?":
		star = step == 1
	default:
		if from, err = f.value(first); err != nil {
			return 0, false, err
		}
		switch {
		case ranged:
			if to, err = f.value(last); err != nil {
				return 0, false, err
			}
		case !stepped: // "5/15" goes on to the end
			to = from
		}
	}
	if from > to {
		return 0, false, fmt.Errorf("the range ends before it begins")
	}
	for v := from; v <= to; v += step {
		set |= 1 << v
	}
	return set, star, nil
}

func (f field) value(text string) (int, error) {
	for i, name := range f.names {
		if strings.EqualFold(name, text) {
			return f.low + i, nil
		}
	}
	n, err := strconv.Atoi(text)
	if err != nil || strings.HasPrefix(text, "+") {
		if text == "" {
			return 0, errors.New("a value is missing")
		}
		return 0, fmt.Errorf("%q is not a value", text)
	}
	if n < f.low || n > f.top {
		return 0, fmt.Errorf("%d is not between %d and %d", n, f.low, f.top)
	}
	return n, nil
}

// searchYears is how far to look: the 29th of February may be eight years away.
const searchYears = 8

// Next is the first time after t; zero when there is none, as with the 30th of
// February.
//
// Where clocks are set forward, times that do not exist are left out. Where
// they are set back, times that come twice count twice.
func (s Schedule) Next(t time.Time) time.Time {
	if s.every > 0 {
		return t.Truncate(time.Second).Add(s.every)
	}
	at := t.In(s.zone)
	at = at.Add(time.Minute - time.Duration(at.Second())*time.Second - time.Duration(at.Nanosecond()))
	for limit := at.Year() + searchYears; at.Year() <= limit; {
		y, m, d := at.Date()
		switch {
		case !has(s.month, int(m)):
			at = later(at, time.Date(y, m+1, 1, 0, 0, 0, 0, s.zone))
		case !s.onDay(at):
			at = later(at, time.Date(y, m, d+1, 0, 0, 0, 0, s.zone))
		case !has(s.hour, at.Hour()):
			at = at.Add(time.Hour - time.Duration(at.Minute())*time.Minute)
		case !has(s.minute, at.Minute()):
			at = at.Add(time.Minute)
		default:
			return at.In(t.Location())
		}
	}
	return time.Time{}
}

// later is next, unless that midnight does not exist and was read as a time
// before it.
func later(at, next time.Time) time.Time {
	if next.After(at) {
		return next
	}
	return at.Add(time.Hour)
}

func (s Schedule) onDay(at time.Time) bool {
	dom, dow := has(s.dom, at.Day()), has(s.dow, int(at.Weekday()))
	if s.eitherDay {
		return dom || dow
	}
	return dom && dow
}

func has(set uint64, v int) bool { return set&(1<<v) != 0 }

// Last is the latest time after from and not after until; zero when there is
// none. more is how many others lie between.
func (s Schedule) Last(from, until time.Time) (last time.Time, more int) {
	if s.every > 0 {
		n := int64(until.Sub(from.Truncate(time.Second)) / s.every)
		if n < 1 {
			return time.Time{}, 0
		}
		return from.Truncate(time.Second).Add(time.Duration(n) * s.every), int(n - 1)
	}
	for at := s.Next(from); !at.IsZero() && !at.After(until); at = s.Next(at) {
		if !last.IsZero() {
			more++
		}
		last = at
	}
	return last, more
}
