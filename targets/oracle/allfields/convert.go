package allfields

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/compiler/fields"
)

// Absent are the fields of the API that no definition has, by what has
// them, with the reason.
func Absent() map[string]string {
	const (
		cluster      = "the cluster's to write"
		made         = "made from the pod's name"
		hatch        = "a hatch can say it"
		experimental = "experimental in the Gateway API"
	)
	table := map[string]string{
		"status": cluster,

		"DeploymentSpec.selector": made, "StatefulSetSpec.selector": made, "DaemonSetSpec.selector": made, "JobSpec.selector": made,
		"JobSpec.manualSelector":  "for Jobs that adopt pods of somebody else's",
		"JobSpec.scheduling":      "of an alpha API; " + hatch,
		"JobTemplate.suspend":     "in a CronJob suspend is its own",
		"JobTemplate.annotations": "Jobs have those of the app",

		"PodSpec.ephemeralContainers":   "Kubernetes takes them for running pods only",
		"PodSpec.serviceAccount":        "an old name of serviceAccountName",
		"PodSpec.overhead":              cluster,
		"PodSpec.activeDeadlineSeconds": "the API takes it for Jobs alone, which have their own",

		"Template.status":       cluster,
		"ClaimResources.limits": "no kind of storage has a limit beside what it requests",

		"ServiceSpec.clusterIPs":                     "clusterIP and headless say it",
		"IngressBackend.resource":                    hatch,
		"IngressBackend.port.name":                   "a port is a number or a name",
		"HorizontalPodAutoscalerSpec.scaleTargetRef": "it is the pod whose autoscaling it is",
		"PodDisruptionBudgetSpec.selector":           "it is the pod whose budget it is",
		"HTTPRoute.useDefaultGateways":               experimental, "HTTPRouteRule.retry": experimental, "HTTPRouteRule.sessionPersistence": experimental,
		"HTTPRouteFilter.externalAuth": experimental,
		"ServiceAccount.secrets":       "Kubernetes made them for tokens once",
		"ClusterRole.aggregationRule":  "a cluster's administrator's",
		"ConfigMap.immutable":          "always true: its name is its content",
	}
	for _, name := range []string{"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generateName",
		"generation", "managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid"} {
		table["metadata."+name] = cluster
		table["TemplateMetadata."+name] = cluster
	}
	table["TemplateMetadata.name"], table["TemplateMetadata.namespace"] = cluster, cluster
	return table
}

// Definition is an object as the fields of an app.
type Definition struct {
	App      map[string]any
	Fields   int      // how many fields of the API it says
	Dropped  []string // fields that no definition has, as Absent names them
	Problems []string // what could not be converted
}

// Convert makes the definition of an object. It changes the object in place: it
// removes what no definition has, and puts values that the schema allows in
// place of such as "typeValue".
func Convert(object map[string]any) Definition {
	c := &converter{absent: Absent(), docs: map[string]*fields.Field{}}
	app := c.object(object)
	slices.Sort(c.dropped)
	return Definition{app, c.fields, slices.Compact(c.dropped), c.problems}
}

type converter struct {
	absent   map[string]string
	dropped  []string
	fields   int
	problems []string
	docs     map[string]*fields.Field // by definition
}

func (c *converter) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

type m = map[string]any

// drop removes a field that the table says no definition has.
func (c *converter) drop(in m, where string, names ...string) {
	for _, name := range names {
		if _, ok := in[name]; !ok {
			continue
		}
		field := strings.TrimPrefix(where+"."+name, ".")
		if _, ok := c.absent[field]; !ok {
			c.problem("%s: no definition has it", field)
		}
		c.dropped = append(c.dropped, field)
		delete(in, name)
	}
}

// object makes the definition of an app from one object.
func (c *converter) object(o m) m {
	c.drop(o, "", "status")
	metadata := o["metadata"].(m)
	out := m{"name": "x"}
	metadata["name"] = "name-value"
	meta := m{"labels": metadata["labels"]}
	kind := o["kind"].(string)
	if kind == "ClusterRole" { // it has no namespace, and the account's is in its name
		delete(metadata, "namespace")
		metadata["name"] = "x-name-value"
	} else {
		metadata["namespace"] = "namespace-value"
		out["namespace"] = "namespace-value"
	}
	c.metadata(metadata, "metadata", meta)
	spec, _ := o["spec"].(m)
	switch kind {
	case "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob":
		p := m{"kind": kind}
		c.workload(kind, spec, p)
		// A workload's own annotations are not its pods'.
		if notes, ok := meta["annotations"]; ok {
			p["kubernetes"] = m{"workload": m{"metadata": m{"annotations": notes}}}
		}
		p["labels"] = meta["labels"]
		out["pods"] = m{"name-value": p}
	case "HorizontalPodAutoscaler", "PodDisruptionBudget":
		definition, field, drop := "Autoscaling", "autoscaling", "scaleTargetRef"
		if kind == "PodDisruptionBudget" {
			definition, field, drop = "DisruptionBudget", "disruptionBudget", "selector"
		}
		c.drop(spec, kind+"Spec", drop)
		out["labels"], out["annotations"] = meta["labels"], meta["annotations"]
		out["pods"] = m{"name-value": m{
			"containers": m{"c": m{"image": "i"}}, field: c.fieldsOf(definition, "pods."+field, spec),
		}}
	case "Service":
		c.drop(spec, "ServiceSpec", "clusterIPs")
		out["services"] = m{"name-value": c.with(meta, c.fieldsOf("Service", "services", spec))}
	case "PersistentVolumeClaim":
		out["persistentVolumeClaims"] = m{"name-value": c.with(meta, c.claim("persistentVolumeClaims", spec))}
	case "NetworkPolicy":
		out["networkPolicies"] = m{"name-value": c.with(meta, c.fieldsOf("NetworkPolicy", "networkPolicies", spec))}
	case "HTTPRoute":
		out["httpRoutes"] = m{"name-value": c.with(meta, c.fieldsOf("HTTPRoute", "httpRoutes", spec))}
	case "Ingress":
		out["ingresses"] = m{"name-value": c.with(meta, c.ingress(spec))}
	case "ServiceAccount":
		body := m{}
		for _, name := range []string{"imagePullSecrets", "automountServiceAccountToken"} {
			body[name] = o[name]
		}
		c.drop(o, kind, "secrets")
		account := c.fieldsOf("ServiceAccount", "serviceAccounts", body)
		out["serviceAccounts"] = m{"name-value": c.with(meta, account)}
	case "Role", "ClusterRole":
		field := map[string]string{"Role": "rules", "ClusterRole": "clusterRules"}[kind]
		c.drop(o, kind, "aggregationRule")
		body := m{field: o["rules"]}
		out["serviceAccounts"] = m{"name-value": c.with(meta, c.fieldsOf("ServiceAccount", "serviceAccounts", body))}
	case "ConfigMap":
		c.drop(o, kind, "immutable")
		c.fields += 5
		binary := m{}
		for key, text := range o["binaryData"].(m) {
			data, err := base64.StdEncoding.DecodeString(text.(string))
			if err != nil {
				c.problem("%v", err)
			}
			binary[key] = data
		}
		out["labels"], out["annotations"] = meta["labels"], meta["annotations"]
		out["configMaps"] = m{"name-value": m{"data": o["data"], "binaryData": binary}}
		delete(metadata, "name") // it ends in a hash
	default:
		c.problem("no definition makes a %s", kind)
	}
	return out
}

func (c *converter) with(meta, definition m) m {
	maps.Copy(definition, meta)
	return definition
}

// metadata moves labels and annotations into a definition.
func (c *converter) metadata(in m, where string, out m) {
	for _, name := range slices.Sorted(maps.Keys(in)) {
		switch {
		case name == "labels" || name == "annotations":
			out[name] = in[name]
			c.fields++
		case where == "metadata" && (name == "name" || name == "namespace"):
		default:
			c.drop(in, where, name)
		}
	}
}

// workload makes a pod from the spec of what runs it.
func (c *converter) workload(kind string, spec, p m) {
	if kind == "CronJob" {
		template := spec["jobTemplate"].(m)
		c.metadata(template["metadata"].(m), "TemplateMetadata", m{})
		c.drop(template["metadata"].(m), "JobTemplate", "annotations")
		jobs := template["spec"].(m)
		c.drop(jobs, "JobTemplate", "suspend")
		c.workload("Job", jobs, p)
		delete(spec, "jobTemplate")
		maps.Copy(p, c.fieldsOf("Pod", "pods", spec))
		spec["jobTemplate"] = template
		return
	}
	c.drop(spec, kind+"Spec", "selector", "manualSelector", "scheduling")
	template := spec["template"].(m)
	delete(spec, "template")
	c.metadata(template["metadata"].(m), "TemplateMetadata", p)
	pods := template["spec"].(m)
	c.drop(pods, "PodSpec", "ephemeralContainers", "serviceAccount", "overhead", "activeDeadlineSeconds")
	maps.Copy(p, c.fieldsOf("Pod", "pods", pods))

	strategy, isDeployment := spec["strategy"]
	if isDeployment {
		spec["updateStrategy"] = strategy
		delete(spec, "strategy")
	}
	claims, hasClaims := spec["volumeClaimTemplates"].([]any)
	delete(spec, "volumeClaimTemplates")
	maps.Copy(p, c.fieldsOf("Pod", "pods", spec))
	if isDeployment {
		spec["strategy"] = strategy
		delete(spec, "updateStrategy")
	}
	if hasClaims {
		spec["volumeClaimTemplates"] = claims
		out := m{}
		for _, item := range claims {
			claim := item.(m)
			c.drop(claim, "Template", "status")
			metadata, body := claim["metadata"].(m), m{}
			delete(metadata, "name")
			c.metadata(metadata, "TemplateMetadata", body)
			metadata["name"] = "data"
			out["data"] = c.with(body, c.claim("pods.volumeClaimTemplates", claim["spec"].(m)))
		}
		p["volumeClaimTemplates"] = out
	}
	spec["template"] = template
}

// claim makes a claim, whose storage is in its resources in the API.
func (c *converter) claim(path string, spec m) m {
	resources := spec["resources"].(m)
	c.drop(resources, "ClaimResources", "limits")
	resources["requests"] = m{"storage": "1Gi"}
	delete(spec, "resources")
	out := c.fieldsOf("PersistentVolumeClaim", path, spec)
	spec["resources"] = resources
	out["storage"] = "1Gi"
	return out
}

// ingress makes our own form of an Ingress.
func (c *converter) ingress(spec m) m {
	backend := func(b m) m {
		c.drop(b, "IngressBackend", "resource")
		service := b["service"].(m)
		c.drop(service["port"].(m), "IngressBackend.port", "name")
		service["name"] = "name-value"
		c.fields += 2
		return m{"service": service["name"], "port": service["port"].(m)["number"]}
	}
	out := m{"defaultBackend": backend(spec["defaultBackend"].(m))}
	spec["ingressClassName"] = "ingress-class-name-value"
	out["ingressClassName"] = spec["ingressClassName"]
	rules := m{}
	for _, r := range spec["rules"].([]any) {
		rule := r.(m)
		rule["host"] = "host-value"
		paths := m{}
		for _, p := range rule["http"].(m)["paths"].([]any) {
			path := p.(m)
			path["path"], path["pathType"] = "/path", "Exact"
			paths["/path"] = c.with(m{"pathType": "Exact"}, backend(path["backend"].(m)))
			c.fields += 2
		}
		rules["host-value"] = m{"paths": paths}
	}
	out["rules"] = rules
	tls := spec["tls"].([]any)[0].(m)
	tls["hosts"], tls["secretName"] = []any{"host-value"}, "secret-name-value"
	out["tls"] = []any{m{"hosts": tls["hosts"], "secretName": tls["secretName"]}}
	c.fields += 4
	return out
}

// fieldsOf makes a struct of a definition from one of the API, driven by the
// model's list of fields: lists with a key become maps.
func (c *converter) fieldsOf(definition, path string, in m) m {
	known := map[string][]string{}
	for _, field := range app.Fields(definition) {
		parts := strings.Fields(field)
		known[parts[0]] = append(parts[1:], "", "")
	}
	out := m{}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		f, ok := known[name]
		if !ok {
			c.drop(in, definition, name)
			continue
		}
		c.fields++
		under, key := f[0], f[1]
		path := path + "." + name
		switch value := in[name].(type) {
		case m:
			if under == "StorageList" {
				value = m{"storage": "1Gi"}
				in[name] = value
			}
			if under == "" {
				in[name] = c.values(definition, path, name, value)
				out[name] = in[name]
				continue
			}
			out[name] = c.fieldsOf(under, path, value)
		case []any:
			out[name] = c.list(definition, under, key, path, name, value)
		default:
			in[name] = c.value(definition, path, name, value)
			out[name] = in[name]
		}
	}
	return out
}

func (c *converter) list(definition, under, key, path, name string, list []any) any {
	if under == "" {
		for i := range list {
			list[i] = c.value(definition, path, name, list[i])
		}
		return list
	}
	if under == "Named" {
		key = "name"
	}
	byKey, plain := m{}, []any{}
	for _, item := range list {
		body := item.(m)
		if key == "" {
			plain = append(plain, c.fieldsOf(under, path, body))
			continue
		}
		text := kebab(body[key].(string))
		if under == "EnvVar" || key == "devicePath" || key == "ip" {
			text = body[key].(string)
		}
		if key == "mountPath" {
			text = "/" + text
		}
		delete(body, key)
		byKey[text] = c.fieldsOf(under, path, body)
		body[key] = text
		c.fields++
	}
	if key == "" {
		return plain
	}
	return byKey
}

// values are those of a map, whose keys the schema may limit.
func (c *converter) values(definition, path, name string, in m) m {
	out := m{}
	for key, value := range in {
		if doc := c.doc(definition, path, name); doc.Type == "ResourceList" {
			key = "example.com/" + key
		} else if doc.Type == "StorageList" {
			key = "storage"
		}
		out[key] = value
	}
	return out
}

// doc is what the schema says of a field.
func (c *converter) doc(definition, path, name string) fields.Field {
	d := c.docs[definition]
	if d == nil {
		var err error
		if d, err = fields.Lookup(strings.TrimSuffix(path, "."+name)); err != nil {
			c.problem("%v", err)
			return fields.Field{}
		}
		c.docs[definition] = d
	}
	i := slices.IndexFunc(d.Fields, func(f fields.Field) bool { return f.Name == name })
	if i < 0 {
		c.problem("the schema has no %s", path)
		return fields.Field{}
	}
	return d.Fields[i]
}

// value puts a value that the schema allows, and that is not what nobody has to
// write, in place of one that it does not.
func (c *converter) value(definition, path, name string, value any) any {
	doc := c.doc(definition, path, name)
	words := doc.Allowed
	switch v := value.(type) {
	case float64:
		if low, high, ok := span(words); ok && (v < low || v > high) {
			v += low
		}
		if byDefault := defaultOf(doc.Doc); byDefault == strconv.FormatFloat(v, 'f', -1, 64) {
			v++
		}
		return v
	case string:
		return c.text(doc, words, v)
	}
	return value
}

func (c *converter) text(doc fields.Field, words, v string) any {
	switch arms := regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(doc.Type, -1); {
	case len(arms) > 0:
		return arms[len(arms)-1][1]
	case doc.Name == "image" || doc.Name == "reference":
		return kebab(v)
	case strings.Contains(words, `percentage such as`):
		return "25%"
	case strings.HasPrefix(words, "made of lower-case"), strings.HasPrefix(words, `"", or made of lower-case`), strings.HasPrefix(words, "a port number") && doc.Type != "int":
		return kebab(v)[:min(len(kebab(v)), 15)]
	case strings.HasPrefix(words, "an absolute path"):
		return "/" + v
	case strings.HasPrefix(words, "a capability"):
		return strings.ToUpper(v)
	case strings.HasPrefix(words, "a number with an optional suffix"):
		return "3"
	case strings.HasPrefix(words, "Memory, HugePages"):
		return "Memory"
	case strings.HasPrefix(words, "a URL"), strings.HasPrefix(words, "a host name"):
		return kebab(v)
	case regexp.MustCompile(`^[^ ,]+(, [^ ,]+)* or [^ ,]+$`).MatchString(words):
		return words[strings.LastIndex(words, " ")+1:]
	}
	return v
}

// span reads "a whole number from 1 to 5".
func span(words string) (low, high float64, ok bool) {
	found := regexp.MustCompile(`from (-?\d+) to (\d+)`).FindStringSubmatch(words)
	if found == nil {
		return 0, 0, false
	}
	low, _ = strconv.ParseFloat(found[1], 64)
	high, _ = strconv.ParseFloat(found[2], 64)
	return low, high, true
}

func defaultOf(doc string) string {
	found := regexp.MustCompile(`Default (\S+?)[.;]`).FindStringSubmatch(doc)
	if found == nil {
		return ""
	}
	return found[1]
}

// kebab is a text as a name: "nameValue" is "name-value".
func kebab(s string) string {
	s = regexp.MustCompile(`([a-z0-9])([A-Z])`).ReplaceAllString(s, "$1-$2")
	return strings.ToLower(regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(s, "-"))
}

// CUE writes a value as CUE.
func CUE(value any) string {
	switch v := value.(type) {
	case m:
		var b strings.Builder
		b.WriteString("{")
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if v[name] != nil {
				fmt.Fprintf(&b, "%q: %s\n", name, CUE(v[name]))
			}
		}
		return b.String() + "}"
	case []any:
		var items []string
		for _, item := range v {
			items = append(items, CUE(item))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case []byte:
		text := "'"
		for _, b := range v {
			text += fmt.Sprintf(`\x%02x`, b)
		}
		return text + "'"
	}
	data, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("a value that was read from JSON cannot be written: %v", err))
	}
	return string(data)
}
