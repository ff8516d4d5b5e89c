package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets"
	"github.com/cuepod/cuepod/targets/docker"
)

func (c *cli) explainCommand() *cobra.Command {
	var (
		d     definition
		field string
		value string
	)
	cmd := &cobra.Command{
		Use:   "explain [dir] [--value PATH] | --field PATH",
		Short: "Show an app, where a value comes from, or what a field means",
		Long: `Explain shows an app, its parameters and what each target makes of it.

With --value it tells where a value comes from: every place that has a part in it,
the definition's own files first, also in a definition that is not valid.

With --field it documents a field of the schema.`,
		GroupID: groupDefine,
		Args:    cobra.MaximumNArgs(1),
		Example: "  cuepod explain ./shop\n" +
			"  cuepod explain --value pods.web.replicas --env prod ./shop\n" +
			"  cuepod explain --field pods.containers.readinessProbe",
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("field") {
				if len(args) > 0 || cmd.Flags().Changed("value") {
					return &usageError{"cuepod explain", "--field is about the schema: it takes no directory and goes without --value"}
				}
				return c.explainField(field)
			}
			d.dir = dirArg(args)
			if cmd.Flags().Changed("value") {
				return c.explainValue(cmd.Context(), d, value)
			}
			result, err := c.compiled(cmd.Context(), d)
			if err != nil {
				return err
			}
			e := explainer{w: c.out, style: c.colors(c.out)}
			e.app(result.App)
			e.params(result.Params)
			e.pods(result.App.Pods)
			e.services(result.App.Services)
			e.configuration(result.App)
			e.hatches(result.App)
			for _, t := range allTargets() {
				out, err := t.render(result.App, renderOptions{docker: d.docker(result.Root)})
				if refused := (*docker.RefusedError)(nil); errors.As(err, &refused) {
					e.refused(t.name, refused.Lines)
					continue
				}
				if err != nil {
					return fmt.Errorf("target %s: %w", t.name, err)
				}
				e.findings(t.name, out.Findings)
			}
			return nil
		},
	}
	d.flags(cmd)
	cmd.Flags().StringVar(&field, "field", "", "document the field at a `path`, such as pods.containers.image; app is the top")
	cmd.Flags().StringVar(&value, "value", "", "tell where the value at a `path` comes from, such as pods.web.replicas or params.title")
	completeWith(cmd, "field", completeFields)
	return cmd
}

// explainer prints an app for a person.
type explainer struct {
	w     io.Writer
	style style
}

func (e *explainer) title(text string) {
	fmt.Fprintf(e.w, "\n%s\n", e.style.paint(bold, text))
}

func (e *explainer) app(a *app.App) {
	fmt.Fprintf(e.w, "%s  namespace %s  %s\n", e.style.paint(bold, a.Name), a.DNSNamespace(), a.Pos)
}

func (e *explainer) params(params []compiler.Param) {
	if len(params) == 0 {
		return
	}
	e.title("Parameters")
	var t table
	for _, p := range params {
		t.add(p.Name, oneLine(p.Type), paramNote(p))
		if doc := oneLine(p.Doc); doc != "" {
			t.add("  " + doc)
		}
	}
	t.write(e.w, "  ")
}

// paramNote is a parameter's value, and its default where that is another.
func paramNote(p compiler.Param) string {
	note := oneLine(p.Value)
	switch {
	case p.Default == "":
		note += "  (no default)"
	case p.Default != p.Value:
		note += "  (default " + oneLine(p.Default) + ")"
	}
	return note
}

// oneLine joins lines. Space within a line stays: it may be part of a string.
func oneLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, " ")
}

func (e *explainer) pods(pods []app.Pod) {
	if len(pods) == 0 {
		return
	}
	e.title("Pods")
	var t table
	for i := range pods {
		p := &pods[i]
		t.add(p.Name, p.Kind, plural(p.Replicas, "replica")+dependencies(p.DependsOn))
		for _, c := range p.InitContainers {
			t.add("  "+c.Name, "init", c.Image)
		}
		for _, c := range p.Containers {
			t.add("  "+c.Name, "", c.Image+containerNotes(&c))
		}
	}
	t.write(e.w, "  ")
}

func dependencies(deps []app.Dependency) string {
	var b strings.Builder
	for _, d := range deps {
		fmt.Fprintf(&b, ", after %s is %s", d.Service, d.Condition)
	}
	return b.String()
}

// containerNotes is what a container listens on and how it is asked for its health.
func containerNotes(c *app.Container) string {
	var notes []string
	for _, p := range c.Ports {
		note := fmt.Sprint(p.ContainerPort)
		if p.Name != "" {
			note = p.Name + ":" + note
		}
		if p.Protocol == "UDP" {
			note += "/udp"
		}
		notes = append(notes, note)
	}
	for _, probe := range []struct {
		kind string
		is   *app.Probe
	}{{"startup", c.StartupProbe}, {"readiness", c.ReadinessProbe}, {"liveness", c.LivenessProbe}} {
		if probe.is != nil {
			notes = append(notes, probe.kind)
		}
	}
	if len(notes) == 0 {
		return ""
	}
	return "  (" + strings.Join(notes, ", ") + ")"
}

func (e *explainer) services(services []app.Service) {
	if len(services) == 0 {
		return
	}
	e.title("Services")
	var t table
	for i := range services {
		s := &services[i]
		kind := s.Type
		if s.Headless {
			kind = "headless"
		}
		var ports []string
		for _, p := range s.Ports {
			ports = append(ports, portNote(p))
		}
		t.add(s.Name, kind, strings.Join(ports, ", "), "pod "+s.Pod)
	}
	t.write(e.w, "  ")
}

// portNote is port->target, with the host's port and the protocol where they say something.
func portNote(p app.ServicePort) string {
	note := fmt.Sprint(p.Port)
	if target := p.TargetPort.String(); !p.TargetPort.IsZero() && target != note {
		note += "->" + target
	}
	if p.NodePort != 0 {
		note += fmt.Sprintf(" (host %d)", p.NodePort)
	}
	if p.Protocol == "UDP" {
		note += "/udp"
	}
	return note
}

// configuration lists keys, never values: a ConfigMap may be long, a secret is one.
func (e *explainer) configuration(a *app.App) {
	if len(a.ConfigMaps)+len(a.Secrets)+len(a.Claims) == 0 {
		return
	}
	e.title("Configuration and storage")
	var t table
	for _, m := range a.ConfigMaps {
		t.add(m.Name, "ConfigMap", strings.Join(sortedKeys(m.Data), ", "))
	}
	for _, s := range a.Secrets {
		var keys []string
		for _, k := range s.Keys {
			keys = append(keys, k.Name+" "+secretSource(k))
		}
		t.add(s.Name, "Secret", strings.Join(keys, ", "))
	}
	for _, c := range a.Claims {
		t.add(c.Name, "PersistentVolumeClaim", string(c.Storage))
	}
	t.write(e.w, "  ")
}

func secretSource(k app.SecretKey) string {
	switch {
	case k.External:
		return "(external)"
	case k.Env != "":
		return "(from $" + k.Env + ")"
	case k.File != "":
		return "(from " + k.File + ")"
	default:
		return "(generated)"
	}
}

// hatches lists what the definition says to one target alone.
func (e *explainer) hatches(a *app.App) {
	fields := a.HatchFields()
	if len(fields)+len(a.Objects) == 0 {
		return
	}
	e.title("Escape hatches")
	var t table
	for _, f := range fields {
		t.add(f.Path, f.Pos.String())
	}
	for _, o := range a.Objects {
		t.add("objects."+o.Name, o.Pos.String(), o.Body.String("kind")+" "+o.Body.String("metadata", "name"))
	}
	t.write(e.w, "  ")
}

// refused shows why a target makes nothing of an app.
func (e *explainer) refused(name string, lines []string) {
	e.title("As " + name)
	for _, line := range lines {
		fmt.Fprintf(e.w, "  %s %s\n", e.style.paint(yellow, "refused:"), line)
	}
}

func (e *explainer) findings(name string, findings []targets.Finding) {
	e.title("As " + name)
	if len(findings) == 0 {
		fmt.Fprintln(e.w, "  exactly as defined")
		return
	}
	for _, f := range findings {
		code := dim
		if f.Level == targets.Cannot {
			code = yellow
		}
		fmt.Fprintf(e.w, "  %s %s\n", e.style.paint(code, string(f.Level)+":"), f)
	}
}
