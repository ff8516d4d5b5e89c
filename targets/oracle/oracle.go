// Package oracle judges Kubernetes manifests by code that is not ours: the
// API's own types, decoded strictly, as a server with strict field validation
// does. On top it checks across the objects of one app what no check of single
// objects can see.
//
// It is a module of its own, so that nobody who builds Cuepod downloads
// Kubernetes for it.
package oracle

import (
	"bytes"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// objects are the decoded objects of one app.
type objects struct {
	workloads  []workload
	services   []*corev1.Service
	ingresses  []*networkingv1.Ingress
	routes     []*gatewayv1.HTTPRoute
	scalers    []*autoscalingv2.HorizontalPodAutoscaler
	bindings   []binding
	configMaps map[string]*corev1.ConfigMap
	claims     map[string]*corev1.PersistentVolumeClaim
	names      map[string]bool // "kind name"
}

// workload is what all that runs pods has. selector is nil where the cluster
// makes it.
type workload struct {
	kind, name string
	labels     map[string]string
	selector   *metav1.LabelSelector
	template   *corev1.PodTemplateSpec
	claims     []corev1.PersistentVolumeClaim // that it makes for each pod
	service    string                         // that names its pods
}

// binding is a RoleBinding or ClusterRoleBinding.
type binding struct {
	id       string
	role     rbacv1.RoleRef
	subjects []rbacv1.Subject
}

// Check returns all that is wrong with a stream of manifests, one sentence
// each. secrets are the Secrets that exist beside them and their keys; nil
// means that they are not known, and nothing is said about them.
func Check(manifests []byte, secrets map[string][]string) []string {
	o := &objects{configMaps: map[string]*corev1.ConfigMap{}, claims: map[string]*corev1.PersistentVolumeClaim{}, names: map[string]bool{}}
	var problems []string
	for i, doc := range split(manifests) {
		name, object, err := decode(doc)
		switch {
		case err != nil:
			problems = append(problems, fmt.Sprintf("document %d: %v", i+1, err))
		case o.names[name]:
			problems = append(problems, fmt.Sprintf("document %d: %s is there twice", i+1, name))
		}
		o.names[name] = true
		o.add(object)
	}
	return append(problems, o.check(secrets)...)
}

func split(manifests []byte) [][]byte {
	if len(bytes.TrimSpace(manifests)) == 0 {
		return nil
	}
	return bytes.Split(manifests, []byte("\n---\n"))
}

// decode decodes one document into its type, where unknown and repeated fields
// are errors. It returns kind and name too.
func decode(doc []byte) (id string, object any, err error) {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	if err := yaml.Unmarshal(doc, &head); err != nil {
		return "", nil, err
	}
	object, ok := empty(head.APIVersion, head.Kind)
	if !ok {
		return "", nil, fmt.Errorf("%s %q is no kind that we write", head.APIVersion, head.Kind)
	}
	return head.Kind + " " + head.Metadata.Name, object, strict(doc, object)
}

// empty is an empty object of a kind. Widget stands for all kinds that a server
// has no type for.
func empty(apiVersion, kind string) (object any, ok bool) {
	object, ok = map[string]any{
		"apps/v1 Deployment":  new(appsv1.Deployment),
		"apps/v1 StatefulSet": new(appsv1.StatefulSet),
		"apps/v1 DaemonSet":   new(appsv1.DaemonSet),
		"batch/v1 Job":        new(batchv1.Job),
		"batch/v1 CronJob":    new(batchv1.CronJob),

		"autoscaling/v2 HorizontalPodAutoscaler": new(autoscalingv2.HorizontalPodAutoscaler),
		"policy/v1 PodDisruptionBudget":          new(policyv1.PodDisruptionBudget),

		"v1 Service":                             new(corev1.Service),
		"discovery.k8s.io/v1 EndpointSlice":      new(discoveryv1.EndpointSlice),
		"networking.k8s.io/v1 Ingress":           new(networkingv1.Ingress),
		"networking.k8s.io/v1 NetworkPolicy":     new(networkingv1.NetworkPolicy),
		"gateway.networking.k8s.io/v1 HTTPRoute": new(gatewayv1.HTTPRoute),

		"v1 ConfigMap":             new(corev1.ConfigMap),
		"v1 PersistentVolumeClaim": new(corev1.PersistentVolumeClaim),

		"v1 ServiceAccount":                               new(corev1.ServiceAccount),
		"rbac.authorization.k8s.io/v1 Role":               new(rbacv1.Role),
		"rbac.authorization.k8s.io/v1 RoleBinding":        new(rbacv1.RoleBinding),
		"rbac.authorization.k8s.io/v1 ClusterRole":        new(rbacv1.ClusterRole),
		"rbac.authorization.k8s.io/v1 ClusterRoleBinding": new(rbacv1.ClusterRoleBinding),

		"example.com/v1 Widget": new(map[string]any),
	}[apiVersion+" "+kind]
	return object, ok
}

// add keeps an object for the checks between objects.
func (o *objects) add(object any) {
	switch x := object.(type) {
	case *appsv1.Deployment:
		o.workloads = append(o.workloads, workload{kind: "Deployment", name: x.Name, labels: x.Labels, selector: x.Spec.Selector, template: &x.Spec.Template})
	case *appsv1.StatefulSet:
		o.workloads = append(o.workloads, workload{"StatefulSet", x.Name, x.Labels, x.Spec.Selector, &x.Spec.Template, x.Spec.VolumeClaimTemplates, x.Spec.ServiceName})
	case *appsv1.DaemonSet:
		o.workloads = append(o.workloads, workload{kind: "DaemonSet", name: x.Name, labels: x.Labels, selector: x.Spec.Selector, template: &x.Spec.Template})
	case *batchv1.Job:
		o.workloads = append(o.workloads, workload{kind: "Job", name: x.Name, labels: x.Labels, template: &x.Spec.Template})
	case *batchv1.CronJob:
		o.workloads = append(o.workloads, workload{kind: "CronJob", name: x.Name, labels: x.Labels, template: &x.Spec.JobTemplate.Spec.Template})
	case *corev1.Service:
		o.services = append(o.services, x)
	case *corev1.ConfigMap:
		o.configMaps[x.Name] = x
	case *corev1.PersistentVolumeClaim:
		o.claims[x.Name] = x
	case *networkingv1.Ingress:
		o.ingresses = append(o.ingresses, x)
	case *gatewayv1.HTTPRoute:
		o.routes = append(o.routes, x)
	case *autoscalingv2.HorizontalPodAutoscaler:
		o.scalers = append(o.scalers, x)
	case *rbacv1.RoleBinding:
		o.bindings = append(o.bindings, binding{"RoleBinding " + x.Name, x.RoleRef, x.Subjects})
	case *rbacv1.ClusterRoleBinding:
		o.bindings = append(o.bindings, binding{"ClusterRoleBinding " + x.Name, x.RoleRef, x.Subjects})
	}
}

// strict decodes doc as a server does: to JSON first, without a look at the
// type (a number stays a number where the type wants text), then into the
// type, where unknown and repeated fields are errors.
func strict(doc []byte, object any) error {
	data, err := yaml.YAMLToJSONStrict(doc)
	if err != nil {
		return err
	}
	complaints, err := kjson.UnmarshalStrict(data, object)
	return errors.Join(append(complaints, err)...)
}
