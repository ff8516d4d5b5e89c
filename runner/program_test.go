package runner

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/runner/build"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/engine/fake"
	"github.com/cuepod/cuepod/targets/docker"
)

// programmed is an app whose log container runs a Go program, and a mirror that
// keeps copies.
type programmed struct{ *follows }

func (r *rig) programmed() programmed {
	f := programmed{r.follows(nil)}
	f.write("go.mod", "module example.com/log\n\ngo 1.24\n")
	f.options.Live = true
	c := &r.app.Pod("web").Containers[1]
	c.Image, c.Build = "log:dev", &app.Build{Go: "./log"}
	f.source("one")
	return f
}

// source writes the program and names its image, as a compile does.
func (f programmed) source(text string) {
	f.t.Helper()
	f.write("log/main.go", "package main\n\nfunc main() { println("+text+") }\n")
	src, err := build.Read(f.t.Context(), f.root, &docker.Build{Go: "./log", Name: "log:dev"}, build.Options{})
	if err != nil {
		f.t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.options.Built = map[string]string{"web/log": docker.ImageName("shop", "web/log", src.Hash)}
	f.options.Bases = map[string]string{"web/log": src.Base()}
}

// save is an edit of the program, and what is told until nothing more happens.
func (f programmed) save(text string) string {
	f.t.Helper()
	f.source(text)
	f.edit(func(*app.App) {})
	return f.toldInAMinute()
}

func (f programmed) log() *engine.Container {
	f.t.Helper()
	for _, c := range f.containers() {
		if c.Labels[labelContainer] == "log" && c.State == engine.Running {
			return &c
		}
	}
	f.t.Fatal("it does not run")
	return nil
}

// copied reports whether a slot has a program with some text in it.
func (f programmed) copied(slot, text string) bool {
	found, _ := filepath.Glob(filepath.Join(f.copies, "shop_web-0", "sync/log.*.program-"+slot, "data/log"))
	if len(found) != 1 {
		return false
	}
	info, err := os.Stat(found[0])
	if err != nil {
		f.t.Fatal(err)
	}
	binary, err := os.ReadFile(found[0])
	return err == nil && info.Mode().Perm() == 0o755 && strings.Contains(string(binary), text)
}

// A program is exchanged by a copy, each in the other slot, and its image follows
// without a word. What fails leaves what runs.
func TestUp_ExchangesAProgram(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		f := r.programmed()
		f.source(`"program one"`)
		r.ready()
		first := f.log()
		if first.Labels[labelProgram] != "" {
			t.Errorf("the first is made of its image: %v", first.Labels)
		}
		stop := r.up()
		r.told()
		told := f.save(`"program two"`)
		second := f.log()
		if second.ID == first.ID || second.ImageID != first.ImageID || second.Labels[labelProgram] != "a" || !f.copied("a", "program two") {
			t.Errorf("runs %+v", second)
		}
		if strings.Contains(told, "problem") || strings.Count(told, "\nready ") != 1 || !strings.Contains(told, "ready ") {
			t.Errorf("told\n%s", told)
		}
		if img, err := r.eng.InspectImage(t.Context(), f.options.Built["web/log"]); err != nil || img.Labels[labelBase] != f.options.Bases["web/log"] {
			t.Errorf("the image: %+v, %v", img, err)
		}

		// One that does not compile, and then one whose image cannot be loaded.
		if told := f.save(`nothing`); !strings.Contains(told, "undefined: nothing") || f.log().ID != second.ID {
			t.Errorf("told\n%s", told)
		}
		r.eng.SetHook(func(_ context.Context, phase fake.Phase, op, _ string) error {
			if phase == fake.Before && op == "LoadImage" {
				return errors.New("no space left on device")
			}
			return nil
		})
		told = f.save(`"program three"`)
		third := f.log()
		if third.Labels[labelProgram] != "b" || !f.copied("b", "program three") || !f.copied("a", "program two") {
			t.Errorf("runs %+v", third)
		}
		if !strings.Contains(told, "fixed") || strings.Count(told, "no space left") != 1 || strings.Count(told, "\nready ") != 1 {
			t.Errorf("told\n%s", told)
		}

		// It is told once, and made good.
		r.eng.SetHook(nil)
		if told := f.toldInAMinute(); !strings.Contains(told, "fixed : the image of web/log is built") || strings.Contains(told, "problem") {
			t.Errorf("told\n%s", told)
		}
		if told := f.save(`"program four"`); strings.Contains(told, "problem") || f.log().Labels[labelProgram] != "a" {
			t.Errorf("told\n%s", told)
		}

		// Whoever comes next goes on with the image, and touches nothing else.
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		fourth := f.log()
		if err := r.eng.RemoveImage(t.Context(), f.options.Built["web/log"]); err != nil {
			t.Fatal(err)
		}
		r.up()
		time.Sleep(10 * time.Minute)
		if _, err := r.eng.InspectImage(t.Context(), f.options.Built["web/log"]); err != nil || f.log().ID != fourth.ID {
			t.Errorf("the image: %v", err)
		}
	})
}
