package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// exchanges is how many words a TCP connection exchanges while replicas change:
// long enough to meet the end of its server now and then.
const exchanges = 10

// roll makes the rolling changes in turn.
func (b *bench) roll(ctx context.Context, t *table) error {
	if b.cfg.changes == 0 {
		return nil
	}
	if err := b.begin(ctx, web, exchanges); err != nil {
		return err
	}
	kinds := slices.DeleteFunc(rolling(), func(c change) bool { return b.cfg.only != "" && c.name != b.cfg.only })
	if len(kinds) == 0 {
		return fmt.Errorf("there is no change %q", b.cfg.only)
	}
	for i := range b.cfg.changes {
		if err := b.one(ctx, t, kinds[i%len(kinds)]); err != nil {
			return err
		}
	}
	last, err := b.end(ctx)
	t.add("after", last)
	return err
}

// one makes one change and notes what the clients saw meanwhile.
func (b *bench) one(ctx context.Context, t *table, c change) error {
	if err := b.change(ctx, c.to); err != nil {
		return err
	}
	s, err := b.take(ctx)
	if err != nil {
		return err
	}
	t.changed(c.name, s)
	return nil
}

// swaps replaces the container of the only replica, and times the engine's own
// kill and start of such a container in between.
func (b *bench) swaps(ctx context.Context, t *table) error {
	if b.cfg.swaps == 0 {
		return nil
	}
	twin, err := b.newTwin(ctx)
	if err != nil {
		return err
	}
	defer twin.remove()
	if err := b.begin(ctx, solo, 1); err != nil {
		return err
	}
	for range b.cfg.swaps {
		if err := b.one(ctx, t, swap()); err != nil {
			return err
		}
		took, err := twin.killAndStart(ctx)
		if err != nil {
			return err
		}
		t.bare = append(t.bare, took)
	}
	last, err := b.end(ctx)
	t.add("after", last)
	return err
}

// quiet is how long nothing is done before a container is killed, so that what
// came before it does not count.
const quiet = 50 * time.Millisecond
