package docker

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The cases follow the table of Kubernetes' own expansion test.
//
// conformance:S57
func TestExpand(t *testing.T) {
	vars := map[string]string{"VAR_A": "A", "VAR_B": "B", "VAR_C": "C", "VAR_REF": "$(VAR_A)", "VAR_EMPTY": ""}
	tests := []struct{ in, want string }{
		{"$(VAR_A)", "A"},
		{"___$(VAR_B)___", "___B___"},
		{"___$(VAR_C)", "___C"},
		{"$(VAR_A)-$(VAR_A)", "A-A"},
		{"$(VAR_A)_$(VAR_B)", "A_B"},
		{"$(VAR_REF)", "$(VAR_A)"},
		{"%%$(VAR_REF)--$(VAR_REF)%%", "%%$(VAR_A)--$(VAR_A)%%"},
		{"foo$(VAR_EMPTY)bar", "foobar"},
		{"foo\\$(VAR_A)bar", "foo\\Abar"},
		{"$(VAR_A$(VAR_B)", "$(VAR_A$(VAR_B)"},
		{"f000-$(VAR_A", "f000-$(VAR_A"},
		{"f00-)$(VAR_A)", "f00-)A"},
		{"$$(VAR_A)", "$(VAR_A)"},
		{"$$$(VAR_A)", "$A"},
		{"$$$$(VAR_A)", "$$(VAR_A)"},
		{"$$$$$$$(VAR_A)", "$$$A"},
		{"$(UNKNOWN)", "$(UNKNOWN)"},
		{"$VAR_A ${VAR_A} 5$ $", "$VAR_A ${VAR_A} 5$ $"},
		{"$?_boo_$!", "$?_boo_$!"},
		{"$()", "$()"},
		{"", ""},
	}
	for _, tt := range tests {
		got := Expand(tt.in, func(name string) (string, bool) { v, ok := vars[name]; return v, ok })
		if got != tt.want {
			t.Errorf("Expand(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{"$(A)", "$$(A)", "$(", "$", "a$(A)b$$c", "\xff$("} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Expand(s, func(string) (string, bool) { return "", false })
		// Without a known variable only $$ changes.
		if want := strings.ReplaceAll(s, "$$", "$"); !strings.Contains(s, "$(") && got != want {
			t.Errorf("Expand(%q) = %q, want %q", s, got, want)
		}
	})
}

func TestResolve(t *testing.T) {
	c := Container{
		Entrypoint: []string{"/bin/app", "--at=$(IP)"},
		Cmd:        []string{"$(GREETING)", "$(NOBODY)", "$$(GREETING)"},
		Env: []EnvVar{
			{Name: "NAME", Value: "world"},
			{Name: "GREETING", Value: "hello $(NAME), $(LATER)"},
			{Name: "LATER", Value: "x"},
			{Name: "CONFIG", Source: Verbatim, Value: "$(NAME)"},
			{Name: "TOKEN", Source: FromSecret, Secret: &KeyRef{Name: "s", Key: "k"}},
			{Name: "ABSENT", Source: FromSecret, Secret: &KeyRef{Name: "s", Key: "none", Optional: true}},
			{Name: "IP", Source: FromPodIP},
			{Name: "HOST", Source: FromHostIP},
			{Name: "EMPTY"},
		},
	}
	values := Values{PodIP: "10.0.0.9", HostIP: "10.0.0.1", Secret: func(name, key string) (string, bool) { return "$(NAME)!", name == "s" && key == "k" }}
	entrypoint, cmd, env, err := c.Resolve(values)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, got, want []string) {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	check("entrypoint", entrypoint, []string{"/bin/app", "--at=10.0.0.9"})
	check("cmd", cmd, []string{"hello world, $(LATER)", "$(NOBODY)", "$(GREETING)"})
	// Values from elsewhere are not expanded, an optional one that is missing is
	// absent and not empty, and an empty one is set.
	check("env", env, []string{"NAME=world", "GREETING=hello world, $(LATER)", "LATER=x", "CONFIG=$(NAME)", "TOKEN=$(NAME)!", "IP=10.0.0.9", "HOST=10.0.0.1", "EMPTY="})

	c.Env = append(c.Env, EnvVar{Name: "NEEDED", Source: FromSecret, Secret: &KeyRef{Name: "s", Key: "none"}})
	if _, _, _, err := c.Resolve(values); err == nil || !strings.Contains(err.Error(), "NEEDED") {
		t.Errorf("a missing secret: error %v, want one that names NEEDED", err)
	}
}
