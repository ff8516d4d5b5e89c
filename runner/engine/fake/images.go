package fake

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/cuepod/cuepod/runner/engine"
)

// InspectImage implements engine.Engine.
func (e *Engine) InspectImage(ctx context.Context, ref string) (img engine.Image, err error) {
	err = e.call(ctx, "InspectImage", "inspect image", ref, func() error {
		found, ok := e.image(ref)
		if !ok {
			return failf(engine.NotFound, "No such image: %s", ref)
		}
		img = e.withRefs(found)
		return nil
	})
	return img, err
}

// withRefs adds the references that an image has on the engine.
func (e *Engine) withRefs(img Image) engine.Image {
	out := img.Image
	out.Refs = nil
	for ref, other := range e.local {
		if other.ID == img.ID {
			out.Refs = append(out.Refs, ref)
		}
	}
	slices.Sort(out.Refs)
	return out
}

// ListImages implements engine.Engine.
func (e *Engine) ListImages(ctx context.Context, labels map[string]string) (list []engine.Image, err error) {
	err = e.call(ctx, "ListImages", "list images", "", func() error {
		seen := map[string]bool{}
		for _, ref := range slices.Sorted(maps.Keys(e.local)) {
			img := e.local[ref]
			if carries(img.Labels, labels) && !seen[img.ID] {
				seen[img.ID] = true
				list = append(list, e.withRefs(img))
			}
		}
		return nil
	})
	return list, err
}

// RemoveImage implements engine.Engine.
func (e *Engine) RemoveImage(ctx context.Context, ref string) error {
	return e.call(ctx, "RemoveImage", "remove image", ref, func() error {
		img, ok := e.local[ref]
		if !ok {
			return nil
		}
		if len(e.withRefs(img).Refs) == 1 {
			for _, b := range e.boxes {
				if b.image.ID == img.ID {
					return failf(engine.ImageInUse, "unable to remove repository reference %q: container %s is using its referenced image", ref, b.spec.Name)
				}
			}
		}
		delete(e.local, ref)
		return nil
	})
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

// PullImage implements engine.Engine for what AddRemote knows. A hook that
// blocks before it makes it slow.
func (e *Engine) PullImage(ctx context.Context, ref string, progress func(engine.Progress)) error {
	return e.call(ctx, "PullImage", "pull image", ref, func() error {
		img, ok := e.remote[ref]
		if !ok {
			return failf(engine.ImageMissing, "manifest for %s not found", ref)
		}
		if progress != nil {
			progress(engine.Progress{ID: "layer", Status: "Downloading", Current: 512, Total: 1024})
			progress(engine.Progress{ID: "layer", Status: "Pull complete"})
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
	files, err := readTree(archive)
	if err != nil {
		return nil, fmt.Errorf("docker-archive: %w", err)
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

// readTree reads the files of a tar stream by their names.
func readTree(r io.Reader) (map[string][]byte, error) {
	files := map[string][]byte{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		if files[h.Name], err = io.ReadAll(tr); err != nil {
			return nil, err
		}
	}
}
