package runner

import (
	"testing"
	"time"
)

// Whatever somebody renames on the engine gets its name back, and nothing
// restarts for it.
func TestUp_GivesRenamedContainersTheirNamesBack(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		r.up()
		before := r.running()
		for _, name := range []string{"shop_web-0", "shop_web-0_app", "shop_db-0_db"} {
			if err := r.eng.RenameContainer(t.Context(), before[name], name+"-mine"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		if got := touched(before, r.running()); got != "" {
			t.Errorf("touched %q", got)
		}
	})
}
