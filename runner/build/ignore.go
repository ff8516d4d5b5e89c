package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cuepod/cuepod/runner/ignore"
)

// ignoreSuffix is the name of a context's ignore file, and what follows the
// Dockerfile's name in that of its own.
const ignoreSuffix = ".dockerignore"

// readIgnore reads the file that belongs to the Dockerfile, else the context's.
func (s *Source) readIgnore(dir *os.Root) (*ignore.Matcher, error) {
	for _, name := range []string{s.Dockerfile + ignoreSuffix, ignoreSuffix} {
		text, err := dir.ReadFile(filepath.FromSlash(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, reason(err))
		}
		m, err := ignore.Read(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return m, nil
	}
	return nil, nil
}
