package docker

import (
	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets"
)

// Names on the engine join parts with an underscore, which no DNS label holds,
// so that different parts never give the same name.

// InfraName is the engine's name of a pod's infra container.
func InfraName(app, pod string) string { return app + "_" + pod }

// ContainerName is the engine's name of a container of a pod.
func ContainerName(app, pod, container string) string { return app + "_" + pod + "_" + container }

// VolumeName is the engine's name of a pod's volume.
func VolumeName(app, pod, volume string) string { return app + "_" + pod + "_" + volume }

// ClaimName is the engine's name of a claim's volume.
func ClaimName(app, claim string) string { return app + "_" + claim }

// PortalName is the engine's name of the container that publishes a service.
func PortalName(app, service string) string { return app + "_portal_" + service }

// Options are what a definition does not say of itself.
type Options struct {
	// Root is the module's directory, absolute. Paths of the host that a pod
	// mounts have to be in it.
	Root string
	// HostPaths are further directories of the host, absolute, that pods may mount.
	HostPaths []string
	// Strict adds the replicas that a rollout needs beyond those that are wanted.
	Strict bool
}

// Render makes the desired state of an app. Findings are places where a local
// engine cannot do what a cluster does. The app must be valid. The error is a
// *RefusedError.
func Render(a *app.App, opts Options) (*State, []targets.Finding, error) {
	r := renderer{app: a, opts: opts, findings: targets.NewFindings(Rules())}
	s := &State{App: a.Name, Namespace: a.DNSNamespace(), Pods: []Pod{}, Services: []Service{}}
	for i := range a.Secrets {
		s.Secrets = append(s.Secrets, secretKeys(&a.Secrets[i])...)
	}
	for i := range a.Claims {
		c := &a.Claims[i]
		s.Volumes = append(s.Volumes, Volume{Name: ClaimName(a.Name, c.Name), Kind: Claim, Claim: c.Name})
	}
	for i := range a.Pods {
		r.workload(&a.Pods[i], s)
	}
	taken := pinnedPorts(a)
	for i := range a.Services {
		if a.Services[i].Type == "ExternalName" {
			continue // a finding of the table
		}
		s.Services = append(s.Services, r.service(&a.Services[i], s))
		if p, ok := r.portal(&a.Services[i], taken); ok {
			s.Portals = append(s.Portals, p)
		}
	}
	r.check()
	Support().Report(a, r.findings)
	targets.ReportRaw(r.findings, "docker", a)
	if len(r.refusals) > 0 {
		return nil, r.findings.List(), &RefusedError{Lines: r.refusals}
	}
	return s, r.findings.List(), nil
}

type renderer struct {
	app      *app.App
	opts     Options
	findings *targets.Findings
	refusals []string
}

func secretKeys(s *app.Secret) []Secret {
	var keys []Secret
	for _, k := range s.Keys {
		d := Secret{Name: s.Name, Key: k.Name, External: k.External, Env: k.Env, File: k.File, Line: s.Pos.String()}
		if k.Generate != nil {
			d.Generate = k.Generate.Length
		}
		keys = append(keys, d)
	}
	return keys
}
