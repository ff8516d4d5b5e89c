package runner

import (
	"slices"
	"strconv"
	"time"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
)

// A run of a job, and since when a CronJob's times count, are containers that
// are never started: their labels are all there is to them.

func jobSpec(id Identity, project, image string, j reconcile.Job) engine.ContainerSpec {
	name := project + "_job." + j.Name + "." + j.Run
	if j.Result != "" {
		name += ".done"
	}
	return agentSpec(name, image, id.with(map[string]string{
		labelRole:      string(reconcile.RoleJob),
		labelJob:       j.Name,
		labelRun:       j.Run,
		labelWorkload:  j.Workload,
		labelHash:      j.Hash,
		labelCreated:   stamp(j.Created),
		labelScheduled: stamp(j.Scheduled),
		labelResult:    string(j.Result),
		labelReason:    j.Reason,
		labelFinished:  stamp(j.Finished),
	}), "record")
}

func cronSpec(id Identity, project, image string, j reconcile.Job) engine.ContainerSpec {
	name := project + "_cron." + j.Workload + "." + strconv.FormatInt(j.Created.UnixMilli(), 10)
	return agentSpec(name, image, id.with(map[string]string{
		labelRole:     string(reconcile.RoleCron),
		labelWorkload: j.Workload,
		labelHash:     j.Hash,
		labelCreated:  stamp(j.Created),
	}), "record")
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// moment reads a label that stamp wrote; a tampered one counts as zero.
func moment(labels map[string]string, key string) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, labels[key])
	return t
}

// sortJob adds what a container says of a run. Of two that say something of the
// same run, as a supervisor was killed between writing one and removing the
// other, the one with a result counts.
func (o *observation) sortJob(c *engine.Container) {
	j := reconcile.Job{
		ID: c.ID, Name: c.Labels[labelJob], Run: c.Labels[labelRun], Workload: c.Labels[labelWorkload], Hash: c.Labels[labelHash],
		Created: moment(c.Labels, labelCreated), Scheduled: moment(c.Labels, labelScheduled), Finished: moment(c.Labels, labelFinished),
		Result: reconcile.Result(c.Labels[labelResult]), Reason: c.Labels[labelReason],
	}
	same := func(k reconcile.Job) bool { return k.Name == j.Name && k.Run == j.Run }
	i := slices.IndexFunc(o.Jobs, same)
	switch {
	case i < 0:
		o.Jobs = append(o.Jobs, j)
	case o.Jobs[i].Result == "":
		j.Stale = append(o.Jobs[i].Stale, o.Jobs[i].ID)
		o.Jobs[i] = j
	default:
		o.Jobs[i].Stale = append(o.Jobs[i].Stale, j.ID)
	}
}

// sortCron adds since when a CronJob's times count. Of two the later counts;
// the earlier is removed as that of a CronJob that is gone would be.
func (o *observation) sortCron(c *engine.Container) {
	k := &reconcile.Cron{ID: c.ID, Hash: c.Labels[labelHash], Since: moment(c.Labels, labelCreated)}
	old := o.Crons[c.Labels[labelWorkload]]
	switch {
	case old == nil:
	case old.Since.After(k.Since):
		old.Stale = append(old.Stale, k.ID)
		return
	default:
		k.Stale = append(old.Stale, old.ID)
	}
	o.Crons[c.Labels[labelWorkload]] = k
}
