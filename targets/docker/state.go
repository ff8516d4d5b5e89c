// Package docker turns an app into the desired state of a local Docker engine:
// what should exist, down to the arguments of each create call, with nothing
// that only the running engine knows (addresses, IDs, secret values).
//
// It is a pure function of the app. The runner compares a State with what it
// observes and does the rest.
package docker

import (
	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/route"
)

// State is everything a running app consists of. Equal apps give equal bytes
// as JSON.
type State struct {
	App       string   `json:"app"`
	Project   string   `json:"project,omitempty"` // see Prefix
	Namespace string   `json:"namespace"`         // of the services' DNS names
	Secrets   []Secret `json:"secrets,omitempty"`
	Volumes   []Volume `json:"volumes,omitempty"`
	Pods      []Pod    `json:"pods"` // by workload in declared order, then ordinal
	// Workloads are what keeps the pods, in declared order.
	Workloads []Workload `json:"workloads,omitempty"`
	Jobs      []Job      `json:"jobs,omitempty"`
	Services  []Service  `json:"services"` // by name
	Portals   []Portal   `json:"portals,omitempty"`
	// Routes are what Ingresses and HTTPRoutes say, for the gateway.
	Routes []route.Rule `json:"routes,omitempty"`
}

// Secret is a secret key whose value the runner has to get before the pods
// that read it can start.
type Secret struct {
	Name     string `json:"name"`
	Key      string `json:"key"`
	External bool   `json:"external,omitempty"`
	Env      string `json:"env,omitempty"`
	File     string `json:"file,omitempty"`
	Generate int    `json:"generate,omitempty"` // length in characters
	// Optional says that every pod can do without.
	Optional bool   `json:"optional,omitempty"`
	Line     string `json:"-"` // file:line:col of the definition
}

// VolumeKind says who fills a volume and how long it lives.
type VolumeKind string

const (
	EmptyDir  VolumeKind = "emptyDir"  // as long as its pod
	Memory    VolumeKind = "memory"    // the same, in memory
	ConfigMap VolumeKind = "configMap" // files that the agent writes
	SecretVol VolumeKind = "secret"    // files that the agent writes, in memory
	Messages  VolumeKind = "messages"  // last words of containers, see MessagesDir
	SyncVol   VolumeKind = "sync"      // what is copied into containers, see SyncDir
	Claim     VolumeKind = "claim"     // until asked to remove it
)

// Volume is one volume on the engine.
type Volume struct {
	Name  string     `json:"name"` // on the engine
	Kind  VolumeKind `json:"kind"`
	Pod   string     `json:"pod,omitempty"`   // the pod it lives and dies with; "" for a claim
	Size  int64      `json:"size,omitempty"`  // bytes; only for Memory
	Claim string     `json:"claim,omitempty"` // name of the claim
}

// Pod is one replica: an infra container and the containers that join it.
type Pod struct {
	Name       string `json:"name"`     // "web-0"
	Workload   string `json:"workload"` // "web"
	Ordinal    int    `json:"ordinal"`
	EngineName string `json:"container"` // of the infra container
	Hostname   string `json:"hostname"`
	Domain     string `json:"domain,omitempty"` // behind the hostname in the full name
	// DNSName is the pod's name below the headless service Subdomain; "" for one
	// that has none there.
	Subdomain   string            `json:"subdomain,omitempty"`
	DNSName     string            `json:"dnsName,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Mounts      []Mount           `json:"mounts,omitempty"` // of the infra container: what the agent has to fill or prepare
	Files       []FileVolume      `json:"files,omitempty"`
	Dirs        []Dir             `json:"dirs,omitempty"`
	Init        []Container       `json:"init,omitempty"` // in the order they start; those with Sidecar stay
	Containers  []Container       `json:"containers"`
	DependsOn   []Dependency      `json:"dependsOn,omitempty"`
	GracePeriod int64             `json:"gracePeriod"` // seconds
	// What the infra container holds for all: more lines of the hosts file, how
	// names are looked up, kernel parameters, ports on the host.
	HostAliases []HostAlias       `json:"hostAliases,omitempty"`
	DNS         DNS               `json:"dns,omitzero"`
	Sysctls     map[string]string `json:"sysctls,omitempty"`
	HostPorts   []HostPort        `json:"hostPorts,omitempty"`
	HostIPC     bool              `json:"hostIPC,omitempty"`
	// HostNetwork is the machine's network in place of the pod's own. HostPorts are
	// then those that its containers listen on themselves.
	HostNetwork bool `json:"hostNetwork,omitempty"`
	// Agent is what the infra container may do besides, to prepare the volumes.
	Agent AgentRights `json:"agent,omitzero"`
	// PID is whose processes the containers see: their own when "".
	PID PIDNamespace `json:"pid,omitempty"`
	QoS QoSClass     `json:"qosClass,omitempty"` // live: not in Hash
	// RestartPolicy is of the containers that have none of their own. "" is Always.
	RestartPolicy RestartPolicy `json:"restartPolicy,omitempty"`
	// ActiveDeadline is how many seconds the pod may be active before it has
	// failed; 0 is for ever.
	ActiveDeadline int64 `json:"activeDeadline,omitempty"`
	// Ordered replicas of a workload start one after the other, each when the
	// one before is ready, and stop in the reverse order.
	Ordered bool `json:"ordered,omitempty"`
	// Revision tells templates of the workload apart: with another one the pod is
	// another, whatever of it could change in its place.
	Revision string `json:"revision,omitempty"`
	// Ports are the container ports that have names, by name and protocol:
	// "http/TCP".
	Ports map[string]int `json:"ports,omitempty"`
	// Job and Run are set by Job.Instance alone: the name of the run that the
	// pod belongs to, and what tells runs of that name apart.
	Job string `json:"job,omitempty"`
	Run string `json:"run,omitempty"`
	// Hash covers what only a new pod can change: what the infra container is
	// made of, volumes, init containers that are no sidecars. What changes live (files, probes, labels,
	// services, grace, preStop hooks, restart rules) is in no hash.
	Hash string `json:"hash"`
}

// AgentRights are what the agent needs to prepare a pod's volumes, beyond being
// root without capabilities.
type AgentRights struct {
	Groups []string `json:"groups,omitempty"` // that it is in: a member may give its own files to a group
	Caps   []string `json:"caps,omitempty"`   // without CAP_
}

// PIDNamespace says whose processes a container sees.
type PIDNamespace string

const (
	PodPID  PIDNamespace = "pod"  // those of all containers of the pod
	HostPID PIDNamespace = "host" // those of the engine's machine
)

// HostPort is a port of the pod on the host.
type HostPort struct {
	HostIP   string `json:"hostIP"`
	HostPort int    `json:"hostPort"`
	Port     int    `json:"port"`
	Protocol string `json:"protocol"`
	Line     string `json:"-"` // file:line:col of the definition
}

// HostAlias is a line of the hosts file.
type HostAlias struct {
	IP        string   `json:"ip"`
	Hostnames []string `json:"hostnames"`
}

// DNS says how a pod looks names up; the zero value asks for the services'
// names first.
type DNS struct {
	// Policy is "Default", the machine's own name servers, "None", nothing but
	// what follows, or "" for ClusterFirst. What Kubernetes makes of ClusterFirst in
	// the machine's network is done.
	Policy   string      `json:"policy,omitempty"`
	Servers  []string    `json:"servers,omitempty"`
	Searches []string    `json:"searches,omitempty"`
	Options  []DNSOption `json:"options,omitempty"`
}

// DNSOption is an option of the resolver; some have no value.
type DNSOption struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

// RestartPolicy says when a container that ended is started again.
type RestartPolicy string

const (
	RestartAlways    RestartPolicy = "Always"
	RestartOnFailure RestartPolicy = "OnFailure"
	RestartNever     RestartPolicy = "Never"
)

// Dependency is a service to wait for before the pod's containers start.
type Dependency struct {
	Service   string `json:"service"`
	Condition string `json:"condition"` // "started" or "ready"
}

// Container is one container of a pod.
type Container struct {
	Name       string   `json:"name"`      // in the pod
	EngineName string   `json:"container"` // on the engine
	Image      string   `json:"image"`
	Build      *Build   `json:"build,omitempty"` // how Image is made; nil: it is pulled
	PullPolicy string   `json:"pullPolicy"`
	Entrypoint []string `json:"entrypoint,omitempty"` // Kubernetes' command; $(VAR) is expanded at start, see Resolve
	Cmd        []string `json:"cmd,omitempty"`        // Kubernetes' args; the same
	WorkingDir string   `json:"workingDir,omitempty"`
	// Env is in order: of one name the last counts, and what comes between the
	// first and the last refers to the first.
	Env []EnvVar `json:"env,omitempty"`
	// NoServiceLinks leaves out the variables that tell where services are, see Links.
	NoServiceLinks bool `json:"noServiceLinks,omitempty"`

	User     string   `json:"user,omitempty"`
	GroupAdd []string `json:"groupAdd,omitempty"` // further groups, by number
	NonRoot  bool     `json:"nonRoot,omitempty"`  // refuse to start as uid 0
	Mounts   []Mount  `json:"mounts,omitempty"`
	CapAdd   []string `json:"capAdd,omitempty"`
	CapDrop  []string `json:"capDrop,omitempty"`
	// NewPrivileges is true only when the definition allows escalation.
	NewPrivileges bool   `json:"newPrivileges,omitempty"`
	ReadOnlyRoot  bool   `json:"readOnlyRoot,omitempty"`
	Privileged    bool   `json:"privileged,omitempty"`
	Unconfined    bool   `json:"unconfined,omitempty"`   // without the engine's seccomp profile
	AppArmor      string `json:"appArmor,omitempty"`     // profile; "" is the engine's own
	UnmaskedProc  bool   `json:"unmaskedProc,omitempty"` // all of /proc and /sys
	Stdin         bool   `json:"stdin,omitempty"`
	StdinOnce     bool   `json:"stdinOnce,omitempty"`
	TTY           bool   `json:"tty,omitempty"`
	StopSignal    string `json:"stopSignal,omitempty"` // "" is the image's
	CPUShares     int64  `json:"cpuShares,omitempty"`
	CPUQuota      int64  `json:"cpuQuota,omitempty"` // microseconds per 100 ms
	Memory        int64  `json:"memory,omitempty"`   // bytes
	// MemoryRequest, in bytes, says how late the container is killed when the
	// machine has no memory left, see OOMScoreAdj.
	MemoryRequest int64   `json:"memoryRequest,omitempty"`
	Probes        []Probe `json:"probes,omitempty"` // live: not in Hash
	// TCP and UDP are the ports that the container says it listens on; live, not in Hash.
	TCP []int `json:"tcp,omitempty"`
	UDP []int `json:"udp,omitempty"`
	// MessagePath is where the container writes its last words; "" is Kubernetes'
	// default. MessageFromLog takes the end of its log where it failed and wrote
	// none; it is live, not in Hash.
	MessagePath    string `json:"messagePath,omitempty"`
	MessageFromLog bool   `json:"messageFromLog,omitempty"`
	// Sidecar marks an init container that stays: the next one starts once it has
	// started, it runs as long as the pod, and a pod that ends does not wait for it.
	Sidecar   bool  `json:"sidecar,omitempty"`
	PostStart *Hook `json:"postStart,omitempty"`
	PreStop   *Hook `json:"preStop,omitempty"` // live: not in Hash
	// Restart is the container's own policy; "" is the pod's. Live, as its rules are.
	Restart      RestartPolicy `json:"restart,omitempty"`
	RestartRules []RestartRule `json:"restartRules,omitempty"`
	// Dev is what follows changes of files; live, but for the places they are copied to.
	Dev  *Dev   `json:"dev,omitempty"`
	Line string `json:"-"` // file:line:col of the definition
	// Hash covers everything that only a new container can change. Values of
	// secrets and addresses are not in it; their references are.
	Hash string `json:"hash"`
}

// Build says how an image is built from source. The image that comes of it is
// named after its content, see Options.Built: what changes that makes another
// container, while the description itself is in no hash.
type Build struct {
	// Synced is copied into the container as it changes, but for what Ignored leaves
	// out, and so does not decide about the image. Only with Options.Live.
	Synced  []Sync   `json:"synced,omitempty"`
	Ignored []string `json:"ignored,omitempty"`

	// Of a Dockerfile.
	Context    string            `json:"context,omitempty"`    // directory, relative to the module's root
	Dockerfile string            `json:"dockerfile,omitempty"` // relative to Context; "" is Dockerfile
	Target     string            `json:"target,omitempty"`     // stage; "" is the last one
	Args       map[string]string `json:"args,omitempty"`
	CacheFrom  []string          `json:"cacheFrom,omitempty"` // images whose layers may be taken over
	Secrets    []BuildSecret     `json:"secrets,omitempty"`   // only with Buildx
	Buildx     bool              `json:"buildx,omitempty"`    // docker's plugin builds, not the engine

	// Of a Go program.
	Go      string   `json:"go,omitempty"` // its main package, relative to the module's root, in place of Context
	Tags    []string `json:"tags,omitempty"`
	LDFlags []string `json:"ldflags,omitempty"` // nil is the default, see runner/build
	// Base tells what the image has beside the program. A container may be made of
	// any image with the same one, and have its program from a copy; "" where it may
	// not. Only with Options.Live.
	Base string `json:"base,omitempty"`

	Platform string `json:"platform,omitempty"` // "linux/arm64"; "" is the engine's
	Name     string `json:"name"`               // what the definition calls the image: another tag of it
	Line     string `json:"-"`                  // file:line:col of the definition
}

// BuildSecret is what a build may read and does not keep: a file of the module,
// or a variable of whoever builds.
type BuildSecret struct {
	ID   string `json:"id"`
	File string `json:"file,omitempty"`
	Env  string `json:"env,omitempty"`
}

// EnvVar is one variable: a value, or something the runner fills in at start.
type EnvVar struct {
	Name   string  `json:"name"`
	Value  string  `json:"value,omitempty"`
	Source Source  `json:"source,omitempty"`
	Secret *KeyRef `json:"secret,omitempty"` // with FromSecret
	// Resource is with FromMachine, File with FromFile.
	Resource *ResourceRef `json:"resource,omitempty"`
	File     *FileKeyRef  `json:"file,omitempty"`
}

// Source says where the value of a variable comes from.
type Source string

const (
	Literal    Source = ""       // Value, in which $(VAR) is expanded
	Verbatim   Source = "given"  // Value as it is: it came from a ConfigMap or a field
	FromSecret Source = "secret" // the value of Secret
	FromPodIP  Source = "podIP"  // the pod's address
	FromHostIP Source = "hostIP" // the network's gateway address, which is the host
	FromUID    Source = "uid"    // what tells the pod from those of its name before it
	// FromMachine is what the engine's machine has of Resource: the limit of what
	// nobody limits.
	FromMachine Source = "machine"
	FromFile    Source = "file" // the value of File
	// FromPodName is the pod's name. It is for the template of a job, whose pods
	// get their names when they are made; other pods have a Verbatim value.
	FromPodName Source = "podName"
	// FromJobIndex is the completion index of a pod of an indexed job.
	FromJobIndex Source = "jobIndex"
)

// KeyRef names a key of a secret.
type KeyRef struct {
	Name     string `json:"name"`
	Key      string `json:"key"`
	Optional bool   `json:"optional,omitempty"`
}

// ResourceRef asks for an amount in units of the divisor, rounded up.
type ResourceRef struct {
	Name    string       `json:"name"` // "cpu" or "memory"
	Divisor app.Quantity `json:"divisor,omitempty"`
}

// FileKeyRef names a variable in a file of a volume, see ParseEnvFile.
type FileKeyRef struct {
	Path     string `json:"path"` // in the infra container
	Key      string `json:"key"`
	Optional bool   `json:"optional,omitempty"`
}

// Mount puts an engine volume, or a path of the host, into a container.
type Mount struct {
	Volume   string `json:"volume,omitempty"`
	HostPath string `json:"hostPath,omitempty"` // absolute and clean, in place of Volume
	// Image is one whose files are shown, read-only, in place of Volume, brought
	// as PullPolicy says.
	Image      string `json:"image,omitempty"`
	PullPolicy string `json:"pullPolicy,omitempty"`
	Create     bool   `json:"create,omitempty"`   // a HostPath that is missing becomes a directory
	HostType   string `json:"hostType,omitempty"` // what HostPath has to be, in Kubernetes' words; "" is anything
	Within     string `json:"within,omitempty"`   // the directory that HostPath may not leave by a link
	Path       string `json:"path"`
	SubPath    string `json:"subPath,omitempty"`
	// SubPathExpr is a sub-path with $(VAR) in it, see Mount.Expand.
	SubPathExpr string `json:"subPathExpr,omitempty"`
	// Fixed says that nobody but the agent writes to the volume, so that what is
	// at the sub-path is what it put there.
	Fixed    bool `json:"fixed,omitempty"`
	ReadOnly bool `json:"readOnly,omitempty"`
	// Propagation of a HostPath's mounts in the engine's words: "rslave" or
	// "rshared"; "" is none.
	Propagation string `json:"propagation,omitempty"`
}

// FileVolume is the content of a volume of files. Dir is where the infra
// container mounts it.
type FileVolume struct {
	Dir   string `json:"dir"`
	Files []File `json:"files"`
	Group *int64 `json:"group,omitempty"` // fsGroup: whose the files are, and who may read them
}

// Dir is a volume that containers fill, and the rights that it begins with. Path
// is where the infra container mounts it.
type Dir struct {
	Path  string `json:"path"`
	Mode  *int   `json:"mode,omitempty"`  // nil leaves it as it is
	Group *int64 `json:"group,omitempty"` // fsGroup: whose all in it becomes, and who may write to it
	// OnRootMismatch leaves what is in it alone when the volume itself is the
	// group's already.
	OnRootMismatch bool `json:"onRootMismatch,omitempty"`
}

// File is one file: literal data, or a secret's value.
type File struct {
	Path   string  `json:"path"`
	Mode   int     `json:"mode"`
	User   *int64  `json:"user,omitempty"` // owner; nil is root
	Data   Bytes   `json:"data,omitempty"`
	Secret *KeyRef `json:"secret,omitempty"`
	// Source is "" for Data and Secret, else what only the running pod knows:
	// FromUID, FromMachine with Resource, and in the template of a job FromPodName
	// and FromJobIndex.
	Source   Source       `json:"source,omitempty"`
	Resource *ResourceRef `json:"resource,omitempty"`
}

// Probe is one probe with defaults applied and ports resolved. Exactly one of
// HTTP, TCP, GRPC and Exec is set.
type Probe struct {
	Kind             string     `json:"kind"` // startup, readiness, liveness
	HTTP             *HTTPProbe `json:"http,omitempty"`
	TCP              int        `json:"tcp,omitempty"`
	TCPHost          string     `json:"tcpHost,omitempty"` // "" is the pod's address
	GRPC             *GRPCProbe `json:"grpc,omitempty"`
	Exec             []string   `json:"exec,omitempty"`
	InitialDelay     int        `json:"initialDelay,omitempty"`
	Period           int        `json:"period"`
	Timeout          int        `json:"timeout"`
	SuccessThreshold int        `json:"successThreshold"`
	FailureThreshold int        `json:"failureThreshold"`
	// Grace is how many seconds a container has to stop whose startup or liveness
	// probe failed; nil is the pod's grace period.
	Grace *int64 `json:"grace,omitempty"`
}

// HTTPProbe asks for a path.
type HTTPProbe struct {
	Host    string      `json:"host,omitempty"` // "" is the pod's address
	Port    int         `json:"port"`
	Path    string      `json:"path"`
	Scheme  string      `json:"scheme"`
	Headers [][2]string `json:"headers,omitempty"`
}

// GRPCProbe calls the standard health service.
type GRPCProbe struct {
	Port    int    `json:"port"`
	Service string `json:"service,omitempty"`
}

// Service is a stable name, with a virtual IP unless headless or another name for
// something outside.
type Service struct {
	Name     string `json:"name"`
	Headless bool   `json:"headless,omitempty"`
	Affinity bool   `json:"affinity,omitempty"`
	// AffinityTimeout is of Affinity, in seconds; 0 is Kubernetes' default.
	AffinityTimeout int  `json:"affinityTimeout,omitempty"`
	NotReady        bool `json:"notReady,omitempty"` // publishNotReadyAddresses
	// ExternalName is what the service is another name for; it has nothing else then.
	ExternalName string        `json:"externalName,omitempty"`
	Ports        []ServicePort `json:"ports,omitempty"`
	HTTP         bool          `json:"http,omitempty"` // speaks HTTP, as far as one can tell: people are shown its URL
	Pods         []string      `json:"pods,omitempty"` // replicas that are endpoints when ready
	Jobs         []string      `json:"jobs,omitempty"` // jobs whose pods are endpoints while they run and are ready
	// Given are endpoints that are no pods: somebody else runs them, and they count
	// as ready.
	Given []GivenEndpoint `json:"given,omitempty"`
}

// GivenEndpoint is an address that answers for a service.
type GivenEndpoint struct {
	IP    string         `json:"ip"`
	Ports map[string]int `json:"ports"` // by the name of the service's port
}

// Virtual reports whether the service has a virtual IP.
func (s *Service) Virtual() bool { return !s.Headless && s.ExternalName == "" }

// ServicePort is one port of a service, its target resolved for every pod.
type ServicePort struct {
	Name     string         `json:"name"`
	Port     int            `json:"port"`
	Protocol string         `json:"protocol"`
	HTTP2    bool           `json:"http2,omitempty"`  // speaks HTTP/2 in the clear, as gRPC does
	Target   string         `json:"target,omitempty"` // the name by which pods have the port; "" for a number
	Targets  map[string]int `json:"targets"`          // pod name, or name of a job, to port
}

// Portal is a container that publishes a service's ports on the host, so that
// a new or changed port touches nothing else.
type Portal struct {
	Service    string       `json:"service"`
	EngineName string       `json:"container"`
	Ports      []PortalPort `json:"ports"`
	Line       string       `json:"-"` // file:line:col of the service
	Hash       string       `json:"hash"`
}

// PortalPort is one published port.
type PortalPort struct {
	Name     string `json:"name"`
	HostPort int    `json:"hostPort"`
	Port     int    `json:"port"` // of the service
	Protocol string `json:"protocol"`
	Pinned   bool   `json:"pinned,omitempty"` // the definition names the host port: a clash is an error, never another port
}
