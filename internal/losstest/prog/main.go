// Command prog is what the containers of internal/losstest run: a server, and a
// client that starts its loops when it is told to.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/cuepod/cuepod/internal/losstest/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "prog:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 4 && (args[0] == "serve" || args[0] == "serve-rudely"):
		s, err := load.Listen(load.Addrs{HTTP: ":" + args[1], TCP: ":" + args[2], UDP: ":" + args[3]})
		if err != nil {
			return err
		}
		if args[0] == "serve-rudely" {
			go func() {
				<-ctx.Done()
				os.Exit(0) // whatever is under way
			}()
		}
		return s.Serve(ctx)
	case len(args) == 2 && args[0] == "ask":
		return ask(ctx, args[1])
	}
	return fmt.Errorf("%q: say serve HTTP TCP UDP, or ask PORT", args)
}

// ask is told by POST /start (targets as JSON, pause as a parameter), GET /take
// and POST /stop.
func ask(ctx context.Context, port string) error {
	var mu sync.Mutex
	loops := load.Start(nil, time.Second)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /start", func(w http.ResponseWriter, r *http.Request) {
		var targets []load.Target
		pause, err := time.ParseDuration(r.URL.Query().Get("pause"))
		if err == nil {
			err = json.NewDecoder(r.Body).Decode(&targets)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		loops.Stop()
		loops = load.Start(targets, pause)
	})
	mux.HandleFunc("GET /take", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		_ = json.NewEncoder(w).Encode(loops.Take())
	})
	mux.HandleFunc("POST /stop", func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		loops.Stop()
	})
	s := &http.Server{Addr: net.JoinHostPort("", port), Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() {
		<-ctx.Done()
		s.Close()
	}()
	if err := s.ListenAndServe(); ctx.Err() == nil {
		return err
	}
	return nil
}
