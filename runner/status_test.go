package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/runner/engine/fake"
)

func TestGetStatus(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		if _, err := GetStatus(t.Context(), r.eng, r.id()); !errors.Is(err, ErrNoApp) {
			t.Errorf("before it runs: error %v", err)
		}
		r.ready()
		s, err := GetStatus(t.Context(), r.eng, r.id())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range s.Pods {
			got = append(got, fmt.Sprintf("%s %s ready=%t containers=%d", p.Name, p.Phase, p.Ready, len(p.Containers)))
		}
		for _, sv := range s.Services {
			got = append(got, fmt.Sprintf("%s %v %d/%d %v", sv.Name, sv.Ports, sv.Endpoints, sv.Total, sv.URLs))
		}
		want := []string{
			"db-0 Running ready=true containers=1",
			"web-0 Running ready=true containers=3",
			"web-1 Running ready=true containers=3",
			"db [5432/TCP] 1/1 []",
			"web [80/TCP] 2/2 [http://127.0.0.1:30080 http://web.shop.localhost:8080]",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if err := r.eng.Crash("shop_web-1_app", 3, false); err != nil {
			t.Fatal(err)
		}
		s, err = GetStatus(t.Context(), r.eng, r.id())
		if err != nil {
			t.Fatal(err)
		}
		// Crashing is a reason, not a phase: the pod stays Running.
		// Its turn to start again has come, only nobody is there to do it.
		if p := s.Pods[2]; p.Phase != "Running" || p.Status != "Error" || p.Ready {
			t.Errorf("web-1 after a crash: %+v", p)
		}
		if s.Services[1].Endpoints != 1 {
			t.Errorf("web has %d endpoints, want 1", s.Services[1].Endpoints)
		}
	})
}

func TestList(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		apps, err := List(t.Context(), r.eng)
		if err != nil || !slices.Equal(apps, []App{{Name: "shop", Root: "/src/shop"}}) {
			t.Errorf("got %v, %v", apps, err)
		}
	})
}

func TestLogs(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		collect := func(targets ...Target) ([]string, error) {
			var lines []string
			err := Logs(t.Context(), r.eng, r.id(), targets, LogOptions{Tail: -1}, func(l LogLine) {
				lines = append(lines, l.Pod+"/"+l.Container+": "+l.Text)
			})
			slices.Sort(lines)
			return lines, err
		}
		all, err := collect()
		if err != nil || len(all) != 5 {
			t.Errorf("all: %v, %v", all, err)
		}
		one, err := collect(Target{Pod: "web", Container: "log"})
		if want := []string{"web-0/log: hello from ", "web-1/log: hello from "}; err != nil || !slices.Equal(one, want) {
			t.Errorf("web/log: %q, %v", one, err)
		}
		if _, err := collect(Target{Pod: "wbe"}); err == nil || !strings.Contains(err.Error(), "web-0/app") {
			t.Errorf("a pod that is not there: error %v, want one that lists what is", err)
		}
	})
}

//peers:6
func TestLogs_FollowsReplacements(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.ready()
		r.up()
		said, end := r.follow()
		time.Sleep(time.Second)
		if err := r.eng.Crash("shop_web-0_app", 1, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n := len(said.list()); n != 2 {
			t.Errorf("%d lines, want one of each instance", n)
		}
		r.eng.BreakEvents(errors.New("engine restarts"))
		time.Sleep(time.Minute)
		if err := r.eng.Crash("shop_web-0_app", 1, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n := len(said.list()); n != 3 {
			t.Errorf("%d lines after a broken event stream, want three", n)
		}
		end()
	})
}

func TestExec(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.eng.AddImage("web:1", fake.Image{Run: serve, Exec: func(_ context.Context, p fake.Process) int {
			text, _ := io.ReadAll(p.Stdin)
			fmt.Fprintf(p.Stdout, "%v %s", p.Args, text)
			return 4
		}})
		r.ready()
		var out bytes.Buffer
		code, err := Exec(t.Context(), r.eng, r.id(), Target{Pod: "web"}, []string{"ls", "-l"}, IO{In: strings.NewReader("input"), Out: &out})
		if err != nil || code != 4 || out.String() != "[ls -l] input" {
			t.Errorf("code %d, error %v, output %q", code, err, out.String())
		}
		if _, err := Exec(t.Context(), r.eng, r.id(), Target{Pod: "web", Container: "none"}, []string{"ls"}, IO{}); err == nil || !strings.Contains(err.Error(), "web-0/app") {
			t.Errorf("a container that is not there: error %v", err)
		}
	})
}
