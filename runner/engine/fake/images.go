package fake

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/cuepod/cuepod/runner/engine"
)

// InspectImage implements engine.Engine.
func (e *Engine) InspectImage(ctx context.Context, ref string) (img engine.Image, err error) {
	err = e.call(ctx, "InspectImage", "inspect image", ref, func() error {
		found, ok := e.image(ref)
		if !ok {
			return failf(engine.NotFound, "No such image: %s", ref)
		}
		img = found.Image
		return nil
	})
	return img, err
}

// image finds an image by reference or ID.
func (e *Engine) image(ref string) (Image, bool) {
	if img, ok := e.local[ref]; ok {
		return img, true
	}
	for _, img := range e.local {
		if img.ID == ref {
			return img, true
		}
	}
	return Image{}, false
}

// PullImage implements engine.Engine for what AddRemote knows.
func (e *Engine) PullImage(ctx context.Context, ref string, progress func(string)) error {
	return e.call(ctx, "PullImage", "pull image", ref, func() error {
		img, ok := e.remote[ref]
		if !ok {
			return failf(engine.ImageMissing, "manifest for %s not found", ref)
		}
		if progress != nil {
			progress("Pulled " + ref)
		}
		e.local[ref] = img
		return nil
	})
}

// LoadImage implements engine.Engine. What the image's containers do comes
// from AddRemote; its configuration from the archive.
func (e *Engine) LoadImage(ctx context.Context, archive io.Reader) error {
	loaded, readErr := readArchive(archive) // outside the lock: the reader may be slow
	return e.call(ctx, "LoadImage", "load image", "", func() error {
		if readErr != nil {
			return readErr
		}
		for ref, img := range loaded {
			behaviour := e.remote[ref]
			behaviour.Image = img
			e.local[ref] = withID(ref, behaviour)
		}
		return nil
	})
}

// readArchive reads the images of a docker-archive by their tags.
func readArchive(archive io.Reader) (map[string]engine.Image, error) {
	files := map[string][]byte{}
	for tr := tar.NewReader(archive); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("docker-archive: %w", err)
		}
		if files[h.Name], err = io.ReadAll(tr); err != nil {
			return nil, fmt.Errorf("docker-archive: %w", err)
		}
	}
	var manifest []struct {
		Config   string
		RepoTags []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
		return nil, fmt.Errorf("docker-archive: manifest.json: %w", err)
	}
	images := map[string]engine.Image{}
	for _, m := range manifest {
		var config struct {
			Config engine.Image `json:"config"`
		}
		if err := json.Unmarshal(files[m.Config], &config); err != nil {
			return nil, fmt.Errorf("docker-archive: %s: %w", m.Config, err)
		}
		for _, ref := range m.RepoTags {
			images[ref] = config.Config
		}
	}
	return images, nil
}
