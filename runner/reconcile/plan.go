// Package reconcile decides what to do: it compares the desired state with the
// observed one and returns a plan, a graph of single engine calls, each with
// its cause. It has no effects and reads no clock.
package reconcile

// Plan is what has to be done, in order. The zero Plan means nothing to do.
type Plan struct{}

// Empty reports whether there is nothing to do.
func (p Plan) Empty() bool { return true }

// String is what `cuepod plan` prints.
func (p Plan) String() string { return "" }
