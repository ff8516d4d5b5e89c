package main

import (
	"fmt"
	goast "go/ast"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

// apiBinding joins a definition to the types of the API whose fields it has.
type apiBinding struct {
	types []*apiType
	key   string // the field that is the key of the map that holds it; "" for none
}

// bindings are the definitions that go by another name than their types of the
// API, or that join several.
func bindings() map[string][]string {
	return map[string][]string{
		"Pod": {
			"v1.PodSpec", "appsv1.DeploymentSpec", "appsv1.StatefulSetSpec", "appsv1.DaemonSetSpec",
			"batchv1.CronJobSpec", "batchv1.JobSpec",
		},
		"Service":               {"v1.ServiceSpec"},
		"PersistentVolumeClaim": {"v1.PersistentVolumeClaimSpec"},
		"Autoscaling":           {"autoscalingv2.HorizontalPodAutoscalerSpec"},
		"DisruptionBudget":      {"policyv1.PodDisruptionBudgetSpec"},
		"NetworkPolicy":         {"networkingv1.NetworkPolicySpec"},
		"HTTPRoute":             {"gatewayv1.HTTPRouteSpec"},
		"ServiceAccount":        {"v1.ServiceAccount"},
		"PolicyRule":            {"rbacv1.PolicyRule"},
	}
}

// omitted are fields of the API that the schema does not have, with the reason.
func omitted() map[string]string {
	const (
		elsewhere = "the definition says it in another place"
		cluster   = "set by the cluster, not by who defines a pod"
	)
	return map[string]string{
		"Pod.selector":                    elsewhere,
		"Pod.template":                    elsewhere,
		"Pod.jobTemplate":                 elsewhere,
		"Pod.strategy":                    "updateStrategy, as in the other kinds",
		"Pod.manualSelector":              "for Jobs that adopt pods of somebody else's",
		"Pod.ephemeralContainers":         "Kubernetes takes them for running pods only",
		"Pod.serviceAccount":              "an old name of serviceAccountName",
		"Pod.scheduling":                  "of an alpha API; kubernetes.workload can say it",
		"Pod.overhead":                    cluster,
		"Service.clusterIPs":              "clusterIP and headless say it",
		"PersistentVolumeClaim.resources": "storage says it",
		"Autoscaling.scaleTargetRef":      elsewhere,
		"DisruptionBudget.selector":       elsewhere,
		"ServiceAccount.metadata":         elsewhere,
		"ServiceAccount.secrets":          "Kubernetes made them for tokens once",
	}
}

// keys are lists of the API that are maps in the schema although the API has
// no merge key for them, or another one.
func keys() map[string]string {
	return map[string]string{
		"Container.ports":               "name",
		"Service.ports":                 "name",
		"ConfigMapVolumeSource.items":   "key",
		"SecretVolumeSource.items":      "key",
		"ConfigMapProjection.items":     "key",
		"SecretProjection.items":        "key",
		"DownwardAPIVolumeSource.items": "path",
		"DownwardAPIProjection.items":   "path",
	}
}

// types are the fields whose values the schema limits more than their Go type does.
func types() map[string]string {
	return map[string]string{
		"Pod.priority":                                  "#Int32",
		"Toleration.tolerationSeconds":                  "int",
		"ContainerPort.hostPort":                        "#Port",
		"HTTPGetAction.scheme":                          `"HTTP" | "HTTPS"`,
		"PersistentVolumeClaim.accessModes":             "[...#AccessMode]",
		"PersistentVolumeClaimSpec.accessModes":         "[...#AccessMode]",
		"PodFailurePolicyOnExitCodesRequirement.values": "[...#Int32]",
		"HTTPPathModifier.type":                         `"ReplaceFullPath" | "ReplacePrefixMatch"`,
	}
}

// replaced are types of the API that have another form in the schema.
func replaced() map[string]string {
	return map[string]string{
		"resource.Quantity":  "#Quantity",
		"metav1.ObjectMeta":  "#TemplateMetadata",
		"v1.ResourceList":    "#ResourceList",
		"intstr.IntOrString": "#CountOrPercent",
	}
}

// complete adds what the hand-written schema lacks of the API: fields to its
// definitions, and the definitions of their types.
func complete(own *schema, a *api) (*schema, error) {
	c := &completer{schema: own, api: a, omitted: omitted(), used: map[string]bool{}}
	own.apis = map[string]*apiBinding{}
	for _, name := range slices.Sorted(maps.Keys(bindings())) {
		b := &apiBinding{}
		for _, path := range bindings()[name] {
			t := a.lookup(path)
			if t == nil {
				return nil, fmt.Errorf("definition %s: there is no type %s", name, path)
			}
			b.types = append(b.types, t)
		}
		d := own.find(name)
		if d == nil {
			d = &definition{name: name, doc: prose(b.types[0].doc), made: true}
			own.list = append(own.list, d)
		}
		own.apis[d.name] = b
		c.queue = append(c.queue, d)
	}
	for len(c.queue) > 0 {
		d := c.queue[0]
		c.queue = c.queue[1:]
		if err := c.definition(d); err != nil {
			return nil, err
		}
	}
	for name := range c.omitted {
		if !c.used[name] {
			return nil, fmt.Errorf("the API has no %s to omit", name)
		}
	}
	return own, nil
}

type completer struct {
	*schema
	api     *api
	queue   []*definition
	omitted map[string]string
	used    map[string]bool
}

// definition adds the fields that d lacks.
func (c *completer) definition(d *definition) error {
	b := c.apis[d.name]
	for _, t := range b.types {
		for _, f := range c.api.fields(t) {
			path := d.name + "." + f.name
			if f.name == b.key || strings.Contains(f.doc, "<gateway:experimental>") {
				continue
			}
			if c.omitted[path] != "" {
				c.used[path] = true
				continue
			}
			c.used[path] = true
			if old := d.field(f.name); old != nil {
				if err := c.bindField(d, old, f); err != nil {
					return err
				}
				continue
			}
			made, err := c.convert(d, f)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			d.fields = append(d.fields, made)
		}
	}
	return nil
}

// bindField joins the definition that a hand-written field has as its type to
// the type of the API.
func (c *completer) bindField(d *definition, f *field, in apiField) error {
	under := c.ref(f.typ.expr)
	t := c.api.declared(in.typ)
	if under == nil || t == nil || !under.isStruct() || under.keys != nil || c.apis[under.name] != nil {
		return nil
	}
	if _, ok := replaced()[t.pkg.name+"."+t.name]; ok {
		return nil
	}
	key := ""
	if f.typ.shape == dict {
		key = c.key(d, in)
	}
	return c.bind(under, t, key)
}

func (c *completer) bind(d *definition, t *apiType, key string) error {
	if old := c.apis[d.name]; old != nil {
		if old.types[0] != t || old.key != key {
			return fmt.Errorf("definition %s is both %s by %q and %s by %q", d.name, old.types[0].name, old.key, t.name, key)
		}
		return nil
	}
	c.apis[d.name] = &apiBinding{types: []*apiType{t}, key: key}
	c.queue = append(c.queue, d)
	return nil
}

func (c *completer) key(d *definition, f apiField) string {
	if key, ok := keys()[d.name+"."+f.name]; ok {
		return key
	}
	return f.key
}

// convert makes a field of the schema from one of the API.
func (c *completer) convert(d *definition, f apiField) (*field, error) {
	out := &field{name: f.name, doc: prose(f.doc), mark: token.OPTION, made: true}
	if f.required {
		out.mark = token.NOT
	}
	if text, ok := types()[d.name+"."+f.name]; ok {
		e, err := parser.ParseExpr("", text)
		if err != nil {
			return nil, err
		}
		out.typ, err = readKind(e)
		return out, err
	}
	key := ""
	if f.list {
		key = c.key(d, f)
	}
	expr, err := c.expr(f, key)
	if err != nil {
		return nil, err
	}
	out.typ = kind{expr: expr}
	switch {
	case f.list && key != "":
		out.typ = kind{shape: dict, key: c.keyType(d.name + "." + f.name), expr: expr}
	case f.list:
		out.typ = kind{shape: list, expr: expr}
	case f.values:
		out.typ = kind{shape: dict, key: ast.NewIdent("string"), expr: expr}
	}
	if id, ok := expr.(*ast.Ident); ok && out.typ.shape == one && id.Name == "string" && f.required {
		out.typ.expr = ast.NewIdent("#Text")
	}
	return out, nil
}

// keyType is what the keys of a map are: texts, but for those that are names as
// all names of a definition. Names of headers and of secrets have other signs.
func (c *completer) keyType(path string) ast.Expr {
	if slices.Contains([]string{"ResourceRequirements.claims", "Pod.resourceClaims"}, path) {
		return ast.NewIdent("#Name")
	}
	return ast.NewIdent("#Text")
}

// expr is the type of one value.
func (c *completer) expr(f apiField, key string) (ast.Expr, error) {
	t := c.api.declared(f.typ)
	name := f.typ.name
	if t != nil {
		name = t.pkg.name + "." + t.name
	}
	if e, ok := replaced()[name]; ok {
		if e == "#CountOrPercent" && f.name == "port" {
			e = "#PortRef"
		}
		return ast.NewIdent(e), nil
	}
	if t == nil {
		return basic(name)
	}
	switch x := t.expr.(type) {
	case *goast.StructType:
		return c.structType(t, key)
	case *goast.Ident:
		if t.isEnum() {
			return c.enum(t), nil
		}
		if under := c.api.lookup(t.pkg.name + "." + x.Name); under != nil {
			return c.expr(apiField{name: f.name, typ: apiRef{under.pkg, under.name}}, key)
		}
		return basic(x.Name)
	}
	return nil, fmt.Errorf("type %s is a %T", name, t.expr)
}

func basic(name string) (ast.Expr, error) {
	switch name {
	case "string", "bool":
		return ast.NewIdent(name), nil
	case "int32", "int", "uint32", "int16", "uint8":
		return ast.NewIdent("#Count"), nil
	case "int64":
		return ast.NewIdent("#Count64"), nil
	case "types.UID", "intstr.Type":
		return ast.NewIdent("string"), nil
	}
	return nil, fmt.Errorf("the type %s is not known", name)
}

// structType names the definition of a struct, which is made when there is none.
func (c *completer) structType(t *apiType, key string) (ast.Expr, error) {
	name := t.name
	if key != "" && len(c.api.fields(t)) == 1 {
		return ast.NewIdent("#Named"), nil
	}
	if old := c.apis[name]; old != nil && old.types[0] != t || old == nil && c.find(name) != nil && t.pkg.name == "gatewayv1" {
		name = strings.ToUpper(t.pkg.name[:1]) + strings.TrimRight(t.pkg.name[1:], "v12") + name
	}
	d := c.find(name)
	if d == nil {
		d = &definition{name: name, doc: prose(t.doc), made: true}
		c.list = append(c.list, d)
	}
	return ast.NewIdent("#" + name), c.bind(d, t, key)
}

// enum is a choice of strings; one of many is a definition that says them all
// in its comment, for messages.
func (c *completer) enum(t *apiType) ast.Expr {
	if len(t.enum) <= 4 {
		var e ast.Expr
		for _, v := range t.enum {
			lit := ast.NewString(v)
			if e == nil {
				e = lit
				continue
			}
			e = &ast.BinaryExpr{X: e, Op: token.OR, Y: lit}
		}
		return e
	}
	if c.find(t.name) == nil {
		words := strings.Join(t.enum[:len(t.enum)-1], ", ") + " or " + t.enum[len(t.enum)-1]
		arms := make([]string, len(t.enum))
		for i, v := range t.enum {
			arms[i] = regexp.QuoteMeta(v)
		}
		pattern := "^(" + strings.Join(arms, "|") + ")$"
		c.list = append(c.list, &definition{name: t.name, doc: words, made: true,
			value: &ast.UnaryExpr{Op: token.MAT, X: ast.NewString(pattern)}})
	}
	return ast.NewIdent("#" + t.name)
}
