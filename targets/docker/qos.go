package docker

import "github.com/cuepod/cuepod/compiler/app"

// QoSClass is Kubernetes' word for how sure a pod is of its resources.
type QoSClass string

const (
	Guaranteed QoSClass = "Guaranteed"
	Burstable  QoSClass = "Burstable"
	BestEffort QoSClass = "BestEffort"
)

// qosClass tells the class by the containers' requests and limits of CPU and
// memory. A limit is its own request where there is no other. Source:
// pkg/apis/core/v1/helper/qos ComputePodQOS.
func qosClass(p *app.Pod) QoSClass {
	any, whole := false, true
	for _, list := range [][]app.Container{p.InitContainers, p.Containers} {
		for i := range list {
			r := &list[i].Resources
			for _, name := range []string{"cpu", "memory"} {
				limit, request := r.Limits[name], r.Requests[name]
				if request == "" {
					request = limit
				}
				any = any || request.Compare("0") > 0
				whole = whole && limit.Compare("0") > 0 && limit.Compare(request) == 0
			}
		}
	}
	switch {
	case !any:
		return BestEffort
	case whole:
		return Guaranteed
	}
	return Burstable
}
