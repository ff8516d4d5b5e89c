package agenttest_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/runner/agent/agenttest"
)

// maxSize bounds the agent, in bytes. Every engine gets it over the wire and
// every pod runs it. The largest part is TLS: for HTTPS probes, and 390 KB for the
// gateway's own HTTPS. Rules for services are 230 KB, to count is 170 KB, copies of
// directories are some 100 KB, and HTTP/2 is 180 KB, where net/http would be 1.85 MB.
const maxSize = 7_350_000

func TestAgent_StaysSmall(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		if size := len(agenttest.Binary(t, agenttest.Module, arch)); size > maxSize {
			t.Errorf("%s: %d bytes, want at most %d: look at what it imports", arch, size, maxSize)
		}
	}
}

func TestAgent_ImportsLittle(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", agenttest.Module)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	allowed := map[string]bool{
		"golang.org/x/net/dns/dnsmessage": true,
		"golang.org/x/net/http2/hpack":    true, // what gRPC says in trailers
		"golang.org/x/sys/unix":           true,
	}
	for pkg := range strings.FieldsSeq(string(out)) {
		if !allowed[pkg] && !strings.HasPrefix(pkg, "github.com/cuepod/cuepod/") {
			t.Errorf("the agent imports %s", pkg)
		}
	}
	for _, part := range []string{"/compiler", "/engine", "/targets/docker"} {
		if strings.Contains(string(out), "github.com/cuepod/cuepod"+part) || strings.Contains(string(out), "/runner"+part) {
			t.Errorf("the agent imports %s", part)
		}
	}
}
