package docker

import (
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// Kind is the controller that keeps replicas running.
type Kind string

const (
	Deployment  Kind = "Deployment"
	StatefulSet Kind = "StatefulSet"
	DaemonSet   Kind = "DaemonSet"
)

// Strategy says how a change of the template replaces the replicas.
type Strategy string

const (
	RollingUpdate Strategy = "RollingUpdate"
	Recreate      Strategy = "Recreate" // all stop before the first new one starts
	OnDelete      Strategy = "OnDelete" // replicas stay as they are until somebody removes them
)

// Workload is what keeps the replicas of one pod of the definition. Numbers are
// resolved and defaults applied.
type Workload struct {
	Name     string   `json:"name"`
	Kind     Kind     `json:"kind"`
	Replicas int      `json:"replicas"`
	Start    int      `json:"start,omitempty"` // number of the first replica
	Revision string   `json:"revision"`        // of the template: Pod.Revision of its replicas
	Strategy Strategy `json:"strategy"`
	// With RollingUpdate: how many pods there may be beyond Replicas, and how many
	// of Replicas may be away. Not both are 0.
	MaxSurge       int `json:"maxSurge,omitempty"`
	MaxUnavailable int `json:"maxUnavailable,omitempty"`
	// Partition is the number of the first replica that follows a change.
	Partition        int  `json:"partition,omitempty"`
	Paused           bool `json:"paused,omitempty"`           // no replica follows a change
	MinReady         int  `json:"minReady,omitempty"`         // seconds of readiness after which a pod is available
	ProgressDeadline int  `json:"progressDeadline,omitempty"` // seconds without progress after which a rollout has failed; 0 is none
	// Claims are the names of its volumeClaimTemplates whose claims go with a
	// replica that is scaled away, or with the whole.
	ScaledClaims  []string `json:"scaledClaims,omitempty"`
	DeletedClaims []string `json:"deletedClaims,omitempty"`
	// Surge are the replicas that may be there beyond Replicas while a rollout is
	// under way, with the volumes that live with them. Only with Options.Strict.
	Surge        []Pod    `json:"surge,omitempty"`
	SurgeVolumes []Volume `json:"surgeVolumes,omitempty"`
}

// Defaults of Kubernetes: pkg/apis/apps/v1/defaults.go.
const (
	defaultRolling          = "25%"
	defaultProgressDeadline = 600 // seconds
)

// controller describes what keeps the replicas of a pod.
func (r *renderer) controller(p *app.Pod) Workload {
	w := Workload{
		Name: p.Name, Kind: Kind(p.Kind), Replicas: replicas(p), Revision: r.revision(p),
		Strategy: RollingUpdate, MinReady: p.MinReadySeconds, Paused: p.Paused,
	}
	rolling := app.RollingUpdate{}
	if u := p.UpdateStrategy; u != nil {
		if u.Type != "" {
			w.Strategy = Strategy(u.Type)
		}
		if u.RollingUpdate != nil {
			rolling = *u.RollingUpdate
		}
	} else if w.Kind == Deployment && (r.app.HoldsExclusively(p) || p.HostNetwork && len(hostPorts(p)) > 0) {
		w.Strategy = Recreate
	}
	switch w.Kind {
	case StatefulSet:
		if p.Ordinals != nil {
			w.Start = p.Ordinals.Start
		}
		w.Partition = valueOr(rolling.Partition, 0)
		w.MaxUnavailable = max(1, resolveCount(rolling.MaxUnavailable, "1", w.Replicas, math.Ceil))
		w.ScaledClaims, w.DeletedClaims = goingClaims(p)
	case DaemonSet:
		w.MaxSurge = resolveCount(rolling.MaxSurge, "0", w.Replicas, math.Ceil)
		w.MaxUnavailable = resolveCount(rolling.MaxUnavailable, "1", w.Replicas, math.Ceil)
	default:
		w.MaxSurge = resolveCount(rolling.MaxSurge, defaultRolling, w.Replicas, math.Ceil)
		w.MaxUnavailable = resolveCount(rolling.MaxUnavailable, defaultRolling, w.Replicas, math.Floor)
		w.ProgressDeadline = valueOr(p.ProgressDeadlineSeconds, defaultProgressDeadline)
	}
	if w.MaxSurge == 0 && w.MaxUnavailable == 0 {
		w.MaxUnavailable = 1 // pkg/controller/deployment/util ResolveFenceposts: else nothing could ever be replaced
	}
	return w
}

// resolveCount is a number of pods, or that part of the replicas.
func resolveCount(c app.CountOrPercent, byDefault app.CountOrPercent, replicas int, round func(float64) float64) int {
	if c == "" {
		c = byDefault
	}
	if n, ok := c.Number(); ok {
		return n
	}
	percent, err := strconv.Atoi(strings.TrimSuffix(string(c), "%"))
	if err != nil {
		return 0 // the schema takes digits alone
	}
	return int(round(float64(percent) * float64(replicas) / 100))
}

// goingClaims are the templates whose claims do not outlive their replica, and
// those that do not outlive the set.
func goingClaims(p *app.Pod) (scaled, deleted []string) {
	policy := p.PersistentVolumeClaimRetentionPolicy
	if policy == nil {
		return nil, nil
	}
	for i := range p.VolumeClaimTemplates {
		name := p.VolumeClaimTemplates[i].Name
		if policy.WhenScaled == "Delete" {
			scaled = append(scaled, name)
		}
		if policy.WhenDeleted == "Delete" {
			deleted = append(deleted, name)
		}
	}
	return scaled, deleted
}

// revision digests what a pod's template says, as Kubernetes does for its
// ReplicaSets: a change of it is a rollout. Positions, what the controller
// alone reads and the content of ConfigMaps are not in it.
func (r *renderer) revision(p *app.Pod) string {
	t := *p
	t.Replicas, t.UpdateStrategy, t.Autoscaling, t.DisruptionBudget, t.EvictionResponders = 0, nil, nil, nil, nil
	t.VolumeClaimTemplates, t.PersistentVolumeClaimRetentionPolicy, t.PodManagementPolicy, t.Ordinals, t.ServiceName = nil, nil, "", nil, ""
	t.MinReadySeconds, t.RevisionHistoryLimit, t.Paused, t.ProgressDeadlineSeconds, t.DependsOn = 0, nil, false, nil, nil
	var b strings.Builder
	fmt.Fprintln(&b, r.app.DNSNamespace(), r.app.GoverningService(p))
	for _, m := range []map[string]string{r.app.Labels, r.app.Annotations} {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			fmt.Fprintf(&b, "%q=%q ", name, m[name])
		}
	}
	writePlain(&b, reflect.ValueOf(t))
	for _, list := range [][]app.Container{p.InitContainers, p.Containers} {
		for i := range list {
			writeDev(&b, &list[i])
		}
	}
	return hashOf(b.String())
}

// writePlain writes what a part of the model says. What nobody wrote is not in
// it, so that a field that is new to the model changes no revision.
func writePlain(w io.Writer, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		writePlain(w, v.Elem())
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			fmt.Fprint(w, "[")
			writePlain(w, v.Index(i))
			fmt.Fprint(w, "]")
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, k := range keys {
			fmt.Fprintf(w, "%q=", k.String())
			writePlain(w, v.MapIndex(k))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); !v.Field(i).IsZero() && says(f) {
				fmt.Fprintf(w, "%s{", f.Name)
				writePlain(w, v.Field(i))
				fmt.Fprint(w, "}")
			}
		}
	default:
		fmt.Fprintf(w, "%q", fmt.Sprint(v.Interface()))
	}
}

// says reports whether a field of the model is about the pod here: not where it
// is written, and not what is for another target.
func says(f reflect.StructField) bool {
	switch f.Type {
	case reflect.TypeFor[app.Pos](), reflect.TypeFor[map[string]app.Pos](), reflect.TypeFor[*app.Hatch](), reflect.TypeFor[*app.Dev]():
		return false
	}
	return true
}

// Workload returns what keeps the replicas of that pod of the definition, or nil.
func (s *State) Workload(name string) *Workload {
	for i := range s.Workloads {
		if s.Workloads[i].Name == name {
			return &s.Workloads[i]
		}
	}
	return nil
}
