package main

import (
	"testing"

	"github.com/cuepod/cuepod/examples/internal/resp"
)

func TestParseRole(t *testing.T) {
	text := func(s string) resp.Value { return resp.Value{Text: s} }
	leader := resp.Value{Array: []resp.Value{text("master"), {Int: 14}, {Array: make([]resp.Value, 2)}}}
	follower := resp.Value{Array: []resp.Value{text("slave"), text("redis-leader"), {Int: 6379}, text("connected"), {Int: 14}}}
	for name, tc := range map[string]struct {
		reply resp.Value
		want  role
	}{
		"leader":   {leader, role{"r:6379", "leader", "2 following"}},
		"follower": {follower, role{"r:6379", "follower", "connected to redis-leader"}},
		"sentinel": {resp.Value{Array: []resp.Value{text("sentinel")}}, role{"r:6379", "unknown", ""}},
		"nothing":  {resp.Value{Null: true}, role{"r:6379", "unknown", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := parseRole("r:6379", tc.reply); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}
