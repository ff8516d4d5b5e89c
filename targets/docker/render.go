package docker

import (
	"cmp"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets"
)

// Options are what a definition does not say of itself.
type Options struct {
	// Project begins every name on the engine. "" is the app's name: enough to
	// read, not to run, as another directory may have an app of that name.
	Project string
	// Built are the images that were or will be built, by "workload/container":
	// names that follow their content, see ImageName. A container with a build and
	// no entry here keeps the name that the definition gives its image.
	Built map[string]string
	// Bases tells of those that are of a Go program what they have beside it, by the
	// same keys.
	Bases map[string]string
	// Live says that the app is followed: what is copied into a container while it
	// runs does not decide about its image.
	Live bool
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
	r := renderer{app: a, project: cmp.Or(opts.Project, a.Name), opts: opts, findings: targets.NewFindings(Rules())}
	s := &State{App: a.Name, Project: opts.Project, Namespace: a.DNSNamespace(), Pods: []Pod{}, Services: []Service{}}
	for i := range a.Secrets {
		s.Secrets = append(s.Secrets, secretKeys(&a.Secrets[i])...)
	}
	for i := range a.Claims {
		c := &a.Claims[i]
		s.Volumes = append(s.Volumes, Volume{Name: ClaimName(r.project, c.Name), Kind: Claim, Claim: c.Name})
	}
	for i := range a.Pods {
		r.workload(&a.Pods[i], s)
	}
	s.markOptional()
	taken := pinnedPorts(a)
	for i := range a.Services {
		s.Services = append(s.Services, r.service(&a.Services[i], s))
		if p, ok := r.portal(&a.Services[i], taken); ok {
			s.Portals = append(s.Portals, p)
		}
	}
	s.Routes = r.routes()
	r.checkHostPorts(s)
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
	project  string // see Options
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
