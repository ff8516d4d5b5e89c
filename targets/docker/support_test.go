package docker

import (
	"slices"
	"testing"

	"github.com/cuepod/cuepod/targets"
)

func TestSupport_HasExactlyTheFieldsOfTheSchema(t *testing.T) {
	s := Support()
	want := s.Reachable()
	for _, field := range want {
		if _, ok := s[field]; !ok {
			t.Errorf("%s is missing", field)
		}
	}
	for field := range s {
		if !slices.Contains(want, field) {
			t.Errorf("%s is no field, or below one that is lost as a whole", field)
		}
	}
}

func TestSupport_NamesRulesOfItsLevel(t *testing.T) {
	rules := Rules()
	used := map[string]bool{}
	for field, entry := range Support() {
		for _, code := range entry.Codes {
			used[code] = true
			i := slices.IndexFunc(rules, func(r targets.Rule) bool { return r.Code == code })
			if i < 0 {
				t.Errorf("%s: %s is no rule", field, code)
			} else if entry.Says != "" && code == entry.Codes[0] && rules[i].Level != entry.Level {
				t.Errorf("%s is %s, and its rule %s is %s", field, entry.Level, code, rules[i].Level)
			}
		}
		if entry.Says != "" && len(entry.Codes) == 0 {
			t.Errorf("%s says something under no code", field)
		}
	}
	for _, r := range rules {
		if !used[r.Code] {
			t.Errorf("no field makes %s", r.Code)
		}
	}
}
