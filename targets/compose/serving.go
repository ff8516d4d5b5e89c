package compose

import "github.com/cuepod/cuepod/compiler/app"

// serving says which pods are behind which services, worked out once: an app may
// have thousands of both.
type serving struct {
	pods     map[*app.Service][]*app.Pod
	services map[*app.Pod][]*app.Service
}

func whoServes(a *app.App) serving {
	out := serving{pods: map[*app.Service][]*app.Pod{}, services: map[*app.Pod][]*app.Service{}}
	byName := map[string]*app.Pod{}
	for i := range a.Pods {
		byName[a.Pods[i].Name] = &a.Pods[i]
	}
	for i := range a.Services {
		s := &a.Services[i]
		var pods []*app.Pod
		if pod := byName[s.Pod]; pod != nil {
			pods = []*app.Pod{pod}
		} else if s.Pod == "" {
			pods = a.Behind(s)
		}
		out.pods[s] = pods
		for _, pod := range pods {
			out.services[pod] = append(out.services[pod], s)
		}
	}
	return out
}
