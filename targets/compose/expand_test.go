package compose

import (
	"strings"
	"testing"
)

// The cases of Kubernetes' own test, third_party/forked/golang/expansion.
func TestExpand_IsKubernetes(t *testing.T) {
	values := map[string]string{"VAR_A": "A", "VAR_B": "B", "VAR_C": "C", "VAR_REF": "$(VAR_A)", "VAR_EMPTY": ""}
	lookup := func(name string) (text, bool) {
		value, ok := values[name]
		return literal(value), ok
	}
	for in, want := range map[string]string{
		"":                             "",
		"no variables":                 "no variables",
		"$(VAR_A)":                     "A",
		"___$(VAR_B)___":               "___B___",
		"___$(VAR_C)":                  "___C",
		"$(VAR_A)-1":                   "A-1",
		"$(VAR_A)_$(VAR_B)_$(VAR_C)":   "A_B_C",
		"$$(VAR_B)_$(VAR_A)":           "$(VAR_B)_A",
		"$$(VAR_A)_$$(VAR_B)":          "$(VAR_A)_$(VAR_B)",
		"f000-$$VAR_A":                 "f000-$VAR_A",
		`foo\$(VAR_C)bar`:              `foo\Cbar`,
		`foo\\$(VAR_C)bar`:             `foo\\Cbar`,
		"$(VAR_REF)":                   "$(VAR_A)",
		"%%$(VAR_REF)--$(VAR_REF)%%":   "%%$(VAR_A)--$(VAR_A)%%",
		"foo$(VAR_EMPTY)bar":           "foobar",
		"foo$(VAR_Awhoops!":            "foo$(VAR_Awhoops!",
		"f00__(VAR_A)__":               "f00__(VAR_A)__",
		"$?_boo_$!":                    "$?_boo_$!",
		"$VAR_A":                       "$VAR_A",
		"$(VAR_DNE)":                   "$(VAR_DNE)",
		"$$$$$$(BIG_MONEY)":            "$$$(BIG_MONEY)",
		"$$$$$$(VAR_A)":                "$$$(VAR_A)",
		"$$$$$$$(GOOD_ODDS)":           "$$$$(GOOD_ODDS)",
		"$$$$$$$(VAR_A)":               "$$$A",
		"$VAR_A)":                      "$VAR_A)",
		"${VAR_A}":                     "${VAR_A}",
		"$(VAR_B)_______$(A":           "B_______$(A",
		"$(VAR_C)_______$(":            "C_______$(",
		"$(VAR_A)foobarzab$":           "Afoobarzab$",
		`foo-\$(VAR_A`:                 `foo-\$(VAR_A`,
		"--$($($($($--":                "--$($($($($--",
		"$($($($($--foo$(":             "$($($($($--foo$(",
		"foo0--$($($($(":               "foo0--$($($($(",
		"$(foo$$var)":                  "$(foo$$var)",
		"$(VAR_A$(VAR_B))":             "$(VAR_A$(VAR_B))",
		"$é $(VAR_A)":                  "$é A", // Kubernetes breaks the é; nobody means that
		"$(VAR_A)$(VAR_EMPTY)$(VAR_B)": "AB",
	} {
		var got strings.Builder
		for _, p := range expand(in, lookup) {
			got.WriteString(p.literal)
		}
		if got.String() != want {
			t.Errorf("%q: got %q, want %q", in, got.String(), want)
		}
	}
}

// A text escapes what is known and leaves variables to Compose.
func TestText_String(t *testing.T) {
	secret := text{{variable: "TOKEN", hint: "the key"}}
	got := expand("$5 $(T) ${T}", func(name string) (text, bool) { return secret, name == "T" }).String()
	if want := "$$5 ${TOKEN:?the key} $${T}"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
