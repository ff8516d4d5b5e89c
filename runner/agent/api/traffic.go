package api

// Traffic is what took a way, since whoever counts began to.
type Traffic struct {
	// Connections that were established; of UDP, the sockets that sent.
	Connections uint64 `json:"connections"`
	// Errors are connections that were refused, or that nobody answered; on the
	// way through the gateway's router also answers of 500 and above.
	Errors uint64 `json:"errors"`
	// Sent is what went to the endpoint and Received what came back, in bytes,
	// without the headers of IP and TCP or UDP. Where the kernel counts, the options
	// of TCP are in it, up to 20 bytes for each packet, and what was sent twice.
	Sent     uint64 `json:"sent"`
	Received uint64 `json:"received"`
}

// Add is both together.
func (t Traffic) Add(o Traffic) Traffic {
	return Traffic{t.Connections + o.Connections, t.Errors + o.Errors, t.Sent + o.Sent, t.Received + o.Received}
}

// Since is what came on top of an earlier count of the same.
func (t Traffic) Since(o Traffic) Traffic {
	return Traffic{t.Connections - o.Connections, t.Errors - o.Errors, t.Sent - o.Sent, t.Received - o.Received}
}

// Way is from a client through a port of a service to an endpoint.
type Way struct {
	Service  string `json:"service"`
	Port     int    `json:"port"`
	Protocol string `json:"protocol"`         // TCP or UDP
	Client   string `json:"client,omitempty"` // a pod; "" is the machine, or anything else that is no pod of the app
	// Endpoint is a pod, or the address and port of what is none; "" where there was
	// none to be had. In what an agent says it is always an address.
	Endpoint string `json:"endpoint,omitempty"`
}

// Edge is a way with what took it.
type Edge struct {
	Way
	Traffic
}

// Tally is what a pod's agent counted. Boot, in nanoseconds, is when it began:
// with another one the counts begin at zero.
type Tally struct {
	Boot  int64  `json:"boot"`
	Edges []Edge `json:"edges,omitempty"`
	Error string `json:"error,omitempty"` // why something is missing
}

// TrafficReport is what took all ways since the gateway began, pods that are gone
// included. The counts never go back, but when the gateway is another one: then
// those of pods that are there are still whole, where the kernel counts, and all
// else begins at zero.
type TrafficReport struct {
	Since   int64    `json:"since"` // in milliseconds, by the gateway's clock
	Time    int64    `json:"time"`  // the same
	Edges   []Edge   `json:"edges"`
	Missing []string `json:"missing,omitempty"` // in words: who did not say what it counted lately, or at all
}
