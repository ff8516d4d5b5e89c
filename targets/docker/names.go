package docker

import (
	"cmp"
	"strings"
)

// Names on the engine begin with the project, which tells apps apart that have
// the same name in other directories. They join parts with an underscore, which
// no DNS label holds, so that different parts never give the same name.

// Prefix is the project: what every name on the engine begins with.
func (s *State) Prefix() string { return cmp.Or(s.Project, s.App) }

// InfraName is the engine's name of a pod's infra container.
func InfraName(project, pod string) string { return project + "_" + pod }

// ContainerName is the engine's name of a container of a pod.
func ContainerName(project, pod, container string) string {
	return project + "_" + pod + "_" + container
}

// PreviousName is the engine's name of the instance before the one that has the
// name of a container. No container of a pod can be called so: their names have
// no dot.
func PreviousName(container string) string { return container + previousSuffix }

// IsPreviousName reports whether a name is one of PreviousName.
func IsPreviousName(name string) bool { return strings.HasSuffix(name, previousSuffix) }

const previousSuffix = ".previous"

// VolumeName is the engine's name of a pod's volume.
func VolumeName(project, pod, volume string) string { return project + "_" + pod + "_" + volume }

// ClaimName is the engine's name of a claim's volume.
func ClaimName(project, claim string) string { return project + "_" + claim }

// PortalName is the engine's name of the container that publishes a service.
func PortalName(project, service string) string { return project + "_portal_" + service }

// GatewayName is the engine's name of the app's gateway.
func GatewayName(project string) string { return project + "_gateway" }
