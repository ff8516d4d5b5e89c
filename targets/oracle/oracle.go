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
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// objects are the decoded objects of one app.
type objects struct {
	deployments []*appsv1.Deployment
	services    []*corev1.Service
	configMaps  map[string]*corev1.ConfigMap
	claims      map[string]*corev1.PersistentVolumeClaim
}

// Check returns all that is wrong with a stream of manifests, one sentence
// each. secrets are the Secrets that exist beside them and their keys; nil
// means that they are not known, and nothing is said about them.
func Check(manifests []byte, secrets map[string][]string) []string {
	o := &objects{configMaps: map[string]*corev1.ConfigMap{}, claims: map[string]*corev1.PersistentVolumeClaim{}}
	var problems []string
	names := map[string]bool{}
	for i, doc := range split(manifests) {
		name, err := o.decode(doc)
		switch {
		case err != nil:
			problems = append(problems, fmt.Sprintf("document %d: %v", i+1, err))
		case names[name]:
			problems = append(problems, fmt.Sprintf("document %d: %s is there twice", i+1, name))
		}
		names[name] = true
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
// are errors, and keeps it. It returns kind and name.
func (o *objects) decode(doc []byte) (string, error) {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	if err := yaml.Unmarshal(doc, &head); err != nil {
		return "", err
	}
	var err error
	switch head.APIVersion + " " + head.Kind {
	case "apps/v1 Deployment":
		d := new(appsv1.Deployment)
		err = strict(doc, d)
		o.deployments = append(o.deployments, d)
	case "v1 Service":
		s := new(corev1.Service)
		err = strict(doc, s)
		o.services = append(o.services, s)
	case "v1 ConfigMap":
		c := new(corev1.ConfigMap)
		err = strict(doc, c)
		o.configMaps[head.Metadata.Name] = c
	case "v1 PersistentVolumeClaim":
		p := new(corev1.PersistentVolumeClaim)
		err = strict(doc, p)
		o.claims[head.Metadata.Name] = p
	default:
		o, ok := other(head.APIVersion, head.Kind)
		if !ok {
			return "", fmt.Errorf("%s %q is no kind that we write", head.APIVersion, head.Kind)
		}
		err = strict(doc, o)
	}
	return head.Kind + " " + head.Metadata.Name, err
}

// other is an empty object of a kind that definitions have of their own.
// Widget stands for all kinds that a server has no type for.
func other(apiVersion, kind string) (object any, ok bool) {
	switch apiVersion + " " + kind {
	case "batch/v1 CronJob":
		return new(batchv1.CronJob), true
	case "rbac.authorization.k8s.io/v1 ClusterRole":
		return new(rbacv1.ClusterRole), true
	case "v1 ServiceAccount":
		return new(corev1.ServiceAccount), true
	case "example.com/v1 Widget":
		return new(map[string]any), true
	}
	return nil, false
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
