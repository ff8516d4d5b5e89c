package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
)

// diagnosis is what doctor found.
type diagnosis struct {
	Engine engineReport `json:"engine"`
	Apps   []appReport  `json:"apps"`
}

// engineReport is what the engine can do, in its own words.
type engineReport struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	API      string `json:"api"`
	Endpoint string `json:"endpoint"`
	Platform string `json:"platform"`
	Rootless bool   `json:"rootless"`
	Images   bool   `json:"imageVolumes"` // a volume may show an image
	SubPaths bool   `json:"subPaths"`     // the engine itself shows a sub-path of a volume
}

// appReport is how the pods of one app reach services.
type appReport struct {
	App  string `json:"app"`
	Root string `json:"root"`
	Ways []way  `json:"services"`
}

// way is one way to services, and who has it.
type way struct {
	api.Proxy
	Pods []string `json:"pods"`
}

func (c *cli) doctorCommand() *cobra.Command {
	var (
		w      where
		all    bool
		format string
	)
	cmd := &cobra.Command{
		Use:   "doctor [dir]",
		Short: "Show what the engine can do, and how pods reach services",
		Long: `Doctor shows the engine that cuepod talks to, and for each running app which way
its pods' connections to services take, and why where it is not the best one:

  nftables    rules of the kernel in the pod lead each connection to its endpoint
  userspace   the app's gateway carries them, at about a third of the speed`,
		GroupID: groupRun,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w.dir = dirArg(args)
			eng, info, err := c.open(cmd.Context())
			if err != nil {
				return err
			}
			defer eng.Close()
			list, _, err := c.statuses(cmd.Context(), eng, info, w, all)
			if err != nil {
				return err
			}
			return c.printDiagnosis(diagnose(info, list), format)
		},
	}
	w.appFlag(c, cmd)
	cmd.Flags().BoolVarP(&all, "all", "A", false, "every app on the engine")
	jsonFlag(cmd, &format, "json prints one object")
	return cmd
}

func diagnose(info engine.Info, list []appStatus) diagnosis {
	d := diagnosis{Apps: []appReport{}, Engine: engineReport{
		Name: info.Name, Version: info.Version, API: info.APIVersion, Endpoint: info.Endpoint, Platform: info.OS + "/" + info.Arch,
		Rootless: info.Rootless, Images: info.Images, SubPaths: info.SubPaths,
	}}
	for _, st := range list {
		d.Apps = append(d.Apps, appReport{st.App, st.Root, ways(st.Pods)})
	}
	return d
}

// ways groups pods by their way to services, in the order of the pods.
func ways(pods []runner.PodStatus) []way {
	out := []way{}
	at := map[api.Proxy]int{}
	for _, p := range pods {
		if p.Proxy == nil {
			continue // its agent has not said yet, or it has ended
		}
		i, known := at[*p.Proxy]
		if !known {
			i = len(out)
			at[*p.Proxy] = i
			out = append(out, way{Proxy: *p.Proxy})
		}
		out[i].Pods = append(out[i].Pods, p.Name)
	}
	return out
}

func (c *cli) printDiagnosis(d diagnosis, format string) error {
	if format == "json" {
		return c.printJSON(d)
	}
	var b strings.Builder
	d.print(&b, c.colors(c.out))
	return write(c.out, []byte(b.String()))
}

// print prints it for a person.
func (d diagnosis) print(w io.Writer, s style) {
	e := d.Engine
	fmt.Fprintf(w, "%s  %s %s, API %s, %s\n", s.paint(bold, "engine"), e.Name, e.Version, e.API, e.Platform)
	fmt.Fprintf(w, "  at %s\n", e.Endpoint)
	for _, line := range []struct {
		yes  bool
		text string
	}{
		{e.Rootless, "rootless"},
		{!e.Images, "volumes cannot show images: that takes Docker 28"},
		{!e.SubPaths, "sub-paths of volumes are mounted by cuepod's own means"},
	} {
		if line.yes {
			fmt.Fprintf(w, "  %s\n", line.text)
		}
	}
	for _, a := range d.Apps {
		fmt.Fprintf(w, "\n%s  %s\n", s.paint(bold, a.App), a.Root)
		for _, way := range a.Ways {
			fmt.Fprintf(w, "  services by %s: %s\n", way.Mode, strings.Join(way.Pods, ", "))
			if way.Why != "" {
				fmt.Fprintf(w, "    %s %s\n", s.paint(yellow, "!"), way.Why)
			}
		}
	}
}
