package runner

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/targets/docker"
)

// links are the variables of the services that there are as a container
// starts. Those of services that come later are for the next one.
func (e *executor) links(addr addresses) map[string]string {
	return docker.Links(e.state.Services, func(service string) string {
		if slot, ok := e.slots[service]; ok {
			return addr.vip(slot)
		}
		return ""
	})
}

// maxEnvFile bounds what is read of a file with variables, in bytes. Kubelet's
// scanner stops at lines of 64 KiB; a megabyte is what a ConfigMap may have.
const maxEnvFile = 1 << 20

// readFile reads a file of a container. It fails with fs.ErrNotExist where
// there is none, and never quotes what is in it.
func readFile(ctx context.Context, eng engine.Engine, container, path string) ([]byte, error) {
	stream, err := eng.CopyFrom(ctx, container, path)
	if engine.KindOf(err) == engine.NotFound {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	t := tar.NewReader(stream)
	header, err := t.Next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, fs.ErrNotExist
	case err != nil:
		return nil, err
	case header.Typeflag != tar.TypeReg:
		return nil, errors.New("it is no regular file")
	case header.Size > maxEnvFile:
		return nil, fmt.Errorf("it has %d bytes, more than the %d that are read", header.Size, maxEnvFile)
	}
	return io.ReadAll(t)
}

// podIP is the address of a pod as others reach it.
func podIP(p *docker.Pod, infra *engine.Container, addr addresses) string {
	if p.HostNetwork {
		return addr.host()
	}
	return infra.IP
}

// secretsNow are the secrets' values. Those that were missing are looked for
// again.
func (e *executor) secretsNow(ctx context.Context) (*secrets, error) {
	var values *secrets
	err := e.call(ctx, func() {
		values = e.loop.secrets
		if values == nil || !values.missing {
			return
		}
		// Nothing is generated here: who wrote the record has done that.
		if s, changed, err := resolveSecrets(e.state.Secrets, values.vault, e.cfg.Secrets, rand.Reader); tolerable(err) == nil && !changed {
			values, e.loop.secrets = s, s
		}
	})
	return values, err
}
