package compose

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// replica is one replica of a pod while it is rendered.
type replica struct {
	r       *renderer
	pod     *app.Pod
	name    string // of the holder: the pod's name in Kubernetes' sense
	ordinal int
	first   bool // findings are about the pod: only its first replica makes them
	volumes *volumes
	checks  *healthcheck // what the holder checks; nil when nothing
}

func replicaName(pod string, ordinal int) string { return fmt.Sprintf("%s-%d", pod, ordinal) }

func (r *renderer) pod(pod *app.Pod) error {
	r.kindFindings(pod)
	r.podFindings(pod)
	for i, ordinal := range ordinals(pod) {
		p := &replica{r: r, pod: pod, name: replicaName(pod.Name, ordinal), ordinal: ordinal, first: i == 0}
		if err := p.render(); err != nil {
			return err
		}
	}
	return nil
}

func (r *renderer) podFindings(pod *app.Pod) {
	path := "pods." + pod.Name
	if i := slices.IndexFunc(pod.InitContainers, func(c app.Container) bool { return initRole(&c) == initContainer }); i >= 0 {
		r.findings.Add("compose/init-rerun", path+".initContainers", pod.InitContainers[i].Pos,
			"init containers run again at every docker compose up", "make them safe to run twice")
	}
	r.reservedLabels(path+".labels", pod.Pos, pod.Labels)
	if pod.HostNetwork {
		r.findings.Add("compose/host-network", path+".hostNetwork", fieldPos(pod.Lines, "hostNetwork", pod.Pos),
			"the pod is on the host's network alone: services' names do not resolve in it, and no service's name leads to it", "publish ports by a service of type NodePort instead")
	}
	if pod.EnableServiceLinks != nil && *pod.EnableServiceLinks {
		r.findings.Add("compose/service-links", path+".enableServiceLinks", fieldPos(pod.Lines, "enableServiceLinks", pod.Pos),
			"variables of services such as WEB_SERVICE_HOST are not set", "use the services' names")
	}
	if pod.HostUsers != nil && !*pod.HostUsers {
		r.findings.Add("compose/security", path+".hostUsers", fieldPos(pod.Lines, "hostUsers", pod.Pos), "the users are the machine's own, as the engine is set up", "")
	}
	if pod.OS != nil && pod.OS.Name == "windows" {
		r.findings.Add("compose/windows", path+".os", at(pod.OS.Pos, pod.Pos), "the containers are Linux'", "")
	}
	if groups := pod.SecurityContext.SupplementalGroupsPolicy; groups == "Strict" {
		r.findings.Add("compose/security", path+".securityContext.supplementalGroupsPolicy", pod.SecurityContext.Pos, "the groups that the image gives its user are kept", "")
	}
}

// reservedLabels reports labels that Compose refuses.
func (r *renderer) reservedLabels(path string, pos app.Pos, labels map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if reserved(key) {
			r.findings.Add("compose/label-reserved", path+"."+key, pos, "the label "+key+" is left out: Compose keeps that prefix to itself", "")
		}
	}
}

func reserved(label string) bool { return strings.HasPrefix(label, "com.docker.compose.") }

// find records a finding about the pod, once for all replicas.
func (p *replica) find(code, path string, pos app.Pos, message, hint string) {
	if p.first {
		p.r.findings.Add(code, path, pos, message, hint)
	}
}

// render adds the services of the replica: holder, volumes, init containers,
// containers.
func (p *replica) render() error {
	if err := p.planVolumes(); err != nil {
		return err
	}
	wait, err := p.dependencies()
	if err != nil {
		return err
	}
	members, err := p.members()
	if err != nil {
		return err
	}
	holder, err := p.holder(wait)
	if err != nil {
		return err
	}
	what := "replica " + p.name + " of pod " + p.pod.Name
	if err := p.r.addService(p.name, what, holder); err != nil {
		return err
	}
	if filler := p.volumes.service(p); filler != nil {
		if err := p.r.addService(p.volumesName(), "the volumes of "+what, filler); err != nil {
			return err
		}
	}
	for _, m := range members {
		if err := p.r.addService(p.memberName(m.name), m.what+" of "+what, m.service); err != nil {
			return err
		}
	}
	return nil
}

func (p *replica) memberName(container string) string { return p.name + "-" + container }
func (p *replica) volumesName() string                { return p.name + "-volumes" }

// addMetadata ends a service with the pod's labels and annotations, and with
// what keeps docker compose up from starting a pod that waits to be asked for.
func (p *replica) addMetadata(service *yaml.Map) *yaml.Map {
	if waits(p.pod) {
		service.Set("profiles", yaml.Flow{p.pod.Name})
	}
	return service.Opt("labels", escapeMap(p.labels())).Opt("annotations", escapeMap(p.annotations()))
}

func (p *replica) labels() map[string]string {
	labels := merged(p.r.app.Labels, p.pod.Labels)
	maps.DeleteFunc(labels, func(key, _ string) bool { return reserved(key) })
	return labels
}

// podLabels are the labels that the containers can read: all that Kubernetes
// puts on the pod and that are known before it runs.
func (p *replica) podLabels() map[string]string {
	labels := p.r.app.PodLabels(p.pod)
	number := strconv.Itoa(p.ordinal)
	switch {
	case p.pod.Kind == "StatefulSet":
		labels["statefulset.kubernetes.io/pod-name"], labels["apps.kubernetes.io/pod-index"] = p.name, number
	case indexed(p.pod):
		labels[completionIndex] = number
	}
	return labels
}

// podAnnotations are the annotations that the containers can read.
func (p *replica) podAnnotations() map[string]string {
	annotations := p.annotations()
	if indexed(p.pod) {
		annotations[completionIndex] = strconv.Itoa(p.ordinal)
	}
	return annotations
}

// completionIndex labels and annotates the pods of an indexed Job.
const completionIndex = "batch.kubernetes.io/job-completion-index"

func (p *replica) annotations() map[string]string {
	return merged(p.r.app.Annotations, p.pod.Annotations)
}

func merged[V any](under, over map[string]V) map[string]V {
	out := map[string]V{}
	maps.Copy(out, under)
	maps.Copy(out, over)
	return out
}

// dependencies are what the holder waits for, and with it the whole pod: the
// replicas before it, and all replicas of the pods behind the services that it
// depends on.
func (p *replica) dependencies() (*yaml.Map, error) {
	wait := map[string]string{} // Compose service to condition
	p.before(wait)
	for _, d := range p.pod.DependsOn {
		s := p.r.app.Service(d.Service)
		if s == nil {
			return nil, fmt.Errorf("it depends on service %s, which does not exist", d.Service)
		}
		pods := p.r.serving.pods[s]
		if len(pods) == 0 {
			return nil, fmt.Errorf("it depends on service %s, which no pod serves", d.Service)
		}
		if slices.Contains(pods, p.pod) {
			return nil, fmt.Errorf("it depends on service %s, which it serves itself", d.Service)
		}
		p.waitForAll(wait, d, pods)
	}
	return conditions(wait), nil
}

// waitForAll waits for the pods behind a service.
func (p *replica) waitForAll(wait map[string]string, d app.Dependency, pods []*app.Pod) {
	path, total := "pods."+p.pod.Name+".dependsOn."+d.Service, 0
	for _, other := range pods {
		if waits(other) {
			p.find("compose/depends-on", path, d.Pos, fmt.Sprintf("pod %s does not wait for pod %s, which nothing starts by itself", p.pod.Name, other.Name), "")
			continue
		}
		for _, name := range replicaNames(other) {
			waitReady(wait, other, name, d.Condition != "started")
			total++
		}
	}
	if total > 1 {
		of := pods[0].Name
		if len(pods) > 1 {
			of = d.Service
		}
		p.find("compose/depends-on", path, d.Pos, fmt.Sprintf("pod %s waits for all %d replicas of %s, not for the first", p.pod.Name, total, of), "")
	}
}

// waitReady waits until a replica runs, or is ready.
func waitReady(wait map[string]string, pod *app.Pod, name string, ready bool) {
	for service, healthy := range readiness(pod, name) {
		if healthy && ready {
			wait[service] = "service_healthy"
		} else if wait[service] == "" {
			wait[service] = "service_started"
		}
	}
}

// readiness names the Compose services of a replica whose start makes the pod
// run, and whether their health is a part of the pod's readiness.
func readiness(pod *app.Pod, name string) map[string]bool {
	out := map[string]bool{name: false}
	for i := range pod.InitContainers {
		c := &pod.InitContainers[i]
		if initRole(c) != sidecar {
			continue
		}
		out[name+"-"+c.Name] = sidecarProbe(c) != nil
		if c.ReadinessProbe != nil && c.ReadinessProbe.Exec == nil {
			out[name] = true
		}
	}
	for i := range pod.Containers {
		c := &pod.Containers[i]
		probe := healthProbe(c)
		out[name+"-"+c.Name] = probe != nil && probe.Exec != nil
		if probe != nil && probe.Exec == nil {
			out[name] = true
		}
	}
	return out
}

func conditions(wait map[string]string) *yaml.Map {
	out := yaml.New()
	for _, name := range slices.Sorted(maps.Keys(wait)) {
		out.Set(name, yaml.New().Set("condition", wait[name]))
	}
	return out
}
