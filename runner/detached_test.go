package runner

import (
	"strings"
	"testing"
	"time"
)

// What somebody takes out of the app's network is made anew: it runs, and can
// neither be told anything nor serve. The rest stays as it is.
func TestUp_BringsBackWhatIsOutsideOfTheNetwork(t *testing.T) {
	for name, again := range map[string]string{
		"shop_web-1":      "~shop_web-1 ~shop_web-1_app ~shop_web-1_log",
		"shop_gateway":    "~shop_gateway",
		"shop_portal_web": "~shop_portal_web",
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.ready()
				r.up()
				before := r.running()
				if err := r.eng.Disconnect(name); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				told := r.told()
				if got := touched(before, r.running()); got != again {
					t.Errorf("made anew %q, want %q; told:\n%s", got, again, told)
				}
				for _, c := range r.containers() {
					if c.Name == name && c.IP == "" {
						t.Errorf("%s is in no network", name)
					}
				}
				if !strings.Contains(told, "it is not in the app's network") {
					t.Errorf("told:\n%s", told)
				}
			})
		})
	}
}

// All replicas of a pod may be outside, as after the network was removed and
// made: they come back, whatever plan was under way.
func TestUp_BringsBackAllThatIsOutsideOfTheNetwork(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		r.up()
		r.told()
		for _, name := range []string{"shop_web-0", "shop_web-1", "shop_db-0", "shop_gateway"} {
			if err := r.eng.Disconnect(name); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		told := r.told()
		for _, c := range r.containers() {
			if isMember(&c) || roleOf(&c) == "record" || c.State != "running" {
				continue
			}
			if c.IP == "" {
				t.Errorf("%s is in no network; told:\n%s", c.Name, told)
			}
		}
		if strings.Count(told, "is ready") != 1 {
			t.Errorf("told:\n%s", told)
		}
	})
}

// A paused container serves nobody. It is told, and left as somebody wanted it.
func TestUp_APausedContainerIsNotReady(t *testing.T) {
	for _, name := range []string{"shop_web-0_app", "shop_web-0"} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.ready()
				r.up()
				before, ready := r.running(), func() bool {
					t.Helper()
					st, err := GetStatus(t.Context(), r.eng, r.id())
					if err != nil {
						t.Fatal(err)
					}
					for _, p := range st.Pods {
						if p.Name == "web-0" {
							return p.Ready
						}
					}
					t.Fatal("no pod web-0")
					return false
				}
				if !ready() {
					t.Fatal("not ready while it runs")
				}
				if err := r.eng.SetPaused(name, true); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				if ready() {
					t.Error("ready while it is paused")
				}
				if got := r.told(); !strings.Contains(got, "it is paused; `docker unpause "+name+"` lets it go on") {
					t.Errorf("told:\n%s", got)
				}
				if err := r.eng.SetPaused(name, false); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				if told := r.told(); !ready() || strings.Count(told, "is ready") != 1 {
					t.Errorf("not ready again; told:\n%s", told)
				}
				if got := touched(before, r.running()); got != "" {
					t.Errorf("touched %q", got)
				}
			})
		})
	}
}

// What holds an app together is told of, too.
func TestUp_APausedGatewayIsTold(t *testing.T) {
	for _, name := range []string{"shop_gateway", "shop_portal_web"} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.ready()
				r.up()
				if err := r.eng.SetPaused(name, true); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				if got := r.told(); strings.Count(got, "it is paused; `docker unpause "+name+"` lets it go on") != 1 {
					t.Errorf("told:\n%s", got)
				}
				if got := r.status().Unknown; (name == "shop_gateway") != strings.Contains(got, "docker unpause") {
					t.Errorf("what ps does not know: %q", got)
				}
			})
		})
	}
}
