package docker

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets"
)

// Names on the engine join parts with an underscore, which no DNS label holds,
// so that different parts never give the same name.

// InfraName is the engine's name of a pod's infra container.
func InfraName(app, pod string) string { return app + "_" + pod }

// ContainerName is the engine's name of a container of a pod.
func ContainerName(app, pod, container string) string { return app + "_" + pod + "_" + container }

// VolumeName is the engine's name of a pod's volume.
func VolumeName(app, pod, volume string) string { return app + "_" + pod + "_" + volume }

// ClaimName is the engine's name of a claim's volume.
func ClaimName(app, claim string) string { return app + "_" + claim }

// PortalName is the engine's name of the container that publishes a service.
func PortalName(app, service string) string { return app + "_portal_" + service }

// volumesDir is where the infra container mounts what the agent fills.
const volumesDir = "/volumes"

// Rules lists the findings that Render makes.
func Rules() []targets.Rule {
	return []targets.Rule{
		{Code: "docker/claim-size", Level: targets.Emulated, Summary: "a volume of the engine has no size"},
		{Code: "docker/claim-class", Level: targets.Cannot, Summary: "a local engine has no storage classes"},
		{Code: "docker/emptydir-size", Level: targets.Cannot, Summary: "the size of a volume on disk is not limited"},
		{Code: "docker/memory-request", Level: targets.Emulated, Summary: "a memory request is for choosing a node, and there is one"},
		{Code: "docker/pull-always", Level: targets.Emulated, Summary: "an image that is on the engine is used as it is, a missing one is pulled"},
		{Code: "docker/kubernetes", Level: targets.Cannot, Summary: "a field for Kubernetes has no effect"},
		{Code: "docker/kubernetes-volume", Level: targets.Cannot, Summary: "an empty directory is in the place of a volume that only Kubernetes has"},
		{Code: "docker/object", Level: targets.Cannot, Summary: "an object of Kubernetes has no effect"},
		{Code: "docker/loopback", Level: targets.Emulated, Summary: "host ports are bound to 127.0.0.1"},
	}
}

// Render makes the desired state of an app. Findings are places where a local
// engine cannot do what a cluster does. The app must be valid.
func Render(a *app.App) (*State, []targets.Finding) {
	r := renderer{app: a, findings: targets.NewFindings(Rules())}
	s := &State{App: a.Name, Namespace: a.DNSNamespace(), Pods: []Pod{}, Services: []Service{}}
	for i := range a.Secrets {
		s.Secrets = append(s.Secrets, secretKeys(&a.Secrets[i])...)
	}
	for i := range a.Claims {
		c := &a.Claims[i]
		s.Volumes = append(s.Volumes, Volume{Name: ClaimName(a.Name, c.Name), Kind: Claim, Claim: c.Name})
		r.checkClaim(c)
	}
	for i := range a.Pods {
		for n := range a.Pods[i].Replicas {
			pod, volumes := r.pod(&a.Pods[i], n)
			s.Pods = append(s.Pods, pod)
			s.Volumes = append(s.Volumes, volumes...)
		}
		r.checkPod(&a.Pods[i])
	}
	taken := pinnedPorts(a)
	for i := range a.Services {
		s.Services = append(s.Services, r.service(&a.Services[i], s.Pods))
		if p, ok := r.portal(&a.Services[i], taken); ok {
			s.Portals = append(s.Portals, p)
		}
	}
	targets.ReportRaw(r.findings, "docker", a)
	return s, r.findings.List()
}

type renderer struct {
	app      *app.App
	findings *targets.Findings
}

func secretKeys(s *app.Secret) []Secret {
	var keys []Secret
	for _, k := range s.Keys {
		d := Secret{Name: s.Name, Key: k.Name, External: k.External, Env: k.Env, File: k.File, Line: s.Pos.String()}
		if k.Generate != nil {
			d.Generate = k.Generate.Length
		}
		keys = append(keys, d)
	}
	return keys
}

func (r *renderer) checkClaim(c *app.Claim) {
	path := "persistentVolumeClaims." + c.Name
	r.findings.Add("docker/claim-size", path+".storage", c.Pos, "a volume of the engine has no size", "")
	if c.StorageClassName != "" {
		r.findings.Add("docker/claim-class", path+".storageClassName", c.Pos, "a local engine has no storage classes", "")
	}
}

func (r *renderer) checkPod(p *app.Pod) {
	path := "pods." + p.Name
	for _, v := range p.Volumes {
		if v.EmptyDir != nil && v.EmptyDir.SizeLimit != "" && v.EmptyDir.Medium != "Memory" {
			r.findings.Add("docker/emptydir-size", path+".volumes."+v.Name+".emptyDir.sizeLimit", v.Pos,
				"the size of a volume on disk is not limited", `medium: "Memory" keeps the limit`)
		}
	}
	for _, c := range p.InitContainers {
		r.checkContainer(path+".initContainers."+c.Name, &c)
	}
	for _, c := range p.Containers {
		r.checkContainer(path+".containers."+c.Name, &c)
	}
}

func (r *renderer) checkContainer(path string, c *app.Container) {
	if c.Resources.Requests["memory"] != "" {
		r.findings.Add("docker/memory-request", path+".resources.requests.memory", c.Pos,
			"a memory request is for choosing a node, and there is one", "")
	}
	if c.ImagePullPolicy == "Always" {
		r.findings.Add("docker/pull-always", path+".imagePullPolicy", c.Pos,
			"an image that is on the engine is used as it is, a missing one is pulled", "")
	}
}

func (r *renderer) pod(p *app.Pod, ordinal int) (Pod, []Volume) {
	name := fmt.Sprintf("%s-%d", p.Name, ordinal)
	labels := maps.Clone(r.app.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, p.Labels)
	d := Pod{
		Name:        name,
		Workload:    p.Name,
		Ordinal:     ordinal,
		EngineName:  InfraName(r.app.Name, name),
		Hostname:    name,
		Labels:      labels,
		GracePeriod: p.TerminationGracePeriodSeconds,
	}
	if p.Hostname != "" {
		d.Hostname = p.Hostname
	}
	for _, dep := range p.DependsOn {
		d.DependsOn = append(d.DependsOn, Dependency{Service: dep.Service, Condition: dep.Condition})
	}
	var volumes []Volume
	for i := range p.Volumes {
		if v, ok := r.volume(&p.Volumes[i], &d); ok {
			volumes = append(volumes, v)
		}
	}
	for i := range p.InitContainers {
		d.Init = append(d.Init, r.container(&p.InitContainers[i], p, &d))
	}
	for i := range p.Containers {
		d.Containers = append(d.Containers, r.container(&p.Containers[i], p, &d))
	}
	d.Hash = podHash(&d, volumes)
	return d, volumes
}

// volume adds what the infra container has to mount and fill, and returns the
// engine volume that lives with the pod; a claim's volume lives with the app.
func (r *renderer) volume(v *app.Volume, d *Pod) (Volume, bool) {
	if v.Claim != nil {
		return Volume{}, false
	}
	vol := Volume{Name: VolumeName(r.app.Name, d.Name, v.Name), Pod: d.Name}
	dir := volumesDir + "/" + v.Name
	switch {
	case v.ConfigMap != nil:
		vol.Kind = ConfigMap
		d.Files = append(d.Files, FileVolume{Dir: dir, Files: r.configFiles(v.ConfigMap.Files())})
	case v.Secret != nil:
		vol.Kind = SecretVol
		d.Files = append(d.Files, FileVolume{Dir: dir, Files: r.secretFiles(v.Secret.Files())})
	case v.EmptyDir != nil && v.EmptyDir.Medium == "Memory":
		vol.Kind = Memory
		vol.Size, _ = v.EmptyDir.SizeLimit.Value() // checked by the compiler; "" gives 0, no limit
	default:
		vol.Kind = EmptyDir
	}
	d.Mounts = append(d.Mounts, Mount{Volume: vol.Name, Path: dir})
	return vol, true
}

func (r *renderer) configFiles(src *app.Files) []File {
	files := []File{}
	cm := r.app.ConfigMap(src.Name)
	if cm == nil {
		return files // optional: the compiler refused a missing one that is not
	}
	for _, key := range slices.Sorted(maps.Keys(cm.Data)) {
		if path, mode, ok := item(src, key); ok {
			files = append(files, File{Path: path, Mode: mode, Data: cm.Data[key]})
		}
	}
	return files
}

func (r *renderer) secretFiles(src *app.Files) []File {
	files := []File{}
	secret := r.app.Secret(src.Name)
	if secret == nil {
		return files
	}
	for _, key := range secret.Keys {
		if path, mode, ok := item(src, key.Name); ok {
			ref := &KeyRef{Name: src.Name, Key: key.Name, Optional: src.Optional}
			files = append(files, File{Path: path, Mode: mode, Secret: ref})
		}
	}
	return files
}

// item gives the file that shows a key; false when the source leaves it out.
func item(src *app.Files, key string) (path string, mode int, ok bool) {
	if len(src.Items) == 0 {
		return key, src.DefaultMode, true
	}
	for _, i := range src.Items {
		if i.Key != key {
			continue
		}
		if i.Mode != nil {
			return i.Path, *i.Mode, true
		}
		return i.Path, src.DefaultMode, true
	}
	return "", 0, false
}
