package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/authority"
)

// authorityDir is where the local certificate authority is: it is data of the
// user's, which others may have been told to trust.
func (c *cli) authorityDir() (string, error) {
	data := c.env["XDG_DATA_HOME"]
	if !filepath.IsAbs(data) { // unset, or invalid by the XDG base directory specification
		data = filepath.Join(c.env["HOME"], ".local", "share")
	}
	if !filepath.IsAbs(data) {
		return "", errors.New("no place for the certificate authority: set HOME or XDG_DATA_HOME")
	}
	return filepath.Join(data, "cuepod", "ca"), nil
}

// issue makes certificates with the local authority, which is made on first use.
func (c *cli) issue() runner.Issue {
	var ca *authority.Authority
	return func(host string, now time.Time) (cert, key []byte, err error) {
		if ca == nil {
			dir, err := c.authorityDir()
			if err != nil {
				return nil, nil, err
			}
			if ca, err = authority.Open(dir, now); err != nil {
				return nil, nil, err
			}
		}
		pair, err := ca.Issue(host, now)
		return pair.Cert, pair.Key, err
	}
}

func (c *cli) trustCommand() *cobra.Command {
	var install, uninstall bool
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Show the local certificate authority, or have this machine trust it",
		Long: `Trust shows where the certificate of the local authority is, which signs what the
gateway serves over HTTPS, and what --install would run. Nothing is installed without
--install, and --uninstall undoes it. The authority's key never leaves its directory.`,
		GroupID: groupRun,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := c.authorityDir()
			if err != nil {
				return err
			}
			ca, err := authority.Open(dir, time.Now())
			if err != nil {
				return err
			}
			path := filepath.Join(dir, authority.CertFile)
			steps, known := storeOf(runtime.GOOS, exists, path)
			switch {
			case (install || uninstall) && !known:
				return fmt.Errorf("where this system keeps the authorities that it trusts is not known: add %s by hand", path)
			case install:
				return c.runSteps(cmd.Context(), steps.install)
			case uninstall:
				return c.runSteps(cmd.Context(), steps.uninstall)
			}
			fmt.Fprintf(c.out, "certificate  %s\nSHA-256      %s\n", path, ca.Fingerprint())
			fmt.Fprintf(c.out, "\nOne client alone: curl --cacert %s, or its SSL_CERT_FILE.\n", path)
			if known {
				fmt.Fprintf(c.out, "\nThis machine (cuepod trust --install runs it):\n")
				printSteps(c.out, steps.install)
				fmt.Fprintf(c.out, "\nAnd back (cuepod trust --uninstall):\n")
				printSteps(c.out, steps.uninstall)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&install, "install", false, "have this machine trust the authority")
	cmd.Flags().BoolVar(&uninstall, "uninstall", false, "undo --install")
	cmd.MarkFlagsMutuallyExclusive("install", "uninstall")
	return cmd
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// store is how a system is told whom to trust.
type store struct{ install, uninstall [][]string }

// storeOf finds the store of a system, with what has to be root's.
func storeOf(system string, exists func(string) bool, cert string) (store, bool) {
	linux := func(file string, update ...string) (store, bool) {
		refresh := append([]string{"sudo"}, update...)
		return store{
			install:   [][]string{{"sudo", "install", "-m", "644", cert, file}, refresh},
			uninstall: [][]string{{"sudo", "rm", "-f", file}, refresh},
		}, true
	}
	switch {
	case system == "darwin":
		return store{
			install:   [][]string{{"security", "add-trusted-cert", "-r", "trustRoot", cert}},
			uninstall: [][]string{{"security", "remove-trusted-cert", cert}},
		}, true
	case system != "linux":
		return store{}, false
	case exists("/usr/local/share/ca-certificates"): // Debian, Alpine
		return linux("/usr/local/share/ca-certificates/cuepod.crt", "update-ca-certificates")
	case exists("/etc/pki/ca-trust/source/anchors"): // Fedora
		return linux("/etc/pki/ca-trust/source/anchors/cuepod.pem", "update-ca-trust")
	case exists("/etc/ca-certificates/trust-source/anchors"): // Arch
		return linux("/etc/ca-certificates/trust-source/anchors/cuepod.crt", "update-ca-trust")
	}
	return store{}, false
}

func printSteps(w io.Writer, steps [][]string) {
	for _, s := range steps {
		fmt.Fprintf(w, "    %s\n", strings.Join(s, " "))
	}
}

// runSteps runs commands with this terminal; root needs no sudo.
func (c *cli) runSteps(ctx context.Context, steps [][]string) error {
	for _, s := range steps {
		if os.Getuid() == 0 && s[0] == "sudo" {
			s = s[1:]
		}
		c.talk("%s", strings.Join(s, " "))
		cmd := exec.CommandContext(ctx, s[0], s[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, c.err, c.err
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", s[0], err)
		}
	}
	return nil
}
