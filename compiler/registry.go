package compiler

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelang.org/go/mod/modcache"
	"cuelang.org/go/mod/modconfig"
	"cuelang.org/go/mod/modfile"
	"cuelang.org/go/mod/modregistry"
	"cuelang.org/go/mod/module"
	"cuelang.org/go/mod/modzip"

	schema "github.com/cuepod/cuepod/cue"
)

// registry serves the embedded module from memory, by way of CUE's module
// cache, and every other module as the cue command would. What it puts into
// the cache is what plain `cue vet` and `cue lsp` find there afterwards.
//
// It is only for one compile: the in-memory registry is filled when the cache
// lacks the module.
type registry struct {
	embedded module.Version
	files    fs.FS  // of the embedded module
	version  string // of the schema, also where an outline is served: hashing it takes as long as parsing a definition
	// beside is what else is put into the cache: the schema, when the outline is
	// served, so that the cue command finds it there.
	beside *registry
	client *modregistry.Client // to the in-memory registry
	cache  *modcache.Cache     // of the embedded module
	others modconfig.Registry
}

var _ modconfig.CachedRegistry = (*registry)(nil)

// With outline it serves the schema's outline, under a version of its own, or the
// wide one.
func newRegistry(cacheDir string, outline, wide bool) (*registry, error) {
	if cacheDir == "" {
		dir, err := cueCacheDir()
		if err != nil {
			return nil, err
		}
		cacheDir = dir
	}
	r := &registry{files: schema.Files()}
	served := ""
	if outline {
		beside, err := newRegistry(cacheDir, false, false)
		if err != nil {
			return nil, err
		}
		r.files, r.version, r.beside, served = schema.Outline(wide), beside.version, beside, schema.OutlineVersion(wide)
	} else {
		r.version = schema.Version()
		served = r.version
	}
	mv, err := module.NewVersion(schema.Module, served)
	if err != nil {
		return nil, fmt.Errorf("version of the embedded module: %w", err)
	}
	r.embedded, r.client = mv, modregistry.NewClient(ocimem.New())
	if r.cache, err = modcache.New(r.client, cacheDir); err != nil {
		return nil, fmt.Errorf("module cache: %w", err)
	}
	r.others = &modconfig.LazyRegistry{New: func() (modconfig.CachedRegistry, error) {
		return modconfig.NewRegistry(nil)
	}}
	return r, nil
}

// cueCacheDir is where the cue command keeps modules.
func cueCacheDir() (string, error) {
	if dir := os.Getenv("CUE_CACHE_DIR"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("module cache: %w; set CUE_CACHE_DIR", err)
	}
	return filepath.Join(dir, "cue"), nil
}

// ModFile implements [modconfig.Registry].
func (r *registry) ModFile(ctx context.Context, mv module.Version) (*modfile.File, error) {
	if mv.Path() != schema.Module {
		return r.others.ModFile(ctx, mv)
	}
	if err := r.serves(mv.Version()); err != nil {
		return nil, err
	}
	data, err := fs.ReadFile(r.files, "cue.mod/module.cue")
	if err != nil {
		return nil, err
	}
	return modfile.Parse(data, "cue.mod/module.cue")
}

// Fetch implements [modconfig.Registry].
func (r *registry) Fetch(ctx context.Context, mv module.Version) (module.SourceLoc, error) {
	if mv.Path() != schema.Module {
		return r.others.Fetch(ctx, mv)
	}
	if err := r.serves(mv.Version()); err != nil {
		return module.SourceLoc{}, err
	}
	if r.beside != nil {
		if _, err := r.beside.Fetch(ctx, mv); err != nil {
			return module.SourceLoc{}, err
		}
	}
	if loc, err := r.cache.FetchFromCache(r.embedded); err == nil {
		return loc, nil
	}
	if err := r.publish(ctx); err != nil {
		return module.SourceLoc{}, fmt.Errorf("embedded module %s: %w", r.embedded, err)
	}
	return r.cache.Fetch(ctx, r.embedded)
}

// FetchFromCache implements [modconfig.CachedRegistry]. The embedded module
// always counts as cached.
func (r *registry) FetchFromCache(mv module.Version) (module.SourceLoc, error) {
	if mv.Path() == schema.Module {
		return r.Fetch(context.Background(), mv)
	}
	if cached, ok := r.others.(modconfig.CachedRegistry); ok {
		return cached.FetchFromCache(mv)
	}
	return module.SourceLoc{}, modregistry.ErrNotFound
}

// ModuleVersions implements [modconfig.Registry].
func (r *registry) ModuleVersions(ctx context.Context, mpath string) ([]string, error) {
	if mpath == schema.Module {
		return []string{r.version}, nil
	}
	return r.others.ModuleVersions(ctx, mpath)
}

// serves reports whether the embedded module can stand in for the version that
// some module asks for: one that is not newer. Development versions of one
// release have no order, so they all count as equal.
func (r *registry) serves(version string) error {
	want, have := schema.Release(version), schema.Release(r.version)
	if want == have || (module.Versions{}).Max(want, have) == have {
		return nil
	}
	return fmt.Errorf("needs %s %s; this cuepod has %s", schema.Module, version, r.version)
}

// publish puts the embedded module into the in-memory registry and its module
// file into the cache.
func (r *registry) publish(ctx context.Context) error {
	var paths []string
	err := fs.WalkDir(r.files, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	var zip bytes.Buffer
	//lint:ignore SA1019 the module zip is still what registries and the cache speak; its successor is not out yet
	if err := modzip.Create(&zip, r.embedded, paths, embeddedFileIO{r.files}); err != nil {
		return err
	}
	if err := r.client.PutModule(ctx, r.embedded, bytes.NewReader(zip.Bytes()), int64(zip.Len())); err != nil {
		return err
	}
	_, err = r.cache.ModFile(ctx, r.embedded)
	return err
}

// embeddedFileIO lets modzip read the embedded files by path.
type embeddedFileIO struct{ files fs.FS }

func (embeddedFileIO) Path(path string) string                   { return path }
func (e embeddedFileIO) Lstat(path string) (os.FileInfo, error)  { return fs.Stat(e.files, path) }
func (e embeddedFileIO) Open(path string) (io.ReadCloser, error) { return e.files.Open(path) }
