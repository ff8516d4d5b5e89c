package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/runner/engine"
)

// Exec runs a command in a running container of the app and returns its exit
// code. A target without a container is the first of the pod; a workload is its
// first pod.
func Exec(ctx context.Context, eng engine.Engine, id Identity, target Target, cmd []string, io IO) (int, error) {
	containers, err := eng.ListContainers(ctx, id.selector())
	if err != nil {
		return 0, err
	}
	first := firstContainers(containers)
	for i := range containers {
		c := &containers[i]
		if !isMember(c) || !target.matches(c) || c.State != engine.Running {
			continue
		}
		if name, known := first[c.Labels[labelPod]]; target.Container == "" && known && name != c.Labels[labelContainer] {
			continue
		}
		return eng.Exec(ctx, c.ID, engine.ExecSpec{Cmd: cmd, TTY: io.TTY, Stdin: io.In, Stdout: io.Out, Stderr: io.Err})
	}
	if slices.ContainsFunc(containers, func(c engine.Container) bool { return target.matches(&c) }) {
		return 0, fmt.Errorf("container %s is not running; `cuepod ps` tells why", strings.TrimSuffix(target.Pod+"/"+target.Container, "/"))
	}
	return 0, noTarget(containers, id, []Target{target})
}

// firstContainers gives the first container in the definition of each pod, as
// far as the record among the containers can be read.
func firstContainers(containers []engine.Container) map[string]string {
	first := map[string]string{}
	seen := arrange(containers)
	if seen.Record == nil {
		return first // any running container will do
	}
	for i := range seen.Record.State.Pods {
		p := &seen.Record.State.Pods[i]
		first[p.Name] = p.Containers[0].Name
	}
	return first
}
