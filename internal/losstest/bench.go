package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/cuepod/cuepod/internal/losstest/load"
	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/enginetest"
	"github.com/cuepod/cuepod/runner/watch"
	"github.com/cuepod/cuepod/targets/docker"
)

// patience is how long one change may take on a busy machine.
const patience = 3 * time.Minute

// defaultPause is between the requests of one loop.
const defaultPause = 5 * time.Millisecond

// bench is the app on an engine, supervised in this process as `cuepod up`
// supervises it, and the clients that ask it.
type bench struct {
	eng    engine.Engine
	agent  runner.AgentImage
	cfg    config
	id     runner.Identity
	input  string // a file whose content is the serial of the shape
	ports  hostPorts
	report func(runner.Event)

	mu       sync.Mutex
	shape    shape
	serial   int
	compiled int           // serial of the shape that was compiled last
	ready    int           // serial of the shape that was ready last
	failed   error         // the supervisor's end
	changed  chan struct{} // closed and replaced when one of these changes

	client string      // where the client in the app is told what to do
	host   *load.Loops // the client on the host
	stop   func() error
}

// newBench loads the image and starts the app.
func newBench(ctx context.Context, eng engine.Engine, agent runner.AgentImage, program []byte, cfg config) (*bench, error) {
	dir, err := os.MkdirTemp("", "losstest-")
	if err != nil {
		return nil, err
	}
	b := &bench{
		eng: eng, agent: agent, cfg: cfg, shape: start(), changed: make(chan struct{}), input: filepath.Join(dir, "serial"),
		id: runner.Identity{App: fmt.Sprintf("losstest-%06x", rand.Uint32N(1<<24)), Root: dir}, report: cfg.report,
	}
	for _, ref := range images {
		archive, err := enginetest.ArchiveAs(ref, program)
		if err == nil {
			err = eng.LoadImage(ctx, bytes.NewReader(archive))
		}
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	if b.ports, err = freePorts(ctx, b.id.App); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	serial, err := b.define(func(s shape) shape { return s })
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	b.up()
	if err = b.await(ctx, serial); err == nil {
		err = b.findClient(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// freePorts finds ports of the host that are free, below those that systems take
// by themselves.
func freePorts(ctx context.Context, seed string) (hostPorts, error) {
	out := hostPorts{}
	first := 30000
	for _, c := range seed {
		first = 30000 + (first*31+int(c))%2000
	}
	var lc net.ListenConfig
	for _, name := range []string{web, solo} {
		for _, port := range []string{"http", "words", "datagrams"} {
			for ; ; first++ {
				if first > 32767 {
					return nil, errors.New("no port of the host is free between 30000 and 32767")
				}
				l, err := lc.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(first)))
				if err != nil {
					continue
				}
				if err := l.Close(); err != nil {
					return nil, err
				}
				break
			}
			out[name+" "+port] = first
			first++
		}
	}
	return out, nil
}

// up supervises the app until b.stop.
func (b *bench) up() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	cfg := runner.Config{
		Engine: b.eng, Identity: b.id, Agent: b.agent, Watch: true, Strict: b.cfg.strict, NoHold: b.cfg.noHold, ProxyMode: b.cfg.proxy,
		Secrets: runner.SecretSources{LookupEnv: os.LookupEnv, ReadFile: os.ReadFile},
		Compile: b.compile, Report: b.heard, Log: b.cfg.log,
	}
	go func() {
		err := runner.Up(ctx, cfg)
		b.update(func() { b.failed = errors.Join(errors.New("the supervisor has ended"), err) })
		done <- err
	}()
	b.stop = func() error {
		cancel()
		return <-done
	}
}

func (b *bench) compile(context.Context) (runner.Compiled, error) {
	b.mu.Lock()
	s, serial := b.shape, b.serial
	b.mu.Unlock()
	state, _, err := docker.Render(define(b.id.App, s, b.ports, b.cfg.rude), docker.Options{Strict: b.cfg.strict, Project: b.id.Project(), Root: b.id.Root})
	b.update(func() { b.compiled = serial })
	return runner.Compiled{State: state, Root: b.id.Root, Watch: watch.Inputs([]watch.Input{{Path: b.input}})}, err
}

func (b *bench) heard(e runner.Event) {
	if b.report != nil {
		b.report(e)
	}
	if e.Kind == runner.EventReady {
		b.update(func() { b.ready = b.compiled })
	}
}

func (b *bench) update(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
	close(b.changed)
	b.changed = make(chan struct{})
}

// change brings the app to another shape and waits until it is ready.
func (b *bench) change(ctx context.Context, to func(shape) shape) error {
	serial, err := b.define(to)
	if err != nil {
		return err
	}
	return b.await(ctx, serial)
}

// define makes another shape what is wanted, as somebody who saves a file.
func (b *bench) define(to func(shape) shape) (serial int, err error) {
	b.update(func() {
		b.shape, serial = to(b.shape), b.serial+1
		b.serial = serial
	})
	return serial, os.WriteFile(b.input, []byte(strconv.Itoa(serial)), 0o600)
}

// await waits until that shape is ready.
func (b *bench) await(ctx context.Context, serial int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		b.mu.Lock()
		ready, failed, changed := b.ready >= serial, b.failed, b.changed
		b.mu.Unlock()
		if ready || failed != nil {
			return failed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("change %d: it is not ready: %w", serial, ctx.Err())
		}
	}
}

func (b *bench) findClient(ctx context.Context) error {
	s, err := runner.GetStatus(ctx, b.eng, b.id)
	if err != nil {
		return err
	}
	for _, p := range s.Pods {
		if p.Workload == asker && p.IP != "" {
			b.client = net.JoinHostPort(p.IP, strconv.Itoa(askers))
			return nil
		}
	}
	return errors.New("the client's pod has no address")
}

// asks tells the client in the app, and gives what it answers.
func (b *bench) asks(ctx context.Context, method, path string, body any) ([]byte, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+b.client+path, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	return answer, err
}

// targets are what a client asks of a service. exchanges is how long each TCP
// connection lasts.
func targets(exchanges int, at func(port string, number int) string) []load.Target {
	return []load.Target{
		{Kind: load.KeepAlive, Addr: at("http", httpPort)},
		{Kind: load.PerConn, Addr: at("http", httpPort)},
		{Kind: load.TCP, Addr: at("words", wordsPort), Exchanges: exchanges},
		{Kind: load.UDP, Addr: at("datagrams", udpPort)},
	}
}

// begin starts the clients' loops on one service.
func (b *bench) begin(ctx context.Context, service string, exchanges int) error {
	inside := targets(exchanges, func(_ string, number int) string { return net.JoinHostPort(service, strconv.Itoa(number)) })
	if _, err := b.asks(ctx, http.MethodPost, "/start?pause="+url.QueryEscape(b.cfg.pace().String()), inside); err != nil {
		return err
	}
	outside := targets(exchanges, func(port string, _ int) string {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(b.ports[service+" "+port]))
	})
	b.host = load.Start(outside, b.cfg.pace())
	return nil
}

// seen is what the clients have seen since they were last asked.
type seen struct{ pod, host load.Counts }

func newSeen() seen { return seen{load.Counts{}, load.Counts{}} }

func (s seen) add(o seen) {
	s.pod.Add(o.pod)
	s.host.Add(o.host)
}

func (s seen) total() load.Count { return s.pod.Total().Add(s.host.Total()) }

func (b *bench) take(ctx context.Context) (seen, error) {
	out := newSeen()
	answer, err := b.asks(ctx, http.MethodGet, "/take", nil)
	if err == nil {
		err = json.Unmarshal(answer, &out.pod)
	}
	out.host.Add(b.host.Take())
	return out, err
}

// end stops the loops, and gives what they saw last.
func (b *bench) end(ctx context.Context) (seen, error) {
	b.host.Stop()
	if _, err := b.asks(ctx, http.MethodPost, "/stop", nil); err != nil {
		return newSeen(), err
	}
	return b.take(ctx)
}

// close takes the app down.
func (b *bench) close() error {
	if b.host != nil {
		b.host.Stop()
	}
	err := b.stop()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return errors.Join(err, runner.Down(ctx, b.eng, b.id, runner.DownOptions{Volumes: true, Now: true}), os.RemoveAll(b.id.Root))
}
