package compiler

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"unicode/utf8"

	"github.com/cuepod/cuepod/compiler/app"
)

// readFiles puts the content of the files that ConfigMaps name among their
// values, and records the files. A file that is not text becomes bytes.
func (s *source) readFiles(a *app.App, marks *mark) []Diagnostic {
	var bad []Diagnostic
	for i := range a.ConfigMaps {
		c := &a.ConfigMaps[i]
		for _, key := range sortedKeys(c.Files) {
			if err := s.readFile(c, key); err != nil {
				at := fmt.Sprintf("configMaps.%s.files.%q", c.Name, key)
				bad = append(bad, Diagnostic{
					Pos:     inner(c.Pos, s.pos(marks.find(at+":").position())),
					Message: fmt.Sprintf("%s: %v", at, err),
					Hint:    "files are relative to the module's root and inside it",
				})
			}
		}
	}
	return bad
}

func (s *source) readFile(c *app.ConfigMap, key string) error {
	path := filepath.Join(s.root, filepath.FromSlash(c.Files[key]))
	if filepath.IsAbs(c.Files[key]) || !within(s.root, path) {
		return fmt.Errorf("the file %s is outside the module", c.Files[key])
	}
	s.reads(path, "file of configMap "+c.Name+", key "+key)
	if err := s.inModule(path); err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		var reason *fs.PathError // without the path, which is said relative to the module
		if errors.As(err, &reason) {
			err = reason.Err
		}
		return fmt.Errorf("the file %s cannot be read: %w", c.Files[key], err)
	}
	if utf8.Valid(data) {
		if c.Data == nil {
			c.Data = map[string]string{}
		}
		c.Data[key] = string(data)
		return nil
	}
	if c.BinaryData == nil {
		c.BinaryData = map[string][]byte{}
	}
	c.BinaryData[key] = data
	return nil
}

// findFiles reports what dev.sync names and is a file: directories are copied. One
// that is missing may come to be a directory.
func (s *source) findFiles(a *app.App, marks *mark) []Diagnostic {
	var bad []Diagnostic
	look := func(at string, ctr *app.Container) {
		if ctr.Dev == nil || ctr.Dev.OnChange == "rebuild" { // which copies nothing
			return
		}
		for _, from := range sortedKeys(ctr.Dev.Sync) {
			name := filepath.Join(s.root, filepath.FromSlash(from))
			info, err := os.Stat(name)
			if err != nil || info.IsDir() || !within(s.root, name) {
				continue
			}
			at := fmt.Sprintf("%s.dev.sync.%q", at, from)
			s.reads(name, "copied into "+ctr.Name) // it may come to be a directory
			bad = append(bad, Diagnostic{
				Pos:     inner(ctr.Pos, s.pos(marks.find(at+":").position())),
				Message: fmt.Sprintf("%s: it is a file, and directories are copied", at),
				Hint:    fmt.Sprintf("copy the directory that it is in, and leave the rest out with ignore: [\"*\", \"!%s\"]", filepath.Base(name)),
			})
		}
	}
	for i := range a.Pods {
		p := &a.Pods[i]
		for j := range p.InitContainers {
			look("pods."+p.Name+".initContainers."+p.InitContainers[j].Name, &p.InitContainers[j])
		}
		for j := range p.Containers {
			look("pods."+p.Name+".containers."+p.Containers[j].Name, &p.Containers[j])
		}
	}
	return bad
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
