package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// routes judges HTTPRoutes by their CustomResourceDefinition.
type routes struct {
	structural *structuralschema.Structural
	schema     validation.SchemaValidator
	rules      *cel.Validator
}

// isRoute reports whether a document is a route.
func isRoute(doc []byte) bool {
	return bytes.Contains(doc, []byte("apiVersion: gateway.networking.k8s.io/v1\n"))
}

func newRoutes(definition []byte) (*routes, error) {
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(definition, &crd); err != nil {
		return nil, err
	}
	for _, v := range crd.Spec.Versions {
		if v.Name != "v1" {
			continue
		}
		var schema apiextensions.JSONSchemaProps
		if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.Schema.OpenAPIV3Schema, &schema, nil); err != nil {
			return nil, err
		}
		structural, err := structuralschema.NewStructural(&schema)
		if err != nil {
			return nil, err
		}
		validator, _, err := validation.NewSchemaValidator(&schema)
		if err != nil {
			return nil, err
		}
		return &routes{structural, validator, cel.NewValidator(structural, true, celconfig.PerCallLimit)}, nil
	}
	return nil, errors.New("the definition of HTTPRoute has no version v1")
}

// check does what a server does with a custom resource: no unknown fields, the
// defaults, the schema, its lists, its rules.
func (r *routes) check(ctx context.Context, doc []byte) []string {
	data, err := yaml.YAMLToJSONStrict(doc)
	if err != nil {
		return []string{err.Error()}
	}
	var object map[string]any
	if err := yaml.Unmarshal(data, &object); err != nil {
		return []string{err.Error()}
	}
	object, _ = integers(object).(map[string]any)
	var problems []string
	for _, path := range pruning.PruneWithOptions(runtime.DeepCopyJSON(object), r.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		problems = append(problems, fmt.Sprintf("unknown field %q", path))
	}
	defaulting.Default(object, r.structural)
	for _, err := range validation.ValidateCustomResource(nil, object, r.schema) {
		problems = append(problems, err.Error())
	}
	for _, err := range listtype.ValidateListSetsAndMaps(nil, r.structural, object) {
		problems = append(problems, err.Error())
	}
	failures, _ := r.rules.Validate(ctx, nil, r.structural, object, nil, celconfig.RuntimeCELCostBudget)
	for _, err := range failures {
		problems = append(problems, err.Error())
	}
	return problems
}

// integers are the numbers of a server's JSON, which knows whole ones.
func integers(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key := range v {
			v[key] = integers(v[key])
		}
	case []any:
		for i := range v {
			v[i] = integers(v[i])
		}
	case float64:
		if v == float64(int64(v)) {
			return int64(v)
		}
	}
	return value
}
