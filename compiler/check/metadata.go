package check

import (
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// Annotations that say what a field says, from before there was the field: each
// by its key or the beginning of it, with the field. A server ignores them, or
// wants them to say the same.
func replaced() []struct{ key, field string } {
	return []struct{ key, field string }{
		{"scheduler.alpha.kubernetes.io/tolerations", "tolerations"},
		{"seccomp.security.alpha.kubernetes.io/pod", "securityContext.seccompProfile"},
		{"container.seccomp.security.alpha.kubernetes.io/", "securityContext.seccompProfile of the container"},
		{"container.apparmor.security.beta.kubernetes.io/", "securityContext.appArmorProfile of the container"},
	}
}

const deletionCost = "controller.kubernetes.io/pod-deletion-cost"

// podMetadata checks labels and annotations of pods that mean something to a
// server.
func (c *checker) podMetadata(p *app.Pod, at place) {
	for _, key := range sortedKeys(p.Annotations) {
		at := at.field("annotations").key(key)
		for _, r := range replaced() {
			if key == r.key || strings.HasSuffix(r.key, "/") && strings.HasPrefix(key, r.key) {
				at.refuse("Kubernetes has a field for this").hint("use %s", r.field)
			}
		}
		value := p.Annotations[key]
		if n, err := strconv.ParseInt(value, 10, 32); key == deletionCost && (err != nil || strconv.FormatInt(n, 10) != value) {
			at.refuse("%q is not a whole number of 32 bits", value)
		}
	}
	if !runsToEnd(p) {
		return
	}
	for _, key := range []string{"controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"} {
		if _, ok := p.Labels[key]; ok {
			at.field("labels").key(key).refuse("Kubernetes sets this label on the pods of a %s itself", p.Kind).hint("leave it out")
		}
		if _, ok := c.app.Labels[key]; ok {
			at.refuse("Kubernetes sets the label %s on the pods of a %s itself, and the app has it too", key, p.Kind).hint("leave it out of the app's labels")
		}
	}
}

const (
	sourceRanges  = "service.beta.kubernetes.io/load-balancer-source-ranges"
	topologyHints = "service.kubernetes.io/topology-aware-hints"
	topologyMode  = "service.kubernetes.io/topology-mode"
)

// serviceMetadata checks annotations of services that mean something to a
// server.
func (c *checker) serviceMetadata(s *app.Service, at place) {
	at = at.field("annotations")
	if _, ok := s.Annotations[sourceRanges]; ok {
		at.key(sourceRanges).refuse("Kubernetes has a field for this").hint("use loadBalancerSourceRanges")
	}
	hints, old := s.Annotations[topologyHints]
	mode, ok := s.Annotations[topologyMode]
	if ok && old && mode != hints {
		at.key(topologyHints).refuse("%s says %q", topologyMode, mode).hint("leave the older one out")
	}
}
