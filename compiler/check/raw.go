package check

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/compiler/near"
)

// hatches checks the hatches for Kubernetes against the fields that its API
// has, at any depth.
func (c *checker) hatches() {
	for i := range c.app.Pods {
		p := &c.app.Pods[i]
		at := "pods." + p.Name
		c.typed(p.Kubernetes.Field("workload"), p.Kind, at+".kubernetes.workload")
		c.typed(p.Kubernetes.Field("podSpec"), "PodSpec", at+".kubernetes.podSpec")
		c.rawContainers(p, "containers", p.Containers)
		c.rawContainers(p, "initContainers", p.InitContainers)
		for _, ctr := range p.InitContainers {
			c.typed(ctr.Kubernetes.Field(), "Container", at+".initContainers."+ctr.Name+".kubernetes")
		}
		for _, ctr := range p.Containers {
			c.typed(ctr.Kubernetes.Field(), "Container", at+".containers."+ctr.Name+".kubernetes")
		}
		for _, v := range p.Volumes {
			c.typed(v.Kubernetes.Field(), "Volume", at+".volumes."+v.Name+".kubernetes")
		}
	}
	for _, s := range c.app.Services {
		c.typed(s.Kubernetes.Field(), "ServiceSpec", "services."+s.Name+".kubernetes")
	}
	for _, i := range c.app.Ingresses {
		c.typed(i.Kubernetes.Field(), "IngressSpec", "ingresses."+i.Name+".kubernetes")
	}
}

// rawContainers checks that a container of a hatch is one of the pod's or is
// whole: a misspelt name would else make another container.
func (c *checker) rawContainers(p *app.Pod, list string, have []app.Container) {
	raw := p.Kubernetes.Field("podSpec", list)
	if raw == nil {
		return
	}
	known := names(have, func(c app.Container) string { return c.Name })
	for i := range raw.Items {
		name := raw.Items[i].String("name")
		if name != "" && raw.Items[i].Field("image") == nil && !slices.Contains(known, name) {
			c.missing(raw.Items[i].Pos, "pods."+p.Name+".kubernetes.podSpec."+list+"."+name, "container", name, "pod "+p.Name, slices.Clone(known))
		}
	}
}

// typed holds raw data, which may be nil, against a type of the API.
func (c *checker) typed(raw *app.Raw, typ, at string) {
	if raw == nil || raw.Kind == app.RawNull || typ == "any" {
		return
	}
	if item, ok := strings.CutPrefix(typ, "[]"); ok {
		if c.kind(raw, at, "a list", app.RawList) {
			for i := range raw.Items {
				c.item(&raw.Items[i], item, at+itemName(&raw.Items[i], i))
			}
		}
		return
	}
	if item, ok := strings.CutPrefix(typ, "{}"); ok {
		if c.kind(raw, at, "fields in { }", app.RawStruct) {
			for i := range raw.Items {
				c.typed(&raw.Items[i], item, at+"."+raw.Items[i].Name)
			}
		}
		return
	}
	switch typ {
	case "string":
		c.kind(raw, at, "a string", app.RawString)
	case "bool":
		c.kind(raw, at, "true or false", app.RawBool)
	case "int":
		if c.kind(raw, at, "a whole number", app.RawNumber) && strings.Contains(raw.Text, ".") {
			c.report(raw.Pos, "%s: expected a whole number, got %s", at, raw.Text)
		}
	case "quantity", "intOrString":
		c.kind(raw, at, "a string or a number", app.RawString, app.RawNumber)
	default:
		c.fieldsOf(raw, typ, at)
	}
}

// item holds an item of a list against a type. It has what the list is merged
// by: Kubernetes requires it.
func (c *checker) item(raw *app.Raw, typ, at string) {
	if raw.Kind == app.RawNull {
		c.report(raw.Pos, "%s: an item of a list cannot be null", at)
		return
	}
	before := len(c.problems)
	c.typed(raw, typ, at)
	key := map[string]string{
		"Container": "name", "EphemeralContainer": "name", "Volume": "name", "EnvVar": "name",
		"VolumeMount": "mountPath", "ContainerPort": "containerPort", "ServicePort": "port",
	}[typ]
	if key != "" && raw.Field(key) == nil && len(c.problems) == before {
		c.report(raw.Pos, "%s: the field %s is missing", at, key)
	}
}

// itemName names an item of a list by its name, or else by its number.
func itemName(item *app.Raw, i int) string {
	if name := item.String("name"); name != "" {
		return "." + name
	}
	return "[" + strconv.Itoa(i) + "]"
}

// fieldsOf holds a struct against the fields of a type.
func (c *checker) fieldsOf(raw *app.Raw, typ, at string) {
	if !c.kind(raw, at, "fields in { }", app.RawStruct) {
		return
	}
	fields := map[string]string{}
	for field := range strings.FieldsSeq(kubernetesType(typ)) {
		name, fieldType, _ := strings.Cut(field, "=")
		fields[name] = fieldType
	}
	for i := range raw.Items {
		f := &raw.Items[i]
		if fieldType, ok := fields[f.Name]; ok {
			c.typed(f, fieldType, at+"."+f.Name)
			continue
		}
		c.report(f.Pos, "%s: unknown field %q", at, f.Name)
		if hint := near.Hint(f.Name, slices.Sorted(maps.Keys(fields))); hint != "" {
			c.hint("%s", hint)
		} else {
			c.hint("Kubernetes' %s has no such field", typ)
		}
	}
}

// kind reports a value of another kind than the ones that are right.
func (c *checker) kind(raw *app.Raw, at, want string, kinds ...app.RawKind) bool {
	if slices.Contains(kinds, raw.Kind) {
		return true
	}
	got := map[app.RawKind]string{
		app.RawStruct: "fields in { }", app.RawList: "a list", app.RawString: "the string " + quoted(raw.Text),
		app.RawNumber: "the number " + raw.Text, app.RawBool: raw.Text,
	}[raw.Kind]
	c.report(raw.Pos, "%s: expected %s, got %s", at, want, got)
	if slices.Contains(kinds, app.RawString) && (raw.Kind == app.RawNumber || raw.Kind == app.RawBool) {
		c.hint("write it in quotes: %s", quoted(raw.Text))
	}
	return false
}

// objects checks the definition's own Kubernetes objects: they hold no secret,
// and none is an object that the app makes.
func (c *checker) objects() {
	made := c.made()
	for i := range c.app.Objects {
		o := &c.app.Objects[i]
		at := "objects." + o.Name
		kind := o.Body.String("kind")
		if o.Body.Field("items") != nil && strings.HasSuffix(kind, "List") {
			c.report(o.Pos, "%s: a list of objects is not one object", at)
			c.hint("write each object on its own")
		}
		if namespace := o.Body.Field("metadata", "namespace"); namespace != nil && namespace.Kind != app.RawString {
			c.kind(namespace, at+".metadata.namespace", "a string", app.RawString)
		}
		c.noSecret(o, at)
		id := identityOf(c.app, o)
		if other, ok := made[id]; ok {
			c.report(o.Pos, "%s: %s is already the %s %s, at %s", at, other.what, kind, id.name, other.pos)
			c.hint("rename one")
			if strings.HasPrefix(other.what, "pods.") || strings.HasPrefix(other.what, "services.") {
				c.hint("rename one, or say it there: the field kubernetes takes whatever else Kubernetes has")
			}
			continue
		}
		made[id] = maker{at, o.Pos}
	}
}

// noSecret refuses a Secret with values: the output would hold them, and so
// would every place that keeps it.
func (c *checker) noSecret(o *app.Object, at string) {
	if o.Body.String("kind") != "Secret" || group(o.Body.String("apiVersion")) != "" {
		return
	}
	for _, field := range []string{"data", "stringData"} {
		if f := o.Body.Field(field); f != nil {
			c.report(f.Pos, "%s.%s: a definition holds no secret values, as it is kept and shown in many places, and its output too", at, field)
			c.hint("say where the values come from: secrets: %s: keys: ...", o.Body.String("metadata", "name"))
			return
		}
	}
}

// identity is what makes an object one in the cluster.
type identity struct{ group, kind, namespace, name string }

// maker is who makes an object.
type maker struct {
	what string
	pos  app.Pos
}

// made are the objects that the Kubernetes target makes under the name that the
// definition gives them, and the secrets that it asks for. A ConfigMap's name
// gets a hash, so that one of that name is another.
func (c *checker) made() map[identity]maker {
	made := map[identity]maker{}
	add := func(group, kind, name, path string, pos app.Pos) {
		made[identity{group, kind, c.app.Namespace, name}] = maker{path + "." + name, pos}
	}
	for _, p := range c.app.Pods {
		group := "apps"
		if runsToEnd(&p) {
			group = "batch"
		}
		add(group, p.Kind, p.Name, "pods", p.Pos)
		if p.Autoscaling != nil {
			add("autoscaling", "HorizontalPodAutoscaler", p.Name, "pods", p.Pos)
		}
		if p.DisruptionBudget != nil {
			add("policy", "PodDisruptionBudget", p.Name, "pods", p.Pos)
		}
	}
	for _, s := range c.app.Services {
		add("", "Service", s.Name, "services", s.Pos)
	}
	for _, i := range c.app.Ingresses {
		add("networking.k8s.io", "Ingress", i.Name, "ingresses", i.Pos)
	}
	for _, r := range c.app.HTTPRoutes {
		add("gateway.networking.k8s.io", "HTTPRoute", r.Name, "httpRoutes", r.Pos)
	}
	for _, n := range c.app.NetworkPolicies {
		add("networking.k8s.io", "NetworkPolicy", n.Name, "networkPolicies", n.Pos)
	}
	for _, s := range c.app.ServiceAccounts {
		add("", "ServiceAccount", s.Name, "serviceAccounts", s.Pos)
		if len(s.Rules) > 0 {
			add("rbac.authorization.k8s.io", "Role", s.Name, "serviceAccounts", s.Pos)
			add("rbac.authorization.k8s.io", "RoleBinding", s.Name, "serviceAccounts", s.Pos)
		}
	}
	for _, s := range c.app.Secrets {
		add("", "Secret", s.Name, "secrets", s.Pos)
	}
	for _, cl := range c.app.Claims {
		add("", "PersistentVolumeClaim", cl.Name, "persistentVolumeClaims", cl.Pos)
	}
	return made
}

func identityOf(a *app.App, o *app.Object) identity {
	id := identity{group(o.Body.String("apiVersion")), o.Body.String("kind"), o.Body.String("metadata", "namespace"), o.Body.String("metadata", "name")}
	if o.Body.Field("metadata", "namespace") == nil && !app.ClusterScoped(id.kind) {
		id.namespace = a.Namespace
	}
	return id
}

// group is the group of an apiVersion; that of v1 is "".
func group(apiVersion string) string {
	group, _, ok := strings.Cut(apiVersion, "/")
	if !ok {
		return ""
	}
	return group
}
