package main

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets"
	"github.com/cuepod/cuepod/targets/compose"
	"github.com/cuepod/cuepod/targets/docker"
	"github.com/cuepod/cuepod/targets/kubernetes"
)

// renderOptions is what a user may choose about a target's output.
type renderOptions struct {
	format      string // of kubernetes: yaml or json
	separate    bool   // one file per object, where the target can
	holderImage string // of compose
	docker      docker.Options
}

// target is one thing that compile can make.
type target struct {
	name   string
	render func(*app.App, renderOptions) (targets.Output, error)
}

// allTargets is the table of targets, in the order of the documentation.
func allTargets() []target {
	return []target{
		{"kubernetes", renderKubernetes},
		{"compose", renderCompose},
		{"docker", renderDocker},
	}
}

func targetNames() []string {
	var names []string
	for _, t := range allTargets() {
		names = append(names, t.name)
	}
	return names
}

// targetNamed finds a target; an unknown name is a usage error.
func targetNamed(cmd *cobra.Command, name string) (target, error) {
	list := allTargets()
	if i := slices.IndexFunc(list, func(t target) bool { return t.name == name }); i >= 0 {
		return list[i], nil
	}
	return target{}, oneOf(cmd, "target", name, targetNames()...)
}

func renderKubernetes(a *app.App, opts renderOptions) (targets.Output, error) {
	switch {
	case opts.format == "json":
		return kubernetes.Render(a, kubernetes.Options{Format: kubernetes.JSON})
	case opts.format == "kyaml":
		return kubernetes.Render(a, kubernetes.Options{Format: kubernetes.KYAML})
	case opts.separate:
		return kubernetes.Render(a, kubernetes.Options{Format: kubernetes.Dir})
	default:
		return kubernetes.Render(a, kubernetes.Options{})
	}
}

func renderCompose(a *app.App, opts renderOptions) (targets.Output, error) {
	return compose.Render(a, compose.Options{HolderImage: opts.holderImage})
}

// renderDocker prints the desired state of a local engine: for reading and
// comparing, as nothing but the runner can use it.
func renderDocker(a *app.App, opts renderOptions) (targets.Output, error) {
	st, findings, err := docker.Render(a, opts.docker)
	if err != nil {
		return targets.Output{}, err
	}
	data, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return targets.Output{}, fmt.Errorf("state: %w", err)
	}
	return targets.Output{Files: []targets.File{{Name: "docker.json", Data: append(data, '\n')}}, Findings: findings}, nil
}
