package docker

import "github.com/cuepod/cuepod/compiler/app"

// podMemoryLimit is how many bytes the pod's containers may use together, or 0
// when one of them has no limit: the greater of what the containers and
// sidecars have in sum, and what each init container has beside the sidecars
// that were started before it. Source: Kubernetes' component-helpers/resource,
// PodLimits.
func podMemoryLimit(p *app.Pod) int64 {
	var sum, sidecars, most int64
	for i := range p.InitContainers {
		limit, ok := memoryLimit(&p.InitContainers[i])
		if !ok {
			return 0
		}
		if p.InitContainers[i].RestartPolicy == "Always" {
			sidecars += limit
			most = max(most, sidecars)
		} else {
			most = max(most, sidecars+limit)
		}
	}
	for i := range p.Containers {
		limit, ok := memoryLimit(&p.Containers[i])
		if !ok {
			return 0
		}
		sum += limit
	}
	return max(sum+sidecars, most)
}

func memoryLimit(c *app.Container) (bytes int64, ok bool) {
	limit := c.Resources.Limits["memory"]
	if limit == "" {
		return 0, false
	}
	bytes, err := limit.Value()
	return bytes, err == nil
}
