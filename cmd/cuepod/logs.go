package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/runner"
)

func (c *cli) logsCommand() *cobra.Command {
	var (
		w          where
		opts       runner.LogOptions
		since      string
		timestamps bool
	)
	cmd := &cobra.Command{
		Use:     "logs [pod[/container]...]",
		Short:   "Show what containers print",
		GroupID: groupRun,
		Example: "  cuepod logs -f\n  cuepod logs --since 10m web-0/api worker\n  cuepod logs --previous web-0/api",
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if opts.Previous && opts.Follow {
				return &usageError{"cuepod logs", "--previous shows what has ended: it cannot go with --follow"}
			}
			if opts.Since, err = parseSince(since, time.Now()); err != nil {
				return err
			}
			targets, err := parseTargets(args)
			if err != nil {
				return err
			}
			return c.showLogs(cmd.Context(), w, targets, opts, timestamps)
		},
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return c.podNames(cmd.Context(), &w), cobra.ShellCompDirectiveNoFileComp
		},
	}
	w.flags(c, cmd)
	flags := cmd.Flags()
	flags.BoolVarP(&opts.Follow, "follow", "f", false, "go on, new containers included")
	flags.BoolVarP(&opts.Previous, "previous", "p", false, "of the instance before the last restart")
	flags.IntVar(&opts.Tail, "tail", -1, "last `lines` of each container; -1 is all")
	flags.StringVar(&since, "since", "", "lines younger than a duration (10m) or a time (2026-01-02T15:04:05Z)")
	flags.BoolVar(&opts.Init, "init", false, "init containers too")
	flags.BoolVar(&timestamps, "timestamps", false, "the time before each line")
	return cmd
}

func (c *cli) showLogs(ctx context.Context, w where, targets []runner.Target, opts runner.LogOptions, timestamps bool) error {
	eng, _, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer eng.Close()
	id, err := c.theOne(ctx, eng, w.dir, w.app)
	if err != nil {
		return err
	}
	st, err := c.status(ctx, eng, id)
	if err != nil {
		return err
	}
	p := c.logPrinter(containerNames(st), timestamps)
	if err := c.logs(ctx, eng, id, targets, opts, p.print); err != nil {
		return err
	}
	return ctx.Err()
}

func parseTargets(args []string) ([]runner.Target, error) {
	var out []runner.Target
	for _, arg := range args {
		t, err := parseTarget(arg)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// parseSince reads a duration before now or a point in time. "" is the zero time.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	return time.Time{}, &usageError{"cuepod logs", fmt.Sprintf("--since %s: it is a duration such as 10m, or a time such as 2026-01-02T15:04:05Z", text)}
}

// containerNames lists pod/container of an app, to know how wide a prefix gets.
func containerNames(st runner.Status) []string {
	var names []string
	for _, p := range st.Pods {
		for _, ctr := range p.Containers {
			names = append(names, p.Name+"/"+ctr.Name)
		}
	}
	return names
}

// logPrinter prefixes lines with where they come from. It is not safe for
// concurrent use.
type logPrinter struct {
	w          io.Writer
	style      style
	clean      bool // the reader is a terminal: see sanitize
	timestamps bool
	width      int // of the prefix, in characters; grows with what comes
	screen     *screen
}

// logPrinter prints to standard output. names are those expected, and may be nil.
func (c *cli) logPrinter(names []string, timestamps bool) *logPrinter {
	p := &logPrinter{w: c.out, style: c.colors(c.out), clean: isTerminal(c.out), timestamps: timestamps, screen: c.screen}
	for _, name := range names {
		p.width = max(p.width, utf8.RuneCountInString(name))
	}
	return p
}

// print writes one line in one write.
func (p *logPrinter) print(line runner.LogLine) {
	p.screen.write(p.w, p.format(line))
}

func (p *logPrinter) format(line runner.LogLine) string {
	name := line.Pod + "/" + line.Container
	n := utf8.RuneCountInString(name)
	p.width = max(p.width, n)
	prefix := name + strings.Repeat(" ", p.width-n) + " |"
	text := line.Text
	if p.clean {
		text = sanitize(text)
	}
	if p.style.on && strings.Contains(text, "\x1b[") {
		text += "\x1b[0m" // a colour left open must not run into the next prefix
	}
	if p.timestamps && !line.Time.IsZero() {
		text = line.Time.UTC().Format(time.RFC3339Nano) + " " + text
	}
	return p.style.paint(colorOf(name), prefix) + " " + text + "\n"
}
