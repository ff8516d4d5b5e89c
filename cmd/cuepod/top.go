package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
)

const (
	// topEvery is how often top looks: as often as top(1) is read.
	topEvery = 2 * time.Second
	// topOnce is how long one look takes, for rates.
	topOnce = time.Second
)

// sample is one look at an app.
type sample struct {
	at      time.Time
	pods    []runner.PodUsage
	traffic runner.Traffic
}

// load is how busy an app is: the difference of two looks.
type load struct {
	App     string     `json:"app"`
	Seconds float64    `json:"seconds"` // between the looks; all rates are over them
	Pods    []podLoad  `json:"pods"`
	Edges   []edgeLoad `json:"edges"`
	Missing []string   `json:"missing,omitempty"`
}

type podLoad struct {
	Pod    string  `json:"pod"`
	CPU    float64 `json:"cpu"`    // processors in use: 1.5 is one and a half
	Memory int64   `json:"memory"` // bytes
}

// edgeLoad is a way that connections took, and what took it each second.
type edgeLoad struct {
	api.Way
	Connections float64     `json:"connectionsPerSecond"`
	Errors      float64     `json:"errorsPerSecond"`
	Sent        float64     `json:"sentPerSecond"`
	Received    float64     `json:"receivedPerSecond"`
	Total       api.Traffic `json:"total"`
}

func (c *cli) topCommand() *cobra.Command {
	var (
		w      where
		once   bool
		format string
	)
	cmd := &cobra.Command{
		Use:     "top [dir]",
		Short:   "Show what pods use, and the connections between them, as they change",
		GroupID: groupRun,
		Long: `Show what each pod uses of processors and memory, its agent included, and how many
connections, errors and bytes go each way each second. It is renewed every two
seconds until Ctrl-C. Where there is no terminal, with --once and with -o json it
looks for a second and prints once.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w.dir = dirArg(args)
			eng, _, err := c.open(cmd.Context())
			if err != nil {
				return err
			}
			defer eng.Close()
			root, apps, err := c.running(cmd.Context(), eng, w.dir, w.app)
			if err != nil {
				return err
			}
			if len(apps) == 0 {
				c.talk("%s", notRunning(root, w.app))
				return nil
			}
			if once || format != "" || !isTerminal(c.out) {
				return c.topOnce(cmd.Context(), eng, apps, format)
			}
			return c.topLive(cmd.Context(), eng, apps)
		},
	}
	w.appFlag(c, cmd)
	cmd.Flags().BoolVar(&once, "once", false, "print once, after a second")
	jsonFlag(cmd, &format, "json prints one object for each app, once")
	return cmd
}

// look takes a sample of each app.
func look(ctx context.Context, eng engine.Engine, apps []runner.Identity) ([]sample, error) {
	var out []sample
	for _, id := range apps {
		pods, err := runner.GetUsage(ctx, eng, id)
		if errors.Is(err, runner.ErrNoApp) {
			pods, err = nil, nil
		}
		if err != nil {
			return nil, err
		}
		traffic, err := runner.GetTraffic(ctx, eng, id)
		if err != nil && !errors.Is(err, runner.ErrNoApp) {
			traffic.Missing = append(traffic.Missing, err.Error()) // what pods use is known all the same
		}
		traffic.App = id.App
		out = append(out, sample{time.Now(), pods, traffic})
	}
	return out, nil
}

func (c *cli) topOnce(ctx context.Context, eng engine.Engine, apps []runner.Identity, format string) error {
	before, err := look(ctx, eng, apps)
	if err != nil {
		return err
	}
	if !pause(ctx, topOnce) {
		return context.Cause(ctx)
	}
	now, err := look(ctx, eng, apps)
	if err != nil {
		return err
	}
	for i := range now {
		l := loadOf(before[i], now[i])
		if format == "json" {
			err = c.printJSON(l)
		} else {
			var b strings.Builder
			printLoad(&b, l, c.colors(c.out), i > 0)
			err = write(c.out, []byte(b.String()))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// topLive draws on a screen of its own until ctx is done (xterm: 1049; ECMA-48: CUP, ED).
func (c *cli) topLive(ctx context.Context, eng engine.Engine, apps []runner.Identity) error {
	const enter, leave, home = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l", "\x1b[H\x1b[J"
	if err := write(c.out, []byte(enter)); err != nil {
		return err
	}
	defer func() { _ = write(c.out, []byte(leave)) }() // a terminal that is gone needs no leave
	before, err := look(ctx, eng, apps)
	for every := topOnce; err == nil && pause(ctx, every); every = topEvery {
		var now []sample
		if now, err = look(ctx, eng, apps); err != nil {
			break
		}
		var b strings.Builder
		b.WriteString(home)
		for i := range now {
			printLoad(&b, loadOf(before[i], now[i]), c.colors(c.out), i > 0)
		}
		if err = write(c.out, []byte(b.String())); err != nil {
			break
		}
		before = now
	}
	if ctx.Err() != nil {
		return nil // that is how it ends
	}
	return err
}

// pause reports whether ctx goes on after it.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// loadOf is the difference of two looks. What is new counts from nothing; what
// began anew in between, as from then on.
func loadOf(before, now sample) load {
	seconds := now.at.Sub(before.at).Seconds()
	out := load{App: now.traffic.App, Seconds: seconds, Pods: []podLoad{}, Edges: []edgeLoad{}, Missing: now.traffic.Missing}
	if seconds <= 0 {
		return out
	}
	for _, p := range now.pods {
		l := podLoad{Pod: p.Pod, Memory: p.Memory}
		if i := slices.IndexFunc(before.pods, func(b runner.PodUsage) bool { return b.Pod == p.Pod }); i >= 0 {
			l.CPU = max(0, (p.CPU-before.pods[i].CPU).Seconds()/seconds)
		}
		out.Pods = append(out.Pods, l)
	}
	last := map[api.Way]api.Traffic{}
	if now.traffic.Since.Equal(before.traffic.Since) {
		for _, e := range before.traffic.Edges {
			last[e.Way] = e.Traffic
		}
	}
	for _, e := range now.traffic.Edges {
		d := e.Since(last[e.Way])
		rate := func(n uint64) float64 { return float64(n) / seconds }
		out.Edges = append(out.Edges, edgeLoad{e.Way, rate(d.Connections), rate(d.Errors), rate(d.Sent), rate(d.Received), e.Traffic})
	}
	return out
}

// printLoad prints an app for a person.
func printLoad(w io.Writer, l load, s style, more bool) {
	if more {
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%s  over %.1f s\n\n", s.paint(bold, l.App), l.Seconds)
	var pods, edges table
	pods.add("POD", "CPU", "MEMORY")
	for _, p := range l.Pods {
		pods.add(p.Pod, fmt.Sprintf("%.0fm", 1000*p.CPU), byteWord(uint64(p.Memory)))
	}
	pods.write(w, "")
	if len(l.Edges) > 0 {
		fmt.Fprintln(w)
		edges.add("CLIENT", "SERVICE", "ENDPOINT", "CONN/S", "ERR/S", "SENT/S", "RECEIVED/S", "CONNECTIONS")
		for _, e := range l.Edges {
			edges.add(clientWord(e.Way), e.Service+":"+portWord(e.Port, e.Protocol), endpointWord(e.Way),
				fmt.Sprintf("%.1f", e.Connections), fmt.Sprintf("%.1f", e.Errors), byteWord(e.Sent), byteWord(e.Received), fmt.Sprint(e.Total.Connections))
		}
		edges.write(w, "")
	}
	printMissing(w, runner.Traffic{Missing: l.Missing}, s)
}
