package cron_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/internal/cron"
)

func at(t *testing.T, text, zone string) time.Time {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	out, err := time.ParseInLocation("2006-01-02 15:04:05", text, loc)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestNext(t *testing.T) {
	tests := []struct {
		spec, zone, from string
		want             []string // in the zone, "" for never
	}{
		{"* * * * *", "", "2026-01-02 03:04:05", []string{"2026-01-02 03:05:00", "2026-01-02 03:06:00"}},
		{"* * * * *", "", "2026-01-02 03:04:00", []string{"2026-01-02 03:05:00"}},
		{"*/20 * * * *", "", "2026-01-02 23:50:00", []string{"2026-01-03 00:00:00", "2026-01-03 00:20:00"}},
		{"5/25 * * * *", "", "2026-01-02 03:06:00", []string{"2026-01-02 03:30:00", "2026-01-02 03:55:00", "2026-01-02 04:05:00"}},
		{"0 9-17/4 * * *", "", "2026-01-02 10:00:00", []string{"2026-01-02 13:00:00", "2026-01-02 17:00:00", "2026-01-03 09:00:00"}},
		{"0 1,3 * * *", "", "2026-01-02 01:30:00", []string{"2026-01-02 03:00:00", "2026-01-03 01:00:00"}},
		{"30 4 * * mon-Fri", "", "2026-01-02 05:00:00", []string{"2026-01-05 04:30:00"}}, // a Friday, then Monday
		{"0 0 * * SUN", "", "2026-01-02 00:00:00", []string{"2026-01-04 00:00:00"}},
		{"0 0 1 jan,JUL *", "", "2026-01-02 00:00:00", []string{"2026-07-01 00:00:00", "2027-01-01 00:00:00"}},
		{"0 0 31 * *", "", "2026-01-31 00:00:00", []string{"2026-03-31 00:00:00"}},
		{"0 0 29 2 *", "", "2026-01-01 00:00:00", []string{"2028-02-29 00:00:00", "2032-02-29 00:00:00"}},
		{"0 0 29 2 *", "", "2097-01-01 00:00:00", []string{"2104-02-29 00:00:00"}},
		{"0 0 30 2 *", "", "2026-01-01 00:00:00", []string{""}},
		// Both days restricted: either will do. One of them a star: the other alone.
		{"0 0 13 * 5", "", "2026-01-02 00:00:00", []string{"2026-01-09 00:00:00", "2026-01-13 00:00:00", "2026-01-16 00:00:00"}},
		{"0 0 13 * *", "", "2026-01-02 00:00:00", []string{"2026-01-13 00:00:00", "2026-02-13 00:00:00"}},
		{"0 0 ? * 5", "", "2026-01-02 00:00:00", []string{"2026-01-09 00:00:00"}},
		{"0 0 */10 * 5", "", "2026-01-02 00:00:00", []string{"2026-01-09 00:00:00", "2026-01-11 00:00:00"}},
		{"@hourly", "", "2026-01-02 03:04:05", []string{"2026-01-02 04:00:00"}},
		{"@daily", "", "2026-01-02 03:04:05", []string{"2026-01-03 00:00:00"}},
		{"@midnight", "", "2026-01-02 03:04:05", []string{"2026-01-03 00:00:00"}},
		{"@weekly", "", "2026-01-02 03:04:05", []string{"2026-01-04 00:00:00"}},
		{"@monthly", "", "2026-01-02 03:04:05", []string{"2026-02-01 00:00:00"}},
		{"@yearly", "", "2026-01-02 03:04:05", []string{"2027-01-01 00:00:00"}},
		{"@annually", "", "2026-01-02 03:04:05", []string{"2027-01-01 00:00:00"}},
		{"@every 1h30m", "", "2026-01-02 03:04:05", []string{"2026-01-02 04:34:05", "2026-01-02 06:04:05"}},
		{"30 9 * * *", "Asia/Kolkata", "2026-01-02 09:30:00", []string{"2026-01-03 09:30:00"}},
		// Clocks go from 2 to 3: half past two does not exist that day.
		{"30 2 * * *", "Europe/Berlin", "2026-03-28 12:00:00", []string{"2026-03-30 02:30:00"}},
		{"0 * * * *", "Europe/Berlin", "2026-03-29 01:30:00", []string{"2026-03-29 03:00:00"}},
		// Clocks go from 3 back to 2: half past two comes twice.
		{"30 2 * * *", "Europe/Berlin", "2026-10-24 12:00:00", []string{"2026-10-25 02:30:00", "2026-10-25 02:30:00", "2026-10-26 02:30:00"}},
		// A midnight that does not exist.
		{"0 1 * * 0", "America/Sao_Paulo", "2018-11-03 12:00:00", []string{"2018-11-04 01:00:00"}},
		{"0 0 * * 0", "America/Sao_Paulo", "2018-11-03 12:00:00", []string{"2018-11-11 00:00:00"}},
	}
	for _, tt := range tests {
		t.Run(tt.spec+" "+tt.zone+" "+tt.from, func(t *testing.T) {
			s, err := cron.Parse(tt.spec, tt.zone)
			if err != nil {
				t.Fatal(err)
			}
			from := at(t, tt.from, tt.zone)
			for _, want := range tt.want {
				next := s.Next(from)
				got := ""
				if !next.IsZero() {
					got = next.Format("2006-01-02 15:04:05")
				}
				if got != want {
					t.Fatalf("after %v: got %q, want %q", from, got, want)
				}
				if want != "" && !next.After(from) {
					t.Fatalf("after %v comes %v", from, next)
				}
				from = next
			}
		})
	}
}

func TestLast(t *testing.T) {
	tests := []struct {
		spec, from, until, want string
		more                    int
	}{
		{"*/10 * * * *", "2026-01-02 03:00:00", "2026-01-02 03:09:59", "", 0},
		{"*/10 * * * *", "2026-01-02 03:00:00", "2026-01-02 03:10:00", "2026-01-02 03:10:00", 0},
		{"*/10 * * * *", "2026-01-02 03:00:00", "2026-01-02 03:45:00", "2026-01-02 03:40:00", 3},
		{"@every 10m", "2026-01-02 03:00:00", "2026-01-02 03:09:59", "", 0},
		{"@every 10m", "2026-01-02 03:00:00", "2026-01-02 03:45:00", "2026-01-02 03:40:00", 3},
		{"0 0 30 2 *", "2026-01-02 03:00:00", "2027-01-02 03:45:00", "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.spec+" "+tt.until, func(t *testing.T) {
			s, err := cron.Parse(tt.spec, "")
			if err != nil {
				t.Fatal(err)
			}
			last, more := s.Last(at(t, tt.from, ""), at(t, tt.until, ""))
			got := ""
			if !last.IsZero() {
				got = last.Format("2006-01-02 15:04:05")
			}
			if got != tt.want || more != tt.more {
				t.Errorf("got %q and %d more, want %q and %d", got, more, tt.want, tt.more)
			}
		})
	}
}

func TestParse_RefusesWhatKubernetesRefuses(t *testing.T) {
	tests := []struct{ spec, zone, want string }{
		{"* * * *", "", "it has 4 fields"},
		{"* * * * * *", "", "it has 6 fields"},
		{"", "", "it has 0 fields"},
		{"60 * * * *", "", `minute "60": 60 is not between 0 and 59`},
		{"* 24 * * *", "", "not between 0 and 23"},
		{"* * 0 * *", "", "not between 1 and 31"},
		{"* * * 13 *", "", "not between 1 and 12"},
		{"* * * * 7", "", "not between 0 and 6"},
		{"* * * * mo", "", `"mo" is not a value`},
		{"5-1 * * * *", "", "ends before it begins"},
		{"*/0 * * * *", "", `the step "0"`},
		{"*/x * * * *", "", `the step "x"`},
		{"1- * * * *", "", "a value is missing"},
		{"1,,2 * * * *", "", "a value is missing"},
		{"+1 * * * *", "", `"+1" is not a value`},
		{"@fortnightly", "", "@hourly and @every"},
		{"@every soon", "", "not a duration"},
		{"@every 10ms", "", "a second or more"},
		{"TZ=UTC * * * * *", "", "timeZone"},
		{"* * * * *", "Mars/Olympus", "there is none of this name"},
		{"* * * * *", "Local", "another on every machine"},
	}
	for _, tt := range tests {
		t.Run(tt.spec+" "+tt.zone, func(t *testing.T) {
			if _, err := cron.Parse(tt.spec, tt.zone); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
