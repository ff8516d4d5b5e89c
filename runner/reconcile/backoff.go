package reconcile

import "time"

// Restart delays: Kubernetes' shape (the first restart is immediate, then
// doubling) with the numbers of KEP-4603, which suit a person who waits.
const (
	backoffFirst = 1 * time.Second
	backoffMax   = 60 * time.Second
	backoffReset = 10 * time.Minute // a container that ran this long starts over
)

// Delay is how long to wait after the exit of a container that was restarted
// that many times in a row.
func Delay(restarts int) time.Duration {
	if restarts <= 0 {
		return 0
	}
	if restarts > 7 { // 1 s << 6 is beyond the cap
		return backoffMax
	}
	return min(backoffFirst<<(restarts-1), backoffMax)
}

// due is when an exited container may start again, and the count the next
// instance carries.
func due(c *Container) (at time.Time, next int) {
	count := c.Backoff
	if !c.Started.IsZero() && c.Finished.Sub(c.Started) >= backoffReset {
		count = 0
	}
	return c.Finished.Add(Delay(count)), count + 1
}
