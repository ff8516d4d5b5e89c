package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// podman follows nothing: its user plays the file again, which replaces the pod.
type podman struct{ cli []string }

// modest is podman's command line with limits that any root may set: its own are
// beyond those of a machine that is a container itself.
func modest(cli, work string) (string, error) {
	if cli == "" {
		return "", nil
	}
	conf := filepath.Join(work, "containers.conf")
	text := "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n"
	return "env CONTAINERS_CONF=" + conf + " " + cli, os.WriteFile(conf, []byte(text), 0o644)
}

func (*podman) name() string { return "podman" }

func (*podman) manifest(kind string) (name, text string) {
	const pod = `apiVersion: v1
kind: Pod
metadata: {name: "@APP@"}
spec:
  containers:
    - name: main
      image: "localhost/@APP@:dev"
      imagePullPolicy: Never
      ports: [{containerPort: 8080, hostPort: @PORT@, hostIP: "127.0.0.1"}]
`
	lines := map[string]string{
		"env": pod + `      env: [{name: VALUE, value: "@VALUE@"}]
`,
		"config": `apiVersion: v1
kind: ConfigMap
metadata: {name: "@APP@-conf"}
data: {value: "@VALUE@"}
---
` + pod + `      volumeMounts: [{name: conf, mountPath: /conf}]
  volumes: [{name: conf, configMap: {name: "@APP@-conf"}}]
`,
		"go":         pod,
		"dockerfile": pod,
	}
	return "pod.yaml", lines[kind]
}

func (p *podman) start(ctx context.Context, s *site) error {
	if s.files["context/Dockerfile"] == "" {
		text := "FROM scratch\nCOPY witness /witness\nENTRYPOINT [\"/witness\"]\n"
		if err := writeFiles(s.dir, map[string]string{"context/Dockerfile": text}); err != nil {
			return err
		}
	}
	return errors.Join(p.build(ctx, s), p.play(ctx, s))
}

func (p *podman) build(ctx context.Context, s *site) error {
	_, err := p.run(ctx, s, "build", "--quiet", "--label", app, "--tag", "localhost/"+s.app()+":dev", "context")
	return err
}

func (p *podman) play(ctx context.Context, s *site) error {
	_, err := p.run(ctx, s, "kube", "play", "--replace", "pod.yaml")
	return err
}

func (p *podman) follow(ctx context.Context, s *site) error {
	if s.kind.name == "go" {
		if err := goBuild(ctx, s.dir, filepath.Join(s.dir, "context", "witness")); err != nil {
			return err
		}
	}
	if s.edited != "" {
		if err := p.build(ctx, s); err != nil {
			return err
		}
	}
	return p.play(ctx, s)
}

func (p *podman) stop(ctx context.Context, s *site) error {
	_, err := p.run(ctx, s, "pod", "rm", "--force", "--ignore", "--time", "1", s.app())
	for _, rest := range [][]string{ // most sites have not all of them
		{"volume", "rm", "--force", s.app() + "-conf"},
		{"rmi", "--force", "localhost/" + s.app() + ":dev"},
		{"image", "prune", "--force", "--filter", "label=" + app},
	} {
		_ = exec.CommandContext(ctx, p.cli[0], slices.Concat(p.cli[1:], rest)...).Run()
	}
	return err
}

func (p *podman) run(ctx context.Context, s *site, args ...string) (string, error) {
	return command(ctx, s.dir, p.cli[0], slices.Concat(p.cli[1:], args)...)
}
