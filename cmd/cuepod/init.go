package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/compiler/starter"
)

func (c *cli) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "init [dir]",
		Short:   "Write a first definition",
		Long:    "Init writes a small app that runs, into a new or existing directory. It overwrites nothing.",
		GroupID: groupDefine,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := dirArg(args)
			abs, err := filepath.Abs(dir)
			if err != nil {
				return err
			}
			files := starter.Files(filepath.Base(abs))
			if err := writeNew(dir, files); err != nil {
				return err
			}
			for _, name := range sortedKeys(files) {
				c.talk("wrote %s", filepath.Join(dir, filepath.FromSlash(name)))
			}
			up := "cuepod up"
			if dir != "." {
				up += " " + dir
			}
			c.talk("\nrun it:  %s", up)
			return nil
		},
	}
}

// writeNew writes all files or none: the first that is there stops it before
// anything is written.
func writeNew(dir string, files map[string][]byte) error {
	for _, name := range sortedKeys(files) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		_, err := os.Lstat(path)
		switch {
		case err == nil:
			return &exitError{exitFailure, fmt.Sprintf("cuepod: %s exists already; init overwrites nothing: choose another directory", path)}
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	for _, name := range sortedKeys(files) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(path, files[name], 0o666); err != nil {
			return err
		}
	}
	return nil
}
