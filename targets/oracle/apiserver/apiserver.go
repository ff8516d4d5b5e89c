// Package apiserver judges manifests by the code of the Kubernetes API server
// itself: its strict decoder, its defaults, its validation and its warnings,
// used as a library. What it lets pass, a server accepts. Routes of the Gateway
// API are judged by its definition, as a server does that has it installed.
//
// It is a module of its own: it compiles a good part of Kubernetes, which takes
// minutes the first time.
package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/api/persistentvolumeclaim"
	"k8s.io/kubernetes/pkg/api/service"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install" // registers the types with the scheme
	"k8s.io/kubernetes/pkg/apis/autoscaling"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install" // registers the types with the scheme
	"k8s.io/kubernetes/pkg/apis/batch"
	_ "k8s.io/kubernetes/pkg/apis/batch/install" // registers the types with the scheme
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install" // registers the types with the scheme
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/discovery"
	_ "k8s.io/kubernetes/pkg/apis/discovery/install" // registers the types with the scheme
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install" // registers the types with the scheme
	"k8s.io/kubernetes/pkg/apis/policy"
	_ "k8s.io/kubernetes/pkg/apis/policy/install" // registers the types with the scheme
	"k8s.io/kubernetes/pkg/apis/rbac"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install" // registers the types with the scheme
	"k8s.io/kubernetes/pkg/registry/apps/daemonset"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/apps/statefulset"
	"k8s.io/kubernetes/pkg/registry/autoscaling/horizontalpodautoscaler"
	"k8s.io/kubernetes/pkg/registry/batch/cronjob"
	"k8s.io/kubernetes/pkg/registry/discovery/endpointslice"
	"k8s.io/kubernetes/pkg/registry/networking/ingress"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	"k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"
	"k8s.io/kubernetes/pkg/registry/rbac/clusterrole"
	"k8s.io/kubernetes/pkg/registry/rbac/clusterrolebinding"
	"k8s.io/kubernetes/pkg/registry/rbac/role"
	"k8s.io/kubernetes/pkg/registry/rbac/rolebinding"
)

// Server judges manifests. It is safe for concurrent use.
type Server struct {
	decoder runtime.Decoder
	routes  *routes
}

// New makes a server that has the HTTPRoute of this CustomResourceDefinition.
func New(definition []byte) (*Server, error) {
	r, err := newRoutes(definition)
	return &Server{serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict).UniversalDecoder(), r}, err
}

// Check returns what a server would refuse or warn of in a stream of
// manifests, one sentence each.
func (s *Server) Check(ctx context.Context, manifests []byte) []string {
	var problems []string
	for i, doc := range bytes.Split(manifests, []byte("\n---\n")) {
		add := func(format string, args ...any) {
			problems = append(problems, fmt.Sprintf("document %d: ", i+1)+fmt.Sprintf(format, args...))
		}
		if isRoute(doc) {
			for _, problem := range s.routes.check(ctx, doc) {
				add("%s", problem)
			}
			continue
		}
		object, kind, err := s.decoder.Decode(doc, nil, nil)
		if err != nil {
			add("%v", err)
			continue
		}
		failures, warnings, err := survive(ctx, object, kind)
		if err != nil {
			add("%v", err)
		}
		for _, f := range failures {
			add("%v", f)
		}
		for _, w := range warnings {
			add("warning: %s", w)
		}
	}
	return problems
}

// namespace is where objects without one are taken to go.
const namespace = "default"

// survive is validate, where a panic of the server's is a refusal, as it is for
// who sends the object: of some invalid Jobs it looks at what is not there.
func survive(ctx context.Context, object runtime.Object, kind *schema.GroupVersionKind) (failures field.ErrorList, warnings []string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the server's validation panics: %v", p)
		}
	}()
	return validate(ctx, object, kind)
}

// validate does for one object what the server's create path does between
// decoding and storing.
func validate(ctx context.Context, object runtime.Object, kind *schema.GroupVersionKind) (field.ErrorList, []string, error) {
	if s, ok := strategy(object); ok {
		warnings, err := create(ctx, s, object, kind)
		return nil, warnings, err
	}
	switch o := object.(type) {
	case *batch.Job:
		o.Namespace = orDefault(o.Namespace)
		return validateJob(ctx, o)
	case *core.Service:
		o.Namespace = orDefault(o.Namespace)
		if o.Spec.ClusterIP != "" && o.Spec.ClusterIPs == nil {
			o.Spec.ClusterIPs = []string{o.Spec.ClusterIP} // as the server's storage does
		}
		if service.NeedsHealthCheck(o) && o.Spec.HealthCheckNodePort == 0 {
			o.Spec.HealthCheckNodePort = 30999 // so does the port that it chooses
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
	return nil, nil, errors.New(kind.Kind + " is no kind that we write")
}

// strategy is how a server creates objects of a kind. The others' strategies
// would compile its storage too.
func strategy(object runtime.Object) (rest.RESTCreateStrategy, bool) {
	switch object.(type) {
	case *apps.Deployment:
		return deployment.Strategy, true
	case *apps.StatefulSet:
		return statefulset.Strategy, true
	case *apps.DaemonSet:
		return daemonset.Strategy, true
	case *batch.CronJob:
		return cronjob.Strategy, true
	case *autoscaling.HorizontalPodAutoscaler:
		return horizontalpodautoscaler.Strategy, true
	case *policy.PodDisruptionBudget:
		return poddisruptionbudget.Strategy, true
	case *discovery.EndpointSlice:
		return endpointslice.Strategy, true
	case *networking.Ingress:
		return ingress.Strategy, true
	case *networking.NetworkPolicy:
		return networkpolicy.Strategy, true
	case *rbac.Role:
		return role.Strategy, true
	case *rbac.RoleBinding:
		return rolebinding.Strategy, true
	case *rbac.ClusterRole:
		return clusterrole.Strategy, true
	case *rbac.ClusterRoleBinding:
		return clusterrolebinding.Strategy, true
	}
	return nil, false
}

// create is what a server does before it stores an object.
func create(ctx context.Context, s rest.RESTCreateStrategy, object runtime.Object, kind *schema.GroupVersionKind) ([]string, error) {
	var heard recorder
	ctx = warning.WithWarningRecorder(ctx, &heard)
	ctx = request.WithRequestInfo(ctx, &request.RequestInfo{IsResourceRequest: true, Verb: "create", APIGroup: kind.Group, APIVersion: kind.Version})
	accessor, ok := object.(metav1.Object)
	if !ok {
		return nil, fmt.Errorf("%s has no metadata", kind.Kind)
	}
	if s.NamespaceScoped() {
		accessor.SetNamespace(orDefault(accessor.GetNamespace()))
	}
	rest.FillObjectMetaSystemFields(accessor)
	err := rest.BeforeCreate(s, request.WithNamespace(ctx, accessor.GetNamespace()), object)
	return heard, err
}

// recorder collects a server's warnings.
type recorder []string

func (r *recorder) AddWarning(_, text string) { *r = append(*r, text) }

func orDefault(name string) string {
	if name == "" {
		return namespace
	}
	return name
}
