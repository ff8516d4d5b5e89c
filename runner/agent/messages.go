package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// messages keeps the files for containers' last words.
type messages struct{ aside map[string]bool } // instances whose words were put aside, by ID

// apply makes the files that are missing, and puts aside what ended instances
// wrote. Who starts the next instance waits until that is done.
func (s *messages) apply(dir string, list []api.Message) error {
	var errs []error
	for _, m := range list {
		if err := s.keep(dir, m); err != nil {
			errs = append(errs, fmt.Errorf("last words of container %s: %w", m.Container, err))
		}
	}
	return errors.Join(errs...)
}

func (s *messages) keep(dir string, m api.Message) error {
	file, err := os.OpenFile(filepath.Join(dir, m.Container), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.Chmod(0o666); err != nil { // whoever the container runs as; the umask does not count
		return err
	}
	if m.Ended == "" || s.aside[m.Ended] {
		return nil
	}
	if err := putAside(file, filepath.Join(dir, m.Ended)); err != nil {
		return err
	}
	s.aside[m.Ended] = true
	return nil
}

// putAside copies the end of what was written and empties the file, which stays
// the same one: it is mounted.
func putAside(file *os.File, to string) error {
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return err
	}
	words := make([]byte, min(size, api.MaxMessage))
	if _, err := file.ReadAt(words, size-int64(len(words))); err != nil {
		return err
	}
	if _, err := os.Stat(to); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(to+".new", words, 0o600); err != nil {
			return err
		}
		if err := os.Rename(to+".new", to); err != nil {
			return err
		}
	}
	return file.Truncate(0)
}
