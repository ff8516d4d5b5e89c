package apiserver

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/ast/astutil"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

// seed is a definition to mutate: its files, of which only the CUE files of the
// package are mutated.
type seed struct {
	name  string
	files map[string]string
}

// mutant is a seed with some changes, in words.
type mutant struct {
	seed    *seed
	files   map[string]string
	changes []string
}

func (m *mutant) String() string { return m.seed.name + ": " + strings.Join(m.changes, "; ") }

// mutator makes mutants. Equal sources of randomness make equal mutants.
type mutator struct {
	rand  *rand.Rand
	seeds []*seed
	// fields are the struct's fields of all seeds by the label that holds them,
	// so that a struct can be given one it lacks.
	fields map[string][]*ast.Field
}

func newMutator(r *rand.Rand, seeds []*seed) (*mutator, error) {
	m := &mutator{rand: r, seeds: seeds, fields: map[string][]*ast.Field{}}
	for _, s := range seeds {
		for _, name := range sorted(s.files) {
			f, err := parser.ParseFile(name, s.files[name])
			if err != nil {
				return nil, err
			}
			for _, p := range places(f) {
				if p.field != nil && p.holder != "" {
					m.fields[p.holder] = append(m.fields[p.holder], p.field)
				}
			}
		}
	}
	return m, nil
}

func sorted(files map[string]string) []string {
	var names []string
	for name := range files {
		if strings.HasSuffix(name, ".cue") && !strings.Contains(name, "/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// place is something in a file that a mutation can change: a literal or a
// field of a struct.
type place struct {
	literal *ast.BasicLit
	field   *ast.Field
	in      *ast.StructLit // that holds field
	label   string         // of the nearest field: field's own, or the literal's
	holder  string         // the label that holds field
}

// hatch reports whether a field holds what the language does not know: there the
// user's word counts, and only its shape is checked.
func hatch(name string) bool {
	return name == "kubernetes" || name == "compose" || name == "objects"
}

// places lists what can be changed in the app, in the order of the file.
func places(f *ast.File) []place {
	var list []place
	var labels []string
	keys := map[ast.Node]bool{} // literals that are labels
	var structs []*ast.StructLit
	label := func(back int) string {
		if len(labels) < back {
			return ""
		}
		return labels[len(labels)-back]
	}
	before := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportDecl, *ast.Package, *ast.Interpolation, *ast.Attribute:
			return false
		case *ast.StructLit:
			structs = append(structs, n)
		case *ast.Field:
			name, _, _ := ast.LabelName(n.Label)
			if hatch(name) {
				return false
			}
			if len(labels) > 0 && len(structs) > 0 {
				list = append(list, place{field: n, in: structs[len(structs)-1], label: name, holder: label(1)})
			}
			labels, keys[n.Label] = append(labels, name), true
		case *ast.BasicLit:
			if keys[n] {
				return false
			}
			list = append(list, place{literal: n, label: label(1)})
		}
		return true
	}
	after := func(n ast.Node) {
		switch n.(type) {
		case *ast.StructLit:
			structs = structs[:len(structs)-1]
		case *ast.Field:
			labels = labels[:len(labels)-1]
		}
	}
	ast.Walk(f, before, after)
	return slices.DeleteFunc(list, func(p place) bool { return p.literal != nil && p.label == "" })
}

// next makes a mutant of one to three changes.
func (m *mutator) next() (*mutant, error) {
	s := m.seeds[m.rand.IntN(len(m.seeds))]
	out := &mutant{seed: s, files: map[string]string{}}
	for name, text := range s.files {
		out.files[name] = text
	}
	for range 1 + m.rand.IntN(3) {
		names := sorted(s.files)
		name := names[m.rand.IntN(len(names))]
		f, err := parser.ParseFile(name, out.files[name], parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", out, err)
		}
		out.changes = append(out.changes, m.change(f))
		text, err := format.Node(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", out, err)
		}
		out.files[name] = string(text)
	}
	return out, nil
}

// change mutates one place of a file, and says what it did.
func (m *mutator) change(f *ast.File) string {
	all := places(f)
	p := all[m.rand.IntN(len(all))]
	if p.literal != nil {
		return m.changeLiteral(p)
	}
	switch m.rand.IntN(6) {
	case 0:
		p.in.Elts = slices.DeleteFunc(p.in.Elts, func(d ast.Decl) bool { return d == ast.Decl(p.field) })
		return "no " + p.holder + "." + p.label
	case 1, 2:
		name := m.name(p.holder)
		p.in.Elts = append(p.in.Elts, &ast.Field{Label: ast.NewString(name), Value: clone(p.field.Value)})
		return fmt.Sprintf("%s.%s again as %q", p.holder, p.label, name)
	case 3:
		name := m.name(p.holder)
		p.field.Label = ast.NewString(name)
		return fmt.Sprintf("%s.%s is now %q", p.holder, p.label, name)
	default:
		return m.graft(p)
	}
}

// graft adds to the struct at p a field that a struct of its kind has elsewhere.
func (m *mutator) graft(p place) string {
	donors := m.fields[p.holder]
	if len(donors) == 0 { // the holder has a new name
		donors = []*ast.Field{p.field}
	}
	donor := donors[m.rand.IntN(len(donors))]
	name, _, _ := ast.LabelName(donor.Label)
	p.in.Elts = slices.DeleteFunc(p.in.Elts, func(d ast.Decl) bool {
		f, ok := d.(*ast.Field)
		if !ok {
			return false
		}
		have, _, _ := ast.LabelName(f.Label)
		return have == name
	})
	p.in.Elts = append(p.in.Elts, &ast.Field{Label: ast.NewString(name), Value: clone(donor.Value)})
	return fmt.Sprintf("%s has another's %s", p.holder, name)
}

// clone copies an expression, as a tree must not hold one node twice.
func clone(e ast.Expr) ast.Expr {
	text, err := format.Node(e)
	if err != nil {
		panic(fmt.Sprintf("an expression that was parsed cannot be written: %v", err))
	}
	copied, err := parser.ParseExpr("", text)
	if err != nil {
		panic(fmt.Sprintf("an expression that was written cannot be parsed: %v", err))
	}
	return astutil.Apply(copied, func(c astutil.Cursor) bool {
		ast.SetRelPos(c.Node(), token.Blank)
		return true
	}, nil).(ast.Expr)
}

// changeLiteral puts another value in place of a literal: mostly one of its own
// kind, and mostly one that means something there.
func (m *mutator) changeLiteral(p place) string {
	was := p.literal.Value
	number := p.literal.Kind == token.INT || p.literal.Kind == token.FLOAT
	if m.rand.IntN(12) == 0 {
		number = !number // a swapped type
	}
	switch {
	case p.literal.Kind == token.TRUE || p.literal.Kind == token.FALSE:
		p.literal.Kind, p.literal.Value = token.TRUE, strconv.FormatBool(was == "false")
	case number:
		p.literal.Kind, p.literal.Value = token.INT, pick(m.rand, numbers())
	default:
		p.literal.Kind, p.literal.Value = token.STRING, literal.String.Quote(m.text(p.label))
	}
	return fmt.Sprintf("%s: %s for %s", p.label, clip(p.literal.Value), clip(was))
}

func clip(s string) string {
	if len(s) > 70 {
		return s[:67] + "..."
	}
	return s
}

func pick(r *rand.Rand, list []string) string { return list[r.IntN(len(list))] }

// text is a value for the field of a label.
func (m *mutator) text(label string) string {
	if fitting := texts()[label]; len(fitting) > 0 && m.rand.IntN(4) > 0 {
		return pick(m.rand, fitting)
	}
	return pick(m.rand, names())
}

// name is a new key for a map.
func (m *mutator) name(holder string) string {
	if fitting := keys()[holder]; len(fitting) > 0 && m.rand.IntN(4) > 0 {
		return pick(m.rand, fitting)
	}
	return pick(m.rand, names())
}

func numbers() []string {
	return []string{"-1", "0", "1", "2", "7", "8", "80", "0o777", "0o1000", "1023", "8080", "9000", "29999", "30000", "30080", "32767", "32768",
		"65535", "65536", "100", "101", "301", "404", "600", "86400", "100000", "100001", "2147483647", "2147483648", "9223372036854775807", "9223372036854775808"}
}

// names are texts at the edges of what Kubernetes calls a name.
func names() []string {
	long := func(n int) string { return strings.Repeat("a", n) }
	return []string{"", "a", "x", "0", "9a", "a9", "80", "a-", "-a", "a--b", "a.b", "a_b", "A", "Web", "aB", " a", "a ", "a b", "é", "a\nb", "a\x00", "a/b", "/", ".", "..", "..a", "a..b",
		"yes", "on", "null", "~", "1e3", "0x1f", "2001-01-01", "#a", "a: b", "web", "db", "conf", "data", "http", "dns", "kubernetes", "localhost",
		long(15), long(16), long(62), long(63), long(64), long(253), long(254), long(14) + "1", "1-1", "1234-5"}
}

func quantities() []string {
	return []string{"0", "1", "2", "0.5", "1.5", "50m", "100m", "1500m", "0.1", "1.0001", "1n", "1u", "1k", "1Ki", "1.5Ki", "0.3Ki", "64Mi", "128M", "1e3", "1E3", "1e-3", "5e-1", "1E", "1Ei", "7Ei",
		"8Ei", "9223372036854775807", "9223372036854775808", "9223372036854775807m", "0.0000000001", "-1", "+1", "1.", ".5", "1MB", "1 Gi", "1K", "000.5", "1000000000000m", "1e18", "1e19", "0.001n"}
}

func filePaths() []string {
	return []string{"a", "a/b", "a/b/c", "a/../b", "../a", "..a", "./a", "a/", "a//b", ".", "..", "/a", "a:b", "a\\b", "a/..b", "...", " ", "a b"}
}

func images() []string {
	return []string{"a", "a:1", "a:", ":1", "A:1", "a b", " a", "a ", "a@sha256:00", "localhost:5000/a", "registry.example/a/b:v1", "a:latest", "a/b@sha256:" + strings.Repeat("0", 64), "a//b", "-a", "a\n"}
}

func labelValues() []string {
	return []string{"", "a", "A.b_c-d", "a ", "-a", "a/b", "true", "1", strings.Repeat("a", 63), strings.Repeat("a", 64), "é", "no", "0777", "1_000"}
}

func ports() []string {
	return []string{"http", "dns", "web", "admin", "0", "80", "", "a--b", "HTTP", strings.Repeat("a", 15), strings.Repeat("a", 16), "8080", "1a", "a1", "redis"}
}

// texts are values that mean something in the field of a label.
func texts() map[string][]string {
	objects := []string{"web", "db", "conf", "data", "key", "tmp", "pages", "settings", "journal", "guestbook", "redis", "frontend", "absent"}
	return map[string][]string{
		"cpu": quantities(), "memory": quantities(), "storage": quantities(), "sizeLimit": quantities(),
		"image": images(), "workingDir": {"/", "/a", "a", "", "/a/../b", "/a b", "/a:b", "//"},
		"path": {"/", "/a", "a", "", "/a b", "/?a=b", "/%zz", "//", "/a#b", "/é", "/a\nb"}, "subPath": filePaths(), "file": filePaths(),
		"items": filePaths(), "a": append(filePaths(), labelValues()...), "password": filePaths(), "settings.json": filePaths(), "team": labelValues(), "tier": labelValues(), "contact": labelValues(), "note": labelValues(),
		"port": ports(), "targetPort": ports(), "protocol": {"TCP", "UDP", "SCTP", "tcp"}, "scheme": {"HTTP", "HTTPS", "http"},
		"fieldPath":       {"metadata.name", "metadata.uid", "status.podIP", "status.podIPs", "status.hostIP", "spec.nodeName", "spec.serviceAccountName", "metadata.labels['a']", "metadata.labels['a b']", "metadata.annotations['A/b']", "metadata.annotations['a.b/C']", "metadata.labels", "metadata.labels['']", "metadata.namespace"},
		"imagePullPolicy": {"Always", "Never", "IfNotPresent", "always"}, "type": {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName", "Opaque", "kubernetes.io/tls", "RollingUpdate", "Recreate", "OnDelete", "Resource", "Pods", "Object", "External", "ContainerResource",
			"Utilization", "AverageValue", "Value", "Percent", "Exact", "PathPrefix", "RegularExpression", "ReplaceFullPath", "ReplacePrefixMatch", "RequestRedirect", "URLRewrite", "RequestMirror",
			"RuntimeDefault", "Localhost", "Unconfined", "Directory", "File", "Socket", "DisruptionTarget"},
		"sessionAffinity": {"None", "ClientIP", "none"}, "medium": {"", "Memory", "HugePages"}, "kind": {"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "VolumeSnapshot", "deployment"}, "condition": {"started", "ready", "done"},
		"accessModes": {"ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod", "RWX"}, "storageClassName": {"", "fast", "a.b", "Fast"},
		"add": {"ALL", "NET_ADMIN", "SYS_ADMIN", "CAP_SYS_ADMIN", "CAP_NET_RAW", "net_admin", "X"}, "drop": {"ALL", "NET_RAW", "CAP_ALL", "", "all"},
		"name": append(objects, names()...), "key": {"a", "password", "token", "other", "file", "absent", "greeting", ".", "..a"}, "prefix": {"", "A_", "a.", "-", "..", "1", "A=B", "é"},
		"claimName": objects, "secretName": objects, "pod": objects, "hostname": names(), "namespace": names(),
		"value":   {"", "a", "$(A)", "$$(A)", "$(", "a\x00b", "true", "1", "é", "a\nb", "\t", strings.Repeat("x", 200), "'", "\"", "# a", "- a", "{", "%"},
		"command": {"", "a", "a b", "a\x00", "$(PORT)", "-", "true"}, "args": {"", "a", "a\x00", "$(A", "# no"}, "service": {"", "x", "a b", "é"},
		"env":      {"A", "", "1"},
		"schedule": {"* * * * *", "17 3 * * *", "*/5 1-5 * * MON", "@hourly", "@every 1h", "60 * * * *", "TZ=UTC * * * * *", "* * * *", "0 0 31 2 *", "5-1 * * * *", ""}, "timeZone": {"Etc/UTC", "Europe/Berlin", "UTC", "Local", "local", "Nowhere/City", ""},
		"concurrencyPolicy": {"Allow", "Forbid", "Replace"}, "completionMode": {"Indexed", "NonIndexed"}, "podReplacementPolicy": {"Failed", "TerminatingOrFailed"}, "succeededIndexes": {"0", "0-2", "0,2-3", "3-1", "0-99999", "a", "0,0", ""}, "action": {"FailJob", "FailIndex", "Ignore", "Count"},
		"restartPolicy": {"Always", "OnFailure", "Never", "NotRequired", "RestartContainer"}, "podManagementPolicy": {"Parallel", "OrderedReady"}, "whenDeleted": {"Delete", "Retain"}, "whenScaled": {"Delete", "Retain"},
		"operator": {"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Equal"}, "effect": {"NoSchedule", "PreferNoSchedule", "NoExecute"}, "whenUnsatisfiable": {"DoNotSchedule", "ScheduleAnyway"}, "topologyKey": {"zone", "kubernetes.io/hostname", "a b", ""},
		"values": {"a", "4", "", "a b"}, "cidr": networks(), "except": networks(), "loadBalancerSourceRanges": networks(), "hostIP": addresses(), "externalIPs": addresses(), "nameservers": addresses(), "clusterIP": append(addresses(), "None", ""), "loadBalancerIP": addresses(),
		"minAvailable": parts(), "maxUnavailable": parts(), "maxSurge": parts(), "hostnames": hosts(), "hosts": hosts(), "host": hosts(), "externalName": hosts(), "searches": hosts(), "subdomain": hosts(),
		"selectPolicy": {"Min", "Max", "Disabled"}, "unhealthyPodEvictionPolicy": {"AlwaysAllow", "IfHealthyBudget"}, "resource": {"limits.cpu", "requests.memory", "limits.ephemeral-storage", "limits.example.com/gpu", "cpu"}, "divisor": {"1m", "1", "1Mi", "1k", "0", "2"}, "container": objects,
		"externalTrafficPolicy": {"Cluster", "Local"}, "internalTrafficPolicy": {"Cluster", "Local"}, "ipFamilyPolicy": {"SingleStack", "PreferDualStack", "RequireDualStack"}, "ipFamilies": {"IPv4", "IPv6"}, "trafficDistribution": {"PreferSameZone", "PreferSameNode", "PreferClose", "Far"}, "loadBalancerClass": {"internal", "example.com/a", "a b", "a/b/c"}, "appProtocol": {"http", "kubernetes.io/h2c", "a b", "HTTP"},
		"dnsPolicy": {"ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"}, "preemptionPolicy": {"Never", "PreemptLowerPriority"}, "fsGroupChangePolicy": {"Always", "OnRootMismatch"}, "supplementalGroupsPolicy": {"Merge", "Strict"}, "procMount": {"Default", "Unmasked"}, "localhostProfile": filePaths(),
		"mountPropagation": {"None", "HostToContainer", "Bidirectional"}, "recursiveReadOnly": {"Disabled", "IfPossible", "Enabled"}, "subPathExpr": append(filePaths(), "$(CPU)", "$(NONE)", "$"), "terminationMessagePolicy": {"File", "FallbackToLogsOnError"}, "terminationMessagePath": {"/dev/termination-log", "a", "/", ""},
		"volumeMode": {"Block", "Filesystem"}, "driver": {"csi.example.com", "example.com/driver", "A", "a.b"}, "apiGroup": {"", "apps", "snapshot.storage.k8s.io", "a b"}, "audience": {"vault", "", "a b"}, "conditionType": {"example.com/ready", "Ready", "a b"}, "policyTypes": {"Ingress", "Egress"}, "pathType": {"Prefix", "Exact", "ImplementationSpecific"},
		"verbs": {"get", "*", "use", ""}, "apiGroups": {"", "apps", "*"}, "resources": {"pods", "pods/log", "*", ""}, "nonResourceURLs": {"/healthz", "*", "/a/*", "a", "/a*b"}, "method": {"GET", "POST", "get"}, "request": durations(), "backendRequest": durations(),
	}
}

func networks() []string {
	return append(addresses(), "10.0.0.0/8", "10.0.0.1/8", "10.1.0.0/16", "0.0.0.0/0", "::/0", "fd00::/8", "10.0.0.0/33", "/8", "::ffff:10.0.0.0/104")
}

func addresses() []string {
	return []string{"10.0.0.10", "127.0.0.1", "0.0.0.0", "::1", "fd00::1", "010.0.0.1", "1.2.3", "::ffff:10.0.0.1", "169.254.0.1", "224.0.0.1", ""}
}

func parts() []string { return []string{"25%", "0%", "100%", "101%", "0", "1", "%", "-1%", "010%"} }

func hosts() []string {
	return []string{"shop.example.com", "*.example.com", "*", "a", "A.example", "a_b.example", "a..b", "10.0.0.1", "a.b.", "*.com", "*.*.com", "localhost", strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 130) + "a"}
}

func durations() []string {
	return []string{"10s", "2s", "0s", "1h", "1.5s", "10", "1d", "100ms", "1m30s"}
}

// keys are names that mean something in a map.
func keys() map[string][]string {
	labels := []string{"a", "a/b", "example.com/a", "Example.com/a", "-a", "a b", "/a", "a/", "app.kubernetes.io/name", "app.kubernetes.io/component", "kubernetes.io/x", strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 253) + "/a", strings.Repeat("a", 254) + "/a", "é"}
	files := []string{"a", "a.b", ".", "..", "..a", ".a", "a/b", "A", "a b", "", strings.Repeat("k", 253), strings.Repeat("k", 254), "index.html"}
	return map[string][]string{
		"labels": labels, "annotations": labels, "data": files, "keys": files, "items": files,
		"env":   {"A", "a", "_", "1A", "A.B", "A-B", ".", "..", "..A", "-", "A=B", "A B", "é", "PATH", "KUBERNETES_SERVICE_HOST", strings.Repeat("A", 300)},
		"ports": ports(), "volumeMounts": {"/a", "/a/", "/a/b", "/", "a", "", "/a:b", "/a/../b", "/a b", "//a", "/tmp", "/tmp/", "/dev/shm", "./a", "/é", "/a\x00"},
		"resources": {"requests", "limits"}, "requests": {"cpu", "memory", "ephemeral-storage"}, "limits": {"cpu", "memory", "nvidia.com/gpu"},
		"server": {"livenessProbe", "readinessProbe", "startupProbe"}, "web": {"initContainers", "hostname", "headless"},
		"readinessProbe": {"httpGet", "tcpSocket", "grpc", "exec", "successThreshold", "timeoutSeconds"}, "livenessProbe": {"httpGet", "tcpSocket", "grpc", "exec", "successThreshold"},
		"containers": {"a", "server", "grpc", "wait", "web", "redis"}, "initContainers": {"a", "server", "wait"},
	}
}
