package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// apiPackages are read for types, by the name they are imported under.
func apiPackages() map[string]string {
	return map[string]string{
		"v1":            "k8s.io/api/core/v1", // as the other packages of the API import it
		"appsv1":        "k8s.io/api/apps/v1",
		"autoscalingv2": "k8s.io/api/autoscaling/v2",
		"batchv1":       "k8s.io/api/batch/v1",
		"networkingv1":  "k8s.io/api/networking/v1",
		"policyv1":      "k8s.io/api/policy/v1",
		"rbacv1":        "k8s.io/api/rbac/v1",
		"metav1":        "k8s.io/apimachinery/pkg/apis/meta/v1",
		"gatewayv1":     "sigs.k8s.io/gateway-api/apis/v1",
	}
}

// api is the types of Kubernetes' API.
type api struct {
	packages map[string]*apiPackage
}

type apiPackage struct {
	name  string // key of apiPackages
	types map[string]*apiType
}

// apiType is one type declaration.
type apiType struct {
	pkg  *apiPackage
	name string
	doc  string
	expr ast.Expr
	enum []string // the values of a string type that lists them
}

// apiField is a field of a struct, those of embedded structs included.
type apiField struct {
	name     string // in JSON
	goName   string
	doc      string
	typ      apiRef
	pointer  bool
	list     bool // of typ
	values   bool // a map of string to typ
	required bool
	key      string // of the items of a list: the field that identifies one; "" for none
}

// apiRef is a type: a basic one, whose pkg is nil, or a declared one.
type apiRef struct {
	pkg  *apiPackage
	name string
}

func readAPI() (*api, error) {
	a := &api{packages: map[string]*apiPackage{}}
	for name, path := range apiPackages() {
		out, err := exec.Command("go", "list", "-f", "{{.Dir}}{{range .GoFiles}}\n{{.}}{{end}}", path).Output()
		if err != nil {
			return nil, fmt.Errorf("go list %s: %w", path, err)
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		p := &apiPackage{name: name, types: map[string]*apiType{}}
		fset := token.NewFileSet()
		for _, base := range lines[1:] {
			if strings.HasPrefix(base, "zz_") || strings.HasPrefix(base, "generated") {
				continue
			}
			f, err := parser.ParseFile(fset, lines[0]+"/"+base, nil, parser.ParseComments)
			if err != nil {
				return nil, err
			}
			p.read(f)
		}
		a.packages[name] = p
	}
	return a, nil
}

// read adds the types of a file, and the values of its string types.
func (p *apiPackage) read(f *ast.File) {
	values := map[string][]string{}
	for _, decl := range f.Decls {
		d, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				doc := s.Doc.Text()
				if doc == "" {
					doc = d.Doc.Text()
				}
				p.types[s.Name.Name] = &apiType{pkg: p, name: s.Name.Name, doc: doc, expr: s.Type}
			case *ast.ValueSpec:
				if id, ok := s.Type.(*ast.Ident); ok && len(s.Values) == 1 {
					if lit, ok := s.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
						text, _ := strconv.Unquote(lit.Value)
						values[id.Name] = append(values[id.Name], text)
					}
				}
			}
		}
	}
	for name, list := range values {
		if t := p.types[name]; t != nil && strings.Contains(t.doc, "+enum") {
			t.enum = list
		}
	}
	for _, t := range p.types {
		if _, list, ok := strings.Cut(t.doc, "+kubebuilder:validation:Enum="); ok {
			list, _, _ = strings.Cut(list, "\n")
			t.enum = strings.Split(list, ";")
		}
	}
}

// lookup finds a declared type by "Name" or "pkg.Name".
func (a *api) lookup(name string) *apiType {
	pkg, short, ok := strings.Cut(name, ".")
	if !ok {
		pkg, short = "v1", name
	}
	if p := a.packages[pkg]; p != nil {
		return p.types[short]
	}
	return nil
}

// fields are the fields of a struct type in declared order.
func (a *api) fields(t *apiType) []apiField {
	st, ok := t.expr.(*ast.StructType)
	if !ok {
		return nil
	}
	var out []apiField
	for _, f := range st.Fields.List {
		tag := ""
		if f.Tag != nil {
			tag, _ = strconv.Unquote(f.Tag.Value)
		}
		name, options, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
		ref, shape := a.resolve(t.pkg, f.Type)
		if len(f.Names) == 0 {
			if name == "" { // inline: json:"" and json:",inline"
				if under := a.declared(ref); under != nil && under.name != "TypeMeta" {
					out = append(out, a.fields(under)...)
				}
				continue
			}
		}
		if name == "" || name == "-" {
			continue
		}
		doc := f.Doc.Text()
		field := apiField{name: name, doc: doc, typ: ref, pointer: shape.pointer, list: shape.list, values: shape.values}
		if len(f.Names) > 0 {
			field.goName = f.Names[0].Name
		} else {
			field.goName = ref.name
		}
		field.required = !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") && !shape.pointer &&
			!strings.Contains(doc, "+optional")
		field.key = mergeKey(tag, doc)
		out = append(out, field)
	}
	return out
}

// mergeKey is the field that identifies an item of a list: the patchMergeKey,
// or else the only listMapKey. A list whose items several fields identify
// stays a list.
func mergeKey(tag, doc string) string {
	var keys []string
	for line := range strings.Lines(doc) {
		if key, ok := strings.CutPrefix(strings.TrimSpace(line), "+listMapKey="); ok {
			keys = append(keys, key)
		}
	}
	switch {
	case len(keys) == 1:
		return keys[0]
	case len(keys) > 1:
		return ""
	}
	return reflect.StructTag(tag).Get("patchMergeKey")
}

type shape struct{ pointer, list, values bool }

// resolve reads a type expression of a package's file.
func (a *api) resolve(p *apiPackage, e ast.Expr) (apiRef, shape) {
	switch x := e.(type) {
	case *ast.StarExpr:
		ref, s := a.resolve(p, x.X)
		s.pointer = true
		return ref, s
	case *ast.ArrayType:
		ref, s := a.resolve(p, x.Elt)
		s.list, s.pointer = true, false
		return ref, s
	case *ast.MapType:
		ref, s := a.resolve(p, x.Value)
		s.values = true
		return ref, s
	case *ast.Ident:
		if p.types[x.Name] != nil {
			return a.follow(p, x.Name)
		}
		return apiRef{name: x.Name}, shape{}
	case *ast.SelectorExpr:
		pkg := x.X.(*ast.Ident).Name
		switch {
		case pkg == "corev1" || pkg == "api":
			pkg = "v1"
		case pkg == "v1" && p.name == "gatewayv1":
			pkg = "metav1"
		}
		if target := a.packages[pkg]; target != nil && target.types[x.Sel.Name] != nil {
			return a.follow(target, x.Sel.Name)
		}
		return apiRef{name: pkg + "." + x.Sel.Name}, shape{}
	}
	return apiRef{name: fmt.Sprintf("%T", e)}, shape{}
}

// follow looks through a name for a list or map, such as ResourceList.
func (a *api) follow(p *apiPackage, name string) (apiRef, shape) {
	switch p.types[name].expr.(type) {
	case *ast.ArrayType:
		return a.resolve(p, p.types[name].expr)
	}
	return apiRef{p, name}, shape{}
}

// declared is the declaration behind a reference, or nil for a basic type.
func (a *api) declared(r apiRef) *apiType {
	if r.pkg == nil {
		return nil
	}
	return r.pkg.types[r.name]
}

// prose is a comment without markers and remarks for the API's developers.
func prose(doc string) string {
	var paragraphs []string
	for _, text := range strings.Split(doc, "\n\n") {
		var lines []string
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "+") || strings.HasPrefix(line, "TODO") || strings.HasPrefix(line, "---") || strings.HasPrefix(line, "<gateway:") {
				continue
			}
			lines = append(lines, line)
		}
		if joined := strings.TrimSpace(strings.Join(lines, " ")); joined != "" {
			paragraphs = append(paragraphs, strings.Join(strings.Fields(joined), " "))
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

func (t *apiType) isEnum() bool { return len(t.enum) > 0 && !slices.Contains(t.enum, "") }
