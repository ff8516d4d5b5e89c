package compiler

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"unicode/utf8"

	"github.com/cuepod/cuepod/compiler/app"
)

// readFiles puts the content of the files that ConfigMaps name among their
// values, and records the files. A file that is not text becomes bytes.
func (s *source) readFiles(a *app.App) []Diagnostic {
	var bad []Diagnostic
	for i := range a.ConfigMaps {
		c := &a.ConfigMaps[i]
		for _, key := range sortedKeys(c.Files) {
			if err := s.readFile(c, key); err != nil {
				bad = append(bad, Diagnostic{
					Pos:     c.Pos,
					Message: fmt.Sprintf("configMaps.%s.files.%s: %v", c.Name, key, err),
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
	s.read[path] = true
	s.read[filepath.Dir(path)] = true
	if err := s.inModule(path); err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the file cannot be read: %w", err)
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

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
