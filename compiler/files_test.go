package compiler

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const configMapOfFiles = `package a

import "cuepod.dev/core"

app: core.#App & {
	name: "shop"
	configMaps: conf: {
		data: inline: "1"
		files: {
			"app.conf": "conf/app.conf"
			"logo.png": "conf/logo.png"
		}
		binaryData: key: '\x00\xff'
	}
}
`

// configMapDir is a definition whose ConfigMap is made of files.
func configMapDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"cue.mod/module.cue": "module: \"a.example@v0\"\nlanguage: version: \"v0.17.0\"\n",
		"app.cue":            configMapOfFiles,
		"conf/app.conf":      "port = 80\n",
		"conf/logo.png":      "\x89PNG\xff",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	return dir
}

func TestCompile_ConfigMapOfFiles(t *testing.T) {
	dir := configMapDir(t)
	result, err := Compile(t.Context(), Options{Dir: dir, CacheDir: newCache(t)})
	if err != nil {
		t.Fatal(err)
	}
	m := result.App.ConfigMap("conf")
	if m.Data["app.conf"] != "port = 80\n" || m.Data["inline"] != "1" || len(m.Data) != 2 {
		t.Errorf("data: %q", m.Data)
	}
	if string(m.BinaryData["logo.png"]) != "\x89PNG\xff" || string(m.BinaryData["key"]) != "\x00\xff" || len(m.BinaryData) != 2 {
		t.Errorf("binary data: %q", m.BinaryData)
	}
	for _, name := range []string{"conf/app.conf", "conf/logo.png"} {
		if !slices.Contains(paths(result.Inputs), filepath.Join(dir, name)) {
			t.Errorf("%s is no input, so that nobody would see it change: %q", name, paths(result.Inputs))
		}
	}
}

func TestCompile_ConfigMapOfFilesThatAreNotThere(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("not yours"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(dir string) error
		want   string
	}{
		"missing": {func(dir string) error { return os.Remove(filepath.Join(dir, "conf/app.conf")) }, "no such file"},
		"directory": {func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "conf/app.conf")), os.Mkdir(filepath.Join(dir, "conf/app.conf"), 0o700))
		}, "is a directory"},
		"link out of the module": {func(dir string) error {
			path := filepath.Join(dir, "conf/app.conf")
			return errors.Join(os.Remove(path), os.Symlink(outside, path))
		}, "outside the module"},
		"absolute": {func(dir string) error { return rewrite(dir, `"conf/app.conf"`, `"/etc/hostname"`) }, "outside the module"},
		"above":    {func(dir string) error { return rewrite(dir, `"conf/app.conf"`, `"../secret"`) }, "outside the module"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := configMapDir(t)
			if err := c.change(dir); err != nil {
				t.Fatal(err)
			}
			_, err := Compile(t.Context(), Options{Dir: dir, CacheDir: newCache(t)})
			var bad *Error
			if !errors.As(err, &bad) || len(bad.Diagnostics) != 1 {
				t.Fatalf("got %v", err)
			}
			d := bad.Diagnostics[0]
			if d.Pos.String() != "app.cue:10:4" || !strings.Contains(d.Message, "configMaps.conf.files") || !strings.Contains(d.Message, c.want) {
				t.Errorf("got %s", d)
			}
			if strings.Contains(err.Error(), "not yours") {
				t.Error("the message holds what is in the file")
			}
			if name == "missing" && !slices.Contains(paths(bad.Inputs), filepath.Join(dir, "conf/app.conf")) {
				t.Error("nobody would see the file come")
			}
		})
	}
}

func rewrite(dir, old, text string) error {
	path := filepath.Join(dir, "app.cue")
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.Replace(string(data), old, text, 1)), 0o600)
}
