package compose

import "github.com/cuepod/cuepod/targets"

func supportOfPods() targets.Support {
	s := targets.Support{}
	of(s, "Pod", some("compose/daemon-set", "compose/job", "compose/cron-job"), "kind")
	of(s, "Pod", made("compose/replicas-unrolled"), "replicas")
	of(s, "Pod", some("compose/label-reserved"), "labels")
	of(s, "Pod", exact("Docker Engine 24 or later keeps them"), "annotations")
	of(s, "Pod", some("compose/init-rerun"), "initContainers")
	of(s, "Pod", exact(""), "containers volumes hostname subdomain setHostnameAsFQDN hostnameOverride terminationGracePeriodSeconds securityContext "+
		"hostPID hostIPC shareProcessNamespace hostAliases restartPolicy ordinals serviceName podManagementPolicy")
	of(s, "StatefulSetOrdinals", exact(""), "start")
	of(s, "Pod", exact("each replica has a volume under Kubernetes' own name"), "volumeClaimTemplates")
	of(s, "Pod", some("compose/depends-on"), "dependsOn")
	of(s, "Dependency", some("compose/depends-on"), "condition")
	of(s, "Pod", says("compose/autoscaling", "the number of replicas stays the least one", ""), "autoscaling")
	of(s, "Pod", says("compose/disruption", "nobody drains the one machine", ""), "disruptionBudget")
	of(s, "Pod", targets.Field{Level: targets.Cannot, Codes: []string{"compose/kubernetes"}}, "kubernetes")
	of(s, "Pod", exact("Docker's DNS answers for the app's names and asks the machine's for the others"), "dnsPolicy")
	of(s, "Pod", exact("services' names stay known"), "dnsConfig")
	of(s, "PodDNSConfig", exact(""), "nameservers searches options")
	of(s, "PodDNSConfigOption", exact(""), "name value")
	of(s, "HostAlias", exact(""), "hostnames")
	of(s, "Pod", some("compose/host-network"), "hostNetwork")
	of(s, "Pod", some("compose/service-links"), "enableServiceLinks")
	of(s, "Pod", exact("there is no Kubernetes API to be known to"), "serviceAccountName automountServiceAccountToken")
	of(s, "Pod", says("compose/pull-secret", "docker's own login is used to pull the images", "docker login"), "imagePullSecrets")
	of(s, "Pod", says("compose/scheduling", "one machine has nothing to choose between", ""),
		"nodeSelector nodeName affinity schedulerName tolerations priorityClassName priority preemptionPolicy topologySpreadConstraints schedulingGates schedulingGroup evictionResponders")
	of(s, "Pod", says("compose/readiness-gate", "nobody sets such conditions: the pod is ready without", ""), "readinessGates")
	of(s, "Pod", says("compose/runtime-class", "the engine's default runtime is used", "compose: {runtime: ...} of each container names one of the engine's"), "runtimeClassName")
	of(s, "Pod", some("compose/windows"), "os")
	of(s, "PodOS", some("compose/windows"), "name")
	of(s, "Pod", some("compose/security"), "hostUsers")
	of(s, "Pod", says("compose/device", "no device is allocated", "compose: {devices: [...]} of the container"), "resourceClaims")
	of(s, "Pod", says("compose/pod-resources", "there is no limit for the pod as a whole", "give its containers limits"), "resources")
	of(s, "Pod", says("compose/rollout", "docker compose up replaces what changed, each container when the one that it waits for is there", ""),
		"updateStrategy minReadySeconds paused progressDeadlineSeconds")
	of(s, "Pod", says("compose/rollout", "no earlier version is kept", ""), "revisionHistoryLimit")
	of(s, "Pod", says("compose/claim", "the volumes stay until docker compose down --volumes", ""), "persistentVolumeClaimRetentionPolicy")

	of(s, "PodSecurityContext", exact(""), "seLinuxOptions runAsUser supplementalGroups sysctls")
	of(s, "PodSecurityContext", some("compose/run-as-group"), "runAsGroup")
	of(s, "PodSecurityContext", some("compose/run-as-non-root"), "runAsNonRoot")
	of(s, "PodSecurityContext", some("compose/security"), "supplementalGroupsPolicy")
	of(s, "PodSecurityContext", exact("the service that writes the files gives the volumes to the group"), "fsGroup fsGroupChangePolicy")
	of(s, "PodSecurityContext", exact("a label of the processes alone"), "seLinuxChangePolicy")
	of(s, "PodSecurityContext", says("compose/windows", "the containers are Linux'", ""), "windowsOptions")
	of(s, "PodSecurityContext", some("compose/profile"), "seccompProfile")
	of(s, "PodSecurityContext", exact(""), "appArmorProfile")
	of(s, "Sysctl", exact(""), "name value")
	return s
}

func supportOfJobs() targets.Support {
	s := targets.Support{}
	of(s, "Pod", made("compose/replicas-unrolled"), "completions parallelism")
	of(s, "Pod", exact(""), "completionMode")
	of(s, "Pod", made("compose/job"), "backoffLimit backoffLimitPerIndex")
	of(s, "Pod", says("compose/job-policy", "a container is tried again whatever its exit code, and all pods have to succeed", ""), "podFailurePolicy successPolicy maxFailedIndexes")
	of(s, "Pod", says("compose/job-policy", "docker compose runs the Job itself", ""), "managedBy")
	of(s, "Pod", exact("a container is started again when it has ended"), "podReplacementPolicy")
	of(s, "Pod", says("compose/job-policy", "the containers stay until docker compose down", ""), "ttlSecondsAfterFinished")
	of(s, "Pod", says("compose/deadline", "nothing ends a pod that takes too long", ""), "activeDeadlineSeconds")
	of(s, "Pod", made("compose/job", "compose/cron-job"), "suspend")
	of(s, "Pod", targets.Field{Level: targets.Cannot, Codes: []string{"compose/cron-job"}}, "schedule")
	of(s, "Pod", says("compose/cron-job", "Compose has no clock", ""), "timeZone startingDeadlineSeconds concurrencyPolicy")
	of(s, "Pod", says("compose/cron-job", "the containers of the last run stay until the next, or until docker compose down", ""), "successfulJobsHistoryLimit failedJobsHistoryLimit")
	return s
}
