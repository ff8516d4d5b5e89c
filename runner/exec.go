package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
)

// Exec runs a command in a running container of the app and returns its exit
// code. A target without a container is the first of the pod; a workload is its
// first pod.
func Exec(ctx context.Context, eng engine.Engine, id Identity, target Target, cmd []string, io IO) (int, error) {
	containers, err := eng.ListContainers(ctx, id.selector())
	if err != nil {
		return 0, err
	}
	for i := range containers {
		c := &containers[i]
		if role := roleOf(c); role != reconcile.RoleApp && role != reconcile.RoleInit || !target.matches(c) || c.State != engine.Running {
			continue
		}
		if target.Container == "" && !isFirst(ctx, eng, id, c) {
			continue
		}
		return eng.Exec(ctx, c.ID, engine.ExecSpec{Cmd: cmd, TTY: io.TTY, Stdin: io.In, Stdout: io.Out, Stderr: io.Err})
	}
	if slices.ContainsFunc(containers, func(c engine.Container) bool { return target.matches(&c) }) {
		return 0, fmt.Errorf("container %s is not running; `cuepod ps` tells why", strings.TrimSuffix(target.Pod+"/"+target.Container, "/"))
	}
	return 0, noTarget(ctx, eng, id, []Target{target})
}

// isFirst reports whether a container is the first of its pod's definition.
func isFirst(ctx context.Context, eng engine.Engine, id Identity, c *engine.Container) bool {
	seen, err := observe(ctx, eng, id, nil, "")
	if err != nil || seen.Record == nil {
		return true
	}
	p := seen.Record.State.Pod(c.Labels[labelPod])
	return p == nil || p.Containers[0].Name == c.Labels[labelContainer]
}
