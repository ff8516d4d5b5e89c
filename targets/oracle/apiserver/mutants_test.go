package apiserver

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"cuelang.org/go/mod/modcache"
	"golang.org/x/tools/txtar"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/compiler/starter"
	"github.com/cuepod/cuepod/targets/kubernetes"
)

var (
	mutantSeed  = flag.Uint64("mutants.seed", 20240229, "what the mutants are made from")
	mutantCount = flag.Int("mutants", 2000, "how many mutants there are")
)

// workers is how many mutants are judged at a time: a machine has two cores at
// least.
const workers = 2

// Whatever the compiler accepts, a server accepts without a warning, also where
// a definition was changed at random. And what only a rule beyond the schema
// refuses, a server refuses too, or the rule is known to be stricter. Each
// mistake is told at a line of the definition, in plain words. What a
// definition says in its escape hatches is not changed: there the user's word
// counts.
func TestMutants(t *testing.T) {
	t.Logf("seed: -mutants.seed=%d", *mutantSeed)
	m, err := newMutator(rand.New(rand.NewPCG(*mutantSeed, 0)), seeds(t))
	if err != nil {
		t.Fatal(err)
	}
	work, server := make(chan *mutant), newServer(t)
	var tally tally
	var wg sync.WaitGroup
	for range workers {
		j := &judge{dir: t.TempDir(), cache: newCache(t), server: server}
		wg.Go(func() {
			for m := range work {
				v := j.judge(t.Context(), m)
				tally.add(v)
				for _, p := range v.problems {
					t.Errorf("%s\n%s", m, p)
				}
			}
		})
	}
	for range *mutantCount {
		next, err := m.next()
		if err != nil {
			t.Error(err)
			break
		}
		work <- next
	}
	close(work)
	wg.Wait()
	t.Log(tally.String())
	// A mutator that makes only nonsense, or nothing of interest, proves nothing.
	if n := *mutantCount; n >= 1000 && (tally.accepted < n/6 || tally.agreed < n/50) {
		t.Errorf("too few mutants are of use: %s", tally.String())
	}
}

// seeds are definitions that together have every field of the language.
func seeds(t *testing.T) []*seed {
	t.Helper()
	list := []*seed{{name: "starter", files: map[string]string{}}, {name: "guestbook", files: map[string]string{}}}
	for name, data := range starter.Files("shop") {
		list[0].files[name] = string(data)
	}
	for _, name := range []string{"app.cue", "redis.cue", "cue.mod/module.cue"} {
		data, err := os.ReadFile(filepath.Join("../../../examples/guestbook", name))
		if err != nil {
			t.Fatal(err)
		}
		list[1].files[name] = string(data)
	}
	// These have all fields: they count more often.
	full, kinds := archived(t, "full", "../../../compiler/testdata/full.txtar"), archived(t, "kinds", "testdata/kinds.txtar")
	list = append(list, full, full, full, kinds, kinds, kinds, kinds, kinds)
	right, err := filepath.Glob("../../../compiler/testdata/*-right.txtar")
	if err != nil || len(right) == 0 {
		t.Fatalf("no definitions that are right: %v", err)
	}
	for _, path := range right {
		list = append(list, archived(t, strings.TrimSuffix(filepath.Base(path), ".txtar"), path))
	}
	return list
}

// archived is the seed that an archive holds.
func archived(t *testing.T, name, path string) *seed {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &seed{name: name, files: map[string]string{}}
	for _, f := range archive.Files {
		if !strings.HasPrefix(f.Name, "want.") {
			s.files[f.Name] = string(f.Data)
		}
	}
	return s
}

// Mutants of what is wrong already would prove little.
func TestSeeds_AreAccepted(t *testing.T) {
	j := &judge{dir: t.TempDir(), cache: newCache(t), server: newServer(t)}
	for _, s := range seeds(t) {
		if v := j.judge(t.Context(), &mutant{seed: s, files: s.files}); !v.accepted || len(v.problems) > 0 {
			t.Errorf("%s: accepted by the compiler: %v; %q", s.name, v.accepted, v.problems)
		}
	}
}

// newCache is a module cache that is removed with the test, although CUE makes
// its directories read-only.
func newCache(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() {
		if err := modcache.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// verdict is what compiler and server said of a mutant.
type verdict struct {
	accepted bool     // by the compiler
	beyond   bool     // refused by a rule beyond the schema alone
	stricter string   // the rule that a server does not have
	problems []string // that break the law
}

// judge compiles mutants in a directory of its own.
type judge struct {
	dir, cache string
	server     *Server
}

func (j *judge) judge(ctx context.Context, m *mutant) verdict {
	for name, text := range m.files {
		path := filepath.Join(j.dir, m.seed.name, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, []byte(text), 0o666)); err != nil {
			return verdict{problems: []string{err.Error()}}
		}
	}
	var model *app.App
	_, err := compiler.Compile(ctx, compiler.Options{
		Dir: filepath.Join(j.dir, m.seed.name), CacheDir: j.cache,
		Decoded: func(a *app.App) { model = a },
	})
	var bad *compiler.Error
	switch {
	case err == nil:
		return accepted(ctx, j.server, model)
	case !errors.As(err, &bad):
		return verdict{problems: []string{err.Error()}}
	case model == nil:
		return verdict{problems: poor(bad)} // the schema's word
	}
	v := refused(ctx, j.server, model, bad)
	v.problems = append(v.problems, poor(bad)...)
	return v
}

// poor lists mistakes without a line of the user's, or in the words of CUE.
func poor(bad *compiler.Error) []string {
	var list []string
	for _, d := range bad.Diagnostics {
		if !d.Pos.IsValid() {
			list = append(list, "no position: "+d.String())
		}
		for _, word := range []string{"empty disjunction", "incomplete value", "conflicting values", "non-concrete", "not allowed", "undefined field", "_|_"} {
			if strings.Contains(d.Message, word) {
				list = append(list, "not in plain words: "+d.String())
			}
		}
	}
	return list
}

// accepted wants the server to accept too.
func accepted(ctx context.Context, server *Server, a *app.App) verdict {
	v := verdict{accepted: true}
	out, err := kubernetes.Render(a, kubernetes.Options{})
	if err != nil {
		v.problems = []string{err.Error()}
		return v
	}
	if len(out.Files[0].Data) > 0 {
		v.problems = slices.DeleteFunc(server.Check(ctx, out.Files[0].Data), isOldAge)
	}
	return v
}

// isOldAge reports a warning of a field that Kubernetes keeps for those who have
// it: so does the definition.
func isOldAge(problem string) bool {
	return strings.Contains(problem, ": warning: ") && strings.Contains(problem, "deprecated")
}

// refused wants the server to refuse too, or a rule that says why not.
func refused(ctx context.Context, server *Server, a *app.App, bad *compiler.Error) verdict {
	v := verdict{beyond: true}
	out, err := kubernetes.Render(a, kubernetes.Options{})
	if err != nil || len(out.Files[0].Data) == 0 || len(slices.DeleteFunc(server.Check(ctx, out.Files[0].Data), isOldAge)) > 0 {
		return v
	}
	for _, d := range bad.Diagnostics {
		i := slices.IndexFunc(stricter(), func(r rule) bool { return r.pattern.MatchString(d.Message) })
		if i < 0 {
			v.problems = append(v.problems, "a server accepts what no rule of stricter explains: "+d.String())
			continue
		}
		v.stricter = stricter()[i].name
	}
	return v
}

// tally counts verdicts.
type tally struct {
	mu                    sync.Mutex
	all, accepted, agreed int
	stricter              map[string]int
}

func (t *tally) add(v verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all++
	switch {
	case v.accepted:
		t.accepted++
	case v.stricter != "":
		if t.stricter == nil {
			t.stricter = map[string]int{}
		}
		t.stricter[v.stricter]++
	case v.beyond:
		t.agreed++
	}
}

func (t *tally) String() string {
	return fmt.Sprintf("%d mutants: %d accepted; rules beyond the schema refuse %d as a server does, and these that a server accepts: %v",
		t.all, t.accepted, t.agreed, t.stricter)
}

// rule is a rule of the compiler that a server does not have.
type rule struct {
	name    string
	pattern *regexp.Regexp // of its messages
	why     string         // as in docs/definition.md
}

// stricter lists the rules by which the compiler refuses what a server accepts.
func stricter() []rule {
	return []rule{
		{"reference", regexp.MustCompile(`: there is no (pod|service|configMap|secret|key|persistentVolumeClaim|volume|container|serviceAccount|port|TCP port|UDP port) "`),
			"a server takes objects in any order, and so a name that nobody defines; the pod then waits for ever"},
		{"exactly one", regexp.MustCompile(`: there (is no|are \d+) (source|handler)`),
			"a server takes a variable without a source for an empty one, and sees no sources of secrets"},
		{"order", regexp.MustCompile(`: the pods wait for each other`),
			"Kubernetes has no `dependsOn`"},
		{"absolute path", regexp.MustCompile(`(volumeMounts\."|workingDir: |terminationMessagePath: |volumeDevices\.|hostPath\.path: ).* absolute|fileKeyRef\.path: .* must be a relative path`),
			"a server leaves it to the container runtime, which refuses the container or takes it from `/`"},
		{"same mount", regexp.MustCompile(`volumeMounts\..*: it is the same path as`),
			"a server compares paths as they are written; the container runtime refuses the second"},
		{"NUL", regexp.MustCompile(`there is a NUL byte`),
			"no program can be given one; the container fails when it starts"},
		{"long", regexp.MustCompile(`Linux gives a program at most`),
			"Linux gives no program more in one; the container fails when it starts"},
		{"image", regexp.MustCompile(`(\.image|image\.reference): .* (is not the name of an image|has no capital letters)`),
			"a server looks for spaces at the ends only; nothing can be pulled under such a name"},
		{"capability", regexp.MustCompile(`names are without CAP_`),
			"a server takes any name; container runtimes differ in what they make of `CAP_`"},
		{"quantity", regexp.MustCompile(`is larger than Kubernetes allows`),
			"a server takes 2^63-1 for it, which is not what was asked for"},
		{"field", regexp.MustCompile(`: there is no field "`),
			"a local run has no such field"},
		{"service name", regexp.MustCompile(`a service's name must start with a letter`),
			"older servers refuse it"},
		{"host", regexp.MustCompile(`hostnames\[\d+\]: \S+ is an address`),
			"the Gateway API wants a name, and the cluster's check takes digits for one"},
		{"range", regexp.MustCompile(`healthCheckNodePort: it must be a number from`),
			"a server looks at the range when it hands the port out"},
		{"node port", regexp.MustCompile(`nodePort: \d+ is already taken`),
			"a server sees it only when the second service comes"},
		{"secret", regexp.MustCompile(`^secrets\.`),
			"the output holds no secrets; whoever makes them would find out"},
		{"kind", regexp.MustCompile(`: a \w+ has no \w+`),
			"nothing is made of it, so a server never sees it"},
		{"whose", regexp.MustCompile(`nothing says (which pods answer|which pods it is for)|there is also a pod|no pod of the app has these labels`),
			"a server lets somebody else give the service its endpoints, and takes a policy for all pods"},
		{"scaling", regexp.MustCompile(`there is nothing to scale by|decides how many replicas|requests no (cpu|memory)|: \"\w+\" does not fit \w+`),
			"the autoscaler reads no number, and never acts"},
		{"budget", regexp.MustCompile(`disruptionBudget: there is no limit`),
			"a budget without a limit protects nothing"},
		{"service name of a set", regexp.MustCompile(`serviceName: .*(is not headless|are not behind)`),
			"the pods then have no names"},
		{"address", regexp.MustCompile(`a service without an address is headless|the service has no sessionAffinity|is not an IP address|it says nothing|there are 0 values|a metric of this source has no `),
			"it has no effect, or the node refuses the pod"},
		{"policy types", regexp.MustCompile(`there are rules for (Ingress|Egress), and it is not named|policyTypes: \w+ is there twice`),
			"rules of a type that is not named have no effect"},
		{"nameless", regexp.MustCompile(`it names no secret|projected: it has no sources|(imagePullSecrets|secretRef).*\.name: .* is not valid|activeDeadlineSeconds: it must be at least 1`),
			"a server takes it, and nothing can come of it"},
		{"device", regexp.MustCompile(`\" is (no|a) device`),
			"the kubelet cannot mount a device, or make one of files"},
		{"local run", regexp.MustCompile(`\.(dev|build)\b`),
			"the cluster has neither `build` nor `dev`"},
		{"label value", regexp.MustCompile(`(volumeClaimTemplates|autoscaling)\..* is not valid`),
			"a server looks when the claim is made, or never"},
		{"signal", regexp.MustCompile(`what signals there are depends on the system|stopSignal: .* is not valid|schedulingGroup|an init container cannot have lifecycle hooks`),
			"a server leaves out a field that it does not know yet"},
		{"gateway", regexp.MustCompile(`it belongs to no gateway`),
			"a route of no gateway gets no requests"},
		{"subdomain", regexp.MustCompile(`subdomain: .* is not valid`),
			"a server looks at the pods of a StatefulSet when it makes them, and cannot"},
		{"number", regexp.MustCompile(`the operator \w+ needs a whole number`),
			"the scheduler compares nothing with it: no node fits"},
	}
}

// The documentation lists the rules too.
func TestStricter_IsInTheDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../../docs/definition.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range stricter() {
		if !strings.Contains(string(text), r.why) {
			t.Errorf("docs/definition.md does not say of %s: %s", r.name, r.why)
		}
	}
}
