package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"

	corev1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// cluster is what the API server has.
type cluster struct {
	namespaces []corev1.Namespace
	services   []corev1.Service
	slices     []discovery.EndpointSlice
}

// serve is an API server for a client that lists and watches. Nothing ever changes.
func (c *cluster) serve() *httptest.Server {
	mux := http.NewServeMux()
	version := metav1.ListMeta{ResourceVersion: "1"}
	typ := func(api, kind string) metav1.TypeMeta { return metav1.TypeMeta{APIVersion: api, Kind: kind} }
	mux.Handle("/api/v1/namespaces", resource(
		corev1.NamespaceList{TypeMeta: typ("v1", "NamespaceList"), ListMeta: version, Items: c.namespaces},
		c.namespaces, &corev1.Namespace{TypeMeta: typ("v1", "Namespace"), ObjectMeta: bookmark}))
	mux.Handle("/api/v1/services", resource(
		corev1.ServiceList{TypeMeta: typ("v1", "ServiceList"), ListMeta: version, Items: c.services},
		c.services, &corev1.Service{TypeMeta: typ("v1", "Service"), ObjectMeta: bookmark}))
	mux.Handle("/apis/discovery.k8s.io/v1/endpointslices", resource(
		discovery.EndpointSliceList{TypeMeta: typ("discovery.k8s.io/v1", "EndpointSliceList"), ListMeta: version, Items: c.slices},
		c.slices, &discovery.EndpointSlice{TypeMeta: typ("discovery.k8s.io/v1", "EndpointSlice"), ObjectMeta: bookmark}))
	return httptest.NewServer(mux)
}

// bookmark says that all there was has been sent.
var bookmark = metav1.ObjectMeta{ResourceVersion: "1", Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"}}

func resource[T any](list any, items []T, last any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		out := json.NewEncoder(w)
		if r.URL.Query().Get("watch") == "" {
			out.Encode(list)
			return
		}
		if r.URL.Query().Get("sendInitialEvents") == "true" {
			for i := range items {
				out.Encode(event{"ADDED", &items[i]})
			}
			out.Encode(event{"BOOKMARK", last})
		}
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
}

type event struct {
	Type   string `json:"type"`
	Object any    `json:"object"`
}
