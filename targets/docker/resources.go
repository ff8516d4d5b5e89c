package docker

import "github.com/cuepod/cuepod/compiler/app"

// Kubernetes' own numbers: pkg/kubelet/cm/helpers_linux.go.
const (
	minShares   = 2
	maxShares   = 262144
	quotaPeriod = 100_000 // microseconds
	minQuota    = 1000    // microseconds
)

// setResources says what a container may use. One that asks for no CPU gets what
// the others leave.
func setResources(out *Container, res *app.Resources) {
	request, limit := res.Requests["cpu"], res.Limits["cpu"]
	if request == "" {
		request = limit
	}
	// The compiler has checked every quantity, so parsing cannot fail here.
	out.CPUShares = minShares
	if request != "" {
		m, _ := request.Milli()
		out.CPUShares = min(max(m*1024/1000, minShares), maxShares)
	}
	if m, _ := limit.Milli(); limit != "" && m > 0 {
		out.CPUQuota = max(m*quotaPeriod/1000, minQuota)
	}
	out.Memory, _ = res.Limits["memory"].Value()
	out.MemoryRequest = out.Memory
	if request := res.Requests["memory"]; request != "" {
		out.MemoryRequest, _ = request.Value()
	}
}

// Scores of Kubernetes by which the kernel chooses what to kill when the machine
// has no memory left, the highest first: pkg/kubelet/qos/policy.go.
const (
	guaranteedOOMScore = -997
	bestEffortOOMScore = 1000
)

// OOMScoreAdj is how early the kernel kills a container of a pod when a machine
// with so many bytes has none left: late the more of them it has asked for.
func OOMScoreAdj(class QoSClass, request, memory int64) int {
	switch {
	case class == Guaranteed:
		return guaranteedOOMScore
	case class == BestEffort, class == "", memory <= 0:
		return bestEffortOOMScore
	}
	score := bestEffortOOMScore - int(float64(request)/float64(memory)*bestEffortOOMScore)
	return min(max(score, bestEffortOOMScore+guaranteedOOMScore), bestEffortOOMScore-1)
}

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
