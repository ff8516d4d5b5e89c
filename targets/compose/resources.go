package compose

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// addResources sets limits as Kubernetes does on a node: memory without swap
// beside it, and CPU shares from the request, or from the limit without one.
func (p *replica) addResources(service *yaml.Map, res *app.Resources, path string, pos app.Pos) error {
	for _, name := range slices.Sorted(maps.Keys(merged(res.Requests, res.Limits))) {
		if name != "cpu" && name != "memory" {
			p.find("compose/resource", path+".resources."+name, at(res.Pos, pos), "the resource "+name+" is left out: Docker has no such limit", "")
		}
	}
	if err := addCPU(service, res); err != nil {
		return fmt.Errorf("cpu: %w", err)
	}
	if err := addMemory(service, res); err != nil {
		return fmt.Errorf("memory: %w", err)
	}
	return nil
}

func addCPU(service *yaml.Map, res *app.Resources) error {
	share := res.Requests["cpu"]
	if limit := res.Limits["cpu"]; limit != "" {
		milli, err := limit.Milli()
		if err != nil {
			return err
		}
		service.Set("cpus", strconv.FormatFloat(float64(max(milli, minMilli))/1000, 'f', -1, 64))
		if share == "" {
			share = limit
		}
	}
	if share != "" {
		milli, err := share.Milli()
		if err != nil {
			return err
		}
		service.Set("cpu_shares", min(max(milli*1024/1000, minShares), maxShares))
	}
	return nil
}

const (
	minMilli  = 10     // of a CPU: the kernel's shortest quota is 1 ms of 100
	minShares = 2      // the kernel's least weight
	maxShares = 262144 // and its greatest
)

func addMemory(service *yaml.Map, res *app.Resources) error {
	if limit := res.Limits["memory"]; limit != "" {
		size, err := limit.Value()
		if err != nil {
			return err
		}
		service.Set("mem_limit", bytes(size)).Set("memswap_limit", bytes(size))
	}
	if request := res.Requests["memory"]; request != "" {
		size, err := request.Value()
		if err != nil {
			return err
		}
		service.Set("mem_reservation", bytes(size))
	}
	return nil
}

// bytes writes a size in Compose's binary units.
func bytes(size int64) string {
	for _, unit := range []struct {
		shift int
		name  string
	}{{30, "g"}, {20, "m"}, {10, "k"}} {
		if size > 0 && size%(1<<unit.shift) == 0 {
			return strconv.FormatInt(size>>unit.shift, 10) + unit.name
		}
	}
	return strconv.FormatInt(size, 10) + "b"
}
