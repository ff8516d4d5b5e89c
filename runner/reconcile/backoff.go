package reconcile

import "time"

// Backoff says how long a container that ended waits before it is started
// again. The shape is Kubernetes': the first restart is immediate, the next
// ones wait a time that doubles up to a limit, counted from the exit, whatever
// the exit code was. Sources: pkg/kubelet/kuberuntime doBackOff, client-go
// util/flowcontrol/backoff.go.
type Backoff string

const (
	// FastBackoff waits 1 s, 2 s, 4 s ... 60 s: the numbers of KEP-4603, which
	// suit a person who waits. "" means the same.
	FastBackoff Backoff = "fast"
	// KubernetesBackoff waits 10 s, 20 s, 40 s ... 300 s.
	KubernetesBackoff Backoff = "kubernetes"
)

// backoffReset is how long a container has to run for its next exit to count as
// the first one. Kubernetes has it fixed (pkg/kubelet/kubelet.go), whichever
// delays are in force.
const backoffReset = 10 * time.Minute

// same reports whether two have the same delays.
func (k Backoff) same(o Backoff) bool { return k == o || k.fast() && o.fast() }

func (k Backoff) fast() bool { return k == "" || k == FastBackoff }

// limits are the first delay and the longest.
func (k Backoff) limits() (first, longest time.Duration) {
	if k == KubernetesBackoff {
		return 10 * time.Second, 300 * time.Second
	}
	return time.Second, 60 * time.Second
}

// Delay is how long to wait after the exit of a container that was restarted
// that many times in a row.
func (k Backoff) Delay(restarts int) time.Duration {
	if restarts <= 0 {
		return 0
	}
	delay, longest := k.limits()
	for range restarts - 1 {
		if delay >= longest {
			break
		}
		delay *= 2
	}
	return min(delay, longest)
}

// Due is when a container that ended may start again, and the count that the
// next instance carries. One that could not be started ended when it was made.
func (k Backoff) Due(c *Container) (at time.Time, next int) {
	if c.Waiting != "" { // it has not run: the tries count, and the next instance waits as before
		return c.Created.Add(k.Delay(c.Tries)), c.Backoff
	}
	count, end := c.Backoff, c.Finished
	if end.IsZero() {
		end = c.Created
	}
	if !c.Started.IsZero() && c.Finished.Sub(c.Started) > backoffReset {
		count = 0
	}
	return end.Add(k.Delay(count)), count + 1
}

// Delays between the pods of a job that fail, as in Kubernetes:
// pkg/controller/job/job_controller.go.
const (
	podRetryFirst = 10 * time.Second
	podRetryMax   = 10 * time.Minute
)

func podRetry(failures int) time.Duration {
	if failures > 7 { // 10 s << 7 is beyond the cap
		return podRetryMax
	}
	return min(podRetryFirst<<(failures-1), podRetryMax)
}
