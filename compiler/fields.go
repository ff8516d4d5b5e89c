package compiler

import "cuelang.org/go/cue"

// field is a field that a struct of the schema may have.
type field struct {
	name string
	path cue.Path
}

// fieldsByKind are the fields of the schema's structs, in the order in which
// the decoder wants them. To ask for each by name costs a third of asking for
// those that are there, as CUE puts these in order first.
func fieldsByKind() map[string][]field {
	kinds := map[string][]field{}
	for kind, names := range map[string][]string{
		"App": {
			"name", "namespace", "labels", "annotations", "pods", "services", "configMaps", "secrets",
			"persistentVolumeClaims", "objects", "compose",
		},
		"Pod": {
			"kind", "replicas", "labels", "annotations", "initContainers", "containers", "volumes", "dependsOn",
			"hostname", "terminationGracePeriodSeconds", "kubernetes",
		},
		"Dependency": {"condition"},
		"Container": {
			"image", "imagePullPolicy", "command", "args", "workingDir", "env", "envFrom", "ports",
			"volumeMounts", "resources", "livenessProbe", "readinessProbe", "startupProbe", "securityContext",
			"kubernetes", "compose",
		},
		"EnvVar":        {"value", "valueFrom"},
		"KeyRef":        {"name", "key", "optional"},
		"EnvFrom":       {"prefix", "configMapRef", "secretRef"},
		"EnvFromRef":    {"name", "optional"},
		"ContainerPort": {"containerPort", "protocol"},
		"VolumeMount":   {"name", "subPath", "readOnly"},
		"resources":     {"requests", "limits"},
		"Probe": {
			"httpGet", "tcpSocket", "grpc", "exec", "initialDelaySeconds", "periodSeconds", "timeoutSeconds",
			"successThreshold", "failureThreshold",
		},
		"httpGet": {"path", "port", "scheme", "httpHeaders"},
		"Header":  {"name", "value"},
		"grpc":    {"port", "service"},
		"SecurityContext": {
			"runAsUser", "runAsGroup", "runAsNonRoot", "readOnlyRootFilesystem", "allowPrivilegeEscalation",
			"capabilities",
		},
		"capabilities":          {"add", "drop"},
		"Volume":                {"emptyDir", "configMap", "secret", "persistentVolumeClaim", "kubernetes"},
		"emptyDir":              {"medium", "sizeLimit"},
		"volume source":         {"name", "secretName", "items", "defaultMode", "optional"},
		"persistentVolumeClaim": {"claimName", "readOnly"},
		"Service":               {"pod", "type", "headless", "ports", "sessionAffinity", "labels", "annotations", "kubernetes"},
		"ServicePort":           {"port", "targetPort", "nodePort", "protocol"},
		"ConfigMap":             {"data"},
		"Secret":                {"type", "keys"},
		"SecretSource":          {"external", "env", "file", "generate"},
		"PersistentVolumeClaim": {"storage", "accessModes", "storageClassName"},
	} {
		for _, name := range names {
			kinds[kind] = append(kinds[kind], field{name, cue.MakePath(cue.Str(name))})
		}
	}
	return kinds
}
