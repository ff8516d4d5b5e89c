package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/compiler"
)

func (c *cli) fmtCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "fmt [dir...]",
		Short: "Format definitions",
		Long: `Fmt writes the CUE files of each directory in CUE's standard format, as cue fmt
does, and lists those that it changed. DIR/... means the directories below, too; a
file is formatted alone, and - is standard input.

A file in which CUE's formatter would misplace a comment stays as it is, and fmt
says where.`,
		GroupID: groupDefine,
		Example: "  cuepod fmt\n  cuepod fmt --check ./...",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			if len(args) == 1 && args[0] == "-" {
				return c.formatStream()
			}
			files, err := filesToFormat(args)
			if err != nil {
				return err
			}
			return c.formatFiles(files, check)
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "change nothing, list what would change and exit with 4 if there is such")
	return cmd
}

// formatStream formats standard input to standard output, for editors.
func (c *cli) formatStream() error {
	src, err := io.ReadAll(c.in)
	if err != nil {
		return fmt.Errorf("read standard input: %w", err)
	}
	out, err := compiler.Format("-", src)
	if err != nil {
		return err
	}
	return write(c.out, out)
}

// formatFiles formats each file, as far as it can.
func (c *cli) formatFiles(files []string, check bool) error {
	bad, unformatted := false, false
	for _, file := range files {
		changed, err := formatFile(file, check)
		var invalid *compiler.Error
		switch {
		case errors.As(err, &invalid): // go on with the others
			bad = true
			c.talk("%v", invalid)
		case err != nil:
			return err
		case changed:
			unformatted = true
			if err := write(c.out, []byte(file+"\n")); err != nil {
				return err
			}
		}
	}
	switch {
	case bad:
		return &exitError{code: exitInvalid}
	case check && unformatted:
		return &exitError{code: exitDifferences}
	}
	return nil
}

// formatFile reports whether the file was not in the standard format, and
// brings it there unless it only checks.
func formatFile(file string, check bool) (changed bool, err error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	out, err := compiler.Format(file, src)
	if err != nil || bytes.Equal(out, src) {
		return false, err
	}
	if check {
		return true, nil
	}
	return true, rewrite(file, out)
}

// rewrite replaces a file's content in one step and keeps its mode. A symbolic
// link stays one.
func rewrite(file string, data []byte) error {
	target, err := filepath.EvalSymlinks(file)
	if err != nil {
		return err
	}
	info, err := os.Stat(target)
	if err != nil {
		return err
	}
	if err := writeFile(target, data); err != nil {
		return err
	}
	return os.Chmod(target, info.Mode().Perm())
}

// filesToFormat lists the CUE files that arguments name.
func filesToFormat(args []string) ([]string, error) {
	var files []string
	for _, arg := range args {
		dir, below := strings.CutSuffix(arg, "...")
		dir = filepath.Clean(dir) // "" is "."
		info, err := os.Stat(dir)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, dir)
			continue
		}
		found, err := cueFilesIn(dir, below)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("there are no CUE files in %s", dir)
		}
		files = append(files, found...)
	}
	return files, nil
}

// cueFilesIn lists the CUE files in a directory, and with below those in its
// directories, without cue.mod and what begins with a dot or an underscore.
func cueFilesIn(dir string, below bool) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name := d.Name()
		switch {
		case d.IsDir() && (!below || name == "cue.mod" || name[0] == '.' || name[0] == '_'):
			return fs.SkipDir
		case !d.IsDir() && strings.HasSuffix(name, ".cue") && name[0] != '.':
			files = append(files, path)
		}
		return nil
	})
	return files, err
}
