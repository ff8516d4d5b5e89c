// Package apiserver judges manifests by the code of the Kubernetes API server
// itself: its strict decoder, its defaults, its validation and its warnings,
// used as a library. What it lets pass, a server accepts.
//
// It is a module of its own: it compiles a good part of Kubernetes, which takes
// minutes the first time.
package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/api/persistentvolumeclaim"
	"k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/api/service"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install" // registers the types with the scheme
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install" // registers the types with the scheme
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
)

// Check returns what a server would refuse or warn of in a stream of
// manifests, one sentence each.
func Check(ctx context.Context, manifests []byte) []string {
	decoder := serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict).UniversalDecoder()
	var problems []string
	for i, doc := range bytes.Split(manifests, []byte("\n---\n")) {
		object, _, err := decoder.Decode(doc, nil, nil)
		if err != nil {
			problems = append(problems, fmt.Sprintf("document %d: %v", i+1, err))
			continue
		}
		failures, warnings, err := validate(ctx, object)
		if err != nil {
			warnings = append(warnings, err.Error())
		}
		for _, f := range failures {
			problems = append(problems, fmt.Sprintf("document %d: %v", i+1, f))
		}
		for _, w := range warnings {
			problems = append(problems, fmt.Sprintf("document %d: warning: %s", i+1, w))
		}
	}
	return problems
}

// namespace is where objects without one are taken to go.
const namespace = "default"

// validate does for one object what the server's create path does between
// decoding and storing.
func validate(ctx context.Context, object runtime.Object) (field.ErrorList, []string, error) {
	switch o := object.(type) {
	case *apps.Deployment:
		o.Namespace = orDefault(o.Namespace)
		template := &o.Spec.Template
		failures := appsvalidation.ValidateDeployment(o, pod.GetValidationOptionsFromPodTemplate(template, nil))
		return failures, pod.GetWarningsForPodTemplate(ctx, field.NewPath("spec", "template"), template, nil), nil
	case *core.Service:
		o.Namespace = orDefault(o.Namespace)
		if o.Spec.ClusterIP != "" && o.Spec.ClusterIPs == nil {
			o.Spec.ClusterIPs = []string{o.Spec.ClusterIP} // as the server's storage does
		}
		return corevalidation.ValidateServiceCreate(o), service.GetWarningsForService(o, nil), nil
	case *core.ConfigMap:
		o.Namespace = orDefault(o.Namespace)
		return corevalidation.ValidateConfigMap(o), nil, nil
	case *core.ServiceAccount:
		o.Namespace = orDefault(o.Namespace)
		return corevalidation.ValidateServiceAccount(o), nil, nil
	case *core.PersistentVolumeClaim:
		o.Namespace = orDefault(o.Namespace)
		failures := corevalidation.ValidatePersistentVolumeClaim(o, corevalidation.ValidationOptionsForPersistentVolumeClaim(o, nil))
		return failures, persistentvolumeclaim.GetWarningsForPersistentVolumeClaim(o), nil
	}
	return nil, nil, errors.New(object.GetObjectKind().GroupVersionKind().Kind + " is no kind that we write")
}

func orDefault(name string) string {
	if name == "" {
		return namespace
	}
	return name
}
