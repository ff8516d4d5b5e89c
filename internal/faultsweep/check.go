package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// reference is what an undisturbed life of an app costs and leaves.
type reference struct {
	points map[verb]int              // changing requests of each verb
	names  map[string]map[string]int // by variant, while it runs
}

// converge runs up once, and gives what it cost.
func (b *bench) converge(ctx context.Context, a *app) (result, error) {
	return b.must(ctx, "up", "--once", "--timeout", "2m", a.dir)
}

// checkRunning holds an app that should run against the invariants:
//
//	I1  nothing is there that an undisturbed run would not have made
//	I3  the plan is empty
//	I4  whoever said success told the truth: every pod is ready
//
// I2, that it converges by itself, is that converge succeeded.
func (b *bench) checkRunning(ctx context.Context, a *app, ref *reference, variant string) error {
	w, err := b.settled(ctx, a.id)
	if err != nil {
		return err
	}
	var bad []error
	if extra := differences(ref.names[variant], w.names()); extra != "" {
		bad = append(bad, fmt.Errorf("I1: %s", extra))
	}
	b.proxy.Set()
	plan, err := b.run(ctx, "plan", "--exit-code", a.dir)
	if err != nil {
		return err
	}
	if plan.code != 0 {
		bad = append(bad, fmt.Errorf("I3: the plan is not empty:\n%s", plan.out))
	}
	return errors.Join(append(bad, b.checkReady(ctx, a))...)
}

func (b *bench) checkReady(ctx context.Context, a *app) error {
	r, err := b.must(ctx, "ps", "-o", "json", a.dir)
	if err != nil {
		return err
	}
	var st struct {
		Pods []struct {
			Name, Phase string
			Ready       bool
		}
	}
	if err := json.Unmarshal([]byte(r.out), &st); err != nil {
		return fmt.Errorf("ps: %w\n%s", err, r.out)
	}
	for _, p := range st.Pods {
		if !p.Ready && p.Phase != "Succeeded" {
			return fmt.Errorf("I4: up succeeded and pod %s is %s and not ready:\n%s", p.Name, p.Phase, r.out)
		}
	}
	return nil
}

// checkGone holds an app that is down, volumes and all, against I1.
func (b *bench) checkGone(ctx context.Context, a *app) error {
	w, err := b.settled(ctx, a.id)
	if err != nil {
		return err
	}
	if left := differences(nil, w.names()); left != "" {
		return fmt.Errorf("I1: after down: %s", left)
	}
	return nil
}

// checkKept finds containers that ran, were as defined, and are others now:
// they were restarted for nothing.
func checkKept(before, after world) error {
	var bad []string
	for name, was := range before.containers {
		now, there := after.containers[name]
		if !was.running || was.hash == "" || !there || now.hash != was.hash || now.id == was.id {
			continue
		}
		if was.infra != "" && !sameInfra(before, after, was.infra) {
			continue // its pod had to go
		}
		bad = append(bad, name)
	}
	if len(bad) > 0 {
		slices.Sort(bad)
		return fmt.Errorf("I2: restarted for nothing: %s", strings.Join(bad, ", "))
	}
	return nil
}

// sameInfra reports whether an infra container that ran is as it should be: its
// successor of the same name has the same hash.
func sameInfra(before, after world, id string) bool {
	for name, c := range before.containers {
		if c.id == id {
			now, there := after.containers[name]
			return c.running && there && now.hash == c.hash
		}
	}
	return false
}

func differences(want, got map[string]int) string {
	var out []string
	all := maps.Clone(got)
	maps.Copy(all, want)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		switch {
		case got[name] > want[name]:
			out = append(out, "+"+name)
		case got[name] < want[name] && !mayBeGone(name):
			out = append(out, "-"+name)
		}
	}
	return strings.Join(out, " ")
}

// mayBeGone is true for what has done its work and is not made again: an init
// container of a pod that is initialised, the pod of a Job that is complete.
func mayBeGone(name string) bool {
	return strings.HasPrefix(name, "init ") || strings.Contains(name, "_migrate")
}
