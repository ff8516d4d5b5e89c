package runner

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// user is as whom a container of an image runs, "" for whom that says. It looks at the
// image anew each time: a restart may find another one (CVE-2019-11245).
func (e *executor) user(ctx context.Context, c *docker.Container, ref string) (string, error) {
	_, group, _ := strings.Cut(c.User, ":")
	onlyGroup := strings.HasPrefix(c.User, ":")
	if c.User != "" && !onlyGroup {
		return c.User, checkNonRoot(c, c.User)
	}
	if !c.NonRoot && !onlyGroup {
		return "", nil
	}
	image, err := e.eng().InspectImage(ctx, ref)
	if err != nil {
		return "", err
	}
	user, _, _ := strings.Cut(image.User, ":")
	if err := checkNonRoot(c, user); err != nil || !onlyGroup {
		return "", err
	}
	if user == "" {
		user = "0"
	}
	return user + ":" + group, nil
}

// checkNonRoot refuses a user that is root, or that nobody can tell from root.
func checkNonRoot(c *docker.Container, user string) error {
	if !c.NonRoot {
		return nil
	}
	name, _, _ := strings.Cut(user, ":")
	uid, err := strconv.ParseUint(name, 10, 32)
	switch {
	case name == "" || name == "root" || err == nil && uid == 0:
		return fmt.Errorf("container has runAsNonRoot and image %s would run as root; set runAsUser", c.Image)
	case err != nil:
		return fmt.Errorf("container has runAsNonRoot and image %s has the user name %s, which nobody can tell from root; set runAsUser", c.Image, name)
	}
	return nil
}

// oomScore is the container's score, as far as the engine may give it: one below
// its own takes a right that engines in containers and those without root lack.
func (e *executor) oomScore(ctx context.Context, p *docker.Pod, c *docker.Container) int {
	score := docker.OOMScoreAdj(p.QoS, c.MemoryRequest, e.machine.Memory)
	if score >= 0 || !e.engine.Rootless && e.lowers.allowed(func() bool { return e.tryScore(ctx, p, c, score) }) {
		return score
	}
	return 0
}

// lowers remembers whether the engine may give scores below its own.
type lowers struct {
	once sync.Once
	ok   bool
}

func (l *lowers) allowed(try func() bool) bool {
	l.once.Do(func() { l.ok = try() })
	return l.ok
}

// tryScore starts a container of ours with a score, which nobody would miss.
func (e *executor) tryScore(ctx context.Context, p *docker.Pod, c *docker.Container, score int) bool {
	spec := agentSpec(c.EngineName+".score", e.agent.ref, strangerLabels(e.hands.id, p, c.Name+".score"), api.RoleHold)
	spec.CapAdd, spec.OOMScoreAdj = nil, score
	if err := e.eng().RemoveContainer(ctx, spec.Name); err != nil {
		return false
	}
	defer func() { _ = e.eng().RemoveContainer(ctx, spec.Name) }() // it goes with the next plan otherwise
	if _, err := e.eng().CreateContainer(ctx, spec); err != nil {
		return false
	}
	return e.eng().StartContainer(ctx, spec.Name) == nil
}

// strangerLabels are of a container of ours in a pod that is needed for a moment.
// Nobody has defined it, and so it is removed when it is left over.
func strangerLabels(id Identity, p *docker.Pod, name string) map[string]string {
	return id.with(map[string]string{
		labelRole: string(reconcile.RoleInit), labelPod: p.Name, labelWorkload: p.Workload, labelContainer: name,
		labelJob: p.Job, labelRun: p.Run,
	})
}
