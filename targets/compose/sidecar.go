package compose

import (
	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// startedSuffix ends the name of the service that ends when a sidecar has
// started.
const startedSuffix = "-started"

// sidecarCondition is what the containers after a sidecar wait for when it has
// no service that tells of its start.
func sidecarCondition(c *app.Container) string {
	if c.StartupProbe != nil {
		return "service_healthy"
	}
	return "service_started"
}

// sidecarProbe is the probe that becomes the healthcheck of a sidecar's own
// service, or nil: a command, the readiness probe's before the startup probe's.
func sidecarProbe(c *app.Container) *app.Probe {
	for _, probe := range []*app.Probe{c.ReadinessProbe, c.StartupProbe} {
		if probe != nil && probe.Exec != nil {
			return probe
		}
	}
	return nil
}

// started is a service that ends when the sidecar has started; nil when its own
// service tells as much. A startup probe over the network cannot be a part of
// the holder's healthcheck, which is about the pod as a whole: the containers
// that wait for this one belong to it.
func (p *replica) started(c *app.Container) (*yaml.Map, error) {
	probe := c.StartupProbe
	if probe == nil || probe.Exec != nil {
		return nil, nil
	}
	args, err := checkArgs(c, probe)
	if err != nil {
		return nil, err
	}
	service := yaml.New().
		Set("image", escape(p.r.holder)).
		Set("entrypoint", yaml.Flow{holderProgram}).
		Set("command", oneLine(append([]string{"check"}, args...))).
		Set("network_mode", "service:"+p.name)
	p.addNamespaces(service)
	service.
		Set("depends_on", conditions(map[string]string{p.memberName(c.Name): "service_started"})).
		Set("restart", "on-failure").
		Set("read_only", true)
	return p.addMetadata(confine(service)), nil
}
