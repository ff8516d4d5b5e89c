package runner

import (
	"context"
	"fmt"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/targets/docker"
)

// bringImages makes sure that the images which a container mounts are on the
// engine, and that the engine can mount images at all.
func (e *executor) bringImages(ctx context.Context, c *docker.Container) error {
	for _, m := range c.Mounts {
		if m.Image == "" {
			continue
		}
		if !e.engine.Images {
			return fmt.Errorf("mount %s: Docker 28 (API 1.48) and newer mount images; this is %s %s (API %s)", m.Path, e.engine.Name, e.engine.Version, e.engine.APIVersion)
		}
		_, err := e.eng().InspectImage(ctx, m.Image)
		if engine.KindOf(err) == engine.NotFound && m.PullPolicy != "Never" {
			err = e.eng().PullImage(ctx, m.Image, nil)
		}
		if err != nil {
			return fmt.Errorf("mount %s: %w", m.Path, err)
		}
	}
	return nil
}
