package app_test

import (
	"strings"
	"testing"

	"github.com/cuepod/cuepod/compiler/app"
)

func shop() *app.App {
	at := func(line int) app.Pos { return app.Pos{File: "app.cue", Line: line, Column: 2} }
	return &app.App{
		Name: "shop",
		Pods: []app.Pod{
			{Name: "web", Pos: at(14)},
			{Name: "db", Pos: at(20)},
		},
		ConfigMaps: []app.ConfigMap{{Name: "pages", Pos: at(30), Data: map[string]string{"a": "1", "dbPassword": "hunter2", "text": "a\nb\n"}}},
		Secrets:    []app.Secret{{Name: "s", Pos: at(40), Keys: []app.SecretKey{{Name: "k", Env: "OLD"}}}},
	}
}

func TestChanges(t *testing.T) {
	for _, tc := range []struct {
		name string
		edit func(*app.App)
		want string
	}{
		{"nothing", func(*app.App) {}, ""},
		{"lines that moved", func(a *app.App) { a.Pods[0].Pos.Line = 99 }, ""},
		{"a value", func(a *app.App) { a.ConfigMaps[0].Data["a"] = "2" }, "app.cue:30 configMaps.pages.data.a 1 -> 2"},
		{"a long one", func(a *app.App) { a.ConfigMaps[0].Data["a"] = strings.Repeat("x", 100) },
			"app.cue:30 configMaps.pages.data.a 1 -> " + strings.Repeat("x", 39) + "…"},
		{"a text", func(a *app.App) { a.ConfigMaps[0].Data["text"] = "a\n" }, "app.cue:30 configMaps.pages.data.text text of 2 lines -> text of 1 lines"},
		{"words", func(a *app.App) { a.ConfigMaps[0].Data["a"] = "b c" }, `app.cue:30 configMaps.pages.data.a 1 -> "b c"`},
		{"a password", func(a *app.App) { a.ConfigMaps[0].Data["dbPassword"] = "hunter3" }, "app.cue:30 configMaps.pages.data.dbPassword changed"},
		{"a secret", func(a *app.App) { a.Secrets[0].Keys[0].Env = "NEW" }, "app.cue:40 secrets.s.keys.k.env changed"},
		{"a pod more", func(a *app.App) {
			a.Pods = append(a.Pods, app.Pod{Name: "cache", Pos: app.Pos{File: "b.cue", Line: 3}})
		}, "b.cue:3 pods.cache added"},
		{"a pod less", func(a *app.App) { a.Pods = a.Pods[:1] }, "app.cue:20 pods.db removed"},
		{"another order", func(a *app.App) { a.Pods[0], a.Pods[1] = a.Pods[1], a.Pods[0] }, ""},
		{"several", func(a *app.App) {
			a.Pods = a.Pods[:1]
			a.ConfigMaps[0].Data["a"] = "2"
			a.ConfigMaps[0].Data["b"] = "2"
		}, "app.cue:20 pods.db removed and 2 more"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			after := shop()
			tc.edit(after)
			got := app.Headline(app.Changes(shop(), after))
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if strings.Contains(got, "hunter") {
				t.Error("a secret is shown")
			}
		})
	}
}
