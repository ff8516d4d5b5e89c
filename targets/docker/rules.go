package docker

import "github.com/cuepod/cuepod/targets"

// Codes of findings that both the table and the checks make.
const (
	codeBlockDevice = "docker/block-device"
	codeClaimSource = "docker/claim-source"
	codeClaimSize   = "docker/claim-size"
	codeClaimClass  = "docker/claim-class"
	codeDevRebuild  = "docker/dev-rebuild"
	codeDevTrigger  = "docker/dev-trigger"
	codeIsolation   = "docker/isolation"
	codeJob         = "docker/job"
	codeMountOption = "docker/mount-option"
	codeNetAdmin    = "docker/net-admin"
	codeProbe       = "docker/probe"
	codeResource    = "docker/resource"
	codeRoute       = "docker/route"
	codeRouter      = "docker/router"
	codeRollout     = "docker/rollout"
	codeAddress     = "docker/service-address"
	codeAccount     = "docker/service-account"
)

// Rules lists the findings that Render makes.
func Rules() []targets.Rule {
	const emulated, cannot = targets.Emulated, targets.Cannot
	return []targets.Rule{
		{Code: "docker/allocatable", Level: cannot, Summary: "how much space the machine has for files is not known, and what asks for it is left out"},
		{Code: "docker/autoscaling", Level: cannot, Summary: "replicas do not follow the load"},
		{Code: codeBlockDevice, Level: cannot, Summary: "there are no raw block devices"},
		{Code: codeClaimClass, Level: cannot, Summary: "a local engine has no storage classes, and makes every claim a volume of its own"},
		{Code: codeClaimSize, Level: emulated, Summary: "a volume of the engine has no size"},
		{Code: codeClaimSource, Level: cannot, Summary: "a claim begins empty"},
		{Code: "docker/depends-on", Level: cannot, Summary: "nobody waits for a service that has no pods, or those of jobs alone"},
		{Code: codeDevRebuild, Level: cannot, Summary: "a change of what an image is not built from builds nothing"},
		{Code: codeDevTrigger, Level: cannot, Summary: "an image is built anew as soon as what it is built from changes"},
		{Code: "docker/device", Level: cannot, Summary: "no devices are allotted"},
		{Code: "docker/emptydir-medium", Level: cannot, Summary: "huge pages are not used: the volume is on disk"},
		{Code: "docker/emptydir-size", Level: cannot, Summary: "the size of a volume on disk is not limited"},
		{Code: "docker/endpoint-address", Level: cannot, Summary: "the app's network has no IPv6"},
		{Code: "docker/ephemeral", Level: emulated, Summary: "an empty directory without a size, that lives as long as the pod"},
		{Code: "docker/gate", Level: cannot, Summary: "nobody waits for a gate"},
		{Code: "docker/hook-kind", Level: cannot, Summary: "a hook that opens a TCP connection is not run"},
		{Code: "docker/host-port", Level: cannot, Summary: "only the first replica has the host port"},
		{Code: codeIsolation, Level: cannot, Summary: "the engine isolates containers in its own way"},
		{Code: codeJob, Level: cannot, Summary: "a job is run here, by nobody else"},
		{Code: "docker/kubernetes", Level: cannot, Summary: "a field for Kubernetes has no effect"},
		{Code: "docker/kubernetes-volume", Level: cannot, Summary: "an empty directory is in the place of a volume that only Kubernetes has"},
		{Code: "docker/loopback", Level: emulated, Summary: "host ports are bound to 127.0.0.1"},
		{Code: codeMountOption, Level: cannot, Summary: "the engine mounts in its own way"},
		{Code: codeNetAdmin, Level: emulated, Summary: "a container with NET_ADMIN can change the rules that lead its own pod to services"},
		{Code: "docker/network-policy", Level: cannot, Summary: "every pod may talk to every pod"},
		{Code: "docker/object", Level: cannot, Summary: "an object of Kubernetes has no effect"},
		{Code: codeProbe, Level: cannot, Summary: "probes speak the plain protocol"},
		{Code: "docker/projection", Level: cannot, Summary: "what a cluster gives out is not among the files"},
		{Code: "docker/pull-secret", Level: emulated, Summary: "images are pulled with your own credentials"},
		{Code: "docker/resize", Level: emulated, Summary: "a change of resources makes a new container"},
		{Code: codeResource, Level: cannot, Summary: "the engine limits the CPU and the memory of containers, and nothing else"},
		{Code: codeRollout, Level: emulated, Summary: "without --strict containers are replaced within their pods; earlier revisions are in the definition's history"},
		{Code: codeRoute, Level: cannot, Summary: "the gateway has no regular expressions, mirrors, CORS filters and extensions, and knows the app's services alone"},
		{Code: codeRouter, Level: emulated, Summary: "the app's own gateway serves all routes, on 127.0.0.1, with certificates of the local authority"},
		{Code: "docker/scheduling", Level: emulated, Summary: "one machine has nothing to choose between, and nobody empties it"},
		{Code: "docker/sctp", Level: cannot, Summary: "services carry TCP and UDP"},
		{Code: codeAccount, Level: cannot, Summary: "there is no Kubernetes API: pods have no account and no token"},
		{Code: codeAddress, Level: cannot, Summary: "a service has an IPv4 address of the app's network, and is published on 127.0.0.1"},
		{Code: "docker/volume", Level: cannot, Summary: "an empty directory is in the place of a volume that is not here"},
	}
}
