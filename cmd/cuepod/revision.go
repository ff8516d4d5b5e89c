package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/cuepod/cuepod/compiler"
)

// compiledAt compiles the definition as it was at a git revision: its module is
// written to a temporary directory and compiled there. Neither the repository
// nor its working tree is touched.
func (c *cli) compiledAt(ctx context.Context, revision string, d definition) (*compiler.Result, error) {
	root, err := moduleRoot(d.dir)
	if err != nil {
		return nil, err
	}
	below, err := below(root, d.dir)
	if err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp("", "cuepod-diff-*")
	if err != nil {
		return nil, fmt.Errorf("revision %s: %w", revision, err)
	}
	defer os.RemoveAll(temp)
	tree := filepath.Join(temp, "tree")
	if err := c.checkOut(ctx, root, revision, temp, tree); err != nil {
		return nil, fmt.Errorf("revision %s: %w", revision, err)
	}
	was := d
	was.dir = filepath.Join(tree, below)
	if _, err := os.Stat(was.dir); err != nil {
		return nil, fmt.Errorf("revision %s: there was no directory %s", revision, d.dir)
	}
	result, err := c.compiled(ctx, was)
	var invalid *compiler.Error
	if errors.As(err, &invalid) {
		return nil, &exitError{exitInvalid, fmt.Sprintf("at revision %s:\n%s", revision, strings.ReplaceAll(err.Error(), tree, shown(root)))}
	}
	return result, err
}

// shown is a directory as a person would type it.
func shown(dir string) string {
	cwd, err := os.Getwd()
	if err != nil {
		return dir
	}
	rel, err := filepath.Rel(cwd, dir)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return dir
	}
	return rel
}

// below is dir as seen from root, with every symbolic link followed, as
// moduleRoot does.
func below(root, dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", err
	}
	return filepath.Rel(root, dir)
}

// checkOut writes what root held at a revision to tree. temp is for git's index.
func (c *cli) checkOut(ctx context.Context, root, revision, temp, tree string) error {
	if strings.HasPrefix(revision, "-") {
		return errors.New("git would take it for an option")
	}
	prefix, err := c.git(ctx, root, nil, "rev-parse", "--show-prefix")
	if err != nil {
		return err
	}
	top, err := c.git(ctx, root, nil, "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	commit, err := c.git(ctx, root, nil, "rev-parse", "--verify", "--quiet", revision+"^{commit}")
	if err != nil {
		return errors.New("git knows no such revision")
	}
	index := map[string]string{"GIT_INDEX_FILE": filepath.Join(temp, "index")}
	object := commit + ":" + strings.TrimSuffix(prefix, "/")
	if _, err := c.git(ctx, root, nil, "rev-parse", "--verify", "--quiet", object); err != nil {
		return fmt.Errorf("there was no directory %s", shown(root))
	}
	if _, err := c.git(ctx, top, index, "read-tree", object); err != nil {
		return err
	}
	if err := os.Mkdir(tree, 0o700); err != nil { // git makes none for a tree without files
		return err
	}
	// From the top: elsewhere git leaves out what is not below that directory.
	_, err = c.git(ctx, top, index, "checkout-index", "--all", "--quiet", "--prefix="+tree+"/")
	return err
}

// git runs a command of git in a directory and gives what it prints. env is
// added to the environment.
func (c *cli) git(ctx context.Context, dir string, env map[string]string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(environ(c.env), environ(env)...)
	out, err := cmd.Output()
	var exited *exec.ExitError
	switch {
	case errors.As(err, &exited) && len(exited.Stderr) > 0:
		return "", fmt.Errorf("git %s: %s", args[0], strings.TrimSpace(string(exited.Stderr)))
	case err != nil:
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}
