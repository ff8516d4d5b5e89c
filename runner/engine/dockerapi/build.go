package dockerapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/registry"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/cuepod/cuepod/runner/engine"
)

// BuildImage implements engine.Engine: with BuildKit where the engine has it,
// else with the classic builder. There is no session: the context is the tar
// stream, and base images that need credentials are pulled beforehand.
func (c *Client) BuildImage(ctx context.Context, spec engine.BuildSpec, tar io.Reader, progress func(engine.Progress)) error {
	const op = "build image"
	object := spec.Tags[0]
	if progress == nil {
		progress = func(engine.Progress) {}
	}
	ping, err := c.api.Ping(ctx)
	if err != nil {
		return c.fail(op, object, err)
	}
	auths, err := c.prepareBases(ctx, spec.Bases, progress)
	if err != nil {
		return err
	}
	opts := build.ImageBuildOptions{
		Tags: spec.Tags, Dockerfile: spec.Dockerfile, Target: spec.Target, Labels: spec.Labels, BuildArgs: buildArgs(spec.Args),
		CacheFrom: spec.CacheFrom, Platform: spec.Platform, AuthConfigs: auths, Remove: true, ForceRemove: true, Version: build.BuilderBuildKit,
	}
	if ping.BuilderVersion == build.BuilderV1 { // engines from before 23 leave the choice to whoever asks, and have both
		opts.Version = build.BuilderV1
	}
	source := &source{r: tar}
	t := &trace{report: progress, steps: map[string]*step{}}
	resp, err := c.api.ImageBuild(ctx, source, opts)
	if err == nil {
		defer resp.Body.Close()
		err = t.read(resp.Body)
	}
	if broken := source.broken(); broken != nil { // whatever the engine made of it
		return &engine.Error{Op: op, Object: object, Err: broken}
	}
	if err != nil {
		return c.buildFailure(op, object, t, err)
	}
	return nil
}

// source remembers why reading a build's context failed: what the engine says
// of a stream that breaks off is of no help.
type source struct {
	r  io.Reader
	mu sync.Mutex
	// err is guarded by mu: the transport reads in a goroutine of its own.
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
	}
	return n, err
}

func (s *source) broken() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// prepareBases pulls the base images that are missing and for whose registries
// there are credentials: a builder without a session has none. Where they are
// public, the builder pulls them itself.
func (c *Client) prepareBases(ctx context.Context, bases []string, progress func(engine.Progress)) (map[string]registry.AuthConfig, error) {
	auths := map[string]registry.AuthConfig{}
	for _, ref := range bases {
		if _, err := c.InspectImage(ctx, ref); err == nil {
			continue
		}
		key, err := registryKey(ref)
		if err != nil {
			continue // the builder says it with the line
		}
		auth, err := c.authFor(ctx, key)
		if err != nil {
			return nil, c.fail("pull image", ref, err)
		}
		if auth == (registry.AuthConfig{}) {
			continue
		}
		auths[key] = auth
		if err := c.PullImage(ctx, ref, progress); err != nil {
			return nil, err
		}
	}
	return auths, nil
}

func buildArgs(args map[string]string) map[string]*string {
	out := map[string]*string{}
	for _, name := range slices.Sorted(maps.Keys(args)) {
		value := args[name]
		out[name] = &value
	}
	return out
}

// buildFailure tells a build that failed from an engine that did.
func (c *Client) buildFailure(op, object string, t *trace, err error) error {
	if said := (*saidError)(nil); !errors.As(err, &said) && (isTransport(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return c.fail(op, object, err)
	}
	fault := &engine.BuildError{Message: builderWords(plain{err}.Error())}
	if s := t.failed(); s != nil {
		fault.Step, fault.Output = s.name, s.tail.text()
	}
	return &engine.Error{Kind: engine.BuildFailed, Op: op, Object: object, Err: fault}
}

// builderWords takes what BuildKit's layers wrap around the cause off a message.
func builderWords(text string) string {
	for {
		short := wrapping().ReplaceAllString(text, "")
		if short == text {
			return text
		}
		text = short
	}
}

func wrapping() *regexp.Regexp {
	return regexp.MustCompile(`^(failed to solve(?: with frontend [^:]+)?|failed to create LLB definition|rpc error: code = \w+ desc =|failed to read dockerfile): ?`)
}

// saidError is a failure that the engine tells within its stream.
type saidError struct{ text string }

func (e *saidError) Error() string { return e.text }

// trace follows a build: BuildKit's records of steps, or the lines that the
// classic builder prints.
type trace struct {
	report func(engine.Progress)
	steps  map[string]*step // by digest
	last   *step            // that the classic builder began
	fault  string           // digest of the step that failed
}

// step is one step of a build.
type step struct {
	name string
	tail tail
	told bool // what the classic builder says of it first has come
}

// failed is the step that ended the build, or nil.
func (t *trace) failed() *step {
	if t.fault != "" {
		return t.steps[t.fault]
	}
	return t.last
}

// read reads the JSON messages of a build to their end.
func (t *trace) read(r io.Reader) error {
	for dec := json.NewDecoder(r); ; {
		var m struct {
			ID, Status, Stream, Error string
			Aux                       json.RawMessage
			ProgressDetail            struct{ Current, Total int64 }
		}
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("the engine's answer broke off: %w", err)
		}
		switch {
		case m.Error != "":
			return &saidError{m.Error}
		case m.ID == "moby.buildkit.trace":
			if err := t.record(m.Aux); err != nil {
				return fmt.Errorf("the engine's answer: %w", err)
			}
		case m.Stream != "":
			t.classic(m.Stream)
		case m.Status != "": // of a base image that the classic builder pulls
			t.report(engine.Progress{ID: m.ID, Status: m.Status, Current: m.ProgressDetail.Current, Total: m.ProgressDetail.Total})
		}
	}
}

// classicStep begins a step of the classic builder.
func classicStep() *regexp.Regexp { return regexp.MustCompile(`^Step (\d+/\d+) : (.*)`) }

func (t *trace) classic(text string) {
	if m := classicStep().FindStringSubmatch(strings.TrimRight(text, "\n")); m != nil {
		t.last = &step{name: engine.Clean("[" + m[1] + "] " + m[2])}
		t.report(engine.Progress{ID: m[1], Status: t.last.name})
		return
	}
	if t.last == nil {
		return
	}
	t.last.tail.add([]byte(text))
	cached := strings.TrimSpace(text) == "---> Using cache"
	t.report(engine.Progress{ID: t.last.name, Status: t.last.name, Output: engine.Clean(text), Cached: cached, Begins: !cached && !t.last.told})
	t.last.told = true
}

// record reads one StatusResponse of moby.buildkit.v1: vertices are steps,
// statuses their parts, logs what they print.
func (t *trace) record(aux json.RawMessage) error {
	var packed string
	if err := json.Unmarshal(aux, &packed); err != nil {
		return err
	}
	data, err := base64.StdEncoding.DecodeString(packed)
	if err != nil {
		return err
	}
	return fields(data, func(num protowire.Number, v field) error {
		switch num {
		case 1:
			return t.vertex(v.bytes)
		case 2:
			return t.status(v.bytes)
		case 3:
			return t.log(v.bytes)
		}
		return nil
	})
}

func (t *trace) step(digest string) *step {
	if t.steps[digest] == nil {
		t.steps[digest] = &step{}
	}
	return t.steps[digest]
}

func (t *trace) vertex(data []byte) error {
	var digest, name, fault string
	var cached, started, completed bool
	err := fields(data, func(num protowire.Number, v field) error {
		switch num {
		case 1:
			digest = string(v.bytes)
		case 3:
			name = string(v.bytes)
		case 4:
			cached = v.number != 0
		case 5:
			started = true
		case 6:
			completed = true
		case 7:
			fault = string(v.bytes)
		}
		return nil
	})
	s := t.step(digest)
	if name != "" {
		s.name = engine.Clean(name)
	}
	if fault != "" && !strings.Contains(fault, "context canceled") && t.fault == "" { // the others are cancelled because of it
		t.fault = digest
	}
	if (started || cached) && !completed || cached {
		t.report(engine.Progress{ID: digest, Status: s.name, Cached: cached, Begins: !cached})
	}
	return err
}

func (t *trace) status(data []byte) error {
	var id, vertex, name string
	var current, total int64
	err := fields(data, func(num protowire.Number, v field) error {
		switch num {
		case 1:
			id = string(v.bytes)
		case 2:
			vertex = string(v.bytes)
		case 3:
			name = string(v.bytes)
		case 4:
			current = int64(v.number)
		case 5:
			total = int64(v.number)
		}
		return nil
	})
	if name == "" {
		name = id
	}
	t.report(engine.Progress{ID: vertex + "/" + id, Status: engine.Clean(t.step(vertex).name + ": " + name), Current: current, Total: total})
	return err
}

func (t *trace) log(data []byte) error {
	var vertex string
	var text []byte
	err := fields(data, func(num protowire.Number, v field) error {
		switch num {
		case 1:
			vertex = string(v.bytes)
		case 4:
			text = v.bytes
		}
		return nil
	})
	s := t.step(vertex)
	s.tail.add(text)
	t.report(engine.Progress{ID: vertex, Status: s.name, Output: engine.Clean(string(text))})
	return err
}

// field is the value of a protobuf field: a number, or bytes.
type field struct {
	number uint64
	bytes  []byte
}

// fields calls f for each field of a protobuf message.
func fields(data []byte, f func(protowire.Number, field) error) error {
	for len(data) > 0 {
		num, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		var v field
		switch kind {
		case protowire.VarintType:
			v.number, n = protowire.ConsumeVarint(data)
		case protowire.BytesType:
			v.bytes, n = protowire.ConsumeBytes(data)
		default:
			n = protowire.ConsumeFieldValue(num, kind, data)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		if err := f(num, v); err != nil {
			return err
		}
	}
	return nil
}

// tail keeps the end of what a step prints.
type tail struct{ data []byte }

const maxTail = 8 << 10 // bytes: two screens of a compiler's complaints

func (t *tail) add(data []byte) {
	t.data = append(t.data, data...)
	if len(t.data) > 2*maxTail {
		t.data = bytes.Clone(t.data[len(t.data)-maxTail:])
	}
}

func (t *tail) text() string { return engine.Clean(strings.ToValidUTF8(string(t.data), "\uFFFD")) }
