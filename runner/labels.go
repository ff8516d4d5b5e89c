package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
)

// Labels on everything that belongs to an app. Together with the record they
// are all the state there is.
const (
	labelID         = "dev.cuepod.id" // Identity.ID: what we act on, and nothing else
	labelApp        = "dev.cuepod.app"
	labelRoot       = "dev.cuepod.root"
	labelRole       = "dev.cuepod.role"
	labelPod        = "dev.cuepod.pod"
	labelWorkload   = "dev.cuepod.workload"
	labelContainer  = "dev.cuepod.container" // name in the pod
	labelService    = "dev.cuepod.service"   // of a portal
	labelHash       = "dev.cuepod.hash"
	labelRevision   = "dev.cuepod.revision" // of the template that a pod was made from
	labelOrdered    = "dev.cuepod.ordered"  // of a pod: it stops only after those with greater numbers
	labelInfra      = "dev.cuepod.infra"    // ID of the infra container a member joined
	labelRestarts   = "dev.cuepod.restarts"
	labelBackoff    = "dev.cuepod.backoff"
	labelEnding     = "dev.cuepod.ending"     // of a container: reconcile.Ending
	labelTries      = "dev.cuepod.tries"      // of what stands for a container that cannot be made
	labelMessage    = "dev.cuepod.message"    // of the same: what is wrong; labelReason is its word
	labelGeneration = "dev.cuepod.generation" // of a record
	labelManifest   = "dev.cuepod.manifest"   // of a record
	labelProgram    = "dev.cuepod.program"    // of a container made of another image than its own: the slot of its program
	labelBase       = "dev.cuepod.base"       // of an image of a Go program: docker.Build.Base
	labelKeep       = "dev.cuepod.keep"       // of a volume that down leaves, unless asked
	labelJob        = "dev.cuepod.job"        // name of the run, of a run and of its pods
	labelRun        = "dev.cuepod.run"        // tells runs of one name apart
	labelCreated    = "dev.cuepod.created"    // of a run; of a CronJob, since when its times count
	labelScheduled  = "dev.cuepod.scheduled"  // of a run: the CronJob's time
	labelResult     = "dev.cuepod.result"     // of a run that is over
	labelReason     = "dev.cuepod.reason"
	labelFinished   = "dev.cuepod.finished"
)

// ID is the short name of an identity on the engine.
func (id Identity) ID() string {
	sum := sha256.Sum256([]byte(id.App + "\x00" + id.Root))
	return hex.EncodeToString(sum[:6])
}

// Project begins all names on the engine: readable, and another for each root.
func (id Identity) Project() string { return id.App + "-" + id.ID()[:projectHash] }

// projectHash is how many digits of the hash are in names: enough that two
// checkouts of one app never share them, few enough to read.
const projectHash = 6

func (id Identity) labels() map[string]string {
	return map[string]string{labelID: id.ID(), labelApp: id.App, labelRoot: id.Root}
}

func (id Identity) selector() map[string]string { return map[string]string{labelID: id.ID()} }

// with adds labels to the identity's own.
func (id Identity) with(extra map[string]string) map[string]string {
	labels := id.labels()
	for k, v := range extra {
		if v != "" {
			labels[k] = v
		}
	}
	return labels
}

func roleOf(c *engine.Container) reconcile.Role { return reconcile.Role(c.Labels[labelRole]) }

// number reads a label that we wrote; a tampered one counts as zero.
func number(labels map[string]string, key string) int {
	n, _ := strconv.Atoi(labels[key])
	return n
}
