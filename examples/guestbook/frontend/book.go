package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/cuepod/cuepod/examples/internal/resp"
)

const (
	entriesKey = "guestbook:entries"
	maxEntries = 1000 // kept by redis; older ones go
	// replicated bounds the wait for the follower after a write, in
	// milliseconds: the writer sees its own entry, and a lost follower costs
	// no more than this.
	replicated = "500"
)

// entry is one line of the guestbook.
type entry struct {
	Name    string    `json:"name"`
	Message string    `json:"message"`
	At      time.Time `json:"at"`
	Pod     string    `json:"pod"` // the frontend that wrote it
}

// book keeps entries in redis: writes go to the leader, reads to the follower.
// Each operation has a connection of its own, so that it goes wherever the
// service's name leads now.
type book struct {
	leader, follower string // host:port
	password         string
}

// write adds an entry and waits a little until the follower has it.
func (b book) write(ctx context.Context, e entry) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = b.do(ctx, b.leader,
		[]string{"LPUSH", entriesKey, string(data)},
		[]string{"LTRIM", entriesKey, "0", fmt.Sprint(maxEntries - 1)},
		[]string{"WAIT", "1", replicated})
	return err
}

// read gives the newest n entries, and who told them.
func (b book) read(ctx context.Context, n int) ([]entry, role, error) {
	replies, err := b.do(ctx, b.follower,
		[]string{"LRANGE", entriesKey, "0", fmt.Sprint(max(n, 1) - 1)},
		[]string{"ROLE"})
	if err != nil {
		return nil, role{}, err
	}
	entries := []entry{}
	for _, text := range replies[0].Texts() {
		var e entry
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			return nil, role{}, fmt.Errorf("entry %q: %w", text, err)
		}
		entries = append(entries, e)
	}
	return entries, parseRole(b.follower, replies[1]), nil
}

// leaderRole asks the leader what it is.
func (b book) leaderRole(ctx context.Context) (role, error) {
	replies, err := b.do(ctx, b.leader, []string{"ROLE"})
	if err != nil {
		return role{}, err
	}
	return parseRole(b.leader, replies[0]), nil
}

// do runs commands on one connection and gives their replies.
func (b book) do(ctx context.Context, addr string, commands ...[]string) ([]resp.Value, error) {
	conn, err := resp.Dial(ctx, addr, b.password)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var replies []resp.Value
	for _, command := range commands {
		reply, err := conn.Do(command...)
		if err != nil {
			return nil, fmt.Errorf("redis at %s: %s: %w", addr, command[0], err)
		}
		replies = append(replies, reply)
	}
	return replies, nil
}

// role is what a redis says of itself.
type role struct {
	Addr string
	Name string // "leader", "follower" or "unknown"
	Note string // "1 following", or the state of the link to the leader
}

// parseRole reads the reply of ROLE: for a leader its name, offset and
// replicas; for a follower its name, leader's host and port, and link state.
func parseRole(addr string, v resp.Value) role {
	r := role{Addr: addr, Name: "unknown"}
	if len(v.Array) == 0 {
		return r
	}
	switch name := v.Array[0].Text; {
	case name == "master" && len(v.Array) == 3:
		r.Name, r.Note = "leader", fmt.Sprintf("%d following", len(v.Array[2].Array))
	case name == "slave" && len(v.Array) >= 4:
		r.Name, r.Note = "follower", fmt.Sprintf("%s to %s", v.Array[3].Text, v.Array[1].Text)
	}
	return r
}
