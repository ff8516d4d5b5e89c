package docker

import (
	"testing"

	"github.com/cuepod/cuepod/compiler/app"
)

// conformance:S123 S124 S125
func TestSetResources(t *testing.T) {
	type list = map[string]app.Quantity
	for _, c := range []struct {
		name             string
		requests, limits list
		shares, quota    int64
		memory, request  int64
	}{
		{"nothing", nil, nil, 2, 0, 0, 0},
		{"memory alone", list{"memory": "1Mi"}, list{"memory": "2Mi"}, 2, 0, 2 << 20, 1 << 20},
		{"a limit is its own request", nil, list{"cpu": "500m", "memory": "64Mi"}, 512, 50_000, 64 << 20, 64 << 20},
		{"request", list{"cpu": "250m", "memory": "1Mi"}, nil, 256, 0, 0, 1 << 20},
		{"request of nothing", list{"cpu": "0"}, list{"cpu": "1"}, 2, 100_000, 0, 0},
		{"limit of nothing is none", nil, list{"cpu": "0"}, 2, 0, 0, 0},
		{"the least", list{"cpu": "1m"}, list{"cpu": "1m"}, 2, 1000, 0, 0},
		{"ten thousandths", nil, list{"cpu": "10m"}, 10, 1000, 0, 0},
		{"the most", list{"cpu": "1000"}, nil, 262144, 0, 0, 0},
	} {
		out := Container{}
		setResources(&out, &app.Resources{Requests: c.requests, Limits: c.limits})
		if out.CPUShares != c.shares || out.CPUQuota != c.quota || out.Memory != c.memory || out.MemoryRequest != c.request {
			t.Errorf("%s: shares %d, quota %d, memory %d, request %d; want %+v", c.name, out.CPUShares, out.CPUQuota, out.Memory, out.MemoryRequest, c)
		}
	}
}

// conformance:S126
func TestOOMScoreAdj(t *testing.T) {
	const gi = 1 << 30
	for _, c := range []struct {
		class           QoSClass
		request, memory int64
		want            int
	}{
		{Guaranteed, gi, 8 * gi, -997},
		{BestEffort, 0, 8 * gi, 1000},
		{Burstable, 0, 8 * gi, 999},
		{Burstable, 1, 8 * gi, 999},
		{Burstable, 4 * gi, 8 * gi, 500},
		{Burstable, 8 * gi, 8 * gi, 3},
		{Burstable, 80 * gi, 8 * gi, 3},
		{Burstable, gi, 0, 1000}, // an engine that does not say what it has
		{"", 0, 8 * gi, 1000},
	} {
		if got := OOMScoreAdj(c.class, c.request, c.memory); got != c.want {
			t.Errorf("%s that asks for %d of %d: %d, want %d", c.class, c.request, c.memory, got, c.want)
		}
	}
}

// conformance:S77
func TestEmptyDir_SizeInMemory(t *testing.T) {
	limited := func(limit app.Quantity) app.Container {
		return app.Container{Resources: app.Resources{Limits: map[string]app.Quantity{"memory": limit}}}
	}
	sidecar := limited("5Mi")
	sidecar.RestartPolicy = "Always"
	for _, c := range []struct {
		name string
		size app.Quantity
		pod  app.Pod
		want int64
	}{
		{"no limit", "", app.Pod{Containers: []app.Container{{}}}, 0},
		{"its own", "8Mi", app.Pod{Containers: []app.Container{{}}}, 8 << 20},
		{"the pod's", "", app.Pod{Containers: []app.Container{limited("4Mi"), limited("2Mi")}}, 6 << 20},
		{"the less of both", "8Mi", app.Pod{Containers: []app.Container{limited("4Mi")}}, 4 << 20},
		{"one without a limit", "8Mi", app.Pod{Containers: []app.Container{limited("4Mi"), {}}}, 8 << 20},
		{"an init container that has more", "", app.Pod{InitContainers: []app.Container{limited("9Mi")}, Containers: []app.Container{limited("4Mi")}}, 9 << 20},
		{"beside a sidecar", "", app.Pod{InitContainers: []app.Container{sidecar, limited("9Mi")}, Containers: []app.Container{limited("4Mi")}}, 14 << 20},
		{"with a sidecar", "", app.Pod{InitContainers: []app.Container{sidecar}, Containers: []app.Container{limited("4Mi")}}, 9 << 20},
	} {
		if kind, got := emptyDir(&app.EmptyDir{Medium: "Memory", SizeLimit: c.size}, &c.pod); kind != Memory || got != c.want {
			t.Errorf("%s: %s of %d bytes, want %d", c.name, kind, got, c.want)
		}
	}
}
