package targets_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets"
	"github.com/cuepod/cuepod/targets/compose"
	"github.com/cuepod/cuepod/targets/docker"
	"github.com/cuepod/cuepod/targets/kubernetes"
)

const supportFile = "../docs/targets.md"

// tables are what each target says of the schema's fields.
func tables() []targets.Support {
	return []targets.Support{kubernetes.Support(), compose.Support(), docker.Support()}
}

// reported are all rules of the targets by code, and those that a golden shows.
func reported(t *testing.T) (rules map[string]targets.Rule, seen map[string]bool) {
	t.Helper()
	rules, seen = map[string]targets.Rule{}, map[string]bool{}
	for _, r := range slices.Concat(kubernetes.Rules(), compose.Rules(), docker.Rules()) {
		rules[r.Code] = r
	}
	for _, path := range goldens(t) {
		_, a := readGolden(t, path)
		for _, r := range renderers {
			out, err := r.render(a)
			if err != nil {
				continue // a golden of an error
			}
			for _, f := range out.Findings {
				seen[f.Code] = true
			}
		}
	}
	return rules, seen
}

// TestSupport_CoversTheSchemaAndTheFindings wants every field of the schema in
// every table, nothing else there, and every kind of finding in a table and in a
// golden.
func TestSupport_CoversTheSchemaAndTheFindings(t *testing.T) {
	rules, seen := reported(t)
	claimed := map[string]bool{}
	for i, table := range tables() {
		target := renderers[i].name
		reachable := table.Reachable()
		for _, field := range reachable {
			if _, ok := table[field]; !ok {
				t.Errorf("%s: the table lacks %s", target, field)
			}
		}
		for field, entry := range table {
			if !slices.Contains(reachable, field) {
				t.Errorf("%s: the table has %s, which is no field, or below one that is reported as a whole", target, field)
			}
			for _, code := range entry.Codes {
				claimed[code] = true
				if rule, ok := rules[code]; !ok || !strings.HasPrefix(code, target+"/") {
					t.Errorf("%s: %s: %s is no finding of this target", target, field, code)
				} else if entry.Says != "" && rule.Level != entry.Level {
					t.Errorf("%s: %s is %s, and its finding %s is %s", target, field, entry.Level, code, rule.Level)
				}
			}
			if entry.Says != "" && len(entry.Codes) == 0 {
				t.Errorf("%s: %s says something under no code", target, field)
			}
			if entry.Level != targets.Exact && len(entry.Codes) == 0 {
				t.Errorf("%s: %s is %s without a finding", target, field, entry.Level)
			}
		}
	}
	for code := range rules {
		if !claimed[code] {
			t.Errorf("%s is in no table", code)
		}
		if !seen[code] {
			t.Errorf("%s is in no golden", code)
		}
	}
}

// TestSupport_EveryFieldIsToldOrKept renders an app that has every field of the
// schema: no target stumbles over one, and each tells of every field that its
// table says it cannot keep.
func TestSupport_EveryFieldIsToldOrKept(t *testing.T) {
	text, err := os.ReadFile("../compiler/testdata/every-field.cue")
	if err != nil {
		t.Fatal(err)
	}
	a := compile(t, text)
	for i, table := range tables() {
		out, err := renderers[i].render(a)
		if err != nil {
			t.Logf("%s refuses it: %v", renderers[i].name, err) // a path of the host, for one
			findings := targets.NewFindings(slices.Concat(kubernetes.Rules(), compose.Rules(), docker.Rules()))
			table.Report(a, findings)
			out.Findings = findings.List()
		}
		a.Walk(func(f app.Field) bool {
			entry := table[f.Kind+"."+f.Name]
			if entry.Says == "" {
				return true
			}
			path := f.Path()
			if !slices.ContainsFunc(out.Findings, func(g targets.Finding) bool { return g.Path == path && g.Code == entry.Codes[0] && g.Pos.IsValid() }) {
				t.Errorf("%s says nothing of %s", renderers[i].name, path)
			}
			return false
		})
	}
}

func TestSupport_DocumentationIsCurrent(t *testing.T) {
	supportFile, err := filepath.Abs(supportFile) // compiling goes elsewhere
	if err != nil {
		t.Fatal(err)
	}
	rules, _ := reported(t)
	got := supportText(rules)
	if os.Getenv("CUEPOD_UPDATE") != "" {
		if err := os.WriteFile(supportFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(supportFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not current (CUEPOD_UPDATE=1 updates):\n%s", supportFile, diff)
	}
}

const supportHead = `<!-- Made by targets/support_test.go: CUEPOD_UPDATE=1 go test ./targets -->

# What each target keeps

One definition means the same on every target. Where a target cannot say exactly
what a field means, ` + "`cuepod compile`" + ` reports a finding at your line:

- **exact**: it means what it means in Kubernetes.
- **emulated**: the meaning is kept by other means, which the output shows.
- **cannot**: the target has no way to say it. ` + "`--strict`" + ` makes it an error.

Fields are those of the schema, by the definition that has them: ` + "`cuepod explain --field pods.containers`" + ` shows
where they are. Fields below one that a local target cannot keep at all are left out: all of them go to Kubernetes.

`

const supportTail = `
## What no field says

- **Compose, the pod.** A holder service per replica (` + "`web-0`" + `) owns network namespace, IPC and hostname and never restarts; the pod's
  containers join it. When a holder is restarted by hand, its containers have to be too: ` + "`docker compose up --force-recreate`" + `.
- **Compose, health.** A failing probe never stops the start: failures do not count for ten minutes, Kubernetes' own deadline for a
  rollout, and what depends on the service waits. The first probe comes one period after the start.
- **Compose, secrets.** Every command on the file, ` + "`docker compose down`" + ` too, wants the secrets' variables: keep them in ` + "`.env`" + ` beside it.
- **Compose, restarts.** The engine restarts what ends, at its own pace, not in Kubernetes' CrashLoopBackOff times.
- **Compose, the holder's image.** ` + "`--holder-image`" + ` names it, ` + "`--load-holder`" + ` loads it into the local engine. It has the program
  of targets/compose/holder at ` + "`/cuepod-agent`" + `.
- **Compose, variables of services** (` + "`WEB_SERVICE_HOST`" + `) are not set: use the names.
- **Kubernetes, ConfigMaps** carry a hash of their data in their name, so that a change rolls out; those of earlier versions stay
  until somebody prunes them (` + "`kubectl apply --prune`" + ` or the delivery tool).
- **Kubernetes, claims.** A Deployment that mounts a claim which only one node at a time may mount has the strategy Recreate.
- **Kubernetes and Docker differ in seccomp**: a container on a local engine has the engine's profile, in Kubernetes none unless the cluster says so.
`

func supportText(rules map[string]targets.Rule) string {
	var b strings.Builder
	b.WriteString(supportHead + "| field | Kubernetes | Compose | Docker |\n|---|---|---|---|\n")
	all := tables()
	local := slices.Concat(all[1].Reachable(), all[2].Reachable())
	for _, field := range all[0].Reachable() {
		if !slices.Contains(local, field) {
			continue
		}
		b.WriteString("| " + field)
		for _, table := range all {
			b.WriteString(" | " + cellText(table, field, rules))
		}
		b.WriteString(" |\n")
	}
	b.WriteString("\n## Findings\n\n| code | level | what happens instead |\n|---|---|---|\n")
	for _, code := range slices.Sorted(maps.Keys(rules)) {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", code, rules[code].Level, rules[code].Summary)
	}
	b.WriteString(supportTail)
	return b.String()
}

// cellText says how a target keeps a field, with the levels of its findings
// beside their codes.
func cellText(table targets.Support, field string, rules map[string]targets.Rule) string {
	entry, ok := table[field]
	if !ok {
		return "as what holds it"
	}
	var findings []string
	for _, code := range entry.Codes {
		_, short, _ := strings.Cut(code, "/")
		if entry.Level == targets.Exact {
			short = string(rules[code].Level) + " (" + short + ")"
		}
		findings = append(findings, short)
	}
	text := string(entry.Level)
	switch {
	case findings != nil && entry.Level == targets.Exact:
		text += "; for some values " + strings.Join(findings, ", ")
	case findings != nil:
		text += " (" + strings.Join(findings, ", ") + ")"
	}
	if entry.Note != "" {
		text += " (" + entry.Note + ")"
	}
	return text
}
