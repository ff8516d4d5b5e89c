// Package app is the typed model of an app: what one team ships, as plain data.
//
// The compiler makes an App from CUE; every target reads it. All defaults are
// applied, every list is in a stable order (declared order where order means
// something, else by name), and everything a user names carries the position
// where it was written, so that a target can point at the user's line. Names
// are Kubernetes' names. The package imports only the standard library.
package app

import (
	"fmt"
	"strconv"
)

// Pos is a place in a definition file. The zero value means unknown.
type Pos struct {
	File   string `json:"file,omitempty"`   // as a person would type it: relative to the working directory where possible
	Line   int    `json:"line,omitempty"`   // 1-based
	Column int    `json:"column,omitempty"` // 1-based, in bytes
}

// IsValid reports whether the position is known.
func (p Pos) IsValid() bool { return p.File != "" && p.Line > 0 }

// String gives file:line:col, or "-" for the zero Pos.
func (p Pos) String() string {
	if !p.IsValid() {
		return "-"
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// App is what one team ships: pods, the services in front of them, and what
// they read.
type App struct {
	Name        string            // DNS-1123 label
	Namespace   string            // "" when the definition sets none; Kubernetes then uses the current one
	Labels      map[string]string // put on every object
	Annotations map[string]string // put on every object
	Pods        []Pod             // declared order
	Services    []Service         // by name
	ConfigMaps  []ConfigMap       // by name
	Secrets     []Secret          // by name
	Claims      []Claim           // persistent volume claims, by name
	Objects     []Object          // further Kubernetes objects, declared order
	Compose     *Hatch            // top-level fields of the Compose file; nil for none
	Pos         Pos
}

// DNSNamespace is the namespace part of service names on a local run: the
// app's namespace, or "default".
func (a *App) DNSNamespace() string {
	if a.Namespace == "" {
		return "default"
	}
	return a.Namespace
}

// Pod is a group of containers that share an IP address, a hostname, IPC and
// volumes, and that scale as one.
type Pod struct {
	Name                          string // DNS-1123 label
	Kind                          string // "Deployment", the only kind so far
	Replicas                      int    // default 1
	Labels                        map[string]string
	Annotations                   map[string]string
	InitContainers                []Container // run one by one in this order
	Containers                    []Container // started in this order, at least one
	Volumes                       []Volume    // declared order
	DependsOn                     []Dependency
	Hostname                      string // "" means the pod's own name
	TerminationGracePeriodSeconds int64  // default 30
	Kubernetes                    *Hatch // workload: fields of the Deployment, podSpec: of its pods; nil for none
	Pos                           Pos
}

// Dependency names a service that has to answer before a pod starts. It orders
// a local run and Compose; Kubernetes has no such order.
type Dependency struct {
	Service   string
	Condition string // "started" (its pods' containers run) or "ready" (it has a ready endpoint); default "ready"
	Pos       Pos
}

// Container is one process image in a pod.
type Container struct {
	Name            string // DNS-1123 label, unique in its pod
	Image           string
	ImagePullPolicy string // Always, IfNotPresent or Never; default Always for :latest or no tag, else IfNotPresent
	Command         []string
	Args            []string
	WorkingDir      string
	Env             []EnvVar // declared order, which $(VAR) references depend on
	EnvFrom         []EnvFrom
	Ports           []ContainerPort
	VolumeMounts    []VolumeMount
	Resources       Resources
	LivenessProbe   *Probe
	ReadinessProbe  *Probe
	StartupProbe    *Probe
	SecurityContext SecurityContext
	Kubernetes      *Hatch // fields of Kubernetes' Container; nil for none
	Compose         *Hatch // fields of the Compose service; nil for none
	Pos             Pos
}

// EnvVar is one environment variable: a literal Value, or exactly one source.
type EnvVar struct {
	Name            string
	Value           string // $(VAR) references are expanded as Kubernetes does
	ConfigMapKeyRef *KeyRef
	SecretKeyRef    *KeyRef
	FieldRef        string // a field path such as metadata.name or status.podIP; "" when unused
	Pos             Pos
}

// EnvFrom imports every key of a ConfigMap or of a Secret.
type EnvFrom struct {
	Prefix    string
	ConfigMap string // exactly one of ConfigMap and Secret is set
	Secret    string
	Optional  bool
	Pos       Pos
}

// KeyRef names one key of a ConfigMap or Secret.
type KeyRef struct {
	Name     string
	Key      string
	Optional bool // a missing key then leaves the variable absent
}

// ContainerPort is a port a container listens on.
type ContainerPort struct {
	Name          string // at most 15 characters
	ContainerPort int
	Protocol      string // TCP or UDP; default TCP
	Pos           Pos
}

// VolumeMount puts a pod's volume into a container.
type VolumeMount struct {
	MountPath string
	Name      string // of the pod's volume
	SubPath   string
	ReadOnly  bool
	Pos       Pos
}

// Resources are Kubernetes quantities by resource name.
type Resources struct {
	Requests map[string]Quantity // "cpu", "memory"
	Limits   map[string]Quantity
}

// SecurityContext holds what narrows a container. nil means not set.
type SecurityContext struct {
	RunAsUser                *int64
	RunAsGroup               *int64
	RunAsNonRoot             *bool
	ReadOnlyRootFilesystem   *bool
	AllowPrivilegeEscalation *bool
	CapabilitiesAdd          []string // without CAP_
	CapabilitiesDrop         []string
	Pos                      Pos
}

// Probe asks whether a container lives, is ready or has started. Exactly one
// of HTTPGet, TCPSocket, GRPC and Exec is set.
type Probe struct {
	HTTPGet             *HTTPGetAction
	TCPSocket           *TCPSocketAction
	GRPC                *GRPCAction
	Exec                *ExecAction
	InitialDelaySeconds int // default 0
	PeriodSeconds       int // default 10
	TimeoutSeconds      int // default 1
	SuccessThreshold    int // default 1
	FailureThreshold    int // default 3
	Pos                 Pos
}

// HTTPGetAction succeeds on a status from 200 to 399.
type HTTPGetAction struct {
	Path    string // default "/"
	Port    PortRef
	Scheme  string // HTTP or HTTPS; default HTTP
	Headers []Header
}

// Header is one HTTP request header.
type Header struct{ Name, Value string }

// TCPSocketAction succeeds when a connection is accepted.
type TCPSocketAction struct{ Port PortRef }

// GRPCAction calls grpc.health.v1.Health/Check.
type GRPCAction struct {
	Port    int
	Service string
}

// ExecAction succeeds when the command exits 0 in the container.
type ExecAction struct{ Command []string }

// PortRef is a port by number or by the name of a container port. Exactly one
// is set; the zero value means absent.
type PortRef struct {
	Number int
	Name   string
}

// String gives the name, or the number.
func (p PortRef) String() string {
	if p.Name != "" {
		return p.Name
	}
	return strconv.Itoa(p.Number)
}

// IsZero reports whether the reference is absent.
func (p PortRef) IsZero() bool { return p == PortRef{} }

// Volume is storage of a pod. Exactly one source is set, or Kubernetes holds
// one.
type Volume struct {
	Name       string
	EmptyDir   *EmptyDir
	ConfigMap  *FilesSource
	Secret     *FilesSource
	Claim      *ClaimSource
	Kubernetes *Hatch // fields of Kubernetes' Volume, any of its sources among them; nil for none
	Pos        Pos
}

// HasSource reports whether one of the model's own sources is set.
func (v *Volume) HasSource() bool {
	return v.EmptyDir != nil || v.ConfigMap != nil || v.Secret != nil || v.Claim != nil
}

// EmptyDir lives as long as its pod.
type EmptyDir struct {
	Medium    string   // "" or "Memory"
	SizeLimit Quantity // "" means none
}

// FilesSource shows the keys of a ConfigMap or Secret as files.
type FilesSource struct {
	Name        string            // of the ConfigMap or Secret
	Items       map[string]string // key to relative path; empty means every key under its own name
	DefaultMode int               // file mode bits; default 0644
	Optional    bool
}

// ClaimSource mounts a persistent volume claim of the app.
type ClaimSource struct {
	ClaimName string
	ReadOnly  bool
}

// Service gives pods one stable name and address.
type Service struct {
	Name            string            // DNS-1123 label
	Pod             string            // the pod whose replicas are the endpoints
	Type            string            // ClusterIP, NodePort or LoadBalancer; default ClusterIP
	Headless        bool              // no virtual IP: the name resolves to the pods
	Ports           []ServicePort     // by name; at least one unless headless
	SessionAffinity string            // None or ClientIP; default None
	Labels          map[string]string // added to the app's
	Annotations     map[string]string // added to the app's
	Kubernetes      *Hatch            // fields of Kubernetes' ServiceSpec; nil for none
	Pos             Pos
}

// ServicePort is one port of a service.
type ServicePort struct {
	Name       string // DNS-1123 label
	Port       int
	TargetPort PortRef // default: Port's number
	NodePort   int     // 30000-32767, or 0 for one chosen by the target
	Protocol   string  // TCP or UDP; default TCP
	Pos        Pos
}

// ConfigMap is configuration by key.
type ConfigMap struct {
	Name string
	Data map[string]string
	Pos  Pos
}

// Secret says which keys exist and where each value comes from. It never holds
// a value.
type Secret struct {
	Name string
	Type string // default Opaque
	Keys []SecretKey
	Pos  Pos
}

// SecretKey is one key of a Secret with exactly one source.
type SecretKey struct {
	Name     string
	External bool            // somebody else makes it: an operator, a person
	Env      string          // environment variable of whoever runs or applies
	File     string          // file of whoever runs or applies, relative to the module root
	Generate *GenerateSecret // made on the first local run, kept until the app's volumes are removed
	Pos      Pos
}

// GenerateSecret is a random value of letters and digits.
type GenerateSecret struct {
	Length int // characters; default 32
}

// Claim asks for storage that outlives pods.
type Claim struct {
	Name             string
	Storage          Quantity
	AccessModes      []string // default ReadWriteOnce
	StorageClassName string   // "" means the cluster's default
	Pos              Pos
}

// Find helpers: linear, as apps have tens of each.

// Pod returns the pod of that name, or nil.
func (a *App) Pod(name string) *Pod { return find(a.Pods, name, func(p *Pod) string { return p.Name }) }

// Service returns the service of that name, or nil.
func (a *App) Service(name string) *Service {
	return find(a.Services, name, func(s *Service) string { return s.Name })
}

// ConfigMap returns the ConfigMap of that name, or nil.
func (a *App) ConfigMap(name string) *ConfigMap {
	return find(a.ConfigMaps, name, func(c *ConfigMap) string { return c.Name })
}

// Secret returns the Secret of that name, or nil.
func (a *App) Secret(name string) *Secret {
	return find(a.Secrets, name, func(s *Secret) string { return s.Name })
}

// Claim returns the claim of that name, or nil.
func (a *App) Claim(name string) *Claim {
	return find(a.Claims, name, func(c *Claim) string { return c.Name })
}

// Volume returns the pod's volume of that name, or nil.
func (p *Pod) Volume(name string) *Volume {
	return find(p.Volumes, name, func(v *Volume) string { return v.Name })
}

func find[T any](list []T, name string, key func(*T) string) *T {
	for i := range list {
		if key(&list[i]) == name {
			return &list[i]
		}
	}
	return nil
}
