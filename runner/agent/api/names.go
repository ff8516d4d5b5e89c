package api

// Names is what a pod's hosts file and resolv.conf are made of.
type Names struct {
	IP       string      `json:"ip,omitempty"` // of the pod
	Hostname string      `json:"hostname,omitempty"`
	Domain   string      `json:"domain,omitempty"` // behind the host name in the full name
	Aliases  []HostAlias `json:"aliases,omitempty"`
	// Machine is the address under which pods reach the engine's machine.
	Machine string `json:"machine,omitempty"`
	// HostNetwork says that the pod has the machine's network, and so its files
	// to begin with.
	HostNetwork bool `json:"hostNetwork,omitempty"`
	DNS         DNS  `json:"dns,omitzero"`
	// Listens are the ports of the machine that the containers of a pod in its
	// network will listen on. Nobody else may when the first of them starts.
	Listens []Listen `json:"listens,omitempty"`
}

// Listen is a port on an address.
type Listen struct {
	IP       string `json:"ip"`
	Port     int    `json:"port"`
	Protocol string `json:"protocol"` // TCP or UDP
}

// HostAlias is a line of the hosts file.
type HostAlias struct {
	IP        string   `json:"ip"`
	Hostnames []string `json:"hostnames"`
}

// DNS policies, in Kubernetes' words. ClusterFirstWithHostNet is ClusterFirst
// here, and ClusterFirst in the machine's network is Default: whoever makes the
// snapshot knows.
const (
	ClusterFirst = "ClusterFirst"
	DNSDefault   = "Default"
	DNSNone      = "None"
)

// DNS says how a pod looks names up.
type DNS struct {
	Policy string `json:"policy,omitempty"` // "" is ClusterFirst
	// Cluster is the server that knows the services' names; "" is the agent itself,
	// on the pod's own 127.0.0.1.
	Cluster  string      `json:"cluster,omitempty"`
	Servers  []string    `json:"servers,omitempty"`
	Searches []string    `json:"searches,omitempty"`
	Options  []DNSOption `json:"options,omitempty"`
}

// DNSOption is an option of the resolver: "ndots:2", or "edns0" without a value.
type DNSOption struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}
