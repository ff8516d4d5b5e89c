package docker

import (
	"maps"
	"strings"

	"github.com/cuepod/cuepod/targets"
)

// Support says of every field of the schema how a local run keeps its meaning.
func Support() targets.Support {
	s := targets.Support{}
	for _, name := range strings.Fields(exactFields) {
		s[name] = targets.Field{Level: targets.Exact}
	}
	for name, note := range noted() {
		s[name] = targets.Field{Level: targets.Exact, Note: note}
	}
	for name, codes := range partly() {
		s[name] = targets.Field{Level: targets.Exact, Codes: strings.Fields(codes)}
	}
	maps.Copy(s, emulated())
	maps.Copy(s, lost())
	return s
}

// exactFields mean what they mean in Kubernetes.
const exactFields = `
App.labels App.pods App.services App.configMaps App.secrets App.persistentVolumeClaims
Pod.kind Pod.labels Pod.initContainers Pod.containers Pod.volumes Pod.hostname
Pod.terminationGracePeriodSeconds Pod.volumeClaimTemplates Pod.shareProcessNamespace Pod.hostIPC Pod.hostAliases
Pod.subdomain Pod.dnsConfig PodDNSConfig.nameservers PodDNSConfig.searches PodDNSConfig.options
PodDNSConfigOption.name PodDNSConfigOption.value
Pod.setHostnameAsFQDN Pod.hostnameOverride Pod.podManagementPolicy Pod.ordinals StatefulSetOrdinals.start HostAlias.hostnames
Pod.schedule Pod.restartPolicy Pod.activeDeadlineSeconds Pod.timeZone Pod.startingDeadlineSeconds Pod.concurrencyPolicy
Pod.updateStrategy UpdateStrategy.type UpdateStrategy.rollingUpdate RollingUpdate.maxUnavailable RollingUpdate.partition
Pod.persistentVolumeClaimRetentionPolicy StatefulSetPersistentVolumeClaimRetentionPolicy.whenDeleted
StatefulSetPersistentVolumeClaimRetentionPolicy.whenScaled Pod.minReadySeconds Pod.progressDeadlineSeconds Pod.paused
Pod.suspend Pod.successfulJobsHistoryLimit Pod.failedJobsHistoryLimit Pod.parallelism Pod.completions Pod.backoffLimit
Pod.podFailurePolicy PodFailurePolicy.rules PodFailurePolicyRule.action PodFailurePolicyRule.onExitCodes
PodFailurePolicyRule.onPodConditions PodFailurePolicyOnExitCodesRequirement.containerName PodFailurePolicyOnExitCodesRequirement.operator
PodFailurePolicyOnExitCodesRequirement.values PodFailurePolicyOnPodConditionsPattern.type PodFailurePolicyOnPodConditionsPattern.status
Pod.successPolicy SuccessPolicy.rules SuccessPolicyRule.succeededIndexes SuccessPolicyRule.succeededCount
Pod.backoffLimitPerIndex Pod.maxFailedIndexes
Pod.ttlSecondsAfterFinished Pod.completionMode Dependency.condition
PodSecurityContext.runAsUser PodSecurityContext.runAsGroup PodSecurityContext.runAsNonRoot
PodSecurityContext.supplementalGroups Pod.securityContext
PodSecurityContext.sysctls Sysctl.name Sysctl.value
Container.image Build.target Build.args Build.cacheFrom Build.platform Build.tags Build.ldflags BuildSecret.file BuildSecret.env Container.command Container.args Container.workingDir Container.env Container.envFrom
Container.volumeMounts Container.livenessProbe Container.readinessProbe Container.startupProbe Container.securityContext
Container.terminationMessagePath Container.terminationMessagePolicy Container.stdin Container.stdinOnce Container.tty Container.lifecycle Lifecycle.stopSignal
Lifecycle.postStart Lifecycle.preStop LifecycleHandler.exec LifecycleHandler.httpGet LifecycleHandler.sleep SleepAction.seconds
Container.restartPolicy Container.restartPolicyRules ContainerRestartRule.action ContainerRestartRule.exitCodes
ContainerRestartRuleOnExitCodes.operator ContainerRestartRuleOnExitCodes.values
EnvVar.value EnvVar.valueFrom EnvVarSource.configMapKeyRef EnvVarSource.secretKeyRef EnvVarSource.fieldRef
EnvVarSource.fileKeyRef FileKeySelector.volumeName FileKeySelector.path FileKeySelector.key FileKeySelector.optional
ConfigMapKeySelector.name ConfigMapKeySelector.key ConfigMapKeySelector.optional
SecretKeySelector.name SecretKeySelector.key SecretKeySelector.optional
ObjectFieldSelector.apiVersion
ResourceFieldSelector.containerName ResourceFieldSelector.divisor
EnvFromSource.prefix EnvFromSource.configMapRef EnvFromSource.secretRef
ConfigMapEnvSource.name ConfigMapEnvSource.optional SecretEnvSource.name SecretEnvSource.optional
ContainerPort.containerPort
VolumeMount.name VolumeMount.subPath VolumeMount.readOnly VolumeMount.subPathExpr
Probe.httpGet Probe.tcpSocket Probe.grpc Probe.exec Probe.initialDelaySeconds Probe.periodSeconds Probe.timeoutSeconds
Probe.successThreshold Probe.failureThreshold Probe.terminationGracePeriodSeconds
HTTPGetAction.host HTTPGetAction.path HTTPGetAction.port HTTPGetAction.scheme HTTPGetAction.httpHeaders HTTPHeader.name HTTPHeader.value
TCPSocketAction.host TCPSocketAction.port GRPCAction.port GRPCAction.service ExecAction.command
SecurityContext.runAsUser SecurityContext.runAsGroup SecurityContext.runAsNonRoot SecurityContext.readOnlyRootFilesystem
SecurityContext.capabilities Capabilities.drop SecurityContext.procMount
SecurityContext.appArmorProfile AppArmorProfile.type AppArmorProfile.localhostProfile PodSecurityContext.appArmorProfile
SecurityContext.seccompProfile PodSecurityContext.seccompProfile
Volume.emptyDir Volume.configMap Volume.secret Volume.persistentVolumeClaim Volume.downwardAPI Volume.projected
ConfigMapVolumeSource.name ConfigMapVolumeSource.items ConfigMapVolumeSource.defaultMode ConfigMapVolumeSource.optional
SecretVolumeSource.secretName SecretVolumeSource.items SecretVolumeSource.defaultMode SecretVolumeSource.optional
KeyToPath.path KeyToPath.mode KeyToPath.user DownwardAPIVolumeFile.user
ConfigMapVolumeSource.defaultUser SecretVolumeSource.defaultUser DownwardAPIVolumeSource.defaultUser ProjectedVolumeSource.defaultUser
EmptyDirVolumeSource.mode PodSecurityContext.fsGroup PodSecurityContext.fsGroupChangePolicy
PersistentVolumeClaimVolumeSource.claimName PersistentVolumeClaimVolumeSource.readOnly
DownwardAPIVolumeSource.items DownwardAPIVolumeSource.defaultMode
DownwardAPIVolumeFile.fieldRef DownwardAPIVolumeFile.mode
ProjectedVolumeSource.sources ProjectedVolumeSource.defaultMode
VolumeProjection.secret VolumeProjection.configMap VolumeProjection.downwardAPI
SecretProjection.name SecretProjection.items SecretProjection.optional
ConfigMapProjection.name ConfigMapProjection.items ConfigMapProjection.optional DownwardAPIProjection.items
App.ingresses App.httpRoutes Ingress.rules Ingress.defaultBackend Ingress.tls IngressRule.paths
IngressPath.service IngressPath.port IngressBackend.service IngressBackend.port IngressTLS.hosts
HTTPRoute.hostnames HTTPRoute.rules HTTPRouteRule.name HTTPRouteRule.matches HTTPRouteRule.filters HTTPRouteRule.backendRefs
HTTPRouteRule.timeouts HTTPRouteTimeouts.request HTTPRouteTimeouts.backendRequest
HTTPRouteMatch.path HTTPRouteMatch.headers HTTPRouteMatch.queryParams HTTPRouteMatch.method HTTPPathMatch.value
HTTPHeaderMatch.value HTTPQueryParamMatch.value HTTPRouteFilter.type HTTPRouteFilter.requestHeaderModifier
HTTPRouteFilter.responseHeaderModifier HTTPRouteFilter.requestRedirect HTTPRouteFilter.urlRewrite
HTTPHeaderFilter.set HTTPHeaderFilter.add HTTPHeaderFilter.remove GatewayHTTPHeader.value
HTTPRequestRedirectFilter.scheme HTTPRequestRedirectFilter.hostname HTTPRequestRedirectFilter.path HTTPRequestRedirectFilter.port
HTTPRequestRedirectFilter.statusCode HTTPURLRewriteFilter.hostname HTTPURLRewriteFilter.path HTTPPathModifier.type
HTTPPathModifier.replaceFullPath HTTPPathModifier.replacePrefixMatch HTTPBackendRef.name HTTPBackendRef.port HTTPBackendRef.weight
HTTPBackendRef.filters
Service.pod Service.selector Service.endpoints Endpoint.ports Service.headless Service.ports Service.sessionAffinity Service.sessionAffinityConfig
Service.publishNotReadyAddresses Service.externalName SessionAffinityConfig.clientIP ClientIPConfig.timeoutSeconds
ServicePort.port ServicePort.targetPort
ConfigMap.data ConfigMap.files ConfigMap.binaryData
Secret.keys SecretSource.external SecretSource.env SecretSource.file SecretSource.generate GenerateSecret.length
`

// noted mean what they mean in Kubernetes, and need a word.
func noted() map[string]string {
	const (
		noObject  = "an engine has no object for it"
		oneNode   = "one machine is every node"
		compose   = "it is for Compose alone"
		fieldRefs = "for fieldRef; an engine has no annotations"
	)
	return map[string]string{
		"App.name":            "the project's name",
		"App.namespace":       "in the services' names",
		"App.annotations":     fieldRefs,
		"App.grants":          "the compiler holds modules to it",
		"Grant.allow":         "the compiler holds modules to it",
		"App.compose":         compose,
		"Container.compose":   compose,
		"Container.ports":     "they name ports; any port of a pod can be reached",
		"Container.resources": "a CPU request is a share of the CPU, as in Kubernetes",
		"SecurityContext.allowPrivilegeEscalation": "false unless the definition says true or the container is privileged",
		"ObjectFieldSelector.fieldPath":            "spec.nodeName is localhost; in a volume, labels and annotations follow a change",
		"HostPathVolumeSource.type":                "on a local engine it is checked before each start; on another machine the engine finds what is missing",
		"HostPathVolumeSource.path":                "on the machine of the engine",
		"Volume.image":                             "by Docker 28 and newer; with an older engine the container waits and says so",
		"ImageVolumeSource.reference":              "",
		"ImageVolumeSource.pullPolicy":             "an image that is on the engine is used as it is",
		"Volume.hostPath":                          "in the module's directory, or in one that --allow-host-path names; any other is refused, and so is an engine's socket that is not named itself",
		"Pod.annotations":                          fieldRefs,
		"Pod.enableServiceLinks":                   "there is no service kubernetes: its variables are not set",
		"Pod.podReplacementPolicy":                 "a pod is replaced when it has ended: nobody else takes one away here",
		"Pod.replicas":                             "a DaemonSet has one",
		"Pod.hostNetwork":                          "of the machine of the engine; two pods that listen on one port of it are refused",
		"Pod.dnsPolicy":                            "Default is what the engine's machine asks",
		"Pod.hostPID":                              "of the machine of the engine",
		"Pod.serviceName":                          "replicas have names below the service's",
		"PersistentVolumeClaim.accessModes":        "one machine: every mode is granted",
		"PersistentVolumeClaim.labels":             noObject,
		"PersistentVolumeClaim.annotations":        noObject,
		"Secret.type":                              "no meaning to containers",
		"Ingress.labels":                           noObject,
		"Ingress.annotations":                      noObject,
		"IngressPath.pathType":                     "ImplementationSpecific is a Prefix",
		"HTTPRoute.labels":                         noObject,
		"HTTPRoute.annotations":                    noObject,
		"Service.labels":                           noObject,
		"Service.annotations":                      noObject,
		"ServicePort.appProtocol":                  "http tells that people may be shown a URL, kubernetes.io/h2c that the gateway has to speak HTTP/2",
		"Service.internalTrafficPolicy":            oneNode,
		"Service.trafficDistribution":              oneNode,
		"Service.allocateLoadBalancerNodePorts":    "a LoadBalancer is published on the port's own number",
		"Pod.os":                                   "linux; the engine refuses any other",
		"PodOS.name":                               "linux; the engine refuses any other",
		"Container.imagePullPolicy":                "Always asks at most every ten seconds; an image that is built is not pulled",
		"Container.dev":                            "see the parts",
		"Dev.sync":                                 "into a volume of the pod that begins with what the image has there: whatever the image, the user and the rest of the files; pods of jobs get it when they start",
		"Dev.ignore":                               "as in .dockerignore, relative to each directory that is copied",
		"Dev.onChange":                             "what is not rebuilt is copied first; rebuild is what follows every change of a build's context",
		"Dev.exec":                                 "in the container, as its user",
		"Dev.signal":                               "to the container's first process",
		"Dev.command":                              "in place of command and args",
		"Container.build":                          "the engine builds it, and again when its source changes",
		"Build.context":                            "in the module's directory; .dockerignore counts",
		"Build.go":                                 "compiled by the go command of this machine, into an image that is loaded into the engine",
		"Build.builder":                            "buildx is docker's plugin, which has to be installed",
		"Build.secrets":                            "with builder: \"buildx\"; the engine's builder is handed none",
		"Build.dockerfile":                         "it may have a .dockerignore of its own beside it",
	}
}

// partly make findings for some values.
func partly() map[string]string {
	return map[string]string{
		"Dev.watch":                              codeDevRebuild,
		"Dev.trigger":                            codeDevTrigger,
		"App.objects":                            "docker/object",
		"Pod.kubernetes":                         "docker/kubernetes",
		"Container.kubernetes":                   "docker/kubernetes",
		"Service.kubernetes":                     "docker/kubernetes",
		"Ingress.kubernetes":                     "docker/kubernetes",
		"HTTPPathMatch.type":                     codeRoute,
		"HTTPHeaderMatch.type":                   codeRoute,
		"HTTPQueryParamMatch.type":               codeRoute,
		"HTTPBackendRef.group":                   codeRoute,
		"HTTPBackendRef.kind":                    codeRoute,
		"HTTPBackendRef.namespace":               codeRoute,
		"Volume.kubernetes":                      "docker/kubernetes docker/kubernetes-volume",
		"Pod.dependsOn":                          "docker/depends-on",
		"Pod.hostUsers":                          codeIsolation,
		"Pod.automountServiceAccountToken":       codeAccount,
		"RollingUpdate.maxSurge":                 codeRollout,
		"ContainerPort.hostPort":                 "docker/loopback docker/host-port",
		"ContainerPort.hostIP":                   "docker/host-port",
		"ContainerPort.protocol":                 "docker/sctp",
		"ResourceRequirements.requests":          codeResource,
		"ResourceRequirements.limits":            codeResource,
		"EnvVarSource.resourceFieldRef":          "docker/allocatable",
		"DownwardAPIVolumeFile.resourceFieldRef": "docker/allocatable",
		"ResourceFieldSelector.resource":         "docker/allocatable",
		"VolumeMount.mountPropagation":           codeMountOption,
		"VolumeMount.recursiveReadOnly":          codeMountOption,
		"SeccompProfile.type":                    codeIsolation,
		"SeccompProfile.localhostProfile":        codeIsolation,
		"SecurityContext.privileged":             codeNetAdmin,
		"Capabilities.add":                       codeNetAdmin,
		"EmptyDirVolumeSource.medium":            "docker/emptydir-medium",
		"EmptyDirVolumeSource.sizeLimit":         "docker/emptydir-size",
		"PersistentVolumeClaim.volumeMode":       codeBlockDevice,

		"Service.type":                  "docker/loopback",
		"ServicePort.nodePort":          "docker/loopback",
		"ServicePort.protocol":          "docker/sctp",
		"Service.externalTrafficPolicy": codeAddress,
		"Endpoint.address":              "docker/endpoint-address",
		"Service.ipFamilies":            codeAddress,
		"Service.ipFamilyPolicy":        codeAddress,
		"Service.clusterIP":             codeAddress,
	}
}
