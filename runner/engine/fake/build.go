package fake

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/runner/engine"
)

// BuildImage implements engine.Engine for Dockerfiles of FROM, ARG, ENV, LABEL,
// USER, COPY, RUN, ENTRYPOINT and CMD, the last three in their exec form. An
// image has what its base's containers do; one from scratch does what AddRemote
// says for its first tag.
func (e *Engine) BuildImage(ctx context.Context, spec engine.BuildSpec, stream io.Reader, progress func(engine.Progress)) error {
	files, readErr := readTree(stream) // outside the lock: the reader may be slow
	if progress == nil {
		progress = func(engine.Progress) {}
	}
	err := e.enter(ctx, "BuildImage", spec.Tags[0])
	if err == nil && readErr != nil {
		err = readErr
	}
	if err == nil {
		b := &imageBuild{engine: e, spec: spec, files: files, progress: progress, stages: map[string]Image{}}
		err = b.run(ctx)
	}
	return e.leave(ctx, "BuildImage", "build image", spec.Tags[0], err)
}

// imageBuild is one build under way. It has no lock but for what it adds.
type imageBuild struct {
	engine   *Engine
	spec     engine.BuildSpec
	files    map[string][]byte
	progress func(engine.Progress)

	args   map[string]string
	stages map[string]Image
	image  Image
	stage  string
}

func (b *imageBuild) run(ctx context.Context) error {
	name := b.spec.Dockerfile
	if name == "" {
		name = "Dockerfile"
	}
	text, ok := b.files[name]
	if !ok {
		return b.fail("", "", "failed to read dockerfile: open %s: no such file or directory", name)
	}
	b.args = maps.Clone(b.spec.Args)
	lines := strings.Split(strings.ReplaceAll(string(text), "\\\n", " "), "\n")
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if b.spec.Target != "" && b.stage == b.spec.Target && strings.HasPrefix(strings.ToUpper(line), "FROM ") {
			break
		}
		step := fmt.Sprintf("[%d/%d] %s", i+1, len(lines), line)
		b.progress(engine.Progress{ID: step, Status: step, Begins: true})
		if err := b.do(ctx, step, line); err != nil {
			return err
		}
	}
	if b.spec.Target != "" && b.stage != b.spec.Target {
		return b.fail("", "", "target stage %q could not be found", b.spec.Target)
	}
	b.label(b.spec.Labels)
	b.engine.mu.Lock()
	defer b.engine.mu.Unlock()
	content, err := json.Marshal([]any{b.image.Image, b.image.Files})
	if err != nil {
		return err
	}
	b.image.ID = digestOf(content)
	for _, tag := range b.spec.Tags {
		b.engine.local[tag] = b.image
	}
	return nil
}

func (b *imageBuild) fail(step, output, format string, args ...any) error {
	return &kindError{engine.BuildFailed, &engine.BuildError{Step: step, Output: output, Message: fmt.Sprintf(format, args...)}}
}

func (b *imageBuild) label(labels map[string]string) {
	all := maps.Clone(b.image.Labels)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, labels)
	b.image.Labels = all
}

// do carries out one instruction.
func (b *imageBuild) do(ctx context.Context, step, line string) error {
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	expand := func(text string) string { return os.Expand(text, func(name string) string { return b.args[name] }) }
	switch strings.ToUpper(word) {
	case "FROM":
		return b.from(step, strings.Fields(expand(rest)))
	case "ARG":
		name, value, _ := strings.Cut(rest, "=")
		if _, given := b.args[name]; !given {
			if b.args == nil {
				b.args = map[string]string{}
			}
			b.args[name] = value
		}
	case "ENV":
		b.image.Env = mergeEnv(b.image.Env, []string{expand(rest)})
	case "LABEL":
		name, value, _ := strings.Cut(expand(rest), "=")
		b.label(map[string]string{name: strings.Trim(value, `"`)})
	case "USER":
		b.image.User = rest
	case "COPY":
		return b.copyFiles(step, strings.Fields(rest))
	case "RUN":
		return b.runStep(ctx, step, rest)
	case "ENTRYPOINT":
		b.image.Cmd = nil
		return json.Unmarshal([]byte(rest), &b.image.Entrypoint)
	case "CMD":
		return json.Unmarshal([]byte(rest), &b.image.Cmd)
	default:
		return b.fail("", "", "dockerfile parse error line 1: unknown instruction: %s", word)
	}
	return nil
}

func (b *imageBuild) from(step string, words []string) error {
	if b.stage != "" {
		b.stages[b.stage] = b.image
	}
	b.stage = step
	if len(words) == 3 {
		b.stage = words[2]
	}
	b.image = Image{}
	if words[0] == "scratch" {
		b.engine.mu.Lock()
		behaviour := b.engine.remote[b.spec.Tags[0]]
		b.engine.mu.Unlock()
		b.image.Run, b.image.Exec = behaviour.Run, behaviour.Exec
		return nil
	}
	if stage, ok := b.stages[words[0]]; ok {
		b.image = stage
		return nil
	}
	b.engine.mu.Lock()
	defer b.engine.mu.Unlock()
	base, ok := b.engine.image(words[0])
	if !ok {
		base, ok = b.engine.remote[words[0]]
	}
	if !ok {
		return b.fail(step, "", "%s: not found", words[0])
	}
	b.image = base
	b.image.Files = maps.Clone(base.Files)
	return nil
}

func (b *imageBuild) copyFiles(step string, words []string) error {
	from, to := path.Clean(words[0]), words[1]
	if b.image.Files == nil {
		b.image.Files = map[string]string{}
	}
	found := false
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		switch {
		case name == from && strings.HasSuffix(to, "/"):
			b.image.Files[path.Join(to, path.Base(name))] = string(b.files[name])
		case name == from:
			b.image.Files[to] = string(b.files[name])
		case from == ".":
			b.image.Files[path.Join(to, name)] = string(b.files[name])
		case strings.HasPrefix(name, from+"/"):
			b.image.Files[path.Join(to, strings.TrimPrefix(name, from))] = string(b.files[name])
		default:
			continue
		}
		found = true
	}
	if !found {
		return b.fail(step, "", "%q not found: not found", "/"+from)
	}
	return nil
}

// stepOutput keeps what a step prints, and tells it.
type stepOutput struct {
	bytes.Buffer
	tell func(text string)
}

func (o *stepOutput) Write(p []byte) (int, error) {
	o.tell(string(p))
	return o.Buffer.Write(p)
}

func (b *imageBuild) runStep(ctx context.Context, step, rest string) error {
	var args []string
	if err := json.Unmarshal([]byte(rest), &args); err != nil {
		return b.fail(step, "", "exec form only: %v", err)
	}
	if b.image.Run == nil {
		return b.fail(step, "", "exec: %q: no such file", args[0])
	}
	b.engine.mu.Lock()
	box := b.engine.newBox(engine.ContainerSpec{}, b.image)
	b.engine.mu.Unlock()
	out := &stepOutput{tell: func(text string) { b.progress(engine.Progress{ID: step, Status: step, Output: text}) }}
	code := b.image.Run(ctx, Process{
		Args: args, Env: b.image.Env, Stdin: strings.NewReader(""), Stdout: out, Stderr: out, Killed: ctx.Done(),
		engine: b.engine, box: box,
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if code != 0 {
		return b.fail(step, out.String(), "process %q did not complete successfully: exit code: %d", strings.Join(args, " "), code)
	}
	return nil
}
