package runner

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// Create calls, as pure functions of the desired state and of what only the
// running engine knows.

// loopback is where host ports are bound. Nothing listens beyond the machine
// unless somebody asks for it.
const (
	loopback  = "127.0.0.1"
	loopback6 = "::1"
)

// agentSpec is what all containers of the agent's image have in common:
// NET_ADMIN to own addresses and rules in their own network namespace,
// NET_BIND_SERVICE for engines where low ports need it, and nothing else.
func agentSpec(name, image string, labels map[string]string, role string, args ...string) engine.ContainerSpec {
	return engine.ContainerSpec{
		Name:            name,
		Image:           image,
		Labels:          labels,
		Cmd:             append([]string{role}, args...),
		CapDrop:         []string{"ALL"},
		CapAdd:          []string{"NET_ADMIN", "NET_BIND_SERVICE"},
		NoNewPrivileges: true,
		StopTimeout:     time.Second, // the agent exits at once; a second is for a busy machine
	}
}

func gatewaySpec(id Identity, name, image, network string, a addresses, hosts []string, httpPort int) engine.ContainerSpec {
	labels := id.with(map[string]string{labelRole: string(reconcile.RoleGateway)})
	s := agentSpec(name, image, labels, "gateway")
	s.Network, s.IP, s.Hostname = network, a.gateway(), "gateway"
	s.OpenStdin = true
	s.NoLog = true // what it is told includes the content of secret volumes
	s.Publish = publish(hosts, httpPort, api.HTTPPort, "TCP")
	return s
}

// publish binds a port on each of some addresses of the machine.
func publish(hosts []string, hostPort, port int, protocol string) []engine.PortBinding {
	var out []engine.PortBinding
	for _, h := range hosts {
		out = append(out, engine.PortBinding{HostIP: h, HostPort: hostPort, ContainerPort: port, Protocol: protocol})
	}
	return out
}

func portalSpec(id Identity, p *docker.Portal, image, network, vip string, hosts []string) engine.ContainerSpec {
	labels := id.with(map[string]string{labelRole: string(reconcile.RolePortal), labelService: p.Service, labelHash: p.Hash})
	var args []string
	var bindings []engine.PortBinding
	for _, port := range p.Ports {
		to := net.JoinHostPort(vip, strconv.Itoa(port.Port))
		args = append(args, fmt.Sprintf("%s/%d=%s", strings.ToLower(port.Protocol), port.HostPort, to))
		bindings = append(bindings, publish(hosts, port.HostPort, port.HostPort, port.Protocol)...)
	}
	s := agentSpec(p.EngineName, image, labels, "portal", args...)
	s.Network, s.Hostname, s.Publish = network, "portal-"+p.Service, bindings
	return s
}

// recordSpec is a container that is never started: its labels carry the
// manifest, its mount gives access to the vault.
func recordSpec(id Identity, project, image string, generation int64, packed string) engine.ContainerSpec {
	labels := id.with(map[string]string{
		labelRole:       string(reconcile.RoleRecord),
		labelGeneration: strconv.FormatInt(generation, 10),
		labelManifest:   packed,
	})
	s := agentSpec(fmt.Sprintf("%s_record.%d", project, generation), image, labels, "record")
	s.Mounts = []engine.Mount{{Volume: reconcile.VaultName(project), Path: vaultDir, NoCopy: true}}
	return s
}

func infraSpec(id Identity, p *docker.Pod, image, network string, a addresses) engine.ContainerSpec {
	labels := id.with(map[string]string{
		labelRole: string(reconcile.RoleInfra), labelPod: p.Name, labelWorkload: p.Workload, labelHash: p.Hash, labelRevision: p.Revision,
		labelJob: p.Job, labelRun: p.Run,
	})
	if p.Ordered {
		labels[labelOrdered] = "true"
	}
	s := agentSpec(p.EngineName, image, labels, "pod")
	s.Network, s.Hostname = network, p.Hostname
	s.ShareableIPC, s.HostIPC = !p.HostIPC, p.HostIPC
	s.OpenStdin = true // the way in for its token
	s.ExtraHosts = []string{"host.docker.internal:" + a.host()}
	s.Sysctls = p.Sysctls
	s.GroupAdd = p.Agent.Groups
	s.CapAdd = append(s.CapAdd, p.Agent.Caps...)
	if p.HostNetwork {
		s.Network, s.HostNetwork = "", true
		s.CapAdd = slices.Clone(p.Agent.Caps) // nothing that could change the machine's network
	}
	for _, port := range p.HostPorts {
		if p.HostNetwork {
			break // the containers listen on them themselves
		}
		s.Publish = append(s.Publish, engine.PortBinding{HostIP: port.HostIP, HostPort: port.HostPort, ContainerPort: port.Port, Protocol: port.Protocol})
	}
	for _, m := range p.Mounts {
		s.Mounts = append(s.Mounts, mount(m, m.SubPath))
	}
	return s
}

// runtime is what only the living pod knows.
type runtime struct {
	infraID  string
	infra    string // name
	podIP    string
	hostIP   string
	secret   func(name, key string) (string, bool)
	file     func(path string) ([]byte, error) // of the infra container
	machine  docker.Machine
	links    map[string]string
	restarts int
	backoff  int
}

func (rt runtime) values() docker.Values {
	return docker.Values{
		Secret: rt.secret, File: rt.file, PodIP: rt.podIP, HostIP: rt.hostIP, UID: uidOf(rt.infraID), Machine: rt.machine, Links: rt.links,
	}
}

// uidOf is the UID of a pod, which is another for each infra container, in the
// form that Kubernetes' have: a UUID, of the version for forms of one's own.
func uidOf(infraID string) string {
	sum := sha256.Sum256([]byte("cuepod pod " + infraID))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

func memberLabels(id Identity, p *docker.Pod, c *docker.Container, role reconcile.Role, rt runtime) map[string]string {
	return id.with(map[string]string{
		labelRole: string(role), labelPod: p.Name, labelWorkload: p.Workload, labelContainer: c.Name, labelHash: c.Hash,
		labelInfra: rt.infraID, labelRestarts: strconv.Itoa(rt.restarts), labelBackoff: strconv.Itoa(rt.backoff),
		labelJob: p.Job, labelRun: p.Run, labelEnding: endingLabel(p, c),
	})
}

func memberSpec(id Identity, p *docker.Pod, c *docker.Container, role reconcile.Role, rt runtime) (engine.ContainerSpec, error) {
	entrypoint, cmd, env, err := c.Resolve(rt.values())
	if err != nil {
		return engine.ContainerSpec{}, err
	}
	spec := engine.ContainerSpec{
		Name:              c.EngineName,
		Image:             c.Image,
		Labels:            memberLabels(id, p, c, role, rt),
		Entrypoint:        entrypoint,
		Cmd:               cmd,
		WorkingDir:        c.WorkingDir,
		Env:               env,
		User:              c.User,
		GroupAdd:          c.GroupAdd,
		OpenStdin:         c.Stdin,
		StdinOnce:         c.StdinOnce,
		TTY:               c.TTY,
		StopSignal:        c.StopSignal,
		JoinContainer:     rt.infra,
		HostPID:           p.PID == docker.HostPID,
		CapAdd:            c.CapAdd,
		CapDrop:           c.CapDrop,
		Privileged:        c.Privileged,
		SeccompUnconfined: c.Unconfined,
		AppArmor:          c.AppArmor,
		UnmaskedProc:      c.UnmaskedProc,
		NoNewPrivileges:   !c.NewPrivileges,
		ReadOnlyRootFS:    c.ReadOnlyRoot,
		CPUShares:         c.CPUShares,
		CPUQuota:          c.CPUQuota,
		MemoryBytes:       c.Memory,
	}
	if p.PID == docker.PodPID {
		spec.JoinPID = rt.infra
	}
	for _, m := range c.Mounts {
		subPath, err := m.Expand(env)
		if err != nil {
			return engine.ContainerSpec{}, err
		}
		spec.Mounts = append(spec.Mounts, mount(m, subPath))
	}
	if m, ok := p.MessageMount(c); ok {
		spec.Mounts = append(spec.Mounts, mount(m, m.SubPath))
	}
	return spec, nil
}

// endingLabel says how a container is stopped, for when nothing else does.
func endingLabel(p *docker.Pod, c *docker.Container) string {
	e := reconcile.Ending{Grace: p.GracePeriod, PreStop: c.PreStop}
	for i := range p.Init {
		if p.Init[i].Name == c.Name {
			e.Order = i
		}
	}
	data, err := json.Marshal(e)
	if err != nil {
		panic("runner: an ending is plain data and always marshals: " + err.Error())
	}
	return string(data)
}

// endingOf reads a label that endingLabel wrote; of a tampered one, nothing.
func endingOf(labels map[string]string) *reconcile.Ending {
	var e reconcile.Ending
	if json.Unmarshal([]byte(labels[labelEnding]), &e) != nil {
		return nil
	}
	return &e
}

// mount never copies the image's content into a new volume: Kubernetes does not.
func mount(m docker.Mount, subPath string) engine.Mount {
	return engine.Mount{
		Volume: m.Volume, HostPath: m.HostPath, Image: m.Image, Create: m.Create && m.Propagation == "", Propagation: m.Propagation,
		Path: m.Path, SubPath: subPath, Fixed: m.Fixed, ReadOnly: m.ReadOnly, NoCopy: m.Volume != "",
	}
}

// volumeSpec is a volume. One in memory without a size has room for as much as
// the machine has, as in Kubernetes: a kernel would halve it.
func volumeSpec(id Identity, name string, v *docker.Volume, memory int64) engine.VolumeSpec {
	spec := engine.VolumeSpec{Name: name, Labels: id.labels()}
	switch {
	case v == nil: // the vault
		spec.Labels[labelKeep] = keepVault
	case v.Kind == docker.Claim:
		spec.Labels[labelKeep] = keepClaim
	case v.Kind == docker.Memory, v.Kind == docker.SecretVol:
		spec.Memory, spec.Size = true, v.Size
		if v.Kind == docker.Memory && v.Size == 0 {
			spec.Size = memory
		}
		spec.Labels[labelPod] = v.Pod
	default:
		spec.Labels[labelPod] = v.Pod
	}
	return spec
}

// Values of labelKeep.
const (
	keepClaim = "claim"
	keepVault = "vault" // kept only beside a claim: secrets matter as long as the data they protect
)
