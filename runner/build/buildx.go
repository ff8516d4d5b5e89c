package build

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/targets/docker"
)

// Buildx has docker's plugin buildx build a context and hand the image to the
// engine. The plugin follows docker's own configuration: its engine, its
// builders ($BUILDX_BUILDER), its credentials. lookupEnv finds the variables that
// secrets are in; their values stay in the environment.
func (s *Source) Buildx(ctx context.Context, b *docker.Build, spec engine.BuildSpec, lookupEnv func(string) (string, bool), progress func(engine.Progress)) error {
	if progress == nil {
		progress = func(engine.Progress) {}
	}
	args, env, err := s.buildxArgs(b, spec, lookupEnv)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Env = append(cmd.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) } // which ends the builder's work too
	cmd.WaitDelay = 2 * interruptPatience
	var sent error
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		sent = s.Tar(w)
		w.CloseWithError(sent)
	}()
	cmd.Stdin = r
	said, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	t := &buildxTrace{report: progress, steps: map[string]*buildxStep{}}
	if err == nil {
		t.read(said)
		err = cmd.Wait()
	}
	r.CloseWithError(io.ErrClosedPipe)
	<-done
	switch {
	case errors.Is(sent, ErrChanged):
		return sent
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("builder buildx: there is no docker command on the PATH; install Docker's CLI with its plugin buildx, or leave builder out")
	}
	return t.fault(err)
}

// buildxArgs is the command line. The values of arguments are in the environment
// where their names are free there: a command line is everybody's to read.
func (s *Source) buildxArgs(b *docker.Build, spec engine.BuildSpec, lookupEnv func(string) (string, bool)) (args, env []string, err error) {
	args = []string{"buildx", "build", "--load", "--progress=rawjson", "--provenance=false", "--file", s.Dockerfile}
	for _, tag := range spec.Tags {
		args = append(args, "--tag", tag)
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Labels)) {
		args = append(args, "--label", name+"="+spec.Labels[name])
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Args)) {
		if _, taken := lookupEnv(name); taken { // by docker itself, perhaps
			args = append(args, "--build-arg", name+"="+spec.Args[name])
			continue
		}
		args, env = append(args, "--build-arg", name), append(env, name+"="+spec.Args[name])
	}
	for _, ref := range spec.CacheFrom {
		args = append(args, "--cache-from", ref)
	}
	if spec.Target != "" {
		args = append(args, "--target", spec.Target)
	}
	if spec.Platform != "" {
		args = append(args, "--platform", spec.Platform)
	}
	for _, secret := range b.Secrets {
		from, err := s.secret(&secret, lookupEnv)
		if err != nil {
			return nil, nil, fmt.Errorf("secret %s: %w", secret.ID, err)
		}
		args = append(args, "--secret", "id="+secret.ID+","+from)
	}
	return append(args, "-"), env, nil
}

// secret says where buildx finds a secret, which has to be there: of a variable
// that is missing it makes an empty one.
func (s *Source) secret(secret *docker.BuildSecret, lookupEnv func(string) (string, bool)) (string, error) {
	if secret.Env != "" {
		if _, ok := lookupEnv(secret.Env); !ok {
			return "", fmt.Errorf("the environment variable %s is not set", secret.Env)
		}
		return "env=" + secret.Env, nil
	}
	module, err := os.OpenRoot(s.root)
	if err != nil {
		return "", err
	}
	defer module.Close()
	if _, err := module.Stat(filepath.FromSlash(secret.File)); err != nil {
		return "", fmt.Errorf("file %s: %w", secret.File, reason(err))
	}
	path := filepath.Join(s.root, filepath.FromSlash(secret.File))
	if strings.ContainsAny(path, ",\"\n") { // the flag is a line of comma-separated values
		return "", fmt.Errorf("buildx cannot read a file whose path has a comma or a quote: %s", path)
	}
	return "src=" + path, nil
}

// buildxTrace follows what buildx prints: BuildKit's records as JSON, and its own
// words.
type buildxTrace struct {
	report func(engine.Progress)
	steps  map[string]*buildxStep // by digest
	failed string                 // digest of the step that failed
	words  []string               // the last lines that are no records
}

type buildxStep struct {
	name, fault string
	output      []byte
}

// buildxRecord is one line of --progress=rawjson: a SolveStatus of BuildKit's.
type buildxRecord struct {
	Vertexes []struct {
		Digest, Name, Error string
		Started, Completed  *string
		Cached              bool
	}
	Statuses []struct {
		ID, Vertex, Name string
		Current, Total   int64
	}
	Logs []struct {
		Vertex string
		Data   []byte
	}
}

const (
	mostWords  = 20        // lines of buildx's own that are kept
	mostOutput = 8 << 10   // bytes of a step's output that are kept
	mostLine   = 256 << 20 // bytes of a record; it holds all that a step printed at once
)

func (t *buildxTrace) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, mostLine)
	for lines.Scan() {
		var rec buildxRecord
		if line := lines.Bytes(); !bytes.HasPrefix(line, []byte("{")) || json.Unmarshal(line, &rec) != nil {
			t.words = append(t.words, engine.Clean(string(line)))
			t.words = t.words[max(0, len(t.words)-mostWords):]
			continue
		}
		t.record(&rec)
	}
	_, _ = io.Copy(io.Discard, r) // after a line that is too long
}

func (t *buildxTrace) record(rec *buildxRecord) {
	for _, v := range rec.Vertexes {
		s := t.step(v.Digest)
		s.name = engine.Clean(v.Name)
		if v.Error != "" && !strings.Contains(v.Error, "context canceled") && t.failed == "" { // the others are cancelled because of it
			t.failed, s.fault = v.Digest, v.Error
		}
		if v.Started != nil && v.Completed == nil || v.Cached {
			t.report(engine.Progress{ID: v.Digest, Status: s.name, Cached: v.Cached, Begins: !v.Cached})
		}
	}
	for _, st := range rec.Statuses {
		name := st.Name
		if name == "" {
			name = st.ID
		}
		t.report(engine.Progress{ID: st.Vertex + "/" + st.ID, Status: engine.Clean(t.step(st.Vertex).name + ": " + name), Current: st.Current, Total: st.Total})
	}
	for _, l := range rec.Logs {
		s := t.step(l.Vertex)
		s.output = append(s.output, l.Data...)
		s.output = s.output[max(0, len(s.output)-mostOutput):]
		t.report(engine.Progress{ID: l.Vertex, Status: s.name, Output: engine.Clean(string(l.Data))})
	}
}

func (t *buildxTrace) step(digest string) *buildxStep {
	if t.steps[digest] == nil {
		t.steps[digest] = &buildxStep{}
	}
	return t.steps[digest]
}

// fault is what a command that failed has to say.
func (t *buildxTrace) fault(err error) error {
	words := strings.Join(t.words, "\n")
	switch {
	case strings.Contains(words, "unknown command: docker buildx") || strings.Contains(words, "'buildx' is not a docker command") || strings.Contains(words, "unknown flag: --load"):
		return errors.New("builder buildx: docker has no plugin buildx; install it (https://github.com/docker/buildx), or leave builder out")
	case t.failed == "" && words == "":
		return fmt.Errorf("docker buildx build: %w", err)
	}
	fault := &engine.BuildError{}
	if s := t.steps[t.failed]; s != nil {
		fault.Step, fault.Message, fault.Output = s.name, s.fault, engine.Clean(strings.ToValidUTF8(string(s.output), "\uFFFD"))
	}
	for _, line := range t.words {
		if text, ok := strings.CutPrefix(line, "ERROR: "); ok && fault.Message == "" {
			fault.Message = strings.TrimPrefix(strings.TrimPrefix(text, "failed to build: "), "failed to solve: ")
		}
	}
	if fault.Message == "" {
		fault.Message = words
	}
	return fault
}
