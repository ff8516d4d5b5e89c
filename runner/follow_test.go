package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/agent/mirror"
	"github.com/cuepod/cuepod/runner/engine/fake"
	"github.com/cuepod/cuepod/runner/watch"
)

// follows gives the rig a module on disk, and containers of it copies of
// directories in there, which a real mirror keeps on disk, too.
type follows struct {
	*rig
	copies string // directory
}

func (r *rig) follows(devs map[string]*app.Dev) *follows {
	f := &follows{rig: r, copies: r.t.TempDir()}
	r.root = r.t.TempDir()
	r.groups, r.asks = map[string]chan watch.Change{}, make(chan struct{})
	r.eng.AddImage(rigAgent, fake.Image{Run: r.runAgent, Exec: func(_ context.Context, p fake.Process) int {
		if p.Args[len(p.Args)-1] != api.RoleMirror {
			return 2
		}
		base := filepath.Join(f.copies, p.Spec.Name)
		if err := mirror.Serve(base, &opens{p}, p.Stdout); err != nil {
			fmt.Fprintln(p.Stderr, err)
			return 1
		}
		return 0
	}})
	r.app.Pods[1].Replicas = 1
	for key, d := range devs {
		pod, name := path.Split(key)
		for i := range r.app.Pod(path.Clean(pod)).Containers {
			if c := &r.app.Pod(path.Clean(pod)).Containers[i]; c.Name == name {
				c.Dev = d
			}
		}
		r.groups[key] = make(chan watch.Change)
	}
	return f
}

// opens makes the directories of copies known to the engine in memory.
type opens struct{ fake.Process }

var openLine = regexp.MustCompile(`^{"open":{"dir":"([^"]+)"`)

func (o *opens) Read(p []byte) (int, error) {
	n, err := o.Stdin.Read(p)
	if found := openLine.FindSubmatch(p[:n]); found != nil {
		if err := o.WriteFile(string(found[1])+"/"+api.MirrorData+"/.keep", nil); err != nil {
			return n, err
		}
	}
	return n, err
}

// save changes a file of the module, of which the watcher tells.
func (f *follows) save(key, name, text string) {
	f.t.Helper()
	f.write(name, text)
	f.groups[key] <- watch.Change{Group: key, Paths: []string{name}}
}

func (f *follows) write(name, text string) {
	f.t.Helper()
	name = filepath.Join(f.root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// has is what a container's copies have under a name.
func (f *follows) has(infra, name string) string {
	found, _ := filepath.Glob(filepath.Join(f.copies, infra, "sync/*/data", name))
	if len(found) != 1 {
		return fmt.Sprintf("in %d copies", len(found))
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}

var spans = regexp.MustCompile(` in [0-9.]+ m?s`)

// hears is what was told since the last call, without times.
func (f *follows) hears() string {
	synctest.Wait()
	return spans.ReplaceAllString(f.told(), "")
}

func (f *follows) wants(what, got, want string) {
	f.t.Helper()
	if got != want {
		f.t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func srcTo(to string) map[string]string { return map[string]string{"src": to} }

// A command that lasts keeps nobody waiting but those who come after it in the same
// container, which then act on all that changed meanwhile, once.
//
//peers:7
func TestFollow_ASlowActionKeepsNobodyElseWaiting(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		f := r.follows(map[string]*app.Dev{
			"web/app": {Sync: srcTo("/srv"), OnChange: "exec", Exec: []string{"make"}},
			"db/db":   {Sync: map[string]string{"db": "/srv"}},
		})
		var runs atomic.Int32
		goOn := make(chan struct{})
		r.eng.AddImage("web:1", fake.Image{Run: serve, Exec: func(ctx context.Context, p fake.Process) int {
			runs.Add(1)
			<-goOn
			return 0
		}})
		f.write("src/a", "1")
		f.write("db/a", "1")
		r.up()
		time.Sleep(10 * time.Second)
		f.hears()
		f.save("web/app", "src/a", "2")
		f.wants("while the command runs", f.hears(), "")
		f.save("db/db", "db/a", "2")
		f.wants("another", f.hears(), "sync db: synced 1 file\n")
		f.save("web/app", "src/a", "3")
		f.save("web/app", "src/b", "3")
		select {
		case goOn <- struct{}{}:
		case <-time.After(time.Minute):
			t.Fatalf("no command runs: %s %v", f.hears(), r.running())
		}
		f.wants("the first", f.hears(), "sync web: synced 1 file, ran make\n")
		f.wants("files", f.has("shop_web-0", "a")+f.has("shop_web-0", "b"), "33")
		goOn <- struct{}{}
		f.wants("the second", f.hears(), "sync web: synced 2 files, ran make\n")
		f.save("web/app", "src/a", "3")
		f.wants("a save without a change", f.hears(), "")
		if n := runs.Load(); n != 2 {
			t.Errorf("the command ran %d times", n)
		}
	})
}

// What fails is told once, tried again later and later, and told when it works.
//
//peers:7
func TestFollow_AFailureIsToldOnceAndMadeGood(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		f := r.follows(map[string]*app.Dev{"web/app": {Sync: srcTo("/srv"), OnChange: "signal", Signal: "SIGHUP"}})
		f.write("src/a", "1")
		r.up()
		time.Sleep(10 * time.Second)
		f.hears()
		var broken atomic.Bool
		var tries atomic.Int32
		broken.Store(true)
		r.eng.SetHook(func(_ context.Context, phase fake.Phase, op, _ string) error {
			if op != "SignalContainer" || phase != fake.Before {
				return nil
			}
			if tries.Add(1); broken.Load() {
				return errors.New("the engine is busy")
			}
			return nil
		})
		f.save("web/app", "src/a", "2")
		if got := f.hears(); !strings.HasPrefix(got, "problem web: synced 1 file, and send a signal") || strings.Count(got, "\n") != 1 {
			t.Errorf("it tells %q", got)
		}
		time.Sleep(time.Minute)
		f.wants("tried again in vain", f.hears(), "")
		if n := tries.Load(); n < 4 || n > 10 {
			t.Errorf("tried %d times in a minute", n)
		}
		broken.Store(false)
		time.Sleep(retryMax)
		f.wants("made good", f.hears(), "fixed web: sent SIGHUP\n")
		tries.Store(0)
		time.Sleep(time.Hour)
		if tries.Load() != 0 {
			t.Error("the signal was sent again")
		}
	})
}

func TestFollow_ManualWaitsAndPausedIsSilent(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		f := r.follows(map[string]*app.Dev{
			"web/app": {Sync: srcTo("/srv"), Trigger: "manual", OnChange: "restart"},
			"db/db":   {Sync: map[string]string{"db": "/srv"}, Trigger: "paused"},
		})
		f.write("src/a", "1")
		f.write("db/a", "1")
		r.up()
		time.Sleep(10 * time.Second)
		f.hears()
		before := r.running()
		f.wants("at the start", f.has("shop_web-0", "a")+f.has("shop_db-0", "a"), "11")
		f.save("web/app", "src/a", "2")
		f.wants("manual", f.hears(), "notice web: 1 changed file waiting; the key y or 'cuepod sync' has them follow\n")
		f.save("db/db", "db/a", "2")
		f.wants("paused", f.hears(), "")
		f.wants("files", f.has("shop_web-0", "a")+f.has("shop_db-0", "a"), "11")
		f.asks <- struct{}{}
		time.Sleep(time.Second)
		got := f.hears()
		for _, want := range []string{"sync db: synced 1 file\n", "sync web: synced 1 file, restarted\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("asked for, it tells %q, want %q in it", got, want)
			}
		}
		f.wants("files", f.has("shop_web-0", "a")+f.has("shop_db-0", "a"), "22")
		f.wants("restarted", touched(before, r.running()), "~shop_web-0_app")
		before = r.running()
		f.asks <- struct{}{}
		time.Sleep(time.Second)
		f.wants("asked for again", f.hears()+touched(before, r.running()), "")
	})
}

// While somebody has it paused nothing is copied, unless that is asked for; what
// was missed follows afterwards.
func TestFollow_PausedCopiesWait(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		f := r.follows(map[string]*app.Dev{"web/app": {Sync: srcTo("/srv"), OnChange: "restart"}})
		orders := make(chan Order)
		r.orders = orders
		f.write("src/a", "1")
		r.up()
		time.Sleep(10 * time.Second)
		orders <- OrderPause
		f.hears()
		before := r.running()
		f.save("web/app", "src/a", "2")
		time.Sleep(time.Minute)
		f.wants("paused", f.has("shop_web-0", "a")+touched(before, r.running()), "1")
		if got := f.hears(); !strings.Contains(got, "paused: 1 changed file waits") {
			t.Errorf("it tells %q", got)
		}
		orders <- OrderPause
		time.Sleep(10 * time.Second)
		f.wants("going on", f.has("shop_web-0", "a")+touched(before, r.running()), "2~shop_web-0_app")
		orders <- OrderPause
		f.save("web/app", "src/a", "3")
		f.asks <- struct{}{}
		time.Sleep(10 * time.Second)
		f.wants("asked for", f.has("shop_web-0", "a"), "3")
	})
}

// A supervisor that is killed between the copy and the restart has the next one
// make good on it.
//
//peers:4 29
func TestFollow_WhatTheSupervisorBeforeLeftIsMadeGood(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		f := r.follows(map[string]*app.Dev{"web/app": {Sync: srcTo("/srv"), OnChange: "signal", Signal: "SIGHUP"}})
		f.write("src/a", "1")
		stop := r.up()
		time.Sleep(10 * time.Second)
		f.hears()
		r.eng.SetHook(func(_ context.Context, phase fake.Phase, op, _ string) error {
			if op == "SignalContainer" && phase == fake.Before {
				return io.ErrUnexpectedEOF
			}
			return nil
		})
		f.save("web/app", "src/a", "2")
		synctest.Wait()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		f.hears()
		r.eng.SetHook(nil)
		before := r.running()
		stop = r.up()
		time.Sleep(time.Second)
		if got := f.hears(); !strings.Contains(got, "sync web: sent SIGHUP\n") {
			t.Errorf("it tells %q", got)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		f.hears()
		r.up()
		time.Sleep(time.Second)
		if got := f.hears(); strings.Contains(got, "SIGHUP") {
			t.Errorf("done already, it tells %q", got)
		}
		f.wants("containers", touched(before, r.running()), "")
	})
}

func TestOwnerOfUser(t *testing.T) {
	files := map[string]string{
		"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\r\ndev:x:1000:1001::/home/dev:\nbroken\n",
		"/etc/group":  "root:x:0:\ndevs:x:2000:dev\n",
	}
	with := func(name string) []byte { return []byte(files[name]) }
	without := func(string) []byte { return nil }
	for _, tc := range []struct {
		user, want string
		file       func(string) []byte
	}{
		{"", "0:0", with}, {"", "0:0", without}, {"root", "0:0", without}, {"dev", "1000:1001", with}, {"1000", "1000:1001", with},
		{"1000", "1000:0", without}, {"5", "5:0", with}, {"dev:devs", "1000:2000", with}, {"dev:7", "1000:7", with}, {":7", "0:7", with},
		{"nobody", "?:?", with}, {"dev", "?:?", without}, {"dev:devs", "?:?", without}, {"1:devs", "1:?", without}, {"-1", "?:?", with},
	} {
		show := func(n *int64) string {
			if n == nil {
				return "?"
			}
			return fmt.Sprint(*n)
		}
		got := ownerOfUser(tc.user, tc.file)
		if text := show(got.user) + ":" + show(got.group); text != tc.want {
			t.Errorf("%q: %s, want %s", tc.user, text, tc.want)
		}
	}
}

func TestTail_KeepsTheEnd(t *testing.T) {
	out := &tail{}
	for range 10 {
		if _, err := out.Write(bytes.Repeat([]byte("x"), maxTail/2)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := out.Write([]byte("the end")); err != nil || len(out.text) != maxTail || !strings.HasSuffix(out.String(), "the end") {
		t.Errorf("%d bytes, %v", len(out.text), err)
	}
}
