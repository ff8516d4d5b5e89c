package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cuepod/cuepod/runner/engine"
)

// PodUsage is what a pod's containers use, ours among them.
type PodUsage struct {
	Pod    string        `json:"pod"`
	CPU    time.Duration `json:"cpu"`    // since they started, in nanoseconds
	Memory int64         `json:"memory"` // in bytes
}

// usagesAtOnce is how many containers are asked for at a time.
const usagesAtOnce = 8

// GetUsage tells what each running pod of an app uses now, by name.
func GetUsage(ctx context.Context, eng engine.Engine, id Identity) ([]PodUsage, error) {
	containers, err := eng.ListContainers(ctx, id.selector())
	if err != nil {
		return nil, err
	}
	if len(containers) == 0 {
		return nil, fmt.Errorf("app %s: %w", id.App, ErrNoApp)
	}
	containers = slices.DeleteFunc(containers, func(c engine.Container) bool {
		return c.State != engine.Running || c.Labels[labelPod] == ""
	})
	uses := make([]engine.Usage, len(containers))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(usagesAtOnce)
	for i, c := range containers {
		group.Go(func() (err error) {
			if uses[i], err = eng.Usage(ctx, c.ID); engine.KindOf(err) == engine.NotFound {
				return nil // it ended meanwhile
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return sumPods(containers, uses), nil
}

func sumPods(containers []engine.Container, uses []engine.Usage) []PodUsage {
	out := []PodUsage{}
	for i, c := range containers {
		pod := c.Labels[labelPod]
		at, known := slices.BinarySearchFunc(out, pod, func(p PodUsage, name string) int { return strings.Compare(p.Pod, name) })
		if !known {
			out = slices.Insert(out, at, PodUsage{Pod: pod})
		}
		out[at].CPU += uses[i].CPU
		out[at].Memory += uses[i].Memory
	}
	return out
}
