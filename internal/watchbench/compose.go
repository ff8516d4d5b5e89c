package main

import (
	"context"
	"path/filepath"
	"slices"
)

// compose follows synced directories and contexts by its watch. Of its own file
// its watch takes no notice: the best its user can do is to run up -d at once.
type compose struct{ cli []string }

func (*compose) name() string { return "compose" }

func (*compose) manifest(kind string) (name, text string) {
	const (
		published = `    ports: ["127.0.0.1:@PORT@:8080"]
`
		loaded = `    image: "@IMAGE@"
    pull_policy: never
`
		rebuilt = `    build: context
    develop:
      watch:
        - {action: rebuild, path: context}
`
	)
	lines := map[string]string{
		"env": loaded + published + `    environment: {VALUE: "@VALUE@"}
`,
		"replicas": loaded + `    environment: {HOME_PORT: "@HOME@"}
    scale: @VALUE@
`,
		"config": loaded + published + `    configs: [{source: conf, target: /conf/value}]
configs:
  conf: {content: "@VALUE@"}
`,
		"sync": loaded + published + `    develop:
      watch:
        - {action: sync, path: synced, target: /synced, initial_sync: true}
`,
		"idle": loaded + published + `    develop:
      watch:
        - {action: sync, path: tree, target: /tree}
`,
		"many": loaded + published + `    develop:
      watch:
        - {action: sync, path: many, target: /many, initial_sync: true}
`,
		"go":         rebuilt + published,
		"dockerfile": rebuilt + published,
	}
	return "compose.yaml", "name: @APP@-compose\nservices:\n  web:\n" + lines[kind]
}

func (c *compose) start(ctx context.Context, s *site) (err error) {
	if _, err := c.run(ctx, s, "up", "--detach"); err != nil {
		return err
	}
	if s.edited == "" {
		return nil
	}
	s.up, err = inBackground(s.dir, c.cli[0], slices.Concat(c.cli[1:], []string{"watch", "--no-up"})...)
	if err != nil {
		return err
	}
	return s.up.says(ctx, "Watch enabled")
}

func (c *compose) follow(ctx context.Context, s *site) error {
	switch s.kind.name {
	case "sync", "dockerfile":
		return nil
	case "go":
		return goBuild(ctx, s.dir, filepath.Join(s.dir, "context", "witness"))
	case "config": // up takes no notice of what a config has in it
		_, err := c.run(ctx, s, "up", "--detach", "--force-recreate")
		return err
	}
	_, err := c.run(ctx, s, "up", "--detach")
	return err
}

func (c *compose) stop(ctx context.Context, s *site) error {
	s.up.end(ctx)
	_, err := c.run(ctx, s, "down", "--volumes", "--timeout", "1", "--rmi", "local")
	return err
}

func (c *compose) run(ctx context.Context, s *site, args ...string) (string, error) {
	return command(ctx, s.dir, c.cli[0], slices.Concat(c.cli[1:], args)...)
}
