// Package allfields holds objects of Kubernetes' API in which every field is
// set, and makes definitions of them.
package allfields

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

// Objects are the objects of the kinds that a definition makes, by
// kind.
func Objects() (map[string]map[string]any, error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/api").Output()
	if err != nil {
		return nil, fmt.Errorf("where k8s.io/api is: %w", err)
	}
	route, err := filledRoute()
	if err != nil {
		return nil, err
	}
	objects := map[string]map[string]any{"HTTPRoute": route}
	for _, file := range []string{
		"apps.v1.Deployment", "apps.v1.StatefulSet", "apps.v1.DaemonSet", "batch.v1.Job", "batch.v1.CronJob",
		"core.v1.Service", "core.v1.PersistentVolumeClaim", "core.v1.ConfigMap", "core.v1.ServiceAccount",
		"networking.k8s.io.v1.Ingress", "networking.k8s.io.v1.NetworkPolicy",
		"autoscaling.v2.HorizontalPodAutoscaler", "policy.v1.PodDisruptionBudget",
		"rbac.authorization.k8s.io.v1.Role", "rbac.authorization.k8s.io.v1.ClusterRole",
	} {
		data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "testdata", "HEAD", file+".yaml"))
		if err != nil {
			return nil, err
		}
		var object map[string]any
		if err := yaml.Unmarshal(data, &object); err != nil {
			return nil, err
		}
		objects[object["kind"].(string)] = object
	}
	return objects, nil
}

// filledRoute is an HTTPRoute in which every field is set: the Gateway API keeps
// none.
func filledRoute() (map[string]any, error) {
	var route gatewayv1.HTTPRoute
	fill(reflect.ValueOf(&route.Spec).Elem(), "spec")
	data, err := json.Marshal(&route)
	if err != nil {
		return nil, err
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, err
	}
	object["apiVersion"], object["kind"] = "gateway.networking.k8s.io/v1", "HTTPRoute"
	object["metadata"] = map[string]any{"name": "r", "labels": map[string]any{"a": "b"}, "annotations": map[string]any{"a": "b"}}
	return object, nil
}

// fill sets every field: a text to its name, a number to 7.
func fill(v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), name)
	case reflect.Map:
		key := reflect.New(v.Type().Key()).Elem()
		fill(key, name)
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value, name)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for f, field := range v.Fields() {
			inner, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			fill(field, inner)
		}
	case reflect.String:
		v.SetString(name + "Value")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint16:
		v.SetUint(7)
	default:
		panic(fmt.Sprintf("a field of a kind that is not filled: %v", v.Type()))
	}
}
