// Package conformance says, item by item, what "the same as Kubernetes" means
// for a local run, and which tests prove it.
//
// Items is the contract. A test that proves an item says so in a comment above
// it, see Mark; ported behaviours of Kubernetes' own conformance tests are in
// the package suite. docs/conformance.md is made of both, and a test keeps it
// current.
package conformance

// State is what became of an item. There is no state for "ignored".
type State string

const (
	Same       State = "same"       // it is as in Kubernetes, and a test proves it
	Divergence State = "divergence" // it is deliberately otherwise, for a reason
	Refused    State = "refused"    // a definition that needs it is refused with a message
)

// Item is one behaviour of Kubernetes.
type Item struct {
	Number int
	Text   string // in our own words
	State  State
	Reason string // of Divergence and Refused
}

// Section is a group of items.
type Section struct {
	Title string
	Items []Item
}

// Place is where local runners are known to lie. Each needs a test that
// fails when we do, marked as negative with the item's number.
type Place struct {
	Item int
	Text string
}

// Places are the fifteen.
func Places() []Place {
	return []Place{
		{Item: 2, Text: "a container that crashes again and again is shown as exited, and not as CrashLoopBackOff"},
		{Item: 7, Text: "init containers run again when a container is restarted"},
		{Item: 37, Text: "a probe runs inside the pod, and succeeds for what listens on 127.0.0.1 alone"},
		{Item: 48, Text: "a sidecar is stopped before the containers that it serves"},
		{Item: 50, Text: "a pod stays an endpoint until its containers have stopped"},
		{Item: 57, Text: "a $ of a definition is taken for a variable by Compose"},
		{Item: 60, Text: "an optional reference that leads nowhere makes an empty variable"},
		{Item: 62, Text: "variables tell of services that came after the container"},
		{Item: 72, Text: "files of a ConfigMap change one after the other, not all at once"},
		{Item: 79, Text: "a file that is mounted by its subPath changes while the container runs"},
		{Item: 86, Text: "a name longer than a host name can be fails, or is no host name"},
		{Item: 93, Text: "a service reaches what listens on the pod's 127.0.0.1 alone"},
		{Item: 95, Text: "a connection to a service without endpoints hangs, and is not refused"},
		{Item: 117, Text: "replicas beyond the first are ignored"},
		{Item: 125, Text: "a container with a memory limit gets as much swap again"},
	}
}
