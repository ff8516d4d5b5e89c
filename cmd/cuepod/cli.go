package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/compiler/sandbox"
	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
)

// services are what the commands stand on. Tests put in their own.
type services struct {
	compile func(context.Context, compiler.Options) (*compiler.Result, error)
	// compileApart compiles in a process with this environment; nil means that there is no other than compile.
	compileApart func(context.Context, compiler.Options, sandbox.Limits, []string) (*compiler.Result, error)
	// worker is compileApart for one definition again and again.
	worker func(sandbox.Limits, []string) (*sandbox.Worker, error)
	engine func(lookupEnv func(string) (string, bool)) (engine.Engine, error)
	agent  runner.AgentImage
	holder func(arch, ref string) (archive []byte, err error) // image of Compose's pod holders

	up     func(context.Context, runner.Config) error
	plan   func(context.Context, runner.Config) (reconcile.Plan, error)
	down   func(context.Context, engine.Engine, runner.Identity, runner.DownOptions) error
	status func(context.Context, engine.Engine, runner.Identity) (runner.Status, error)
	logs   func(context.Context, engine.Engine, runner.Identity, []runner.Target, runner.LogOptions, func(runner.LogLine)) error
	exec   func(context.Context, engine.Engine, runner.Identity, runner.Target, []string, runner.IO) (int, error)
	list   func(context.Context, engine.Engine) ([]runner.App, error)
	built  func(context.Context, engine.Engine) ([]runner.App, error) // apps of which images may be all that is left
	runJob func(context.Context, runner.RunConfig) error
}

// cli is one run of the command line: its streams, its environment and what
// the commands stand on.
type cli struct {
	in       io.Reader
	out, err io.Writer // results, and talk
	env      map[string]string
	color    string  // --color
	screen   *screen // lines that change, where standard error is a terminal
	services
}

// lookupEnv reads the environment that the program was started with.
func (c *cli) lookupEnv(name string) (string, bool) {
	v, ok := c.env[name]
	return v, ok
}

// run carries out one command line and returns the exit code.
func (c *cli) run(ctx context.Context, args []string) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	root := c.root()
	root.SetArgs(args)
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	err := root.ExecuteContext(ctx)
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	return c.report(err)
}

// root is the command tree.
func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "cuepod",
		Short: "Run pods and services from CUE, on Docker, Kubernetes and Compose",
		Long: "Cuepod compiles CUE definitions of pods and services into Kubernetes manifests, into a\n" +
			"Compose file, or into a direct run on a container engine with hot reload.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return oneOf(cmd, "color", c.color, "auto", "always", "never")
		},
	}
	root.SetFlagErrorFunc(unknownFlag)
	root.PersistentFlags().StringVar(&c.color, "color", "auto", "colours: auto, always or never")
	complete(root, "color", "auto", "always", "never")
	root.AddGroup(
		&cobra.Group{ID: groupDefine, Title: "Define:"},
		&cobra.Group{ID: groupRun, Title: "Run:"},
	)
	root.AddCommand(
		c.initCommand(), c.vetCommand(), c.explainCommand(), c.compileCommand(), c.diffCommand(), c.fmtCommand(),
		c.buildCommand(), c.planCommand(), c.upCommand(), c.watchCommand(), c.attachCommand(), c.syncCommand(), c.downCommand(), c.psCommand(), c.topCommand(), c.doctorCommand(), c.logsCommand(), c.execCommand(), c.portForwardCommand(), c.trustCommand(), c.runCommand(),
		c.versionCommand(),
	)
	for _, cmd := range root.Commands() {
		usageErrors(cmd)
		completeDirs(cmd)
	}
	return root
}

const (
	groupDefine = "define"
	groupRun    = "run"
)

// usageErrors makes a wrong number of arguments a usage error, as a wrong flag is.
func usageErrors(cmd *cobra.Command) {
	check := cmd.Args
	if check == nil {
		return
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{cmd.CommandPath(), err.Error()}
		}
		return nil
	}
}

func unknownCommand(cmd *cobra.Command, name string) error {
	msg := fmt.Sprintf("there is no command %q", name)
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		msg += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return &usageError{cmd.CommandPath(), msg}
}

// unknownFlag names the flag that was probably meant.
func unknownFlag(cmd *cobra.Command, err error) error {
	msg := err.Error()
	if name, ok := strings.CutPrefix(msg, "unknown flag: --"); ok {
		if near := nearest(name, flagNames(cmd)); near != "" {
			msg += "; did you mean --" + near + "?"
		}
	}
	return &usageError{cmd.CommandPath(), msg}
}

// oneOf checks the value of a flag that has few.
func oneOf(cmd *cobra.Command, flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	msg := fmt.Sprintf("--%s %s: it is one of %s", flag, value, strings.Join(allowed, ", "))
	if value == "" {
		msg = fmt.Sprintf("--%s is needed: one of %s", flag, strings.Join(allowed, ", "))
	}
	if near := nearest(value, allowed); near != "" {
		msg += "; did you mean " + near + "?"
	}
	return &usageError{cmd.CommandPath(), msg}
}

// jsonFlag adds --output, which is "" or json, and refuses anything else before
// the command runs.
func jsonFlag(cmd *cobra.Command, format *string, usage string) {
	cmd.Flags().StringVarP(format, "output", "o", "", usage)
	complete(cmd, "output", "json")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if *format == "" {
			return nil
		}
		return oneOf(cmd, "output", *format, "json")
	}
}

// dirArg is the directory given as the only argument, or the working directory.
func dirArg(args []string) string {
	if len(args) == 0 {
		return "."
	}
	return args[0]
}

// talk writes a line for a person.
func (c *cli) talk(format string, args ...any) {
	fmt.Fprintf(c.err, format+"\n", args...)
}

// open connects to the engine and makes sure that it answers.
func (c *cli) open(ctx context.Context) (engine.Engine, engine.Info, error) {
	eng, err := c.engine(c.lookupEnv)
	if err != nil {
		return nil, engine.Info{}, err
	}
	info, err := eng.Info(ctx)
	if err != nil {
		eng.Close()
		return nil, engine.Info{}, err
	}
	return eng, info, nil
}
