package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/targets/docker"
)

// twin is a container like the one that is swapped, in the same pod on ports of
// its own: what a swap takes is compared with what the engine takes to kill and
// to start it.
type twin struct {
	eng  engine.Engine
	id   string
	addr string // where it answers
}

const twinPort = 9300

func (b *bench) newTwin(ctx context.Context) (*twin, error) {
	infra, err := b.eng.InspectContainer(ctx, docker.InfraName(b.id.Project(), solo+"-0"))
	if err != nil {
		return nil, err
	}
	port := func(n int) string { return strconv.Itoa(twinPort + n) }
	id, err := b.eng.CreateContainer(ctx, engine.ContainerSpec{
		Name: b.id.Project() + "-twin", Image: images[0], Cmd: []string{"serve", port(0), port(1), port(2)},
		JoinContainer: infra.ID, StopTimeout: time.Second,
	})
	if err != nil {
		return nil, err
	}
	t := &twin{eng: b.eng, id: id, addr: net.JoinHostPort(infra.IP, port(0))}
	if err := errors.Join(b.eng.StartContainer(ctx, id), t.answers(ctx)); err != nil {
		t.remove()
		return nil, err
	}
	return t, nil
}

func (t *twin) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = t.eng.RemoveContainer(ctx, t.id) // what it joined is taken down next, and tells
}

// answers waits until a connection is accepted.
func (t *twin) answers(ctx context.Context) error {
	var d net.Dialer
	for over := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		conn, err := d.DialContext(ctx, "tcp", t.addr)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(over) || ctx.Err() != nil {
			return fmt.Errorf("a container of the same image does not answer: %w", err)
		}
	}
}

// killAndStart is for how long nobody answers.
func (t *twin) killAndStart(ctx context.Context) (time.Duration, error) {
	time.Sleep(quiet)
	begun := time.Now()
	if err := t.eng.StopContainer(ctx, t.id, 0); err != nil {
		return 0, err
	}
	if err := t.eng.StartContainer(ctx, t.id); err != nil {
		return 0, err
	}
	err := t.answers(ctx)
	return time.Since(begun), err
}
