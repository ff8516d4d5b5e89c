package main

import (
	"context"
	"os/exec"
)

// cuepod follows everything by itself.
type cuepod struct{ program string }

func (*cuepod) name() string { return "cuepod" }

func (*cuepod) manifest(kind string) (name, text string) {
	const (
		published = `	pods: web: containers: main: ports: http: {containerPort: 8080, hostPort: @PORT@}
`
		loaded = `	pods: web: containers: main: {image: "@IMAGE@", imagePullPolicy: "Never"}
`
		own = `	pods: web: containers: main: image: "@APP@:dev"
`
	)
	lines := map[string]string{
		"env": loaded + published + `	pods: web: containers: main: env: VALUE: value: "@VALUE@"
`,
		"replicas": loaded + `	pods: web: replicas: @VALUE@
	pods: web: containers: main: env: HOME_PORT: value: "@HOME@"
`,
		"config": loaded + published + `	pods: web: containers: main: volumeMounts: "/conf": name: "conf"
	pods: web: volumes: conf: configMap: name: "conf"
	configMaps: conf: data: value: "@VALUE@"
`,
		"sync": loaded + published + `	pods: web: containers: main: dev: sync: "synced": "/synced"
`,
		"many": loaded + published + `	pods: web: containers: main: dev: sync: "many": "/many"
`,
		"go": own + published + `	pods: web: containers: main: build: go: "./svc"
`,
		"dockerfile": own + published + `	pods: web: containers: main: build: context: "context"
`,
		"idle": loaded + published + `	pods: web: containers: main: dev: sync: "tree": "/tree"
`,
	}
	return "app.cue", "package bench\n\nimport \"cuepod.dev/core\"\n\napp: core.#App & {\n\tname: \"@APP@\"\n" + lines[kind] + "}\n"
}

func (c *cuepod) start(ctx context.Context, s *site) (err error) {
	if s.up, err = inBackground(s.dir, c.program, "up", "--no-logs", "--offline"); err != nil {
		return err
	}
	return s.up.says(ctx, s.app()+" is ready")
}

func (*cuepod) follow(context.Context, *site) error { return nil }

func (c *cuepod) stop(ctx context.Context, s *site) error {
	s.up.end(ctx)
	_, err := command(ctx, s.dir, c.program, "down", "--volumes", "--now")
	_ = exec.CommandContext(ctx, "docker", "rmi", s.app()+":dev").Run() // most sites have none
	return err
}
