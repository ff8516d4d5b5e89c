package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
)

func (c *cli) psServicesCommand() *cobra.Command {
	var (
		w      where
		all    bool
		format string
	)
	cmd := &cobra.Command{
		Use:   "services [dir]",
		Short: "Show what connections the services had",
		Long: `Show the connections that each port of a service had, the errors among them and
the bytes, and the same for each way that they took: from a client, which is a pod
or the machine (host), to the pod that answered. "-" is none: there was no pod to
answer, and connections were refused.

The kernel counts: it costs connections nothing. Totals begin with the app's
gateway, and never go back while that is the same one, whatever becomes of pods.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w.dir = dirArg(args)
			eng, _, err := c.open(cmd.Context())
			if err != nil {
				return err
			}
			defer eng.Close()
			list, nothing, err := c.traffic(cmd.Context(), eng, w, all)
			if err != nil {
				return err
			}
			if len(list) == 0 {
				c.talk("%s", nothing)
			}
			for i, t := range list {
				if err := c.printTraffic(t, format, i > 0); err != nil {
					return err
				}
			}
			return nil
		},
	}
	w.appFlag(c, cmd)
	cmd.Flags().BoolVarP(&all, "all", "A", false, "every app on the engine")
	jsonFlag(cmd, &format, "json prints one object for each app")
	return cmd
}

// traffic asks for every app that a command is about. When there is none, nothing
// says so.
func (c *cli) traffic(ctx context.Context, eng engine.Engine, w where, all bool) (list []runner.Traffic, nothing string, err error) {
	apps, nothing, err := c.chosen(ctx, eng, w, all)
	if err != nil {
		return nil, "", err
	}
	for _, id := range apps {
		t, err := runner.GetTraffic(ctx, eng, id)
		if errors.Is(err, runner.ErrNoApp) {
			nothing = downWords(id)
			continue
		}
		if err != nil {
			return nil, "", err
		}
		list = append(list, t)
	}
	return list, nothing, nil
}

func (c *cli) printTraffic(t runner.Traffic, format string, more bool) error {
	if format == "json" {
		return c.printJSON(t)
	}
	var b strings.Builder
	if more {
		b.WriteByte('\n')
	}
	printTraffic(&b, t, c.colors(c.out))
	return write(c.out, []byte(b.String()))
}

// printTraffic prints an app's traffic for a person.
func printTraffic(w io.Writer, t runner.Traffic, s style) {
	fmt.Fprintf(w, "%s  %s\n\n", s.paint(bold, t.App), sinceWords(t))
	defer printMissing(w, t, s)
	if len(t.Edges) == 0 {
		fmt.Fprintln(w, "none yet")
		return
	}
	var services, edges table
	services.add("SERVICE", "PORT", "CONNECTIONS", "ERRORS", "SENT", "RECEIVED")
	for _, svc := range t.Services {
		services.add(append([]string{svc.Service, portWord(svc.Port, svc.Protocol)}, trafficCells(svc.Traffic)...)...)
	}
	services.write(w, "")
	fmt.Fprintln(w)
	edges.add("CLIENT", "SERVICE", "ENDPOINT", "CONNECTIONS", "ERRORS", "SENT", "RECEIVED")
	for _, e := range t.Edges {
		edges.add(append([]string{clientWord(e.Way), e.Service + ":" + portWord(e.Port, e.Protocol), endpointWord(e.Way)}, trafficCells(e.Traffic)...)...)
	}
	edges.write(w, "")
}

func printMissing(w io.Writer, t runner.Traffic, s style) {
	for _, m := range t.Missing {
		fmt.Fprintf(w, "  %s not counted: %s\n", s.paint(yellow, "!"), m)
	}
}

func sinceWords(t runner.Traffic) string {
	if t.Since.IsZero() {
		return "no gateway"
	}
	return fmt.Sprintf("connections to services, since %s ago", age(t.Time.Sub(t.Since)))
}

func trafficCells(t api.Traffic) []string {
	return []string{strconv.FormatUint(t.Connections, 10), strconv.FormatUint(t.Errors, 10), byteWord(t.Sent), byteWord(t.Received)}
}

func portWord(port int, protocol string) string { return fmt.Sprintf("%d/%s", port, protocol) }

func clientWord(w api.Way) string {
	if w.Client == "" {
		return "host"
	}
	return w.Client
}

func endpointWord(w api.Way) string {
	if w.Endpoint == "" {
		return "-"
	}
	return w.Endpoint
}

// byteWord is a number of bytes for a person, in powers of 1000.
func byteWord[N uint64 | float64](n N) string {
	const step = 1000
	if n < step {
		return fmt.Sprintf("%.0f B", float64(n))
	}
	units, f := "kMGTPE", float64(n)/step
	for f >= 999.95 && len(units) > 1 {
		units, f = units[1:], f/step
	}
	return fmt.Sprintf("%.1f %cB", f, units[0])
}
