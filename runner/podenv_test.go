package runner

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner/engine/fake"
	"github.com/cuepod/cuepod/targets/docker"
)

// envOf gives a variable of a running container; false when it is not set.
func (r *rig) envOf(name, variable string) (string, bool) {
	r.t.Helper()
	c, err := r.eng.InspectContainer(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, kv := range c.Env {
		if value, ok := strings.CutPrefix(kv, variable+"="); ok {
			return value, true
		}
	}
	return "", false
}

// A container whose definition refers to what is not there waits for it, and
// nobody else does.
//
// conformance:S60 S67
func TestUp_OnlyTheContainerWaitsThatCannotBeMade(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		write := make(chan struct{})
		r.eng.AddImage("writer:1", fake.Image{Run: func(ctx context.Context, p fake.Process) int {
			select {
			case <-write:
				if err := p.WriteFile("/tmp/app.env", []byte("A='later'")); err != nil {
					t.Error(err)
				}
			case <-ctx.Done():
			}
			<-ctx.Done()
			return 0
		}})
		web := &r.app.Pods[1]
		web.Replicas = 1
		file := &app.EnvVarSource{FileKeyRef: &app.FileKeySelector{VolumeName: "tmp", Path: "app.env", Key: "A"}}
		web.Containers[0].Image = "writer:1"
		web.Containers = slices.Insert(web.Containers, 0, app.Container{Name: "reader", Image: "web:1", ImagePullPolicy: "IfNotPresent",
			Env: []app.EnvVar{{Name: "FILE", ValueFrom: file}}, Pos: app.Pos{File: "app.cue", Line: 9, Column: 3}})
		r.up()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		running := r.running()
		for _, name := range []string{"shop_web-0_app", "shop_web-0_log", "shop_db-0_db"} {
			if running[name] == "" {
				t.Errorf("%s waits as well: %v", name, running)
			}
		}
		if running["shop_web-0_reader"] != "" {
			t.Error("the container runs without its variable")
		}
		const word = "problem container web-0/reader: app.cue:9:3: CreateContainerConfigError: environment variable FILE: file tmp/app.env: file does not exist; it is tried again\n"
		if told := r.told(); strings.Count(told, word) != 1 {
			t.Errorf("told\n%s\nwant once %s", told, word)
		}
		close(write)
		time.Sleep(time.Minute)
		synctest.Wait()
		if value, ok := r.envOf("shop_web-0_reader", "FILE"); value != "later" || !ok {
			t.Errorf("FILE=%q, set %t", value, ok)
		}
		if after := r.running(); after["shop_web-0_log"] != running["shop_web-0_log"] {
			t.Error("another container was started again")
		}
	})
}

// A secret's value that is missing and optional is an absent variable, in a
// new app too. One that is needed stops a new app before it begins, and in one
// that runs only who needs it, until it is there.
//
// conformance:S60
//
//conformance:negative S60
func TestUp_MissingSecrets(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		values := map[string]string{}
		secret := func(optional bool) *app.EnvVarSource {
			return &app.EnvVarSource{SecretKeyRef: &app.SecretKeySelector{Name: "creds", Key: "token", Optional: optional}}
		}
		r.app.Secrets[0].Keys = append(r.app.Secrets[0].Keys, app.SecretKey{Name: "token", Env: "TOKEN"})
		db := &r.app.Pods[0].Containers[0]
		db.Env = append(db.Env, app.EnvVar{Name: "TOKEN", ValueFrom: secret(true)})
		cfg := r.config()
		cfg.Secrets.LookupEnv = func(name string) (string, bool) {
			r.mu.Lock()
			defer r.mu.Unlock()
			v, ok := values[name]
			return v, ok
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- up(ctx, cfg, r) }()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		before := r.running()
		if value, ok := r.envOf("shop_db-0_db", "TOKEN"); ok {
			t.Errorf("an optional variable without a value is set, to %q", value)
		}
		r.told()

		r.edit(func(a *app.App) {
			log := &a.Pods[1].Containers[1]
			log.Env = []app.EnvVar{{Name: "TOKEN", ValueFrom: secret(false)}}
		})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if told := r.told(); !strings.Contains(told, "key token: the environment variable TOKEN is not set") ||
			!strings.Contains(told, "CreateContainerConfigError: environment variable TOKEN: secret creds has no value for key token") {
			t.Errorf("told\n%s", told)
		}
		after := r.running()
		for _, name := range []string{"shop_db-0_db", "shop_web-0_app", "shop_web-1_app"} {
			if after[name] != before[name] {
				t.Errorf("%s was touched", name)
			}
		}
		r.mu.Lock()
		values["TOKEN"] = "now"
		r.mu.Unlock()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		for _, name := range []string{"shop_web-0_log", "shop_web-1_log"} {
			if value, _ := r.envOf(name, "TOKEN"); value != "now" {
				t.Errorf("%s: TOKEN=%q", name, value)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}

func TestResolveSecrets_WhoNeedsWhat(t *testing.T) {
	src := SecretSources{
		LookupEnv: func(string) (string, bool) { return "", false },
		ReadFile:  func(string) ([]byte, error) { return nil, errors.New("no such file") },
	}
	list := []docker.Secret{{Name: "s", Key: "a", Env: "A", Optional: true}, {Name: "s", Key: "b", Env: "B"}}
	s, _, err := resolveSecrets(list, vault{Key: "k"}, src, nil)
	if err == nil || strings.Contains(err.Error(), "key a") || !strings.Contains(err.Error(), "key b") || tolerable(err) != nil || !s.missing {
		t.Errorf("%v", err)
	}
	if _, _, err = resolveSecrets(list[:1], vault{Key: "k"}, src, nil); err != nil {
		t.Error(err)
	}
}
