package main

import (
	"context"
	"fmt"
	"time"
)

// measure opens the sites of a kind and makes the rounds. A tool that fails is left
// out of the row, with a notice.
func (b *bench) measure(ctx context.Context, k kind) (r row, err error) {
	r = row{title: k.title, took: map[string][]time.Duration{}}
	sites, closeAll, err := b.openAll(ctx, k)
	defer closeAll()
	if err != nil {
		return r, err
	}
	unmeasured := row{took: map[string][]time.Duration{}} // the first round pays for what is kept
	if err := b.round(ctx, k, &unmeasured, &sites); err != nil {
		return r, err
	}
	for range b.rounds {
		if err := b.round(ctx, k, &r, &sites); err != nil {
			return r, err
		}
	}
	return r, nil
}

// openAll opens a site with each tool that can run it. There is something to close
// after an error too.
func (b *bench) openAll(ctx context.Context, k kind) (sites []*site, closeAll func(), err error) {
	var begun []*site
	closeAll = func() {
		for _, s := range begun {
			if err := s.close(); err != nil {
				b.failed = append(b.failed, fmt.Errorf("%s, %s: %w", k.name, s.tool.name(), err))
			}
		}
	}
	for _, t := range b.tools {
		if _, text := t.manifest(k.name); text == "" {
			continue
		}
		s, err := b.open(ctx, t, k)
		if s != nil {
			begun = append(begun, s)
		}
		if err == nil {
			sites = append(sites, s)
		} else if err := b.leaveOut(ctx, t, k, err); err != nil {
			return nil, closeAll, err
		}
	}
	return sites, closeAll, nil
}

// round makes one edit with each tool, and the calls that it takes.
func (b *bench) round(ctx context.Context, k kind, r *row, sites *[]*site) error {
	var still []*site
	for _, s := range *sites {
		took, err := s.edit(ctx)
		if err != nil {
			if err := b.leaveOut(ctx, s.tool, k, err); err != nil {
				return err
			}
			delete(r.took, s.tool.name())
			continue
		}
		r.took[s.tool.name()] = append(r.took[s.tool.name()], took)
		still = append(still, s)
	}
	*sites = still
	calls := b.engine.swap
	switch {
	case k.ask == "":
		calls = b.engine.add
	case !k.swaps:
		return nil
	}
	took, err := calls(ctx)
	if err != nil {
		return fmt.Errorf("the engine's calls: %w", err)
	}
	r.calls = append(r.calls, took)
	return nil
}

// leaveOut says that a tool has no figure in a row. It gives an error when there
// is to be no table.
func (b *bench) leaveOut(ctx context.Context, t tool, k kind, err error) error {
	err = fmt.Errorf("%s, %s: %w", k.name, t.name(), err)
	if ctx.Err() != nil {
		return err
	}
	b.notice("left out: %v", err)
	if t == b.tools[0] {
		b.failed = append(b.failed, err)
	}
	return nil
}
