// Command digest is the guestbook's sidecar: every two seconds it asks the web
// server of its own pod how it is, reads the journal they share, and leaves a
// summary beside it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cuepod/cuepod/examples/guestbook/internal/journal"
)

// period is how old a summary may get: short enough to watch on the page.
const period = 2 * time.Second

func main() {
	stats := flag.String("stats", "http://localhost:8080/stats", "`URL` of the web server's figures")
	dir := flag.String("dir", "/var/guestbook", "`directory` shared with the web server")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log.SetFlags(0)
	run(ctx, *stats, *dir)
}

// run writes summaries until ctx ends. It logs when things start to go wrong
// or right, not each time.
func run(ctx context.Context, url, dir string) {
	ticks := time.NewTicker(period)
	defer ticks.Stop()
	last := ""
	for {
		state := "summary written"
		if err := digest(ctx, url, dir); err != nil {
			state = err.Error()
		}
		if ctx.Err() != nil {
			return
		}
		if state != last {
			log.Print(state)
			last = state
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

// digest writes one summary.
func digest(ctx context.Context, url, dir string) error {
	stats, err := fetch(ctx, url)
	if err != nil {
		return err
	}
	entries, err := journal.Read(dir)
	if err != nil {
		return err
	}
	return journal.WriteSummary(dir, journal.Summarize(entries, stats, time.Now().UTC()))
}

func fetch(ctx context.Context, url string) (journal.Stats, error) {
	ctx, cancel := context.WithTimeout(ctx, period)
	defer cancel()
	var stats journal.Stats
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return stats, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return stats, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return stats, fmt.Errorf("stats: %s", resp.Status)
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&stats)
	return stats, err
}
