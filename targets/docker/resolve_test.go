package docker

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// The cases have the meaning of those of Kubernetes' own expansion test.
//
// conformance:S57
func TestExpand(t *testing.T) {
	vars := map[string]string{"VAR_A": "A", "VAR_B": "B", "VAR_C": "C", "VAR_REF": "$(VAR_A)", "VAR_EMPTY": ""}
	tests := []struct{ in, want string }{
		{"$(VAR_A)", "A"},
		{"$(VAR_A)-$(VAR_A)", "A-A"},
		{"$(VAR_A)-1", "A-1"},
		{"___$(VAR_B)___", "___B___"},
		{"___$(VAR_C)", "___C"},
		{"$(VAR_A)_$(VAR_B)_$(VAR_C)", "A_B_C"},
		// One $ escapes another, and nothing else does.
		{"$$(VAR_A)", "$(VAR_A)"},
		{"$$$(VAR_A)", "$A"},
		{"$$$$(VAR_A)", "$$(VAR_A)"},
		{"$$$$$$(VAR_A)", "$$$(VAR_A)"},
		{"$$$$$$$(VAR_A)", "$$$A"},
		{"$$$$$$(UNKNOWN)", "$$$(UNKNOWN)"},
		{"$$$$$$$(UNKNOWN)", "$$$$(UNKNOWN)"},
		{"$$(VAR_B)_$(VAR_A)", "$(VAR_B)_A"},
		{"f000-$$VAR_A", "f000-$VAR_A"},
		{`foo\$(VAR_A)bar`, `foo\Abar`},
		{`foo\\$(VAR_A)bar`, `foo\\Abar`},
		{`foo\\\\$(VAR_A)bar`, `foo\\\\Abar`},
		// A name ends at the first ), and nothing in it is expanded.
		{"$(VAR_A$(VAR_B))", "$(VAR_A$(VAR_B))"},
		{"$(VAR_A$(VAR_B)", "$(VAR_A$(VAR_B)"},
		{"$(foo$$var)", "$(foo$$var)"},
		{"f00-)$(VAR_A)", "f00-)A"},
		{"$()", "$()"},
		// What a value holds is not expanded again.
		{"$(VAR_REF)", "$(VAR_A)"},
		{"%%$(VAR_REF)--$(VAR_REF)%%", "%%$(VAR_A)--$(VAR_A)%%"},
		{"foo$(VAR_EMPTY)bar", "foobar"},
		{"$(UNKNOWN)", "$(UNKNOWN)"},
		// What is no reference stays.
		{"foo$(VAR_Awhoops!", "foo$(VAR_Awhoops!"},
		{"$(VAR_B)_______$(A", "B_______$(A"},
		{"$(VAR_C)_______$(", "C_______$("},
		{`foo-\$(VAR_A`, `foo-\$(VAR_A`},
		{"--$($($($($--", "--$($($($($--"},
		{"$($($($($--foo$(", "$($($($($--foo$("},
		{"foo0--$($($($(", "foo0--$($($($("},
		{"f00__(VAR_A)__", "f00__(VAR_A)__"},
		{"$VAR_A) ${VAR_A} 5$ $", "$VAR_A) ${VAR_A} 5$ $"},
		{"$?_boo_$!", "$?_boo_$!"},
		{"$(VAR_A)foobarzab$", "Afoobarzab$"},
		{"\n", "\n"},
		{"", ""},
		{"$£FOO $€ $中文", "$£FOO $€ $中文"},
		{"a$\xffb$(VAR_A)", "a$\ufffdbA"}, // a byte that is no text
		{"a\xff$(VAR_A)", "a\xffA"},       // and one that is not behind a $
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
		if want := strings.ReplaceAll(s, "$$", "$"); utf8.ValidString(s) && !strings.Contains(s, "$(") && got != want {
			t.Errorf("Expand(%q) = %q, want %q", s, got, want)
		}
	})
}

// conformance:S57 S59 S60
//
//conformance:negative S60
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

// What envFrom gave can be referred to until env replaces it, a variable of a
// service everywhere, and one that is optional and missing replaces nothing.
//
// conformance:S58 S62
func TestResolve_Order(t *testing.T) {
	c := Container{
		Cmd: []string{"$(DB_SERVICE_HOST)", "$(A)"},
		Env: []EnvVar{
			{Name: "A", Source: Verbatim, Value: "from"},
			{Name: "A", Source: Verbatim, Value: "from later"},
			{Name: "KEPT", Source: Verbatim, Value: "from"},
			{Name: "B", Value: "$(A), $(DB_PORT), $(C)"},
			{Name: "A", Value: "$(A)+"},
			{Name: "C", Value: "$(A)"},
			{Name: "KEPT", Source: FromSecret, Secret: &KeyRef{Name: "s", Key: "k", Optional: true}},
			{Name: "DB_SERVICE_PORT", Value: "mine"},
		},
	}
	values := Values{
		Secret: func(string, string) (string, bool) { return "", false },
		Links:  map[string]string{"DB_SERVICE_HOST": "10.0.0.5", "DB_PORT": "tcp://10.0.0.5:80", "DB_SERVICE_PORT": "80"},
	}
	_, cmd, env, err := c.Resolve(values)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"A=from later+", "KEPT=from", "B=from later, tcp://10.0.0.5:80, $(C)", "C=from later+", "DB_SERVICE_PORT=mine",
		"DB_PORT=tcp://10.0.0.5:80", "DB_SERVICE_HOST=10.0.0.5",
	}
	if diff := cmp.Diff(want, env); diff != "" {
		t.Errorf("env (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"10.0.0.5", "from later+"}, cmd); diff != "" {
		t.Errorf("args (-want +got):\n%s", diff)
	}

	c.NoServiceLinks = true
	_, cmd, env, err = c.Resolve(values)
	if err != nil || slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, "DB_PORT=") }) || cmd[0] != "$(DB_SERVICE_HOST)" ||
		!slices.Contains(env, "B=from later, $(DB_PORT), $(C)") {
		t.Errorf("without enableServiceLinks: env %q, args %q, %v", env, cmd, err)
	}
}

// Names and values are those of Kubernetes' envvars_test.
//
// conformance:S63
//
//conformance:negative S62
func TestLinks(t *testing.T) {
	services := []Service{
		{Name: "foo-bar", Ports: []ServicePort{{Name: "p", Port: 8080, Protocol: "TCP"}}},
		{Name: "abc-123", Ports: []ServicePort{{Name: "u-d-p", Port: 8081, Protocol: "UDP"}, {Name: "t-c-p", Port: 8081, Protocol: "TCP"}}},
		{Name: "headless", Headless: true, Ports: []ServicePort{{Name: "p", Port: 80, Protocol: "TCP"}}},
		{Name: "later", Ports: []ServicePort{{Name: "p", Port: 80, Protocol: "TCP"}}},
		{Name: "portless"},
		{Name: "outside", ExternalName: "example.test"},
	}
	ips := map[string]string{"foo-bar": "1.2.3.4", "abc-123": "5.6.7.8", "headless": "9.9.9.9", "portless": "9.9.9.9", "outside": "9.9.9.9"}
	want := map[string]string{
		"FOO_BAR_SERVICE_HOST": "1.2.3.4", "FOO_BAR_SERVICE_PORT": "8080", "FOO_BAR_SERVICE_PORT_P": "8080",
		"FOO_BAR_PORT": "tcp://1.2.3.4:8080", "FOO_BAR_PORT_8080_TCP": "tcp://1.2.3.4:8080",
		"FOO_BAR_PORT_8080_TCP_PROTO": "tcp", "FOO_BAR_PORT_8080_TCP_PORT": "8080", "FOO_BAR_PORT_8080_TCP_ADDR": "1.2.3.4",
		"ABC_123_SERVICE_HOST": "5.6.7.8", "ABC_123_SERVICE_PORT": "8081",
		"ABC_123_SERVICE_PORT_U_D_P": "8081", "ABC_123_SERVICE_PORT_T_C_P": "8081",
		"ABC_123_PORT": "udp://5.6.7.8:8081", "ABC_123_PORT_8081_UDP": "udp://5.6.7.8:8081", "ABC_123_PORT_8081_TCP": "tcp://5.6.7.8:8081",
		"ABC_123_PORT_8081_UDP_PROTO": "udp", "ABC_123_PORT_8081_UDP_PORT": "8081", "ABC_123_PORT_8081_UDP_ADDR": "5.6.7.8",
		"ABC_123_PORT_8081_TCP_PROTO": "tcp", "ABC_123_PORT_8081_TCP_PORT": "8081", "ABC_123_PORT_8081_TCP_ADDR": "5.6.7.8",
	}
	if diff := cmp.Diff(want, Links(services, func(name string) string { return ips[name] })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// conformance:S68
func TestResolve_LimitsOfPrograms(t *testing.T) {
	secret := func(string, string) (string, bool) { return "hush\x00hush", true }
	long := strings.Repeat("x", MaxString-len("A="))
	tests := []struct {
		name string
		c    Container
		want string // in the error; "" when it fits
	}{
		{"all there is room for", Container{Env: []EnvVar{{Name: "A", Value: long}}, Cmd: []string{long + "xx"}}, ""},
		{"a byte more", Container{Env: []EnvVar{{Name: "A", Value: long + "x"}}}, "variable A: with its name it has 131072 bytes"},
		{"an argument", Container{Cmd: []string{"a", long + "xxx"}}, "argument 1: it has 131072 bytes"},
		{"grown by what it refers to", Container{Env: []EnvVar{{Name: "A", Value: long}, {Name: "B", Value: "$(A)$(A)"}}}, "variable B"},
		{"NUL from elsewhere", Container{Env: []EnvVar{{Name: "A", Source: FromSecret, Secret: &KeyRef{}}}}, "variable A: there is a NUL byte"},
		{"NUL in an argument", Container{Entrypoint: []string{"a\x00b"}}, "argument 0: there is a NUL byte"},
	}
	for _, tt := range tests {
		_, _, _, err := tt.c.Resolve(Values{Secret: secret})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: a secret is in the error", tt.name)
		}
	}
}

// The cases have the meaning of those of Kubernetes' env_util_test.
//
// conformance:S67
func TestParseEnvFile(t *testing.T) {
	tests := []struct{ name, file, want, err string }{
		{"a value", "KEY='value'", "value", ""},
		{"the second", "A='1'\nKEY='2'\n", "2", ""},
		{"the first of two", "KEY='1'\nKEY='2'", "1", ""},
		{"lines of Windows", "A='1'\r\nKEY='2'\r\n", "2", ""},
		{"blank lines and comments", "\n \t\n# c\n  # d\nKEY='v'", "v", ""},
		{"space before the name", "  \tKEY='v'", "v", ""},
		{"a comment behind", "KEY='v' # c", "v", ""},
		{"as it is", `KEY='$(A) \n "x" # = y'`, `$(A) \n "x" # = y`, ""},
		{"several lines", "KEY='a\n  b\n\nc'", "a\n  b\n\nc", ""},
		{"another one of several lines", "A='x\ny'\nKEY='z'", "z", ""},
		{"an empty value", "KEY=''", "", ""},
		{"space behind =", "KEY= 'v'", "", ""},
		{"not there", "A='1'", "", ""},
		{"no file content", "", "", ""},
		{"what is behind is not read", "KEY='v'\nbroken", "v", ""},
		{"no =", "A='1'\nKEY", "", "line 2: there is no \"=\""},
		{"space before =", "KEY ='v'", "", "line 1: there is no name right before"},
		{"no name", "='v'", "", "line 1: there is no name"},
		{"no quotes", "KEY=value", "", "line 1: the value is not in single quotes"},
		{"double quotes", `KEY="value"`, "", "line 1: the value is not in single quotes"},
		{"nothing behind =", "KEY=", "", "line 1: the value is not in single quotes"},
		{"never closed", "A='1'\nKEY='v\nw", "", "line 2: the single quote is never closed"},
		{"more behind", "KEY='v'w", "", "line 1: there is more behind the closing quote"},
	}
	for _, tt := range tests {
		got, err := ParseEnvFile([]byte(tt.file), "KEY")
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.HasPrefix(err.Error(), tt.err) {
			t.Errorf("%s: %q, %v; want %q, %q", tt.name, got, err, tt.want, tt.err)
		}
	}
}

// conformance:S67
func TestResolve_FileKeys(t *testing.T) {
	files := map[string]string{"/volumes/conf/app.env": "A='$(B)'\nEMPTY=''"}
	values := Values{File: func(path string) ([]byte, error) {
		if data, ok := files[path]; ok {
			return []byte(data), nil
		}
		return nil, fs.ErrNotExist
	}}
	ref := func(path, key string, optional bool) EnvVar {
		return EnvVar{Name: "X", Source: FromFile, File: &FileKeyRef{Path: "/volumes/conf/" + path, Key: key, Optional: optional}}
	}
	for _, tt := range []struct {
		name string
		env  EnvVar
		want string // "X=..." or the error
	}{
		{"as it is", ref("app.env", "A", false), "X=$(B)"},
		{"no such key", ref("app.env", "B", false), "environment variable X: file conf/app.env has no value for key B"},
		{"an optional key is absent", ref("app.env", "B", true), ""},
		{"empty counts as none", ref("app.env", "EMPTY", true), ""},
		{"a missing file is an error even so", ref("none", "A", true), "environment variable X: file conf/none: file does not exist"},
	} {
		c := Container{Env: []EnvVar{tt.env}}
		_, _, env, err := c.Resolve(values)
		got := strings.Join(env, " ")
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
