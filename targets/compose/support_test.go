package compose_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cuepod/cuepod/targets/compose"
)

// The table has every field that a definition can set, and no other.
func TestSupport_HasEveryField(t *testing.T) {
	table := compose.Support()
	var got []string
	for field := range table {
		got = append(got, field)
	}
	want := table.Reachable()
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields of the schema (-) and of the table (+):\n%s", diff)
	}
}
