package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cuepod/cuepod/targets/docker"
)

// checkHostPaths makes sure that a container's paths of the host are what their
// volumes say, and that no link leads out of where they may be. On another
// machine only the engine can look.
func (e *executor) checkHostPaths(line string, mounts []docker.Mount) error {
	if !e.local {
		return nil
	}
	for _, m := range mounts {
		if m.HostPath == "" {
			continue
		}
		if err := checkHostPath(m); err != nil {
			if line != "" && line != "-" {
				line += ": "
			}
			return fmt.Errorf("%smount %s: hostPath %s: %w", line, m.Path, m.HostPath, err)
		}
	}
	return nil
}

// checkHostPath is Kubernetes' check of the type (pkg/volume/hostpath), and ours
// of links.
func checkHostPath(m docker.Mount) error {
	if m.HostType == "FileOrCreate" {
		f, err := os.OpenFile(m.HostPath, os.O_CREATE|os.O_RDONLY, 0o644)
		if err != nil {
			return err
		}
		f.Close()
	}
	info, err := os.Stat(m.HostPath)
	if errors.Is(err, fs.ErrNotExist) && m.Create {
		return staysWithin(filepath.Dir(m.HostPath), m.Within)
	}
	if err != nil {
		return errors.Unwrap(err)
	}
	if want, ok := hostTypes()[m.HostType]; ok && !want(info.Mode()) {
		return fmt.Errorf("it is not of the type %s", m.HostType)
	}
	return staysWithin(m.HostPath, m.Within)
}

func hostTypes() map[string]func(fs.FileMode) bool {
	device := func(m fs.FileMode) bool { return m&fs.ModeDevice != 0 }
	return map[string]func(fs.FileMode) bool{
		"Directory": fs.FileMode.IsDir, "DirectoryOrCreate": fs.FileMode.IsDir,
		"File": fs.FileMode.IsRegular, "FileOrCreate": fs.FileMode.IsRegular,
		"Socket":      func(m fs.FileMode) bool { return m&fs.ModeSocket != 0 },
		"CharDevice":  func(m fs.FileMode) bool { return device(m) && m&fs.ModeCharDevice != 0 },
		"BlockDevice": func(m fs.FileMode) bool { return device(m) && m&fs.ModeCharDevice == 0 },
	}
}

// staysWithin follows the links on the way. What is not there yet ends at the
// nearest directory that is.
func staysWithin(path, dir string) error {
	if dir == "" {
		return nil
	}
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(path)
	for errors.Is(err, fs.ErrNotExist) && len(path) > len(dir) {
		path = filepath.Dir(path)
		real, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return err
	}
	if real != root && !strings.HasPrefix(real, strings.TrimSuffix(root, "/")+"/") {
		return fmt.Errorf("a link in it leads to %s, which is not in %s; --allow-host-path allows it", real, dir)
	}
	return nil
}
