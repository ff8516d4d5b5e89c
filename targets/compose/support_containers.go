package compose

import "github.com/cuepod/cuepod/targets"

func supportOfContainers() targets.Support {
	s := targets.Support{}
	of(s, "Container", exact(""), "image imagePullPolicy command args workingDir env envFrom volumeMounts resources securityContext build compose restartPolicy lifecycle stdin tty")
	of(s, "Container", exact("they name ports; any port of a pod can be reached"), "ports")
	of(s, "Container", targets.Field{Level: targets.Cannot, Codes: []string{"compose/liveness-probe"}}, "livenessProbe")
	of(s, "Container", made("compose/readiness-probe"), "readinessProbe")
	of(s, "Container", made("compose/startup-probe"), "startupProbe")
	of(s, "Container", made("compose/dev"), "dev")
	of(s, "Container", targets.Field{Level: targets.Cannot, Codes: []string{"compose/kubernetes"}}, "kubernetes")
	of(s, "Container", exact("nothing resizes what runs"), "resizePolicy")
	of(s, "ContainerResizePolicy", exact("nothing resizes what runs"), "resourceName restartPolicy")
	of(s, "Container", says("compose/restart-rules", "the engine restarts by one policy, whatever the exit code", ""), "restartPolicyRules")
	of(s, "Container", says("compose/block-volume", "there is no block device", ""), "volumeDevices")
	of(s, "Container", exact("nobody reads the message"), "terminationMessagePath terminationMessagePolicy")
	of(s, "Container", says("compose/stdin-once", "standard input stays open after the first client", ""), "stdinOnce")

	of(s, "EnvVar", exact(""), "value valueFrom")
	of(s, "EnvVarSource", exact(""), "configMapKeyRef")
	of(s, "EnvVarSource", made("compose/secret"), "secretKeyRef")
	of(s, "EnvVarSource", some("compose/field-ref"), "fieldRef resourceFieldRef")
	of(s, "EnvVarSource", targets.Field{Level: targets.Cannot, Codes: []string{"compose/file-key"}}, "fileKeyRef")
	of(s, "FileKeySelector", targets.Field{Level: targets.Cannot, Codes: []string{"compose/file-key"}}, "volumeName path key optional")
	of(s, "ConfigMapKeySelector", exact(""), "name key optional")
	of(s, "SecretKeySelector", exact(""), "name key optional")
	of(s, "ObjectFieldSelector", some("compose/field-ref"), "fieldPath")
	of(s, "ObjectFieldSelector", exact(""), "apiVersion")
	of(s, "ResourceFieldSelector", some("compose/field-ref"), "resource")
	of(s, "ResourceFieldSelector", exact(""), "containerName divisor")
	of(s, "EnvFromSource", exact(""), "prefix configMapRef")
	of(s, "EnvFromSource", made("compose/secret"), "secretRef")
	of(s, "ConfigMapEnvSource", exact(""), "name optional")
	of(s, "SecretEnvSource", exact(""), "name optional")

	of(s, "ContainerPort", exact(""), "containerPort protocol")
	of(s, "ContainerPort", made("compose/container-port"), "hostPort hostIP")
	of(s, "ResourceRequirements", some("compose/resource"), "requests limits")
	of(s, "ResourceRequirements", says("compose/device", "no device is allocated", "compose: {devices: [...]} of the container"), "claims")

	probes(s)

	of(s, "SecurityContext", exact(""), "runAsUser readOnlyRootFilesystem capabilities privileged seLinuxOptions procMount appArmorProfile")
	of(s, "SecurityContext", some("compose/run-as-group"), "runAsGroup")
	of(s, "SecurityContext", some("compose/run-as-non-root"), "runAsNonRoot")
	of(s, "SecurityContext", exact("false unless the definition says true"), "allowPrivilegeEscalation")
	of(s, "SecurityContext", says("compose/windows", "the containers are Linux'", ""), "windowsOptions")
	of(s, "SecurityContext", some("compose/profile"), "seccompProfile")
	of(s, "Capabilities", exact(""), "add drop")
	of(s, "SELinuxOptions", exact(""), "user role type level")
	of(s, "SeccompProfile", some("compose/profile"), "type localhostProfile")
	of(s, "AppArmorProfile", exact(""), "type localhostProfile")

	of(s, "Build", exact(""), "context dockerfile target args cacheFrom platform secrets tags ldflags")
	of(s, "Build", exact("docker compose has a builder of its own"), "builder")
	of(s, "Build", made("compose/build-go"), "go")
	of(s, "BuildSecret", exact(""), "file env")
	of(s, "Dev", made("compose/dev"), "sync")
	of(s, "Dev", exact(""), "ignore")
	of(s, "Dev", some("compose/dev-rebuild", "compose/dev-action"), "onChange")
	of(s, "Dev", some("compose/dev-action"), "watch exec")
	of(s, "Dev", some("compose/dev-trigger"), "trigger")
	of(s, "Dev", targets.Field{Level: targets.Cannot, Codes: []string{"compose/dev-action"}}, "signal")
	of(s, "Dev", targets.Field{Level: targets.Cannot, Codes: []string{"compose/dev-command"}}, "command")

	of(s, "Lifecycle", made("compose/hook"), "postStart preStop")
	of(s, "Lifecycle", exact(""), "stopSignal")
	of(s, "LifecycleHandler", made("compose/hook"), "exec")
	of(s, "LifecycleHandler", targets.Field{Level: targets.Cannot, Codes: []string{"compose/hook-kind"}}, "httpGet tcpSocket sleep")
	of(s, "SleepAction", targets.Field{Level: targets.Cannot, Codes: []string{"compose/hook-kind"}}, "seconds")
	return s
}

func probes(s targets.Support) {
	of(s, "Probe", exact(""), "httpGet tcpSocket grpc exec periodSeconds timeoutSeconds failureThreshold")
	of(s, "Probe", exact("failures at the start do not count; an early success does"), "initialDelaySeconds")
	of(s, "Probe", some("compose/success-threshold"), "successThreshold")
	of(s, "Probe", exact("of liveness and startup probes alone, which restart nothing here"), "terminationGracePeriodSeconds")
	of(s, "HTTPGetAction", exact(""), "path port scheme httpHeaders host")
	of(s, "HTTPGetAction", some("compose/http2-probe"), "protocol")
	of(s, "HTTPHeader", exact(""), "name value")
	of(s, "TCPSocketAction", exact(""), "port host")
	of(s, "GRPCAction", exact(""), "port service mode")
	of(s, "ExecAction", exact(""), "command")
}
