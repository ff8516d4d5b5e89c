package unify

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

func str(name, text string) app.Raw { return app.Raw{Name: name, Kind: app.RawString, Text: text} }

func structOf(name string, fields ...app.Raw) app.Raw {
	return app.Raw{Name: name, Kind: app.RawStruct, Items: fields}
}

func list(name string, items ...app.Raw) app.Raw {
	return app.Raw{Name: name, Kind: app.RawList, Items: items}
}

// lists keys those of a name by name, and gathers tags.
var lists = Lists{
	Key: func(list string, item any) string {
		if m, ok := item.(*yaml.Map); ok && list == "named" {
			key, _ := m.Get("name")
			s, _ := key.(string)
			return s
		}
		return ""
	},
	Append: func(list string) bool { return list == "tags" },
}

// ours is made anew for each case, as Into changes it.
func ours() *yaml.Map {
	return yaml.New().
		Set("text", "a").
		Set("number", 80).
		Set("empty", yaml.New()).
		Set("struct", yaml.New().Set("x", true)).
		Set("tags", yaml.Flow{"one"}).
		Set("whole", yaml.Flow{"one"}).
		Set("named", yaml.List{yaml.New().Set("name", "a").Set("value", "1")})
}

func TestInto(t *testing.T) {
	for _, c := range []struct {
		name   string
		raw    app.Raw
		change string // the field as JSON, "" when it is as it was
		clash  string
	}{
		{"equal text", str("text", "a"), "", ""},
		{"other text", str("text", "b"), "", `here.text: two values that exclude each other: "b" here, and "a"`},
		{"equal number", app.Raw{Name: "number", Kind: app.RawNumber, Text: "80"}, "", ""},
		{"text of a number", str("number", "80"), "", `"80" here, and 80`},
		{"null for text", app.Raw{Name: "text", Kind: app.RawNull}, "", `null here, and "a"`},
		{"new field of a struct", structOf("struct", str("y", "new")), `{"x":true,"y":"new"}`, ""},
		{"other field of a struct", structOf("struct", app.Raw{Name: "x", Kind: app.RawBool, Text: "false"}), "", "here.struct.x: "},
		{"into an empty struct", structOf("empty", str("y", "new")), `{"y":"new"}`, ""},
		{"text for a struct", str("struct", "x"), "", `"x" here, and {...}`},
		{"gathered", list("tags", str("", "two")), `["one","two"]`, ""},
		{"text for a gathered list", str("tags", "one"), "", `"one" here, and ["one"]`},
		{"equal list", list("whole", str("", "one")), "", ""},
		{"longer list", list("whole", str("", "one"), str("", "two")), "", `["one","two"] here, and ["one"]`},
		{"same key", list("named", structOf("", str("name", "a"), str("more", "2"))), `[{"name":"a","value":"1","more":"2"}]`, ""},
		{"same key, other value", list("named", structOf("", str("name", "a"), str("value", "2"))), "", "here.named.a.value: "},
		{"new key", list("named", structOf("", str("name", "b"))), `[{"name":"a","value":"1"},{"name":"b"}]`, ""},
		{"no key", list("named", str("", "b")), `[{"name":"a","value":"1"},"b"]`, ""},
		{"new list", list("new", str("", "b")), `["b"]`, ""},
		{"new text", str("fresh", "b"), `"b"`, ""},
		{"text that the target leaves out", str("default", "b"), "", `here.default: it is set here, and by the definition at app.cue:7:1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			want, got := ours(), ours()
			hatch := structOf("", c.raw)
			at := Place{Path: "here", Beside: map[string]app.Pos{"default": {File: "app.cue", Line: 7, Column: 1}}}
			clashes := strings.Join(Into(got, &hatch, lists, at), "\n")
			if (c.clash == "") != (clashes == "") || !strings.Contains(clashes, c.clash) {
				t.Errorf("clashes %q, want %q", clashes, c.clash)
			}
			was, _ := want.Get(c.raw.Name)
			is, ok := got.Get(c.raw.Name)
			if c.change == "" && text(t, is) != text(t, was) {
				t.Errorf("changed to %s", text(t, is))
			}
			if c.change != "" && (!ok || text(t, is) != c.change) {
				t.Errorf("%s, want %s", text(t, is), c.change)
			}
		})
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
