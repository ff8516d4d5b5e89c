package runner

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/engine/fake"
)

// conformance:S19
func TestGetStatus_LastWords(t *testing.T) {
	for _, tt := range []struct {
		name, policy string
		write        string
		said         string // on the log
		code         int
		want         string
	}{
		{"the file", "", "out of money", "log", 3, "out of money"},
		{"the end of a long file", "", strings.Repeat("a", 5000) + "z", "", 3, strings.Repeat("a", 4095) + "z"},
		{"nothing", "", "", "log", 3, ""},
		{"the end of the log", "FallbackToLogsOnError", "", strings.Repeat("b", 3000), 3, strings.Repeat("b", 2047) + "\n"},
		{"the file before the log", "FallbackToLogsOnError", "words", "log", 3, "words"},
		{"no log of what went well", "FallbackToLogsOnError", "", "log", 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.eng.AddImage("web:1", fake.Image{Run: func(ctx context.Context, p fake.Process) int {
					if p.Spec.Name != "shop_db-0_db" {
						return serve(ctx, p)
					}
					if tt.write != "" {
						if err := p.WriteFile("/dev/termination-log", []byte(tt.write)); err != nil {
							t.Error(err)
						}
					}
					fmt.Fprintln(p.Stdout, tt.said)
					time.Sleep(10 * time.Second)
					return tt.code
				}})
				r.app.Pod("db").Containers[0].TerminationMessagePolicy = tt.policy
				stop := r.up()
				time.Sleep(5 * time.Second)
				if err := stop(); err != nil { // nobody restarts it
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				c := r.statusOf("db-0", "db")
				if c.State != "terminated" || c.ExitCode != tt.code || c.Message != tt.want {
					t.Errorf("%s %d: %d bytes %.40q", c.State, c.ExitCode, len(c.Message), c.Message)
				}
			})
		})
	}
}
