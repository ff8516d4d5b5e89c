package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/runner/agent/agenttest"
	"github.com/cuepod/cuepod/runner/agent/api"
)

// conformance:S88
func TestHostsFile(t *testing.T) {
	const local = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\n" +
		"fe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"
	aliases := []api.HostAlias{{IP: "10.1.1.1", Hostnames: []string{"foo.local", "bar.local"}}, {IP: "10.1.1.2", Hostnames: []string{"one"}}}
	const added = "\n# Entries added by HostAliases.\n10.1.1.1\tfoo.local\tbar.local\n10.1.1.2\tone\n"
	for _, tt := range []struct {
		name  string
		names api.Names
		want  string
	}{
		{"a host name", api.Names{IP: "10.0.0.5", Hostname: "web-0"}, "# Kubernetes-managed hosts file.\n" + local + "10.0.0.5\tweb-0\n"},
		{"a domain", api.Names{IP: "10.0.0.5", Hostname: "db-0", Domain: "db.shop.svc.cluster.local"},
			"# Kubernetes-managed hosts file.\n" + local + "10.0.0.5\tdb-0.db.shop.svc.cluster.local\tdb-0\n"},
		{"aliases, and the machine", api.Names{IP: "10.0.0.5", Hostname: "web-0", Aliases: aliases, Machine: "10.0.0.1"},
			"# Kubernetes-managed hosts file.\n" + local + "10.0.0.5\tweb-0\n" + added + "\n# The machine of the engine.\n10.0.0.1\thost.containers.internal\thost.docker.internal\n"},
		{"the machine's network", api.Names{IP: "10.0.0.1", HostNetwork: true, Aliases: aliases, Machine: "10.0.0.1"},
			"# Kubernetes-managed hosts file (host network).\n127.0.0.1\tmachine\n" + added},
	} {
		if got := string(hostsFile(tt.names, []byte("127.0.0.1\tmachine\n"))); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

// conformance:S89 S90
func TestPodResolver(t *testing.T) {
	const cluster = "search shop.svc.cluster.local svc.cluster.local cluster.local"
	engine := "# made by the engine\nsearch old.example\nsearch corp.example. lan .\nnameserver 127.0.0.11\noptions edns0 ndots:0\n"
	options := func(kv ...string) (out []api.DNSOption) {
		for i := 0; i < len(kv); i += 2 {
			out = append(out, api.DNSOption{Name: kv[i], Value: kv[i+1]})
		}
		return out
	}
	own := api.DNS{Servers: []string{"10.0.0.53", "127.0.0.1", "10.0.0.54", "10.0.0.55"}, Searches: []string{"lan", "extra.example"}, Options: options("ndots", "2", "edns0", "")}
	with := func(policy string, dns api.DNS) api.DNS { dns.Policy = policy; return dns }
	for _, tt := range []struct {
		name string
		dns  api.DNS
		want string
	}{
		{"ClusterFirst", api.DNS{}, cluster + " corp.example lan\nnameserver 127.0.0.1\noptions ndots:5\n"},
		{"ClusterFirst, asked elsewhere", api.DNS{Cluster: "10.9.0.2"}, cluster + " corp.example lan\nnameserver 10.9.0.2\noptions ndots:5\n"},
		{"and more, each once, at most three servers", with(api.ClusterFirst, own),
			cluster + " corp.example lan extra.example\nnameserver 127.0.0.1\nnameserver 10.0.0.53\nnameserver 10.0.0.54\noptions edns0 ndots:2\n"},
		{"Default", with(api.DNSDefault, api.DNS{}), "search corp.example lan\nnameserver 127.0.0.11\noptions edns0\n"},
		{"Default, and more", with(api.DNSDefault, api.DNS{Servers: []string{"10.0.0.53"}, Options: options("timeout", "1")}),
			"search corp.example lan\nnameserver 127.0.0.11\nnameserver 10.0.0.53\noptions edns0 timeout:1\n"},
		{"None", with(api.DNSNone, api.DNS{Servers: []string{"10.0.0.53"}}), "nameserver 10.0.0.53\n"},
		{"None, and the rest", with(api.DNSNone, api.DNS{Servers: []string{"10.0.0.53"}, Searches: []string{"a.example"}, Options: options("ndots", "2")}),
			"search a.example\nnameserver 10.0.0.53\noptions ndots:2\n"},
	} {
		if got := string(podResolver(tt.dns, "shop", "127.0.0.1", parseResolvConf([]byte(engine))).bytes()); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}

// conformance:S90
func TestPodResolver_Limits(t *testing.T) {
	var many, long []string
	for i := range 40 {
		many = append(many, fmt.Sprintf("d%d.example", i))
		long = append(long, fmt.Sprintf("%0100d.example", i))
	}
	search := func(searches []string) []string {
		r := podResolver(api.DNS{Policy: api.DNSNone, Searches: searches}, "shop", "127.0.0.1", resolver{})
		return r.searches
	}
	if got := search(many); len(got) != 32 || got[31] != "d31.example" {
		t.Errorf("of 40 domains %d are left: %v", len(got), got)
	}
	if got := search(long); len(got) != 18 || len(strings.Join(got, " ")) > 2048 {
		t.Errorf("of long domains %d are left", len(got))
	}
	if got := search([]string{"a.example", strings.Repeat("x", 254)}); len(got) != 1 {
		t.Errorf("a name that breaks resolvers is left: %v", got)
	}
}

func TestUpstream(t *testing.T) {
	for conf, want := range map[string]string{
		"nameserver 127.0.0.1\nnameserver 127.0.0.11\n": "127.0.0.11:53",
		"nameserver fd00::1\n":                          "[fd00::1]:53",
		"nameserver 192.0.2.1\nnameserver 192.0.2.2\n":  "192.0.2.1:53 192.0.2.2:53",
		"search lan\nnameserver\n":                      "",
	} {
		if got := strings.Join(parseResolvConf([]byte(conf)).upstreams("127.0.0.1"), " "); got != want {
			t.Errorf("%q: %q, want %q", conf, got, want)
		}
	}
}

// The agent writes both files before it reports, follows a change, and serves
// names only in a pod that asks for the services'.
//
// conformance:S88 S90
func TestPod_WritesWhoItIs(t *testing.T) {
	agenttest.NoLeaks(t)
	h := newHub(t)
	a := newAgent(t, h, "web-0")
	s := snapshot(1, "127.88.1.8", "web-0")
	tell := func(names api.Names) (hosts, conf string) {
		t.Helper()
		s.Pods[0].Names = names
		h.send(api.ToGateway{Snapshot: s})
		h.await("the agent to apply", func(st api.Status) bool { return st.Pods["web-0"].Generation == s.Generation })
		s.Generation++
		one, _ := os.ReadFile(filepath.Join(a.dir, "hosts"))
		two, _ := os.ReadFile(filepath.Join(a.dir, "resolv.conf"))
		return string(one), string(two)
	}
	names := api.Names{IP: "127.88.0.1", Hostname: "web-0", DNS: api.DNS{Policy: api.DNSDefault}}
	if hosts, conf := tell(names); !strings.HasSuffix(hosts, "\n127.88.0.1\tweb-0\n") || conf != "search corp.test\nnameserver 127.0.0.1\n" {
		t.Errorf("hosts %q, resolv.conf %q", hosts, conf)
	}
	if _, err := a.lookup(t, "web.default.svc.cluster.local"); err == nil {
		t.Error("names are served in a pod that does not ask for them")
	}
	names.Hostname, names.DNS.Policy = "other", api.ClusterFirst
	if hosts, conf := tell(names); !strings.HasSuffix(hosts, "\n127.88.0.1\tother\n") || !strings.HasPrefix(conf, "search default.svc.cluster.local svc.cluster.local cluster.local corp.test\n") {
		t.Errorf("hosts %q, resolv.conf %q", hosts, conf)
	}
	if got, err := a.lookup(t, "web.default.svc.cluster.local"); got != "127.88.1.8" {
		t.Errorf("web: %s, %v", got, err)
	}
}
