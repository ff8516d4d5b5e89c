package compiler

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/parser"
	"github.com/google/go-cmp/cmp"

	"github.com/cuepod/cuepod/compiler/app"
	schema "github.com/cuepod/cuepod/cue"
)

// allComponents is an app of every component, with nearly every param.
const allComponents = `
params: copies: int | *2
_copies: params.copies
_db: components.#Postgres & {params: {name: "db", image: "postgres:15", database: "orders", user: "clerk", password: env: "DB_PASSWORD", storage: "5Gi", storageClassName: "fast", settings: max_connections: "50", resources: limits: memory: "1Gi", terminationGracePeriodSeconds: 20, runAsUser: 70}}
_plain: components.#Postgres & {params: name: "plain"}
_cache: components.#Redis & {params: name: "cache"}
_queue: components.#Redis & {params: {name: "queue", image: "valkey:8", password: generate: {}, storage: "1Gi", storageClassName: "fast", maxmemory: 128, maxmemoryPolicy: "allkeys-lru", config: timeout: "$10"}}
_web: components.#WebService & {params: {
	name: "web", image: "web:1", command: ["/web"], args: ["-v"], env: {_db.outputs.env, REDIS: value: _cache.outputs.address, SECRET: _queue.outputs.password}
	port: 8000, servicePort: 81, nodePort: 30099, ingressHost: "web.example", ingressClassName: "nginx", tlsSecretName: "web-tls"
	resources: {requests: cpu: "1", limits: {cpu: "2", memory: "1Gi"}}, dependsOn: (_db.outputs.service): {}, runAsUser: 1000, readOnlyRootFilesystem: false
	replicas: 3, readinessProbe: httpGet: {path: "/ready", port: "http"}, livenessProbe: tcpSocket: port: "http", startupProbe: {tcpSocket: port: "http", failureThreshold: 30}
}}
_small: components.#WebService & {params: {name: "small", image: "web:1", env: WEB: value: _web.outputs.url}}
_scaled: components.#WebService & {params: {name: "scaled", image: "web:1", autoscaling: {minReplicas: 2, maxReplicas: 5, cpu: 70}, disruptionBudget: minAvailable: 1}}
_worker: components.#Worker & {params: {name: "worker", image: "web:1", args: ["work"], replicas: _copies, terminationGracePeriodSeconds: 60, livenessProbe: exec: command: ["/web", "alive"]}}
_pool: components.#Worker & {params: {name: "pool", image: "web:1", autoscaling: {maxReplicas: 2, cpu: 50}}}
_clean: components.#CronJob & {params: {name: "clean", image: "web:1", args: ["clean"], schedule: "17 3 * * *", timeZone: "Europe/Berlin", concurrencyPolicy: "Replace", successfulJobsHistoryLimit: 1, failedJobsHistoryLimit: 1, backoffLimit: 0, activeDeadlineSeconds: 60}}
app: core.#App & _db.app & _plain.app & _cache.app & _queue.app & _web.app & _small.app & _scaled.app & _worker.app & _pool.app & _clean.app & {
	name: "all"
	pods: web: labels: tier: "front"
	pods: own: containers: main: image: "own:1"
}
`

// withComponents is a definition with the imports that it needs, which take five
// lines.
func withComponents(t *testing.T, text string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	text = "package a\n\nimport \"cuepod.dev/core\"\nimport \"cuepod.dev/components\"\n" + text
	if err := os.WriteFile(filepath.Join(dir, "app.cue"), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

// The outline, with which the compiler looks first, and the whole schema have to
// give the same app: where a component's struct is open in one and closed in the
// other, they would not.
func TestComponents_OutlineAgreesWithSchema(t *testing.T) {
	opts := Options{Dir: withComponents(t, allComponents), CacheDir: newCache(t)}
	var got [2]any
	for i, outline := range []bool{true, false} {
		r, err := compileWith(t.Context(), opts, outline)
		if err != nil {
			t.Fatalf("with the outline: %v: %v", outline, err)
		}
		got[i] = withoutPositions(t, r.App)
	}
	if diff := cmp.Diff(got[0], got[1]); diff != "" {
		t.Errorf("the outline gives another app than the schema (-outline +schema):\n%s", diff)
	}
}

// withoutPositions is an app as JSON values; the two schemas are files apart.
func withoutPositions(t *testing.T, a *app.App) any {
	t.Helper()
	data, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	return dropPositions(tree)
}

func dropPositions(tree any) any {
	switch v := tree.(type) {
	case map[string]any:
		delete(v, "Pos")
		delete(v, "Lines")
		delete(v, "Beside")
		for key := range v {
			v[key] = dropPositions(v[key])
		}
	case []any:
		for i := range v {
			v[i] = dropPositions(v[i])
		}
	}
	return tree
}

func TestComponents_WhatTheyMake(t *testing.T) {
	r, err := Compile(t.Context(), Options{Dir: withComponents(t, allComponents), CacheDir: newCache(t)})
	if err != nil {
		t.Fatal(err)
	}
	a := r.App
	check := func(what string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	check("the kinds", []string{a.Pod("db").Kind, a.Pod("cache").Kind, a.Pod("queue").Kind, a.Pod("web").Kind, a.Pod("worker").Kind, a.Pod("clean").Kind},
		[]string{"StatefulSet", "Deployment", "StatefulSet", "Deployment", "Deployment", "CronJob"})
	check("settings of a Postgres", a.Pod("db").Containers[0].Args, []string{"-c", "max_connections=50"})
	check("where a password comes from", a.Secret("db-credentials").Keys[0].Env, "DB_PASSWORD")
	check("by default it is generated", a.Secret("plain-credentials").Keys[0].Generate.Length, 32)
	check("a Redis without a password has no secret", a.Secret("cache-credentials") == nil, true)
	check("a Redis without a password asks for none", strings.Contains(a.Pod("cache").Containers[0].Command[2], "requirepass"), false)
	check("a Redis with one does", strings.Contains(a.Pod("queue").Containers[0].Command[2], `requirepass "$auth"`), true)
	check("the shell leaves settings alone", strings.Contains(a.Pod("queue").Containers[0].Command[2], `timeout \$10`), true)
	check("memory follows maxmemory", a.Pod("queue").Containers[0].Resources.Limits["memory"], app.Quantity("320Mi"))
	check("resources are a param's", a.Pod("db").Containers[0].Resources.Limits["memory"], app.Quantity("1Gi"))
	check("what an app adds to a pod", a.Pod("web").Labels["tier"], "front")
	check("a default of the app's, where the component has one too", a.Pod("worker").Replicas, 2)
	check("a budget for copies", a.Pod("web").DisruptionBudget.MaxUnavailable, app.CountOrPercent("1"))
	check("none for one copy", a.Pod("small").DisruptionBudget == nil, true)
	check("a budget of the app's own", []app.CountOrPercent{a.Pod("scaled").DisruptionBudget.MinAvailable, a.Pod("scaled").DisruptionBudget.MaxUnavailable}, []app.CountOrPercent{"1", ""})
	check("an ingress where there is a host", len(a.Ingresses), 1)
	check("an output in a text", a.Pod("small").Containers[0].Env[0].Value, "http://web:81")
	for what, pos := range map[string]app.Pos{"pod": a.Pod("web").Pos, "container": a.Pod("web").Containers[0].Pos, "service": a.Service("web").Pos} {
		if filepath.Base(pos.File) != "app.cue" || pos.Line < 5 {
			t.Errorf("the %s of a component is at %s, want where the app makes the component", what, pos)
		}
	}
	for _, p := range a.Pods {
		for _, c := range p.Containers {
			if s := c.SecurityContext; p.Name != "own" && (s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil || *s.RunAsUser == 0) {
				t.Errorf("pod %s may run as root: %+v", p.Name, s)
			}
		}
	}
}

// TestComponents_Mistakes: a mistake in the params of a component is told once, at
// the line where the user made it.
func TestComponents_Mistakes(t *testing.T) {
	const use = "\napp: core.#App & _x.app & {name: \"a\"}\n"
	for name, tc := range map[string]struct{ text, want string }{
		"wrong type": {
			`_x: components.#Postgres & {params: {name: "db", storage: 2}}` + use,
			"app.cue:5:50: _x.params.storage: expected a string, got the number 2\n    hint: write it in quotes: \"2\"",
		},
		"a value that is not allowed": {
			`_x: components.#Postgres & {params: {name: "db", storage: "lots"}}` + use,
			`app.cue:5:50: _x.params.storage: "lots" is not valid; it must be a number with an optional suffix, such as "250m", "0.5", "64Mi" or "1G"`,
		},
		"a number out of range": {
			`_x: components.#WebService & {params: {name: "web", image: "x:1", port: 80000}}` + use,
			"app.cue:5:67: _x.params.port: 80000 is not valid; it must be a port number from 1 to 65535",
		},
		"root": {
			`_x: components.#Worker & {params: {name: "w", image: "x:1", runAsUser: 0}}` + use,
			"app.cue:5:61: _x.params.runAsUser: 0 is not valid; it must be a whole number from 1 to 2147483647",
		},
		"one of several": {
			`_x: components.#CronJob & {params: {name: "c", image: "x:1", schedule: "1 2 3 4 5", concurrencyPolicy: "forbid"}}` + use,
			"app.cue:5:85: _x.params.concurrencyPolicy: \"forbid\" is not valid; it must be \"Allow\", \"Forbid\" or \"Replace\"\n    hint: did you mean \"Forbid\"?",
		},
		"a param is missing": {
			`_x: components.#Worker & {params: name: "w"}` + use,
			"app.cue:5:27: _x.params: the field image is missing",
		},
		"all are missing": {
			`_x: components.#Redis` + use,
			"app.cue:5:1: _x.params: the field name is missing",
		},
		"a misspelt param": {
			`_x: components.#Postgres & {params: {name: "db", storrage: "1Gi"}}` + use,
			"app.cue:5:50: _x.params: unknown field \"storrage\"\n    hint: did you mean \"storage\"?",
		},
		"a misspelt field of a param": {
			`_x: components.#Postgres & {params: {name: "db", resources: limits: memroy: "1Gi"}}` + use,
			"app.cue:5:69: _x.params.resources.limits: unknown field \"memroy\"\n    hint: did you mean \"memory\"?",
		},
		"a param beside params": {
			`_x: components.#Redis & {name: "db"}` + use,
			"app.cue:5:26: _x: unknown field \"name\"\n    hint: write params: name: ...",
		},
		"a name that is none": {
			`_x: components.#Redis & {params: name: "DB"}` + use,
			`app.cue:5:34: _x.params.name: "DB" is not valid; it must be made of lower-case letters, digits and "-", starting and ending with a letter or digit, at most 63 characters`,
		},
		"two values": {
			"_x: components.#Redis & {params: {name: \"r\", maxmemory: 8}}\n_x: params: maxmemory: 9" + use,
			"app.cue:5:46: _x.params.maxmemory: two values that exclude each other: 8 here, and 9 at app.cue:6:13\n    hint: keep one of them, or make one a default by writing *VALUE | _",
		},
		"two sources of a password": {
			`_x: components.#Redis & {params: {name: "r", password: {generate: {}, external: true}}}` + use,
			"app.cue:5:46: secrets.r-credentials.keys.password: there are 2 sources: external, generate\n    hint: give it exactly one of external, env, file, generate",
		},
		"a param of the app's own": {
			"params: image: string | *\"own:1\"\n_p: params\n_x: components.#Worker & {params: {name: \"w\", image: _p.imag}}" + use,
			"app.cue:7:57: _x.params.image: there is no field \"imag\"",
		},
		"in a struct of components": {
			"_x: components.#Redis & {params: name: \"r\"}\n_parts: db: components.#Postgres & {params: {name: \"db\", user: 1}}" + use,
			"app.cue:6:58: _parts.db.params.user: expected a string, got the number 1\n    hint: write it in quotes: \"1\"",
		},
		"there is no such component": {
			`_x: components.#Rediss & {params: name: "r"}` + use,
			"app.cue:5:16: _x: there is no definition \"Rediss\"",
		},
		"there is no such output": {
			"_x: components.#Redis & {params: name: \"r\"}" + use + `app: pods: p: containers: c: {image: "x:1", env: A: value: _x.outputs.adress}`,
			"app.cue:7:71: pods.p.containers.c.env.A.value: there is no field \"adress\"",
		},
		"the app writes what a param says": {
			`_x: components.#Worker & {params: {name: "w", image: "x:1"}}` + use + `app: pods: w: containers: w: image: "y:2"`,
			"app.cue:7:30: pods.w.containers.w.image: two values that exclude each other: \"y:2\" here, and \"x:1\" at app.cue:5:47\n    hint: keep one of them, or make one a default by writing *VALUE | _",
		},
		"the app writes what the component says": {
			`_x: components.#Postgres & {params: name: "db"}` + use + `app: pods: db: kind: "Deployment"`,
			"app.cue:7:16: pods.db.kind: two values that exclude each other: \"Deployment\" here, and \"StatefulSet\" at MODULE/components/postgres.cue:LINE\n    hint: keep one of them, or make one a default by writing *VALUE | _",
		},
		"two components of one name": {
			"_x: components.#Redis & {params: {name: \"r\", image: \"x:1\"}}\n_y: components.#Redis & {params: {name: \"r\", image: \"x:2\"}}" + strings.Replace(use, "_x.app", "_x.app & _y.app", 1),
			"app.cue:5:46: pods.r.containers.redis.image: two values that exclude each other: \"x:1\" here, and \"x:2\" at app.cue:6:46\n    hint: keep one of them, or make one a default by writing *VALUE | _",
		},
		"two components of one name that say other things": {
			"_x: components.#Redis & {params: name: \"r\"}\n_y: components.#Postgres & {params: {name: \"r\", storage: \"1Gi\"}}" + strings.Replace(use, "_x.app", "_x.app & _y.app", 1),
			"app.cue:5:5: pods.r.kind: two values that exclude each other: \"StatefulSet\" here, and \"Deployment\" at MODULE/components/redis.cue:LINE\n    hint: keep one of them, or make one a default by writing *VALUE | _",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, cache := withComponents(t, tc.text), newCache(t)
			t.Chdir(dir)
			_, err := Compile(t.Context(), Options{Dir: ".", CacheDir: cache})
			var bad *Error
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, want a mistake", err)
			}
			checkWording(t, bad)
			if diff := cmp.Diff(tc.want, withoutCache(bad.Error(), cache)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// withoutCache takes from a message what changes with every version of the
// module: where it lies, and its lines.
func withoutCache(message, cache string) string {
	before, rest, ok := strings.Cut(message, filepath.Join(cache, "mod", "extract", "cuepod.dev@"))
	if !ok {
		return message
	}
	_, rest, _ = strings.Cut(rest, "/")
	file, rest, _ := strings.Cut(rest, ".cue:")
	return before + "MODULE/" + file + ".cue:LINE" + strings.TrimLeft(rest, "0123456789:")
}

// TestComponents_OfOnesOwn: the rules are those of any definition with params and
// app, whoever made it.
func TestComponents_OfOnesOwn(t *testing.T) {
	t.Chdir(withComponents(t, `
#Proxy: components.#Component & {
	params: #ProxyParams
	outputs: url: "http://\(params.name)"
	app: pods: (params.name): containers: proxy: {image: "proxy:1", args: ["--to", params.to]}
}
#ProxyParams: {
	name!: core.#Name
	to!:   core.#Text
	port:  core.#Port | *8080
}
_p: #Proxy & {params: {
	name: "front"
	prot: 80
}}
app: core.#App & _p.app & {name: "a"}
`))
	_, err := Compile(t.Context(), Options{Dir: ".", CacheDir: newCache(t)})
	want := "app.cue:16:15: _p.params: the field to is missing\n" +
		"app.cue:18:2: _p.params: unknown field \"prot\"\n    hint: did you mean \"port\"?"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// definitions are the fields at the top of the components' package, by name.
func definitions(t *testing.T) map[string]*ast.Field {
	t.Helper()
	files, err := fs.Glob(schema.Files(), "components/*.cue")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*ast.Field{}
	for _, path := range files {
		data, err := fs.ReadFile(schema.Files(), path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(path, data, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			if field, ok := decl.(*ast.Field); ok {
				name, _, _ := ast.LabelName(field.Label)
				found[name] = field
			}
		}
	}
	return found
}

// documented is one param or output.
type documented struct{ name, constraint, kind, doc string }

// documentedFields are the fields of a definition, those of what it embeds first.
func documentedFields(t *testing.T, defs map[string]*ast.Field, name string) []documented {
	t.Helper()
	if defs[name] == nil {
		t.Fatalf("there is no %s", name)
	}
	var list []documented
	for _, decl := range defs[name].Value.(*ast.StructLit).Elts {
		switch d := decl.(type) {
		case *ast.EmbedDecl:
			list = append(list, documentedFields(t, defs, d.Expr.(*ast.Ident).Name)...)
		case *ast.Field:
			name, _, err := ast.LabelName(d.Label)
			kind, err2 := format.Node(d.Value)
			if err := errors.Join(err, err2); err != nil {
				t.Fatal(err)
			}
			list = append(list, documented{name, d.Constraint.String(), strings.Join(strings.Fields(string(kind)), " "), docOf(d)})
		}
	}
	return list
}

func docOf(d *ast.Field) string {
	var doc []string
	for _, group := range ast.Comments(d) {
		doc = append(doc, strings.Join(strings.Fields(group.Text()), " "))
	}
	return strings.Join(doc, " ")
}

// TestComponents_Docs: docs/components.md lists the components as they are.
// CUEPOD_UPDATE=1 rewrites the list.
func TestComponents_Docs(t *testing.T) {
	const page, begin, end = "../docs/components.md", "<!-- the components, from cue/components -->\n", "<!-- end of the components -->\n"
	defs := definitions(t)
	var b strings.Builder
	for _, name := range []string{"WebService", "Worker", "CronJob", "Redis", "Postgres"} {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| param | what it is | type |\n|---|---|---|\n", name, docOf(defs["#"+name]))
		for _, e := range documentedFields(t, defs, "#"+name+"Params") {
			required := ""
			if e.constraint == "!" {
				required = " **Required.**"
			}
			fmt.Fprintf(&b, "| `%s` | %s%s | `%s` |\n", e.name, e.doc, required, strings.ReplaceAll(e.kind, "|", "\\|"))
		}
		fmt.Fprintf(&b, "\n| output | what it is |\n|---|---|\n")
		for _, e := range documentedFields(t, defs, "#"+name+"Outputs") {
			fmt.Fprintf(&b, "| `%s` | %s |\n", e.name, e.doc)
		}
	}
	b.WriteString("\n")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	list, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the list", page)
	}
	if os.Getenv("CUEPOD_UPDATE") != "" {
		list = b.String()
		if err := os.WriteFile(page, []byte(before+begin+list+end+after), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(b.String(), list); diff != "" {
		t.Errorf("%s is not current; CUEPOD_UPDATE=1 rewrites it (-want +got):\n%s", page, diff)
	}
}

// TestComponents_CommentsTellTheDefaults: the default of a param is in its comment,
// for whoever reads it in an editor or in the docs.
func TestComponents_CommentsTellTheDefaults(t *testing.T) {
	defs := definitions(t)
	checked := 0
	for name, params := range map[string]string{
		"_programDefaults": "#ProgramParams", "_webServiceDefaults": "#WebServiceParams", "_workerDefaults": "#WorkerParams",
		"_cronJobDefaults": "#CronJobParams", "_redisDefaults": "#RedisParams", "_postgresDefaults": "#PostgresParams",
	} {
		docs := map[string]string{}
		for _, e := range documentedFields(t, defs, params) {
			docs[e.name] = e.doc
		}
		for _, e := range documentedFields(t, defs, name) {
			checked++
			if want := "Default " + e.kind + "."; !strings.HasSuffix(docs[e.name], want) {
				t.Errorf("%s.%s: the comment %q does not end with %q", params, e.name, docs[e.name], want)
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d defaults found", checked)
	}
}
