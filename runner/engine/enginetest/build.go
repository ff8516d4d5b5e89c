package enginetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cuepod/cuepod/runner/engine"
)

// context is what a build is sent: files by name.
func (b *bench) context(t *testing.T, files ...string) io.Reader {
	t.Helper()
	var list []file
	for i := 0; i < len(files); i += 2 {
		list = append(list, file{files[i], 0o644, []byte(files[i+1])})
	}
	data, err := pack(list...)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(data)
}

func (b *bench) buildSpec(name string) engine.BuildSpec {
	return engine.BuildSpec{Tags: []string{b.name(name) + ":1"}, Labels: b.labels}
}

// testBuild builds on the suite's image, as no registry is within reach.
func testBuild(t *testing.T, b *bench) {
	ctx := t.Context()
	const dockerfile = "ARG NAME=nobody\n" +
		"FROM " + Ref + " AS base\nCOPY greeting.txt /greeting.txt\n" +
		"FROM base AS final\nARG NAME\nENV WHO=$NAME\nCMD [\"read\", \"/greeting.txt\"]\n" +
		"FROM base AS other\nCMD [\"exit\", \"9\"]\n"
	spec := b.buildSpec("built")
	spec.Tags = append(spec.Tags, b.name("built")+":named")
	spec.Dockerfile, spec.Target, spec.Args = "docker/build.Dockerfile", "final", map[string]string{"NAME": "somebody"}
	var steps []string
	err := b.Engine.BuildImage(ctx, spec, b.context(t, "docker/build.Dockerfile", dockerfile, "greeting.txt", "hello"), func(p engine.Progress) {
		steps = append(steps, p.Status)
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(steps, func(s string) bool { return strings.Contains(s, "COPY greeting.txt") }) {
		t.Errorf("no word of the step COPY: %q", steps)
	}
	img, err := b.Engine.InspectImage(ctx, spec.Tags[0])
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(img.Refs, spec.Tags) || !slices.Contains(img.Env, "WHO=somebody") || img.Labels[label] != b.id {
		t.Errorf("image %+v", img)
	}
	listed, err := b.Engine.ListImages(ctx, b.labels)
	if err != nil || len(listed) != 1 || listed[0].ID != img.ID || !slices.Equal(listed[0].Refs, spec.Tags) {
		t.Errorf("list %+v, %v", listed, err)
	}
	c := b.spec("run")
	c.Image = spec.Tags[1]
	if code, out, _ := b.finish(t, b.run(t, c)); code != 0 || strings.TrimSpace(out) != "hello" {
		t.Errorf("exit code %d, output %q", code, out)
	}
}

func testBuildErrors(t *testing.T, b *bench) {
	ctx := t.Context()
	for name, tc := range map[string]struct {
		dockerfile string
		target     string
		step, word string // of the error
	}{
		"a step fails":      {dockerfile: "FROM " + Ref + "\nRUN [\"/testprog\", \"exit\", \"3\"]\n", step: "RUN", word: "3"},
		"a file is missing": {dockerfile: "FROM " + Ref + "\nCOPY nothing.txt /\n", word: "nothing.txt"},
		"no such word":      {dockerfile: "FROM " + Ref + "\nFETCH it\n", word: "unknown instruction"},
		"no such stage":     {dockerfile: "FROM " + Ref + "\n", target: "last", word: "last"},
	} {
		spec := b.buildSpec("failed")
		spec.Target = tc.target
		err := b.Engine.BuildImage(ctx, spec, b.context(t, "Dockerfile", tc.dockerfile), nil)
		wantKind(t, err, engine.BuildFailed)
		var fault *engine.BuildError
		if !errors.As(err, &fault) || !strings.Contains(fault.Step, tc.step) || !strings.Contains(fault.Error(), tc.word) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := b.Engine.InspectImage(ctx, spec.Tags[0]); engine.KindOf(err) != engine.NotFound {
			t.Errorf("%s: the image is there: %v", name, err)
		}
	}
	err := b.Engine.BuildImage(ctx, b.buildSpec("none"), b.context(t, "other", ""), nil)
	wantKind(t, err, engine.BuildFailed)

	// A context that cannot be read to its end is nobody's image.
	unread := errors.New("the file changed")
	half := io.MultiReader(io.LimitReader(b.context(t, "Dockerfile", "FROM "+Ref+"\n"), 512), &failingReader{unread})
	if err := b.Engine.BuildImage(ctx, b.buildSpec("half"), half, nil); !errors.Is(err, unread) {
		t.Errorf("a context that breaks off: %v", err)
	}
}

// testBuildCancel ends a build in the middle of a step that would never end.
func testBuildCancel(t *testing.T, b *bench) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	spec := b.buildSpec("cancelled")
	dockerfile := "FROM " + Ref + "\nRUN [\"/testprog\", \"wait\", \"" + b.id + "\"]\n"
	began := 0
	err := b.Engine.BuildImage(ctx, spec, b.context(t, "Dockerfile", dockerfile), func(p engine.Progress) {
		if strings.Contains(p.Output, "waiting") {
			began++
			cancel()
		}
	})
	if began == 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("begun %d times, error %v", began, err)
	}
	if _, err := b.Engine.InspectImage(t.Context(), spec.Tags[0]); engine.KindOf(err) != engine.NotFound {
		t.Errorf("the image is there: %v", err)
	}
	if b.Gone != nil {
		b.Gone(t, b.id)
	}
}

type failingReader struct{ err error }

func (f *failingReader) Read([]byte) (int, error) { return 0, f.err }

func testRemoveImage(t *testing.T, b *bench) {
	ctx := t.Context()
	spec := b.buildSpec("used")
	spec.Tags = append(spec.Tags, b.name("used")+":2")
	if err := b.Engine.BuildImage(ctx, spec, b.context(t, "Dockerfile", "FROM "+Ref+"\n"), nil); err != nil {
		t.Fatal(err)
	}
	c := b.spec("user")
	c.Image = spec.Tags[0]
	id := b.create(t, c)
	if err := b.Engine.RemoveImage(ctx, spec.Tags[1]); err != nil {
		t.Fatal("one of two references: ", err)
	}
	wantKind(t, b.Engine.RemoveImage(ctx, spec.Tags[0]), engine.ImageInUse)
	if err := b.Engine.RemoveContainer(ctx, id); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.Engine.RemoveImage(ctx, spec.Tags[0]); err != nil {
			t.Error(err)
		}
	}
	_, err := b.Engine.InspectImage(ctx, spec.Tags[0])
	wantKind(t, err, engine.NotFound)
}
