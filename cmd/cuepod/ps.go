package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/engine"
)

// appStatus is what ps prints: the runner's status, and who supervises.
type appStatus struct {
	runner.Status
	Supervisor int `json:"supervisor,omitempty"` // process ID
}

func (c *cli) psCommand() *cobra.Command {
	var (
		w      where
		all    bool
		format string
	)
	cmd := &cobra.Command{
		Use:     "ps [dir]",
		Short:   "Show pods and services",
		GroupID: groupRun,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w.dir = dirArg(args)
			eng, info, err := c.open(cmd.Context())
			if err != nil {
				return err
			}
			defer eng.Close()
			list, nothing, err := c.statuses(cmd.Context(), eng, info, w, all)
			if err != nil {
				return err
			}
			if len(list) == 0 {
				c.talk("%s", nothing)
			}
			for i, st := range list {
				if err := c.printStatus(st, format, i > 0); err != nil {
					return err
				}
			}
			return nil
		},
	}
	w.appFlag(c, cmd)
	cmd.Flags().BoolVarP(&all, "all", "A", false, "every app on the engine")
	jsonFlag(cmd, &format, "json prints one object for each app")
	cmd.AddCommand(c.psServicesCommand())
	return cmd
}

// statuses asks for every app that a command is about. When there is none,
// nothing says so.
func (c *cli) statuses(ctx context.Context, eng engine.Engine, info engine.Info, w where, all bool) (list []appStatus, nothing string, err error) {
	apps, nothing, err := c.chosen(ctx, eng, w, all)
	if err != nil {
		return nil, "", err
	}
	for _, id := range apps {
		st, err := c.status(ctx, eng, id)
		if errors.Is(err, runner.ErrNoApp) { // only its volumes are left
			nothing = downWords(id)
			continue
		}
		if err != nil {
			return nil, "", err
		}
		pid, err := supervisorOf(c.appDir(id, info.Endpoint))
		if err != nil {
			return nil, "", err
		}
		st.Supervised = pid > 0
		list = append(list, appStatus{st, pid})
	}
	return list, nothing, nil
}

// chosen are the apps that a command is about. When there is none, nothing says so.
func (c *cli) chosen(ctx context.Context, eng engine.Engine, w where, all bool) (apps []runner.Identity, nothing string, err error) {
	if !all {
		root, apps, err := c.running(ctx, eng, w.dir, w.app)
		return apps, notRunning(root, w.app), err
	}
	found, err := c.list(ctx, eng)
	for _, a := range found {
		apps = append(apps, runner.Identity{App: a.Name, Root: a.Root})
	}
	return apps, "no app is on the engine", err
}

func downWords(id runner.Identity) string {
	return fmt.Sprintf("%s is down; its persistent volumes are kept ('cuepod down --volumes' removes them)", id.App)
}

// printJSON prints a value for programs.
func (c *cli) printJSON(v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return write(c.out, append(data, '\n'))
}

func (c *cli) printStatus(st appStatus, format string, more bool) error {
	if format == "json" {
		return c.printJSON(st)
	}
	var b strings.Builder
	if more {
		b.WriteByte('\n')
	}
	printStatus(&b, st, c.colors(c.out), time.Now())
	return write(c.out, []byte(b.String()))
}

// printStatus prints an app for a person.
func printStatus(w io.Writer, st appStatus, s style, now time.Time) {
	supervised := s.paint(yellow, "unsupervised: restarts and reload wait for 'cuepod up'")
	if st.Supervisor > 0 {
		supervised = fmt.Sprintf("supervised by pid %d", st.Supervisor)
	}
	fmt.Fprintf(w, "%s  %s  %s\n\n", s.paint(bold, st.App), st.Root, supervised)
	if st.Unknown != "" {
		fmt.Fprintf(w, "%s %s\n\n", s.paint(red, "!"), st.Unknown)
	}
	var pods table
	pods.add("POD", "READY", "STATUS", "RESTARTS", "AGE", "IP")
	for _, p := range st.Pods {
		ready, total := readyContainers(p)
		pods.add(p.Name, fmt.Sprintf("%d/%d", ready, total), p.Status, restartsWord(p, now), podAge(p, now), p.IP)
	}
	pods.write(w, "")
	for _, p := range st.Pods {
		for _, ctr := range p.Containers {
			if trouble := containerTrouble(ctr, now); trouble != "" {
				fmt.Fprintf(w, "  %s %s/%s: %s\n", s.paint(red, "!"), p.Name, ctr.Name, trouble)
			}
		}
	}
	printJobs(w, st, s, now)
	if len(st.Services) == 0 {
		return
	}
	fmt.Fprintln(w)
	var services table
	services.add("SERVICE", "ADDRESS", "PORTS", "ENDPOINTS", "URL")
	for _, svc := range st.Services {
		address := svc.VIP
		switch {
		case svc.ExternalName != "":
			address = svc.ExternalName
		case address == "":
			address = "(headless)"
		}
		services.add(svc.Name, address, strings.Join(svc.Ports, ","), fmt.Sprintf("%d/%d", svc.Endpoints, svc.Total), strings.Join(svc.URLs, " "))
	}
	services.write(w, "")
	for _, way := range ways(st.Pods) {
		if way.Why != "" {
			fmt.Fprintf(w, "  %s services by %s for %s: %s\n", s.paint(yellow, "!"), way.Mode, strings.Join(way.Pods, ", "), way.Why)
		}
	}
}

// printJobs prints jobs and CronJobs in kubectl's columns.
func printJobs(w io.Writer, st appStatus, s style, now time.Time) {
	if len(st.Jobs) > 0 {
		fmt.Fprintln(w)
		var jobs table
		jobs.add("JOB", "STATUS", "COMPLETIONS", "DURATION", "AGE")
		for _, j := range st.Jobs {
			jobs.add(j.Name, j.Status, completions(j), jobDuration(j, now), since(j.Started, now))
		}
		jobs.write(w, "")
		for _, j := range st.Jobs {
			if j.Reason != "" {
				fmt.Fprintf(w, "  %s %s: %s, %s failed\n", s.paint(red, "!"), j.Name, j.Reason, plural(j.Failed, "pod"))
			}
		}
	}
	if len(st.CronJobs) == 0 {
		return
	}
	fmt.Fprintln(w)
	var crons table
	crons.add("CRONJOB", "SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST SCHEDULE", "NEXT")
	for _, j := range st.CronJobs {
		zone := j.TimeZone
		if zone == "" {
			zone = "UTC"
		}
		next := "-"
		if !j.Next.IsZero() {
			next = "in " + age(j.Next.Sub(now))
		}
		crons.add(j.Name, j.Schedule, zone, strconv.FormatBool(j.Suspend), strconv.Itoa(j.Active), since(j.LastSchedule, now), next)
	}
	crons.write(w, "")
}

// completions says how far a job is, as kubectl does.
func completions(j runner.JobStatus) string {
	if j.Completions == nil {
		return fmt.Sprintf("%d/1 of a queue", j.Succeeded)
	}
	return fmt.Sprintf("%d/%d", j.Succeeded, *j.Completions)
}

func jobDuration(j runner.JobStatus, now time.Time) string {
	if j.Started.IsZero() {
		return "-"
	}
	end := now
	if !j.Finished.IsZero() {
		end = j.Finished
	}
	return age(end.Sub(j.Started))
}

func since(at, now time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return age(now.Sub(at))
}

// readyContainers counts as kubectl does: without init containers that end.
func readyContainers(p runner.PodStatus) (ready, total int) {
	for _, ctr := range p.Containers {
		if ctr.Init && !ctr.Sidecar {
			continue
		}
		total++
		if ctr.Ready {
			ready++
		}
	}
	return ready, total
}

// restartsWord counts restarts, and says when the last was, as kubectl does.
func restartsWord(p runner.PodStatus, now time.Time) string {
	if p.Restarts == 0 || p.LastRestart.IsZero() {
		return strconv.Itoa(p.Restarts)
	}
	return fmt.Sprintf("%d (%s ago)", p.Restarts, age(now.Sub(p.LastRestart)))
}

func podAge(p runner.PodStatus, now time.Time) string {
	return since(p.Started, now)
}

// containerTrouble is what keeps a container from being ready, or "".
func containerTrouble(ctr runner.ContainerStatus, now time.Time) string {
	if ctr.Ready || ctr.Reason == "Completed" || ctr.Init && ctr.State == "running" {
		return ""
	}
	last := ""
	if ctr.LastState != nil {
		last = "; it was " + stateWord(*ctr.LastState)
	}
	switch {
	case !ctr.RetryAt.IsZero() && ctr.Reason != "CrashLoopBackOff" && ctr.Message != "": // of an image: the registry's words
		return fmt.Sprintf("%s: %s (next try in %s)", ctr.Reason, ctr.Message, age(max(0, ctr.RetryAt.Sub(now))))
	case !ctr.RetryAt.IsZero():
		return fmt.Sprintf("%s (next in %s)%s", ctr.Reason, age(ctr.RetryAt.Sub(now)), last)
	case ctr.State == "terminated":
		return stateWord(ctr.ContainerState)
	case ctr.Message != "" && ctr.Reason != "":
		return ctr.Reason + ": " + ctr.Message
	default:
		return ctr.Message // none: the pod's line says it
	}
}

// stateWord says how a container ended.
func stateWord(s runner.ContainerState) string {
	text := fmt.Sprintf("%s, exit code %d", s.Reason, s.ExitCode)
	if s.Message != "" {
		text += ": " + s.Message
	}
	return text
}
