package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/targets"
	"github.com/cuepod/cuepod/targets/compose"
)

func (c *cli) compileCommand() *cobra.Command {
	var (
		d      definition
		opts   renderOptions
		name   string
		output string
		strict bool
		load   bool
	)
	cmd := &cobra.Command{
		Use:     "compile [dir]",
		Short:   "Render for Kubernetes, Compose or a local engine",
		GroupID: groupDefine,
		Args:    cobra.MaximumNArgs(1),
		Example: "  cuepod compile --target kubernetes | kubectl apply -f -\n" +
			"  cuepod compile --target compose -o compose.yaml ./shop\n" +
			"  cuepod compile --target kubernetes --env prod -o manifests/",
		RunE: func(cmd *cobra.Command, args []string) error {
			d.dir = dirArg(args)
			t, err := targetNamed(cmd, name)
			if err != nil {
				return err
			}
			if err := oneOf(cmd, "format", opts.format, "yaml", "kyaml", "json"); err != nil {
				return err
			}
			if load && t.name != "compose" {
				return &usageError{cmd.CommandPath(), "--load-holder is for --target compose: other targets have no holders"}
			}
			opts.separate = isDirectory(output)
			if err := c.compileTo(cmd.Context(), d, t, opts, output, strict); err != nil || !load {
				return err
			}
			return c.loadHolder(cmd.Context(), opts.holderImage)
		},
	}
	d.flags(cmd)
	cmd.Flags().StringVarP(&name, "target", "t", "", "what to make: "+strings.Join(targetNames(), ", "))
	cmd.Flags().StringVarP(&output, "output", "o", "-", "the file to write, or a directory; - is standard output")
	cmd.Flags().StringVar(&opts.format, "format", "yaml", "how to write Kubernetes objects: yaml, kyaml or json")
	cmd.Flags().StringVar(&opts.holderImage, "holder-image", "", "the image of Compose's pod holders")
	cmd.Flags().BoolVar(&load, "load-holder", false, "load that image into the local engine, for a machine that cannot pull it")
	cmd.Flags().BoolVar(&strict, "strict", false, "fail when the target cannot say all that the definition means")
	complete(cmd, "target", targetNames()...)
	complete(cmd, "format", "yaml", "kyaml", "json")
	return cmd
}

// compileTo renders and delivers. With strict, nothing is delivered where
// meaning would be lost.
func (c *cli) compileTo(ctx context.Context, d definition, t target, opts renderOptions, output string, strict bool) error {
	result, err := c.compiled(ctx, d)
	if err != nil {
		return err
	}
	opts.docker = d.docker(result.Root)
	out, err := t.render(result.App, opts)
	if err != nil {
		return fmt.Errorf("target %s: %w", t.name, err)
	}
	if lost := c.showFindings(out.Findings); strict && lost > 0 {
		return &exitError{exitInvalid, fmt.Sprintf("cuepod: --strict: %s cannot say %s of the definition", t.name, plural(lost, "thing"))}
	}
	return c.deliver(out.Files, output)
}

// loadHolder puts the image of Compose's pod holders on the engine, under the
// name that the file has for it.
func (c *cli) loadHolder(ctx context.Context, ref string) error {
	if ref == "" {
		ref = compose.DefaultHolderImage
	}
	eng, err := c.engine(c.lookupEnv)
	if err != nil {
		return err
	}
	defer eng.Close()
	info, err := eng.Info(ctx)
	if err != nil {
		return err
	}
	archive, err := c.holder(info.Arch, ref)
	if err != nil {
		return err
	}
	if err := eng.LoadImage(ctx, bytes.NewReader(archive)); err != nil {
		return err
	}
	c.talk("loaded %s", ref)
	return nil
}

// isDirectory reports whether an output names a directory, there or to be made.
func isDirectory(output string) bool {
	if strings.HasSuffix(output, "/") {
		return true
	}
	info, err := os.Stat(output)
	return err == nil && info.IsDir()
}

// showFindings prints findings for a person and counts those that lose meaning.
func (c *cli) showFindings(findings []targets.Finding) (lost int) {
	s := c.colors(c.err)
	for _, f := range findings {
		code, word := dim, "note"
		if f.Level == targets.Cannot {
			code, word = yellow, "warning"
			lost++
		}
		c.talk("%s %s", s.paint(code, word+":"), f)
	}
	return lost
}

// deliver writes the files to standard output, to one file or into a directory.
func (c *cli) deliver(files []targets.File, output string) error {
	if isDirectory(output) {
		for _, f := range files {
			if err := writeFile(filepath.Join(output, filepath.FromSlash(f.Name)), f.Data); err != nil {
				return err
			}
		}
		return nil
	}
	var all []byte
	for _, f := range files {
		all = append(all, f.Data...)
	}
	if output == "-" {
		return write(c.out, all)
	}
	return writeFile(output, all)
}

// writeFile replaces a file in one step: whoever watches it never sees half.
func writeFile(path string, data []byte) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() { // /dev/stdout, a pipe
		return os.WriteFile(path, data, 0)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*~")
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	if err == nil {
		err = temp.Chmod(0o644)
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		os.Remove(temp.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func write(w io.Writer, data []byte) error {
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}
