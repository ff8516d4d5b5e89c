package docker

import (
	"testing"

	"github.com/cuepod/cuepod/compiler/app"
)

func TestQoSClass(t *testing.T) {
	resources := func(cpuRequest, cpuLimit, memRequest, memLimit app.Quantity) app.Resources {
		r := app.Resources{Requests: map[string]app.Quantity{}, Limits: map[string]app.Quantity{}}
		for list, values := range map[*map[string]app.Quantity][2]app.Quantity{&r.Requests: {cpuRequest, memRequest}, &r.Limits: {cpuLimit, memLimit}} {
			for i, name := range []string{"cpu", "memory"} {
				if values[i] != "" {
					(*list)[name] = values[i]
				}
			}
		}
		return r
	}
	none := app.Resources{}
	full := resources("", "1", "", "1Gi")
	for _, tt := range []struct {
		name string
		init []app.Resources
		list []app.Resources
		want QoSClass
	}{
		{"nothing said", nil, []app.Resources{none, none}, BestEffort},
		{"zero is nothing", nil, []app.Resources{resources("0", "", "", "")}, BestEffort},
		{"limits alone are requests too", nil, []app.Resources{full}, Guaranteed},
		{"equal, however written", nil, []app.Resources{resources("1000m", "1", "1024Mi", "1Gi")}, Guaranteed},
		{"a request below its limit", nil, []app.Resources{resources("500m", "1", "", "1Gi")}, Burstable},
		{"memory alone", nil, []app.Resources{resources("", "", "", "1Gi")}, Burstable},
		{"one container of two", nil, []app.Resources{full, none}, Burstable},
		{"an init container without", []app.Resources{none}, []app.Resources{full}, Burstable},
	} {
		p := &app.Pod{}
		for _, r := range tt.init {
			p.InitContainers = append(p.InitContainers, app.Container{Resources: r})
		}
		for _, r := range tt.list {
			p.Containers = append(p.Containers, app.Container{Resources: r})
		}
		if got := qosClass(p); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
