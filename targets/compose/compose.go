// Package compose renders an app as one Compose file that runs with plain
// `docker compose up`.
//
// Compose has no pods. Each replica of a pod becomes a set of services:
//
//	web-0                 the holder: owns network namespace, IPC, hostname and the services' names, and never restarts
//	web-0-volumes         runs once: makes the pod's volumes usable and writes ConfigMaps and Secrets into them
//	web-0-<name>          one per container; init containers run to completion, in order, before the others start
//	web-0-<name>-started  runs until a sidecar's startup probe over the network succeeds
//
// Compose can only replicate single services, so replicas are written out, those
// of a StatefulSet and of a Job too: the order of their starts is that of what
// they wait for. Compose has no clock, so a CronJob has a profile of its name. A
// service is an alias of its pods' holders, which Docker's DNS rotates over; a
// service port that differs from the container's is forwarded by the holder. A
// service that the host may reach has a portal, web-portal, which publishes its
// ports on 127.0.0.1 and spreads connections over the replicas.
//
// Holder, volumes and portal run one small image; package holder is its
// program. Whatever Compose cannot say is a finding; Support has every field.
package compose

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets"
	"github.com/cuepod/cuepod/targets/yaml"
)

// DefaultHolderImage is the image of holders when Options name none.
const DefaultHolderImage = "ghcr.io/cuepod/holder:latest"

// holderProgram is where the holder's image has its program, package holder.
const holderProgram = "/cuepod-agent"

// Options say how to render.
type Options struct {
	// HolderImage runs the holders; "" means DefaultHolderImage.
	HolderImage string
}

// Render renders the app. It fails on a definition that cannot be made into
// one file: two services of one name, a reference to nothing, or what a
// *targets.ContradictionError tells.
func Render(a *app.App, opts Options) (targets.Output, error) {
	r := newRenderer(a, opts)
	if err := r.checkVariables(); err != nil {
		return targets.Output{}, err
	}
	r.reservedLabels("labels", a.Pos, a.Labels)
	for i := range a.Pods {
		if err := r.pod(&a.Pods[i]); err != nil {
			return targets.Output{}, fmt.Errorf("pod %s: %w", a.Pods[i].Name, err)
		}
	}
	for i := range a.Services {
		if err := r.service(&a.Services[i]); err != nil {
			return targets.Output{}, fmt.Errorf("service %s: %w", a.Services[i].Name, err)
		}
	}
	r.reportSecrets()
	r.reportRaw()
	Support().Report(a, r.findings)
	file := r.file()
	r.unify(file, topLevel(a.Compose), "compose", a.Pos)
	r.checkNames()
	if len(r.clashes) > 0 {
		return targets.Output{}, &targets.ContradictionError{Lines: r.clashes}
	}
	return targets.Output{
		Files:    []targets.File{{Name: "compose.yaml", Data: yaml.Append(nil, file)}},
		Findings: slices.Compact(r.findings.List()), // what containers or pods share is told once
	}, nil
}

// renderer builds the parts of one Compose file.
type renderer struct {
	app      *app.App
	holder   string // image
	findings *targets.Findings
	serving  serving

	services *yaml.Map
	volumes  *yaml.Map
	configs  map[string]*yaml.Map
	secrets  map[string]*yaml.Map
	taken    map[string]string       // service and volume names, and whose they are
	used     map[secretKey]secretUse // how secrets reach containers

	hostPorts map[listener]bool // in use on the host

	clashes []string // of escape hatches, one line each
}

func newRenderer(a *app.App, opts Options) *renderer {
	r := &renderer{
		app: a, holder: opts.HolderImage, findings: targets.NewFindings(Rules()), serving: whoServes(a),
		services: yaml.New(), volumes: yaml.New(),
		configs: map[string]*yaml.Map{}, secrets: map[string]*yaml.Map{}, taken: map[string]string{}, used: map[secretKey]secretUse{},
		hostPorts: pinnedPorts(a),
	}
	if r.holder == "" {
		r.holder = DefaultHolderImage
	}
	return r
}

func (r *renderer) file() *yaml.Map {
	return yaml.New().
		Set("name", r.app.Name).
		Set("services", r.services).
		Opt("volumes", r.volumes).
		Opt("configs", byName(r.configs)).
		Opt("secrets", byName(r.secrets))
}

func byName(m map[string]*yaml.Map) *yaml.Map {
	out := yaml.New()
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out.Set(name, m[name])
	}
	return out
}

// addService adds a Compose service; what says in words whose it is.
func (r *renderer) addService(name, what string, body *yaml.Map) error {
	if err := r.take("service "+name, what); err != nil {
		return err
	}
	r.services.Set(name, body)
	return nil
}

// take reserves a name of the Compose file.
func (r *renderer) take(name, what string) error {
	if owner, ok := r.taken[name]; ok {
		return fmt.Errorf("%s and %s would both be the Compose %s: rename one", owner, what, name)
	}
	r.taken[name] = what
	return nil
}

// holderService starts a service that runs the holder's program.
func (r *renderer) holderService(args []string) *yaml.Map {
	return yaml.New().
		Set("image", escape(r.holder)).
		Set("entrypoint", yaml.Flow{holderProgram}).
		Set("command", oneLine(escapeAll(args)))
}

// noNewPrivileges keeps a process from gaining what its user does not have.
const noNewPrivileges = "no-new-privileges:true"

// confine closes what a service of ours does not need.
func confine(service *yaml.Map, capabilities ...string) *yaml.Map {
	return service.
		Set("cap_drop", yaml.Flow{"ALL"}).
		Opt("cap_add", yaml.Flow(capabilities)).
		Set("security_opt", yaml.Flow{noNewPrivileges})
}

// escape keeps Compose from seeing a variable in s.
func escape(s string) string { return strings.ReplaceAll(s, "$", "$$") }

func escapeAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = escape(s)
	}
	return out
}

// maxLine is how long a list on one line may be, in bytes, to be read at a
// glance.
const maxLine = 100

// oneLine puts a list on one line when it is short and holds no text of several.
func oneLine(list []string) any {
	length := 0
	for _, s := range list {
		length += len(s) + len(`"", `)
		if strings.Contains(s, "\n") {
			length = maxLine + 1
		}
	}
	if length > maxLine {
		return yaml.Strings(list)
	}
	return yaml.Flow(list)
}

func escapeMap(m map[string]string) *yaml.Map {
	out := yaml.New()
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out.Set(k, escape(m[k]))
	}
	return out
}
