package conformance

// Sections are the 132 items. Their sources in Kubernetes 1.37 are named where
// the code does what they say.
func Sections() []Section {
	return []Section{
		{"Pod lifecycle, phases, init containers and sidecars", lifecycle()},
		{"Restarts and back-off", restarts()},
		{"Probes", probes()},
		{"Termination and hooks", termination()},
		{"Commands, environment and the downward API", environment()},
		{"Volumes, ConfigMaps and secrets", volumes()},
		{"Identity, hosts and a pod's DNS", identity()},
		{"Services, endpoints and DNS records", services()},
		{"Workloads", workloads()},
		{"Resources and security", resources()},
	}
}

// Items are those of all sections, by number.
func Items() []Item {
	var out []Item
	for _, s := range Sections() {
		out = append(out, s.Items...)
	}
	return out
}

func lifecycle() []Item {
	return []Item{
		{1, "A pod's phase: Failed when an init container failed for good; Pending until init containers and sidecars are through; Running while a container runs or waits to; Succeeded or Failed once all have ended", Same, ""},
		{2, "CrashLoopBackOff is why a container waits, and never a phase: the pod stays Running", Same, ""},
		{3, "Why a container waits, in Kubernetes' words: ContainerCreating, PodInitializing, CrashLoopBackOff, RunContainerError, CreateContainerConfigError, CreateContainerError, PostStartHookError, ErrImagePull, ImagePullBackOff, ErrImageNeverPull, InvalidImageName", Divergence, "all but two: a name that is none is refused before anything starts, with its line; that a postStart hook failed is told when it happens, with PostStartHookError, and what waits afterwards is the back-off"},
		{4, "Conditions of a pod: PodReadyToStartContainers, Initialized, ContainersReady and Ready; that of a pod that succeeded is not Ready, with the reason PodCompleted", Same, ""},
		{5, "Init containers run one at a time, in order, each to exit code 0", Same, ""},
		{6, "An init container that fails is run again after its back-off, and with restartPolicy Never fails the pod", Same, ""},
		{7, "A restarted container does not run init containers again; a new sandbox does", Same, ""},
		{8, "A native sidecar is an init container with restartPolicy Always: the next container starts once it has started, which its startupProbe says where it has one", Same, ""},
		{9, "Sidecars may have probes, hooks and ports; other init containers may have none", Same, ""},
		{10, "The readiness of sidecars counts in the pod's", Same, ""},
		{11, "A pod is done when its regular containers are; then its sidecars are stopped, and their exit codes do not count", Same, ""},
		{12, "Containers start in the order of the definition, and a postStart hook holds back the next", Same, ""},
		{13, "A changed container is replaced whatever the restartPolicy; changed init containers do not run again in a pod that is initialised", Divergence, "a changed init container makes the pod anew, as its Deployment would; a sidecar is replaced in the living pod, and an init container whose image was rebuilt stays done"},
		{14, "A pod that lost its sandbox is made anew, init containers included", Same, ""},
		{15, "A pod with restartPolicy Never that lost its sandbox is not made anew", Same, ""},
		{16, "A pod that lives longer than activeDeadlineSeconds fails with DeadlineExceeded", Same, ""},
		{17, "A container may have a restartPolicy of its own, and rules by exit code: Restart, RestartAllContainers", Same, ""},
		{18, "Ephemeral containers start whatever the state of the pod, and are not restarted", Divergence, "a definition has none: they are made by kubectl debug; `cuepod exec` looks into a running container"},
		{19, "A container's last words are read from its terminationMessagePath, or from the end of its log, within 4096 bytes", Same, ""},
		{20, "The instance before the last restart is remembered: its state, and its log for `logs --previous`", Same, ""},
	}
}

func restarts() []Item {
	return []Item{
		{21, "The back-off doubles from 10 s to 5 minutes", Same, ""},
		{22, "The first restart is immediate; delays count from when the container ended", Same, ""},
		{23, "The back-off begins anew for a container that ran well for 10 minutes", Same, ""},
		{24, "The back-off belongs to the container with its image and resources: a change of them begins it anew", Same, ""},
		{25, "A container that exits with 0 under Always waits its back-off too", Same, ""},
		{26, "A node may have a shorter back-off: 1 s to 1 minute", Same, ""},
		{27, "An image that cannot be pulled is tried again after 10 s to 5 minutes", Same, ""},
		{28, "A Job's failed pod is replaced after 10 s to 10 minutes", Same, ""},
	}
}

func probes() []Item {
	return []Item{
		{29, "Defaults: every 10 s, timeout 1 s, 1 success, 3 failures, no delay; path / over HTTP", Same, ""},
		{30, "successThreshold is 1 for liveness and startup; readiness has no terminationGracePeriodSeconds", Same, ""},
		{31, "Before the first result a container is not ready, alive, and not started", Same, ""},
		{32, "Readiness and liveness wait until the container has started, which its startupProbe says", Same, ""},
		{33, "A probe that cannot be carried out is tried again three times, and then changes nothing", Same, ""},
		{34, "Thresholds count results in a row; after the verdict of liveness or startup nothing is probed until there is a new container", Same, ""},
		{35, "While a pod ends, liveness and startup are not probed; readiness is, during preStop too", Same, ""},
		{36, "HTTP probes: 200 to 399 succeed; redirects within the host are followed, another host is a success; certificates are not verified, no proxy, no keep-alive, kube-probe's User-Agent, Host and empty Accept as said, 10 KiB of the body", Same, ""},
		{37, "Network probes reach the pod's address from outside the container: what listens on 127.0.0.1 alone fails", Same, ""},
		{38, "A port's name is one of the same container", Same, ""},
		{39, "A TCP probe succeeds when it connects", Same, ""},
		{40, "A gRPC probe calls health/v1: SERVING alone succeeds, an unknown method fails, the port is a number", Same, ""},
		{41, "An exec probe succeeds with exit code 0 and fails at its timeout; $(VAR) in it expands variables with literal values alone", Same, ""},
		{42, "A container that fails its liveness or startup probe is stopped with the probe's grace period, its preStop hook is run", Same, ""},
		{43, "Without a readinessProbe a container is ready once it has started", Same, ""},
		{44, "A new container begins without results", Same, ""},
	}
}

func termination() []Item {
	return []Item{
		{45, "A container is stopped by its preStop hook, then TERM or the image's STOPSIGNAL, then KILL at the end of the grace period", Same, ""},
		{46, "The grace period is 30 s, preStop included; at least 2 s remain for the signal", Same, ""},
		{47, "preStop runs when we stop a container, not when it ends itself or the grace period is 0; its failure is told and changes nothing", Same, ""},
		{48, "Regular containers are stopped side by side; sidecars follow, in reverse order", Same, ""},
		{49, "The grace period is one for the pod: when it is over, the sidecars that remain are stopped together", Same, ""},
		{50, "A pod stops being an endpoint when it begins to end, while its containers still run", Same, ""},
		{51, "A postStart hook that fails kills its container, with the reason PostStartHookError", Same, ""},
		{52, "Hooks: exec, httpGet (HTTPS falls back to HTTP), sleep; tcpSocket is not run", Same, ""},
		{53, "What a failed hook said is not told: it may hold secrets", Same, ""},
		{54, "Nothing is restarted in a pod that ends", Same, ""},
		{55, "lifecycle.stopSignal takes the place of the image's signal (alpha: off in Kubernetes 1.37)", Same, ""},
	}
}

func environment() []Item {
	return []Item{
		{56, "command is the entrypoint and args are the arguments; a command without args drops the image's arguments", Same, ""},
		{57, "$(VAR) expands in command, args and values; unknown names and open brackets stay, $$(VAR) is $(VAR)", Same, ""},
		{58, "Variables: those of envFrom, then env, where a later one wins and may use what came before; those of services override none", Same, ""},
		{59, "A value that comes from elsewhere is not expanded", Same, ""},
		{60, "A missing optional reference makes no variable; one that is not optional holds the container back with CreateContainerConfigError", Same, ""},
		{61, "A variable's name is any printable ASCII without =", Same, ""},
		{62, "Variables tell the services that are there when the container starts, unless enableServiceLinks is false; headless services have none, and a change restarts nothing", Divergence, "KUBERNETES_SERVICE_HOST and its like are not set, as there is no API that they could lead to; all else is the same"},
		{63, "Their names: WEB_SERVICE_HOST, WEB_SERVICE_PORT, WEB_SERVICE_PORT_HTTP, WEB_PORT, WEB_PORT_80_TCP and its _PROTO, _PORT and _ADDR", Same, ""},
		{64, "fieldRef of a variable: name, namespace, uid, a label or an annotation, node, account, addresses of host and pod", Same, ""},
		{65, "fieldRef of a file also has all labels or all annotations, sorted and quoted", Same, ""},
		{66, "resourceFieldRef rounds up to its divisor; what has no limit is what the node can give", Same, ""},
		{67, "fileKeyRef reads a variable from a file of a volume", Same, ""},
		{68, "What the kernel cannot take: variables over 128 KiB, and a NUL in arguments or variables, which are refused", Same, ""},
	}
}

func volumes() []Item {
	return []Item{
		{69, "Files have mode 0644, an emptyDir 0777", Same, ""},
		{70, "items choose keys and where they go, each with its mode; a missing key is an error unless optional", Same, ""},
		{71, "A file's path is relative, without .., within 4096 characters and 255 for a name", Same, ""},
		{72, "All files of a volume change at once, by one symbolic link; what is mounted by a subPath does not change", Same, ""},
		{73, "Keys of data and binaryData are one set: letters, digits, - _ and ., 253 at most, not . or ..", Same, ""},
		{74, "A ConfigMap or Secret has 1 MiB at most", Same, ""},
		{75, "A variable from a ConfigMap stays as it was when its container started; files follow, here within a second", Same, ""},
		{76, "An immutable ConfigMap cannot be changed", Divergence, "a ConfigMap of the app is immutable in the cluster, where a change makes another under a new name; a local run follows the change in place"},
		{77, "An emptyDir lives as long as its pod and survives restarts; in memory its size is the least of its limit, the pod's and the node's", Same, ""},
		{78, "/dev/shm is shared by a pod's containers, 64 MiB", Same, ""},
		{79, "A subPath is relative, without .., made where it is missing, and never leads out of the volume by a link", Same, ""},
		{80, "subPathExpr fails for a variable that is not there, and for a result that is no relative path", Same, ""},
		{81, "A mount's path is one per container; a volume may be mounted several times, read-only by mount", Same, ""},
		{82, "hostPath's type is checked", Same, ""},
		{83, "projected puts ConfigMaps, Secrets and downward API files in one directory; two for one path are an error", Same, ""},
		{84, "fsGroup owns the volumes, with setgid and rights of the group", Same, ""},
		{85, "image volumes show an image's files, read-only", Divergence, "engines from Docker 28 (API 1.48) show them; with an older one the container waits with a message that names the engine"},
	}
}

func identity() []Item {
	return []Item{
		{86, "The host name is spec.hostname or the pod's, cut to 63 characters without - or . at the end; hostnameOverride takes its place", Same, ""},
		{87, "The domain is subdomain.namespace.svc.zone; setHostnameAsFQDN makes the full name the host name, of 64 characters at most", Same, ""},
		{88, "/etc/hosts is ours: localhost, the pod's address with its names, the hostAliases", Divergence, "two names more: host.docker.internal and host.containers.internal lead to the engine's machine; all else is the same"},
		{89, "/etc/resolv.conf: the cluster's name server, search domains of the namespace and the host, ndots:5", Same, ""},
		{90, "dnsConfig adds to it; dnsPolicy None has nothing else, Default has what the node has", Same, ""},
		{91, "shareProcessNamespace, hostPID, hostIPC and hostNetwork share what they say", Same, ""},
		{92, "With hostNetwork a container's ports are ports of the host", Same, ""},
	}
}

func services() []Item {
	return []Item{
		{93, "Endpoints are the pods with the labels that have an address and have not ended; ready are those that are Ready and not ending", Same, ""},
		{94, "Without a ready endpoint, those that are ending and still serve are used", Divergence, "of a container that is replaced; a pod that is taken out of the definition is no endpoint from the first moment, and a service that has no other refuses"},
		{95, "Without any endpoint a connection is refused at once", Same, ""},
		{96, "A targetPort's name is looked up in each pod, sidecars included; a pod without it is left out", Same, ""},
		{97, "targetPort is port, protocol is TCP, where they are not said", Same, ""},
		{98, "One number may be a TCP and a UDP port", Same, ""},
		{99, "Several ports need names; a container's port name has 15 characters at most and a letter", Same, ""},
		{100, "sessionAffinity ClientIP keeps a client at its endpoint, for 3 hours by default", Same, ""},
		{101, "Node ports are 30000 to 32767, one service each; a LoadBalancer has one too", Same, ""},
		{102, "Traffic policies are Cluster by default", Divergence, "one machine is every node: Local and Cluster are the same"},
		{103, "A UDP client leaves an endpoint that is gone", Same, ""},
		{104, "A TCP connection is not cut when its endpoint leaves the service", Same, ""},
		{105, "A service's name is a DNS label", Divergence, "a name that begins with a digit is refused: older servers refuse it"},
		{106, "An ExternalName service is another name for a host", Same, ""},
		{107, "A service without a selector has the endpoints that somebody gives it", Same, ""},
		{108, "A pod reaches itself through its service", Same, ""},
		{109, "DNS of a service: its address, SRV of named ports, PTR", Same, ""},
		{110, "DNS of a headless service: its ready pods, their names, SRV, PTR; none ready is NXDOMAIN", Same, ""},
		{111, "DNS of an ExternalName is a CNAME", Same, ""},
		{112, "TXT dns-version tells the schema's version", Same, ""},
		{113, "Names have no case", Same, ""},
		{114, "A name that has an A and no AAAA answers AAAA with nothing, and not with NXDOMAIN", Same, ""},
		{115, "Other names are forwarded; answers over 512 bytes are cut over UDP, and whole over TCP", Same, ""},
		{116, "The eight DNS tests of Kubernetes' conformance", Divergence, "six are ported as cases; two ask for the API's own service, which is not here"},
	}
}

func workloads() []Item {
	return []Item{
		{117, "Deployment: 1 replica, RollingUpdate of 25 %, progress within 600 s, 10 revisions; Recreate ends all pods first; minReadySeconds", Divergence, "exact with --strict, but for earlier revisions: only those are kept of which a pod is there; without it containers are replaced within their living pods"},
		{118, "StatefulSet: ordinals, one after the other when ready, down in reverse; host name, subdomain, claims that are kept; labels of name and index; partition; a failed pod comes again under its name", Same, ""},
		{119, "Job: completions, parallelism, backoffLimit 6, Indexed, deadline, time to live, podFailurePolicy, successPolicy", Same, ""},
		{120, "CronJob: names of 52 characters at most, Allow, Forbid and Replace, missed times, histories of 3 and 1, time zones", Same, ""},
		{121, "A DaemonSet is one pod, as there is one machine", Same, ""},
		{122, "A Deployment's pods are named by a hash of their template and five random characters", Divergence, "pods are web-0, web-1: names that stay are better to read and to type"},
	}
}

func resources() []Item {
	return []Item{
		{123, "CPU requests are shares, at least 2; a request is the limit where it is not said", Same, ""},
		{124, "CPU limits are a quota of 100 ms, at least 1 ms", Same, ""},
		{125, "A memory limit is a limit of swap too", Same, ""},
		{126, "What is killed first when memory runs out follows from the QoS class", Same, ""},
		{127, "A container that ran out of memory says OOMKilled", Same, ""},
		{128, "Quantities have one canonical form, and end at 2^63-1", Same, ""},
		{129, "runAsUser, runAsGroup, supplementalGroups and fsGroup are the process'; runAsNonRoot is held against the image's user at every start", Same, ""},
		{130, "Capabilities, privileged, readOnlyRootFilesystem, allowPrivilegeEscalation", Same, ""},
		{131, "A seccomp profile that is not said is Unconfined", Divergence, "the engine's own profile holds: it is the safer default, and seccompProfile Unconfined lifts it"},
		{132, "sysctls are set for the pod; procMount Unmasked shows all of /proc", Same, ""},
	}
}
