package dockerapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/client"

	"github.com/cuepod/cuepod/runner/engine"
)

// InspectImage implements engine.Engine.
func (c *Client) InspectImage(ctx context.Context, ref string) (engine.Image, error) {
	got, err := c.api.ImageInspect(ctx, ref)
	if err != nil {
		return engine.Image{}, c.fail("inspect image", ref, err)
	}
	img := engine.Image{ID: got.ID}
	if got.Config != nil {
		img.Entrypoint = got.Config.Entrypoint
		img.Cmd = got.Config.Cmd
		img.Env = got.Config.Env
		img.User = got.Config.User
		img.StopSignal = got.Config.StopSignal
	}
	return img, nil
}

// PullImage implements engine.Engine, with the credentials of docker's
// configuration.
func (c *Client) PullImage(ctx context.Context, ref string, progress func(string)) error {
	const op = "pull image"
	auth, err := c.auth(ctx, ref)
	if err != nil {
		return c.fail(op, ref, err)
	}
	body, err := c.api.ImagePull(ctx, ref, image.PullOptions{RegistryAuth: auth})
	if err != nil {
		return c.fail(op, ref, err)
	}
	defer body.Close()
	if progress == nil {
		progress = func(string) {}
	}
	return c.fail(op, ref, readProgress(body, progress))
}

// auth gives the credentials for an image's registry as a header's value; ""
// when there are none.
func (c *Client) auth(ctx context.Context, ref string) (string, error) {
	key, err := registryKey(ref)
	if err != nil {
		return "", err
	}
	cfg, err := resolver{c.opts.LookupEnv, c.opts.ReadFile}.config()
	if err != nil {
		return "", err
	}
	auth, err := cfg.credentials(key, func(name, key string) (registry.AuthConfig, error) {
		return runHelper(ctx, name, key)
	})
	if err != nil || auth == (registry.AuthConfig{}) {
		return "", err
	}
	return registry.EncodeAuthConfig(auth)
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
	return c.fail(op, "", readProgress(got.Body, func(string) {}))
}

// readProgress reads the JSON messages of a pull or a load to their end. It
// reports each new state of a layer once, without the moving bars, and returns
// the failure that the engine reports within the stream.
func readProgress(r io.Reader, report func(string)) error {
	last := map[string]string{}
	for dec := json.NewDecoder(r); ; {
		var m struct {
			ID, Status, Error string
		}
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("the engine's answer broke off: %w", err)
		}
		if m.Error != "" {
			return errors.New(m.Error)
		}
		if m.Status == "" || last[m.ID] == m.Status {
			continue
		}
		last[m.ID] = m.Status
		if m.ID != "" {
			m.Status = m.ID + ": " + m.Status
		}
		report(m.Status)
	}
}
