package route

import (
	"strings"
	"testing"
)

func rule(of, hosts string, deep bool, matches ...Match) Rule {
	return Rule{Of: of, Hosts: strings.Fields(hosts), Deep: deep, Matches: matches}
}

// The table of the documentation of Ingress, "Examples" of path types.
func TestMatch_PathsOfIngress(t *testing.T) {
	for _, c := range []struct {
		kind, path, request string
		want                bool
	}{
		{Prefix, "/", "/anything", true},
		{Exact, "/foo", "/foo", true},
		{Exact, "/foo", "/bar", false},
		{Exact, "/foo", "/foo/", false},
		{Exact, "/foo/", "/foo", false},
		{Prefix, "/foo", "/foo", true},
		{Prefix, "/foo", "/foo/", true},
		{Prefix, "/foo/", "/foo", true},
		{Prefix, "/foo/", "/foo/", true},
		{Prefix, "/aaa/bb", "/aaa/bbb", false},
		{Prefix, "/aaa/bbb", "/aaa/bbb", true},
		{Prefix, "/aaa/bbb/", "/aaa/bbb", true},
		{Prefix, "/aaa/bbb", "/aaa/bbb/", true},
		{Prefix, "/aaa/bbb", "/aaa/bbb/ccc", true},
		{Prefix, "/aaa/bbb", "/aaa/bbbxyz", false},
	} {
		if got := (Match{Kind: c.kind, Path: c.path}).takesPath(c.request); got != c.want {
			t.Errorf("%s %s takes %s: %t, want %t", c.kind, c.path, c.request, got, c.want)
		}
	}
}

func TestTable_Precedence(t *testing.T) {
	table := NewTable([]Rule{
		rule("every", "", false, Match{Path: "/"}),
		rule("root", "shop.example", false, Match{Path: "/"}),
		rule("api", "shop.example", false, Match{Path: "/api"}),
		rule("v1", "shop.example", false, Match{Path: "/api/v1"}),
		rule("exact", "shop.example", false, Match{Kind: Exact, Path: "/api"}),
		rule("post", "shop.example", true, Match{Path: "/api/v1", Method: "POST"}),
		rule("canary", "shop.example", true, Match{Path: "/api/v1", Headers: []Value{{"X-Canary", "yes"}}}),
		rule("beta", "shop.example", true, Match{Path: "/api/v1", Query: []Value{{"beta", "1"}}}),
		rule("one", "*.one.example", false),
		rule("deep", "*.deep.example", true),
		rule("deeper", "*.a.deep.example", true),
		rule("alone", "alone.example", false, Match{Path: "/only"}),
		{Of: "default", Fallback: true},
	})
	for _, c := range []struct{ method, host, target, headers, want string }{
		{"GET", "shop.example", "/", "", "root"},
		{"GET", "SHOP.example", "/api", "", "exact"},
		{"GET", "shop.example", "/api/", "", "api"},
		{"GET", "shop.example", "/apis", "", "root"},
		{"GET", "shop.example", "/api/v1/x?y", "", "v1"},
		{"POST", "shop.example", "/api/v1", "X-Canary=yes", "post"},
		{"GET", "shop.example", "/api/v1?beta=1", "X-Canary=yes", "canary"},
		{"GET", "shop.example", "/api/v1?beta=1", "X-Canary=no", "beta"},
		{"GET", "a.one.example", "/", "", "one"},
		{"GET", "a.b.one.example", "/", "", "every"},
		{"GET", "one.example", "/", "", "every"},
		{"GET", "b.deep.example", "/", "", "deep"},
		{"GET", "c.b.deep.example", "/", "", "deep"},
		{"GET", "c.a.deep.example", "/", "", "deeper"},
		{"GET", "deep.example", "/", "", "every"},
		{"GET", "alone.example", "/only/x", "", "alone"},
		{"GET", "alone.example", "/other", "", "default"},
		{"GET", "", "/", "", "every"},
	} {
		r, _, ok := table.Find(Request{Host: c.host, Method: c.method, Target: c.target, Header: func(name string) []string {
			if k, v, _ := strings.Cut(c.headers, "="); k == name {
				return []string{v}
			}
			return nil
		}})
		if !ok || r.Of != c.want {
			t.Errorf("%s %s%s %s: %v, want %s", c.method, c.host, c.target, c.headers, r, c.want)
		}
	}
	if table.Knows("nobody.example") || !table.Knows("x.one.example") || !table.Any() {
		t.Error("a host is known when a rule names it")
	}
}

func TestRule_PickByWeight(t *testing.T) {
	r := Rule{Backends: []Backend{{Service: "a", Weight: 9}, {Service: "none"}, {Service: "b", Weight: 1}}}
	count := map[string]int{}
	for n := range uint64(1000) {
		count[r.Pick(n).Service]++
	}
	if count["a"] != 900 || count["b"] != 100 {
		t.Errorf("got %v", count)
	}
	if b := (&Rule{Backends: []Backend{{Service: "a"}}}).Pick(3); b != nil {
		t.Errorf("without a weight: %v", b)
	}
}

func TestPath_Target(t *testing.T) {
	// The table of HTTPPathModifier in the Gateway API.
	for _, c := range []struct{ path, prefix, replace, want string }{
		{"/foo/bar", "/foo", "/xyz", "/xyz/bar"},
		{"/foo/bar", "/foo", "/xyz/", "/xyz/bar"},
		{"/foo/bar", "/foo/", "/xyz", "/xyz/bar"},
		{"/foo/bar", "/foo/", "/xyz/", "/xyz/bar"},
		{"/foo", "/foo", "/xyz", "/xyz"},
		{"/foo/", "/foo", "/xyz", "/xyz/"},
		{"/foo/bar", "/foo", "", "/bar"},
		{"/foo/", "/foo", "", "/"},
		{"/foo", "/foo", "", "/"},
		{"/foo/", "/foo", "/", "/"},
		{"/foo", "/foo", "/", "/"},
		{"/foo?a=/foo", "/foo", "/", "/?a=/foo"},
	} {
		p := Path{Value: c.replace}
		if got := p.Target(Match{Path: c.prefix}, c.path); got != c.want {
			t.Errorf("%s, %s -> %s: %s, want %s", c.path, c.prefix, c.replace, got, c.want)
		}
	}
	if got := (&Path{Whole: true, Value: "/new"}).Target(Match{}, "/a/b?c"); got != "/new?c" {
		t.Errorf("whole: %s", got)
	}
	d := Redirect{Scheme: "https", Path: &Path{Value: "/b"}}
	if got := d.Location(Match{Path: "/a"}, "http", "shop.example", 8080, "/a/x"); got != "https://shop.example/b/x" {
		t.Errorf("redirect: %s", got)
	}
	if got := (&Redirect{}).Location(Match{}, "http", "shop.example", 8080, "/a"); got != "http://shop.example:8080/a" {
		t.Errorf("redirect: %s", got)
	}
}
