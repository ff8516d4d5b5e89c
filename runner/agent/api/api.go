// Package api holds what the supervisor, the gateway and the pods' agents say
// to each other: plain values, sent as one JSON object a line.
//
//	supervisor --stdin attach--> gateway --TCP--> agent in each pod
//	supervisor <-stdout attach-- gateway <--TCP-- agent in each pod
//
// The supervisor sends whole snapshots, never deltas. The gateway keeps the
// last one and works from it while no supervisor is there: agents report probe
// results to the gateway, the gateway decides which pods are ready, moves the
// endpoints, and tells every agent.
//
// A line that does not parse is passed over. Whoever attaches begins with an
// empty line, because a supervisor that was killed may have left half of one.
package api

import (
	"slices"
	"time"

	"github.com/cuepod/cuepod/targets/route"
)

// ControlPort is where the gateway listens for agents, on its own address.
const ControlPort = 4095

// MaxMessage is how much of a container's last words is read, in bytes, from
// their end. Source: pkg/kubelet/container/runtime.go.
const MaxMessage = 4096

// Marker is the variable that marks a probe's command, so that it can be found
// and killed when it is late.
const Marker = "CUEPOD_PROBE"

// HTTPPort is where the gateway's HTTP router listens inside its container.
const HTTPPort = 8080

// ProbeMark is the mark (SO_MARK) of an agent's own probes: a port that is held
// for a container's replacement lets them pass, to find the container.
const ProbeMark = 0x63756570

// Ways of services' connections, in kube-proxy's words for its modes. "" asks for
// the best that a pod can have.
const (
	ProxyNFTables  = "nftables"  // by rules of the kernel in each pod, straight to an endpoint
	ProxyUserspace = "userspace" // through the gateway, which carries them
)

// Zone is the DNS zone of services, as in Kubernetes.
const Zone = "cluster.local"

// Probe kinds, in Kubernetes' words.
const (
	Startup   = "startup"
	Readiness = "readiness"
	Liveness  = "liveness"
)

// Roles of the agent's program that the supervisor runs, for sub-paths of
// volumes and for hooks, and the answers of RoleSubPath.
const (
	RoleSubPath = "subpath"
	RoleHold    = "hold"
	RoleSame    = "same"
	RoleKill    = "kill" // the processes that carry a mark
	RoleGet     = "get"  // make the request that standard input describes, a Get
	RoleForward = "forward"

	SubPathDir  = "directory"
	SubPathFile = "file"
)

// Bootstrap is the first line an agent reads on its standard input. It comes
// that way, and not by environment or argument, because it carries a secret.
// A repeated Bootstrap replaces the one before.
type Bootstrap struct {
	// Gateway only: the app's key. A pod's token is Token(Key, pod).
	Key string `json:"key,omitempty"`
	// Pod agents: who they are, whom to call, and the proof.
	Pod     string `json:"pod,omitempty"`
	Gateway string `json:"gateway,omitempty"` // host:port
	Token   string `json:"token,omitempty"`
}

// ToGateway is one line from the supervisor to the gateway.
type ToGateway struct {
	Bootstrap *Bootstrap `json:"bootstrap,omitempty"`
	Snapshot  *Snapshot  `json:"snapshot,omitempty"`
	// Report asks the gateway to send a full Status now.
	Report bool `json:"report,omitempty"`
	// Traffic asks the gateway to send a TrafficReport now.
	Traffic bool `json:"traffic,omitempty"`
}

// Snapshot is all the gateway has to know. A newer one replaces it whole.
type Snapshot struct {
	// Generation grows with each snapshot of an app. One that is older than the
	// one in force is ignored, and FromGateway.Error says so; an equal one replaces it.
	Generation int64     `json:"generation"`
	App        string    `json:"app"`       // for <service>.<app>.localhost
	Namespace  string    `json:"namespace"` // of services, for DNS
	Services   []Service `json:"services"`
	Pods       []Pod     `json:"pods"`
	ProxyMode  string    `json:"proxyMode,omitempty"` // see ProxyNFTables
	// Images are those that are not to be had, by reference. The gateway only
	// keeps them for whoever asks how the pods are.
	Images map[string]Image `json:"images,omitempty"`
	// Routes are what Ingresses and HTTPRoutes say.
	Routes []route.Rule `json:"routes,omitempty"`
	// Certificates are those for HTTPS.
	Certificates []Certificate `json:"certificates,omitempty"`
}

// Certificate is for one host, "shop.example" or "*.shop.example", in PEM. Its key
// is in no label, argument or log.
type Certificate struct {
	Host string `json:"host"`
	Cert []byte `json:"cert"`
	Key  []byte `json:"key"`
}

// Image is why an image is not to be had.
type Image struct {
	Reason  string    `json:"reason"` // in Kubernetes' words: ErrImagePull, ImagePullBackOff ...
	Message string    `json:"message"`
	Retry   time.Time `json:"retry,omitzero"` // when it is asked for again
}

// Service is one service as the data plane sees it.
type Service struct {
	Name     string `json:"name"`
	VIP      string `json:"vip,omitempty"` // "" for a headless service
	Headless bool   `json:"headless,omitempty"`
	Affinity bool   `json:"affinity,omitempty"` // sessionAffinity ClientIP
	// AffinityTimeout is how long a client that opens no connection keeps its
	// endpoint, in seconds; 0 is Kubernetes' default, three hours.
	AffinityTimeout int `json:"affinityTimeout,omitempty"`
	// ExternalName is what the service is another name for; such a service has
	// nothing else.
	ExternalName string `json:"externalName,omitempty"`
	// NotReady is publishNotReadyAddresses: pods answer whether ready or not.
	NotReady bool          `json:"notReady,omitempty"`
	Ports    []ServicePort `json:"ports"`
	// Backends are the pods behind a headless service without ports, which has
	// their names alone; they have no port either.
	Backends []Backend `json:"backends,omitempty"`
}

// ServicePort is one port of a service.
type ServicePort struct {
	Name     string    `json:"name"`
	Port     int       `json:"port"`
	Protocol string    `json:"protocol"`        // TCP or UDP
	HTTP2    bool      `json:"http2,omitempty"` // speaks HTTP/2 in the clear
	Backends []Backend `json:"backends"`
}

// Backend is a pod's port behind a service port, the target port already
// resolved. These are all pods that could serve: Standing says which of them do.
type Backend struct {
	Pod string `json:"pod"` // "" for an address that somebody gave, which counts as ready
	// Hostname is its name below a headless service; "" for a pod that has none
	// there, which is found by its address spelled out.
	Hostname string `json:"hostname,omitempty"`

	IP   string `json:"ip"` // "" while the pod has none
	Port int    `json:"port"`

	// Held is for how many seconds at most the gateway lets new connections to it
	// wait, as nothing in the pod does; 0 is not at all. It follows from Standing.
	Held int `json:"held,omitempty"`
}

// Pod is one pod replica.
type Pod struct {
	Name       string       `json:"name"`
	IP         string       `json:"ip"`
	Names      Names        `json:"names,omitzero"`
	Draining   bool         `json:"draining,omitempty"` // being stopped: no endpoint any more
	Holds      []Hold       `json:"holds,omitempty"`    // containers that are swapped, while nobody serves
	Containers []Container  `json:"containers"`         // what counts for readiness
	Files      []FileVolume `json:"files,omitempty"`
	// Dirs are the volumes whose rights the agent sets before a container sees
	// them: empty directories, and claims that a group of the pod's may write to.
	Dirs []Dir `json:"dirs,omitempty"`
	// Messages are the containers for whose last words the agent keeps files in
	// MessagesDir: one for the running instance, by the container's name, and one
	// for each instance that ended, by its ID.
	Messages    []Message `json:"messages,omitempty"`
	MessagesDir string    `json:"messagesDir,omitempty"`
}

// Hold asks a pod's agent to let new connections wait from before one instance
// of a container is stopped until the next one serves.
type Hold struct {
	Container string `json:"container"`
	ID        string `json:"id"`    // of the instance that is stopped; another one is another hold
	Ports     []int  `json:"ports"` // TCP, of that instance
	Next      []int  `json:"next"`  // TCP, of the one that follows
	// Datagrams and NextDatagrams are the same of UDP.
	Datagrams     []int `json:"datagrams,omitempty"`
	NextDatagrams []int `json:"nextDatagrams,omitempty"`
	Limit         int   `json:"limit"` // seconds after which those that wait are refused
}

// Ports are ports of a pod.
type Ports struct {
	TCP []int `json:"tcp,omitempty"`
	UDP []int `json:"udp,omitempty"`
}

// Message is a container that may leave last words. Ended is the ID of its
// current instance once that has ended: what it wrote is put aside before the
// next instance starts.
type Message struct {
	Container string `json:"container"`
	Ended     string `json:"ended,omitempty"`
}

// Dir is a volume that the containers fill, and the rights it begins with.
type Dir struct {
	Path  string  `json:"path"`            // where it is mounted in the agent's container
	Mode  *uint32 `json:"mode,omitempty"`  // permission bits as in chmod, up to 01777; nil leaves it as it is
	Group *int64  `json:"group,omitempty"` // fsGroup: all that is in it becomes this group's
	// OnRootMismatch leaves the content alone when Path itself is the group's
	// already: Kubernetes' fsGroupChangePolicy.
	OnRootMismatch bool `json:"onRootMismatch,omitempty"`
}

// Container is one container's state, as the supervisor saw it, and its probes.
type Container struct {
	Name    string `json:"name"`
	ID      string `json:"id"` // a new ID starts the probes anew
	Running bool   `json:"running"`
	// Exec probes run in the supervisor; their verdicts, thresholds applied, come
	// down here: by probe kind, true for success. None counts as failure, but of
	// a liveness probe, which is the supervisor's own business.
	Exec   map[string]bool `json:"exec,omitempty"`
	Probes []Probe         `json:"probes,omitempty"` // exec probes included, without a handler to run
}

// Probe is one probe with all defaults applied. HTTP, TCP and GRPC go to the
// pod's address; a probe with none of them is an exec probe.
type Probe struct {
	Kind             string     `json:"kind"` // Startup, Readiness or Liveness
	HTTP             *HTTPProbe `json:"http,omitempty"`
	TCP              *TCPProbe  `json:"tcp,omitempty"`
	GRPC             *GRPCProbe `json:"grpc,omitempty"`
	InitialDelay     int        `json:"initialDelay"` // seconds
	Period           int        `json:"period"`       // seconds
	Timeout          int        `json:"timeout"`      // seconds
	SuccessThreshold int        `json:"successThreshold"`
	FailureThreshold int        `json:"failureThreshold"`
}

// HTTPProbe asks for a path.
type HTTPProbe struct {
	Host    string      `json:"host,omitempty"` // "" is the pod's address
	Port    int         `json:"port"`
	Path    string      `json:"path"`
	Scheme  string      `json:"scheme"`            // HTTP or HTTPS
	Headers [][2]string `json:"headers,omitempty"` // name, value
}

// Get is what an agent is asked on standard input that is to carry out one
// HTTP request for a hook.
type Get struct {
	Host string `json:"host"`
	HTTPProbe
	Timeout int `json:"timeout,omitempty"` // seconds; 0 is for ever
}

// TCPProbe opens a connection.
type TCPProbe struct {
	Host string `json:"host,omitempty"` // "" is the pod's address
	Port int    `json:"port"`
}

// GRPCProbe calls the health service.
type GRPCProbe struct {
	Port    int    `json:"port"`
	Service string `json:"service,omitempty"`
}

// FileVolume is a volume whose content the agent writes: a ConfigMap or Secret
// as files, swapped atomically in the layout of kubelet's AtomicWriter.
type FileVolume struct {
	Dir   string `json:"dir"` // where the volume is mounted in the agent's container
	Files []File `json:"files"`
	Group *int64 `json:"group,omitempty"` // fsGroup: the files are this group's, which may read them
}

// File is one file of a FileVolume.
type File struct {
	Path string `json:"path"` // relative, no ".."
	Mode uint32 `json:"mode"`
	User *int64 `json:"user,omitempty"` // owner; nil is root
	Data []byte `json:"data"`
}

// FromGateway is one line from the gateway to the supervisor.
type FromGateway struct {
	Status  *Status        `json:"status,omitempty"`
	Traffic *TrafficReport `json:"traffic,omitempty"`
	// Error is something a person should see: a port that cannot be bound.
	Error string `json:"error,omitempty"`
	// Garbled tells that a line came in that is no message: all that attach write to
	// one stream, whose long lines others' short ones may part, and one that was
	// killed leaves half a line. Whoever sent a message lately sends it again.
	Garbled bool `json:"garbled,omitempty"`
}

// Status is how the pods are. The gateway sends it on every change.
type Status struct {
	Generation int64                `json:"generation"`     // of the snapshot in force
	Time       int64                `json:"time,omitempty"` // when it was sent, in milliseconds by the gateway's clock
	Pods       map[string]PodStatus `json:"pods"`
	Images     map[string]Image     `json:"images,omitempty"` // of the snapshot in force
}

// PodStatus is how one pod is.
type PodStatus struct {
	Connected  bool                       `json:"connected"`  // its agent is on the line
	Generation int64                      `json:"generation"` // of the snapshot its agent has applied: files written, names served
	Ready      bool                       `json:"ready"`
	Serving    bool                       `json:"serving"`         // it would be ready were it not about to lose a container
	Held       bool                       `json:"held,omitempty"`  // it lets new connections wait
	Since      int64                      `json:"since,omitempty"` // when it got ready, by the same clock; 0 when it is not
	Error      string                     `json:"error,omitempty"` // why the agent could not apply
	Late       string                     `json:"late,omitempty"`  // those that waited were refused: why
	Proxy      Proxy                      `json:"proxy,omitzero"`  // as its agent said
	Containers map[string]ContainerStatus `json:"containers"`
}

// ContainerStatus is the verdict of the probes on one container.
type ContainerStatus struct {
	ID      string `json:"id"`
	Started bool   `json:"started"`
	Ready   bool   `json:"ready"`
	// Unhealthy is why the container has to be restarted: a failed liveness or
	// startup probe, in words. "" while it lives.
	Unhealthy string `json:"unhealthy,omitempty"`
	// Message is the last failure of a probe, in words, for ps and logs.
	Message string `json:"message,omitempty"`
}

// Hello is the first line from an agent to the gateway.
type Hello struct {
	Pod    string `json:"pod"`
	Token  string `json:"token"`
	Counts bool   `json:"counts,omitempty"` // it may be asked to Count
	// Follows says that it knows Standing, and lines that leave out what is known. An
	// agent without gets whole lines, whose services have those backends that receive.
	Follows bool `json:"follows,omitempty"`
}

// ToAgent is one line from the gateway to an agent: what this pod needs of the
// snapshot. It leaves out what the line before it on the connection said: a pod that
// gets ready is a few bytes to each agent, however many services it stands behind.
type ToAgent struct {
	Generation int64  `json:"generation"`
	Namespace  string `json:"namespace"`
	// Services are those that are new, or other than before, with all backends.
	Services []Service `json:"services,omitempty"`
	Gone     []string  `json:"gone,omitempty"` // services that are no more
	// Standing says how those pods stand behind services that stand otherwise than
	// before; the zero value is a pod that stands behind none, as is one that no line
	// has named. Where it is nil, from a gateway of an earlier version, Services are all
	// that there are, and all of their backends receive.
	Standing  map[string]Standing `json:"standing"`
	Pod       *Pod                `json:"pod,omitempty"`       // nil is as before
	ProxyMode string              `json:"proxyMode,omitempty"` // that is asked for; "" is the best there is
	// Count asks for a Tally, and is all that there is in the line.
	Count bool `json:"count,omitempty"`
}

// Standing is how a pod stands behind services.
type Standing struct {
	Ready   bool   `json:"ready,omitempty"`
	Serving bool   `json:"serving,omitempty"` // see PodStatus
	Held    bool   `json:"held,omitempty"`    // see PodStatus
	Waits   []Wait `json:"waits,omitempty"`
}

// Same reports whether two stand alike.
func (s Standing) Same(o Standing) bool {
	return s.Ready == o.Ready && s.Serving == o.Serving && s.Held == o.Held && slices.Equal(s.Waits, o.Waits)
}

// Wait is a port of a pod to which the gateway lets new connections wait.
type Wait struct {
	Port  int  `json:"port"`
	UDP   bool `json:"udp,omitempty"`
	Limit int  `json:"limit"` // seconds, at most
}

// FromAgent is one line from an agent to the gateway.
type FromAgent struct {
	Generation int64                      `json:"generation"` // applied so far
	Error      string                     `json:"error,omitempty"`
	Containers map[string]ContainerStatus `json:"containers,omitempty"`
	Proxy      Proxy                      `json:"proxy,omitzero"`
	// Held are the ports to which new connections are to wait, where the agent has no
	// rules to lead them: then the gateway holds those that come through it.
	Held Ports `json:"held,omitzero"`
	// Late tells of a hold that ended as its time was over, until there is none.
	Late string `json:"late,omitempty"`
	// Tally is all that there is in the line, when it is there.
	Tally *Tally `json:"tally,omitempty"`
}

// Proxy is the way that a pod's connections to services take.
type Proxy struct {
	Mode string `json:"mode"`          // ProxyNFTables or ProxyUserspace
	Why  string `json:"why,omitempty"` // it is not the best one
}
