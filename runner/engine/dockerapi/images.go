package dockerapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/client"

	"github.com/cuepod/cuepod/runner/engine"
)

// InspectImage implements engine.Engine.
func (c *Client) InspectImage(ctx context.Context, ref string) (engine.Image, error) {
	ctx, done := within(ctx, askPatience)
	defer done()
	got, err := c.api.ImageInspect(ctx, ref)
	if err != nil {
		return engine.Image{}, c.fail("inspect image", ref, heard(ctx, err))
	}
	img := engine.Image{ID: got.ID, Refs: slices.Sorted(slices.Values(got.RepoTags))}
	if got.Config != nil {
		img.Labels = got.Config.Labels
		img.Entrypoint = got.Config.Entrypoint
		img.Cmd = got.Config.Cmd
		img.Env = got.Config.Env
		img.User = got.Config.User
		img.StopSignal = got.Config.StopSignal
	}
	return img, nil
}

// ListImages implements engine.Engine.
func (c *Client) ListImages(ctx context.Context, labels map[string]string) ([]engine.Image, error) {
	const op = "list images"
	found, err := c.api.ImageList(ctx, image.ListOptions{Filters: labelFilter(labels)})
	if err != nil {
		return nil, c.fail(op, "", err)
	}
	var out []engine.Image
	for _, s := range found {
		img := engine.Image{ID: s.ID, Labels: s.Labels}
		for _, ref := range s.RepoTags {
			if ref != "<none>:<none>" {
				img.Refs = append(img.Refs, ref)
			}
		}
		if slices.Sort(img.Refs); len(img.Refs) > 0 {
			out = append(out, img)
		}
	}
	slices.SortFunc(out, func(a, b engine.Image) int { return strings.Compare(a.Refs[0], b.Refs[0]) })
	return out, nil
}

// RemoveImage implements engine.Engine.
func (c *Client) RemoveImage(ctx context.Context, ref string) error {
	_, err := c.api.ImageRemove(ctx, ref, image.RemoveOptions{PruneChildren: true})
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	return c.fail("remove image", ref, err)
}

// PullImage implements engine.Engine, with the credentials of docker's
// configuration.
func (c *Client) PullImage(ctx context.Context, ref string, progress func(engine.Progress)) error {
	const op = "pull image"
	key, err := registryKey(ref)
	if err != nil {
		return c.fail(op, ref, err)
	}
	auth, err := c.authFor(ctx, key)
	if err != nil {
		return c.fail(op, ref, err)
	}
	var header string
	if auth != (registry.AuthConfig{}) {
		if header, err = registry.EncodeAuthConfig(auth); err != nil {
			return c.fail(op, ref, err)
		}
	}
	body, err := c.api.ImagePull(ctx, ref, image.PullOptions{RegistryAuth: header})
	if err != nil {
		return c.fail(op, ref, err)
	}
	defer body.Close()
	if progress == nil {
		progress = func(engine.Progress) {}
	}
	return c.fail(op, ref, readProgress(body, progress))
}

// authFor gives the credentials for a registry, which may be none.
func (c *Client) authFor(ctx context.Context, key string) (registry.AuthConfig, error) {
	cfg, err := resolver{c.opts.LookupEnv, c.opts.ReadFile}.config()
	if err != nil {
		return registry.AuthConfig{}, err
	}
	return cfg.credentials(key, func(name, key string) (registry.AuthConfig, error) {
		return runHelper(ctx, name, key)
	})
}

// LoadImage implements engine.Engine.
func (c *Client) LoadImage(ctx context.Context, archive io.Reader) error {
	const op = "load image"
	got, err := c.api.ImageLoad(ctx, archive, client.ImageLoadWithQuiet(true))
	if err != nil {
		return c.fail(op, "", err)
	}
	defer got.Body.Close()
	if !got.JSON {
		_, err := io.Copy(io.Discard, got.Body)
		return c.fail(op, "", err)
	}
	return c.fail(op, "", readProgress(got.Body, func(engine.Progress) {}))
}

// readProgress reads the JSON messages of a pull or a load to their end and
// returns the failure that the engine reports within the stream.
func readProgress(r io.Reader, report func(engine.Progress)) error {
	for dec := json.NewDecoder(r); ; {
		var m struct {
			ID, Status, Error string
			ProgressDetail    struct{ Current, Total int64 }
		}
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("the engine's answer broke off: %w", err)
		}
		if m.Error != "" {
			return errors.New(m.Error)
		}
		if m.Status != "" {
			report(engine.Progress{ID: m.ID, Status: m.Status, Current: m.ProgressDetail.Current, Total: m.ProgressDetail.Total})
		}
	}
}
