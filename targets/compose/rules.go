package compose

import "github.com/cuepod/cuepod/targets"

// Rules lists the findings that Render makes.
func Rules() []targets.Rule {
	const emulated, cannot = targets.Emulated, targets.Cannot
	return []targets.Rule{
		{Code: "compose/replicas-unrolled", Level: emulated, Summary: "each replica is written out as services of its own; `--scale` does not apply"},
		{Code: "compose/init-rerun", Level: emulated, Summary: "init containers run again at every `docker compose up`"},
		{Code: "compose/depends-on", Level: emulated, Summary: "waits for all replicas behind the service, not for the first"},
		{Code: "compose/service-endpoints", Level: emulated, Summary: "the name resolves to the pods' own addresses, ready or not, and not to one stable address"},
		{Code: "compose/service-port", Level: emulated, Summary: "the pod's holder forwards the port; the application sees the pod's own address as the client's"},
		{Code: "compose/service-port-taken", Level: cannot, Summary: "the service port is in use in the pod, so nothing can forward it"},
		{Code: "compose/host-port", Level: emulated, Summary: "a portal publishes the port on 127.0.0.1 and spreads connections over the replicas that accept them"},
		{Code: "compose/session-affinity", Level: cannot, Summary: "connections are spread without regard to the client"},
		{Code: "compose/service-metadata", Level: cannot, Summary: "Compose has no object for a service that could carry labels or annotations"},
		{Code: "compose/readiness-probe", Level: emulated, Summary: "becomes a healthcheck (of the holder when it is no command): it orders the start, and takes no replica out of its service"},
		{Code: "compose/startup-probe", Level: emulated, Summary: "becomes the healthcheck where there is no readiness probe; its failure restarts nothing"},
		{Code: "compose/liveness-probe", Level: cannot, Summary: "Compose restarts no container that is unhealthy"},
		{Code: "compose/success-threshold", Level: cannot, Summary: "one success makes a container healthy"},
		{Code: "compose/empty-dir", Level: emulated, Summary: "a volume per replica, which stays until `docker compose down --volumes`"},
		{Code: "compose/size-limit", Level: cannot, Summary: "a volume on disk has no limit"},
		{Code: "compose/files", Level: emulated, Summary: "a service that runs once writes the files; a change arrives with the next `docker compose up`"},
		{Code: "compose/claim", Level: emulated, Summary: "a volume of the engine: size, storage class and access modes have no effect"},
		{Code: "compose/sub-path", Level: emulated, Summary: "needs Docker Engine 26 or later; a single file of a ConfigMap or Secret is copied in"},
		{Code: "compose/sub-path-read-only", Level: cannot, Summary: "Compose cannot copy a file into a container whose root filesystem is read-only"},
		{Code: "compose/secret", Level: emulated, Summary: "the value comes from the environment of whoever runs `docker compose`"},
		{Code: "compose/field-ref", Level: cannot, Summary: "the value is known only while the pod runs: the variable is not set"},
		{Code: "compose/run-as-non-root", Level: cannot, Summary: "nothing checks the image's user"},
		{Code: "compose/run-as-group", Level: cannot, Summary: "a group needs a user"},
		{Code: "compose/resource", Level: cannot, Summary: "Docker has no such limit"},
		{Code: "compose/kubernetes", Level: cannot, Summary: "a field for Kubernetes has no effect"},
		{Code: "compose/kubernetes-volume", Level: cannot, Summary: "an empty directory is in the place of a volume that only Kubernetes has"},
		{Code: "compose/object", Level: cannot, Summary: "an object of Kubernetes has no effect"},
		{Code: "compose/label-reserved", Level: cannot, Summary: "Compose keeps labels that begin with com.docker.compose. to itself"},
	}
}
