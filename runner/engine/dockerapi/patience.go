package dockerapi

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Patience with an engine that takes a request and says nothing: one that is
// stopped, or stuck. Without an end to it the caller would be stuck as well. A
// call that is given up may still be carried out; whoever tries again looks first.
const (
	askPatience  = 30 * time.Second // for what an engine knows by heart
	workPatience = 2 * time.Minute  // for what it has to do, on a disk that others keep busy
)

// silence is the error of a call whose answer did not come in time.
type silence struct{ long time.Duration }

func (s *silence) Error() string { return fmt.Sprintf("it has not answered for %v", s.long) }

// within bounds one call. Its error goes through heard.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, &silence{limit})
}

// heard is the error of a call under a context of within.
func heard(ctx context.Context, err error) error {
	var s *silence
	if err != nil && errors.As(context.Cause(ctx), &s) {
		return s
	}
	return err
}
