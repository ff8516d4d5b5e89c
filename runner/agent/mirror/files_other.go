//go:build !linux

package mirror

import (
	"errors"
	"io/fs"
	"os"
)

// The agent runs on Linux alone.

type stamp struct{}

func stampOf(fs.FileInfo) stamp { return stamp{} }

func ownerOf(fs.FileInfo) (user, group int) { return 0, 0 }

func rename(*os.File, string, *os.File, string) error { return errors.ErrUnsupported }

func lockFile(*os.Root, string) (*os.File, error) { return nil, errors.ErrUnsupported }
