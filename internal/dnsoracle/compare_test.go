package main

import (
	"flag"
	"testing"
)

var (
	queries = flag.Int("queries", 6000, "how many questions to ask")
	seed    = flag.Uint64("seed", 1, "what the services and the questions are made of")
)

// The same questions have the same answers, but for what is listed; and what is
// listed occurs.
//
// conformance:S109 S110 S111 S112 S113 S114 S115
func TestCompare(t *testing.T) {
	result, err := Compare(*seed, *queries)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(result)
	if len(result.Unlisted) > 0 {
		t.Errorf("%d answers differ and no reason is listed", len(result.Unlisted))
	}
	if unused := result.Unused(); len(unused) > 0 && *queries >= 5000 {
		t.Errorf("these differences no longer occur, remove them: %q", unused)
	}
}
