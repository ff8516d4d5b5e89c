package compose

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// replica is one replica of a pod while it is rendered.
type replica struct {
	r       *renderer
	pod     *app.Pod
	name    string // of the holder: the pod's name in Kubernetes' sense
	first   bool   // findings are about the pod: only its first replica makes them
	volumes *volumes
	checks  *healthcheck // what the holder checks; nil when nothing
}

func replicaName(pod string, ordinal int) string { return fmt.Sprintf("%s-%d", pod, ordinal) }

func (r *renderer) pod(pod *app.Pod) error {
	if pod.Kind != "Deployment" {
		return fmt.Errorf("kind %q is not supported", pod.Kind)
	}
	r.podFindings(pod)
	for i := range pod.Replicas {
		p := &replica{r: r, pod: pod, name: replicaName(pod.Name, i), first: i == 0}
		if err := p.render(); err != nil {
			return err
		}
	}
	return nil
}

func (r *renderer) podFindings(pod *app.Pod) {
	path := "pods." + pod.Name
	if pod.Replicas > 1 {
		r.findings.Add("compose/replicas-unrolled", path+".replicas", pod.Pos,
			fmt.Sprintf("the %d replicas are written out as %s to %s", pod.Replicas, replicaName(pod.Name, 0), replicaName(pod.Name, pod.Replicas-1)),
			"to change their number, change the definition and render again")
	}
	if len(pod.InitContainers) > 0 {
		r.findings.Add("compose/init-rerun", path+".initContainers", pod.InitContainers[0].Pos,
			"init containers run again at every docker compose up", "make them safe to run twice")
	}
	r.reservedLabels(path+".labels", pod.Pos, pod.Labels)
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
		if err := p.r.addService(p.memberName(m.container), "container "+m.container+" of "+what, m.service); err != nil {
			return err
		}
	}
	return nil
}

func (p *replica) memberName(container string) string { return p.name + "-" + container }
func (p *replica) volumesName() string                { return p.name + "-volumes" }

// holder is the service that the others join; wait is its depends_on.
func (p *replica) holder(wait *yaml.Map) (*yaml.Map, error) {
	forwards, privileged, err := p.forwards()
	if err != nil {
		return nil, err
	}
	aliases := yaml.List{}
	for i := range p.r.app.Services {
		if s := &p.r.app.Services[i]; s.Pod == p.pod.Name {
			aliases = append(aliases, dnsNames(s.Name, p.r.app.DNSNamespace())...)
		}
	}
	networks := yaml.New()
	if len(aliases) > 0 {
		networks.Set("default", yaml.New().Set("aliases", aliases))
	}
	service := p.r.holderService(append([]string{"hold"}, forwards...)).
		Set("hostname", p.hostname()).
		Set("ipc", "shareable").
		Opt("networks", networks).
		Opt("volumes", p.volumes.pins()).
		Opt("depends_on", wait).
		Opt("healthcheck", p.checks.yaml()).
		Set("read_only", true)
	var capabilities []string
	if privileged {
		capabilities = append(capabilities, "NET_BIND_SERVICE")
	}
	return p.addMetadata(confine(service, capabilities...)), nil
}

// dnsNames are the four names of a service in Kubernetes.
func dnsNames(service, namespace string) yaml.List {
	short := service + "." + namespace
	return yaml.List{service, short, short + ".svc", short + ".svc.cluster.local"}
}

// maxHostname is the longest hostname in bytes, Linux' limit less one, as in
// Kubernetes; Docker would refuse more.
const maxHostname = 63

func (p *replica) hostname() string {
	name := p.pod.Hostname
	if name == "" {
		name = p.name
	}
	if len(name) > maxHostname {
		name = strings.TrimRight(name[:maxHostname], "-.")
	}
	return name
}

// addMetadata ends a service with the pod's labels and annotations.
func (p *replica) addMetadata(service *yaml.Map) *yaml.Map {
	return service.Opt("labels", escapeMap(p.labels())).Opt("annotations", escapeMap(p.annotations()))
}

func (p *replica) labels() map[string]string {
	labels := merged(p.r.app.Labels, p.pod.Labels)
	maps.DeleteFunc(labels, func(key, _ string) bool { return reserved(key) })
	return labels
}

func (p *replica) annotations() map[string]string {
	return merged(p.r.app.Annotations, p.pod.Annotations)
}

func merged(under, over map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, under)
	maps.Copy(out, over)
	return out
}

// dependencies are what the holder waits for, and with it the whole pod: all
// replicas of the pods behind the services that it depends on.
func (p *replica) dependencies() (*yaml.Map, error) {
	wait := map[string]string{} // Compose service to condition
	for _, d := range p.pod.DependsOn {
		s := p.r.app.Service(d.Service)
		if s == nil || p.r.app.Pod(s.Pod) == nil {
			return nil, fmt.Errorf("it depends on service %s, which does not exist", d.Service)
		}
		if s.Pod == p.pod.Name {
			return nil, fmt.Errorf("it depends on service %s, which it serves itself", d.Service)
		}
		other := p.r.app.Pod(s.Pod)
		for i := range other.Replicas {
			for name, healthy := range readiness(other, replicaName(other.Name, i)) {
				if healthy && d.Condition != "started" {
					wait[name] = "service_healthy"
				} else if wait[name] == "" {
					wait[name] = "service_started"
				}
			}
		}
		if other.Replicas > 1 {
			p.find("compose/depends-on", "pods."+p.pod.Name+".dependsOn."+d.Service, d.Pos,
				fmt.Sprintf("pod %s waits for all %d replicas of %s, not for the first", p.pod.Name, other.Replicas, other.Name), "")
		}
	}
	return conditions(wait), nil
}

// readiness names the Compose services of a replica whose start makes the pod
// run, and whether their health is a part of the pod's readiness.
func readiness(pod *app.Pod, name string) map[string]bool {
	out := map[string]bool{name: false}
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
