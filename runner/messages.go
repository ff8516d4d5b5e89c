package runner

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// Last words of containers: Kubernetes' termination messages. They are read
// through the pod's infra container, running or not, and only of pods in which
// a container has ended.

// Bounds of what is told. Source: pkg/kubelet/container/runtime.go.
const (
	maxPodMessages = 12 << 10 // bytes of all containers of a pod together
	maxLogMessage  = 2048     // bytes from the end of a log
	maxLogLines    = 80
)

// allMessages gives the last words in each of the pods.
func allMessages(ctx context.Context, eng engine.Engine, pods []docker.Pod, seen *observation) []map[string]string {
	out := make([]map[string]string, len(pods))
	var group errgroup.Group
	group.SetLimit(concurrency)
	for i := range pods {
		group.Go(func() error {
			out[i] = lastMessages(ctx, eng, &pods[i], seen.Pods[pods[i].Name])
			return nil
		})
	}
	_ = group.Wait() // none fails
	return out
}

// lastMessages gives what ended instances of a pod's containers left, by ID.
// An engine that cannot tell is no reason to tell nothing else.
func lastMessages(ctx context.Context, eng engine.Engine, p *docker.Pod, o *reconcile.Pod) map[string]string {
	out := map[string]string{}
	if o == nil || o.Infra == nil {
		return out
	}
	var files map[string]string
	for _, c := range slices.Concat(p.Init, p.Containers) {
		current := o.Living(c.Name)
		for _, m := range instancesOf(current) {
			if m.State != reconcile.Exited {
				continue
			}
			if _, ok := p.MessageMount(&c); ok && files == nil {
				files = messageFiles(ctx, eng, o.Infra.ID)
			}
			text := files[m.ID]
			if text == "" && m == current { // nobody has put it aside yet
				text = files[c.Name]
			}
			if text == "" && m.ExitCode != 0 && c.MessageFromLog {
				text = logMessage(ctx, eng, m.ID)
			}
			if limit := maxPodMessages / (len(p.Init) + len(p.Containers)); len(text) > limit {
				text = text[:limit]
			}
			out[m.ID] = text
		}
	}
	return out
}

// instancesOf are those of a container that are known, the current one first.
func instancesOf(m *reconcile.Container) []*reconcile.Container {
	switch {
	case m == nil:
		return nil
	case m.Previous == nil:
		return []*reconcile.Container{m}
	}
	return []*reconcile.Container{m, m.Previous}
}

// messageFiles reads the files of a pod's volume for last words, by name.
func messageFiles(ctx context.Context, eng engine.Engine, infra string) map[string]string {
	out := map[string]string{}
	stream, err := eng.CopyFrom(ctx, infra, docker.MessagesDir)
	if err != nil {
		return out
	}
	defer stream.Close()
	for t := tar.NewReader(stream); ; {
		header, err := t.Next()
		if err != nil {
			return out // its end, or as far as it came
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if skip := header.Size - api.MaxMessage; skip > 0 { // the end of it counts
			if _, err := io.CopyN(io.Discard, t, skip); err != nil {
				return out
			}
		}
		data, err := io.ReadAll(io.LimitReader(t, api.MaxMessage))
		if err != nil && !errors.Is(err, io.EOF) {
			return out
		}
		out[path.Base(header.Name)] = string(data)
	}
}

// logMessage is the end of a container's log.
func logMessage(ctx context.Context, eng engine.Engine, id string) string {
	var log bytes.Buffer
	if err := eng.Logs(ctx, id, engine.LogOptions{Tail: maxLogLines}, &log, &log); err != nil {
		return ""
	}
	text := log.Bytes()
	return string(text[max(0, len(text)-maxLogMessage):])
}
