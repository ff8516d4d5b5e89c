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
	if b.cfg.changes == 0 || b.cfg.stopped() {
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
		if b.cfg.stopped() {
			break
		}
		if err := b.one(ctx, t, kinds[i%len(kinds)]); err != nil {
			return err
		}
	}
	last, err := b.end(ctx)
	t.add("after", last)
	return err
}

// progressEvery is how many changes there are to a line of progress.
const progressEvery = 50

// one makes one change and notes what the clients saw meanwhile.
func (b *bench) one(ctx context.Context, t *table, c change) error {
	if err := b.change(ctx, c.to); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	if err := b.verify(ctx); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	s, err := b.take(ctx)
	if err != nil {
		return err
	}
	t.changed(c.name, s)
	if b.cfg.progress != nil && t.done()%progressEvery == 0 {
		all := t.total()
		fmt.Fprintf(b.cfg.progress, "%d changes, %d of %d requests failed\n", t.done(), all.Failed, all.Requests)
	}
	return nil
}

// swaps replaces the container of the only replica, and times the engine's own
// kill and start of such a container in between.
func (b *bench) swaps(ctx context.Context, t *table) error {
	if b.cfg.swaps == 0 || b.cfg.stopped() {
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
		if b.cfg.stopped() {
			break
		}
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
