// Command frontend is the guestbook's web server, and the tool that its init
// container waits with.
//
//	frontend serve            answer on :8080
//	frontend wait HOST:PORT   return once redis answers there
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cuepod/cuepod/examples/internal/resp"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv); err != nil {
		log.Fatal("frontend: ", err)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string) error {
	switch {
	case len(args) == 1 && args[0] == "serve":
		return serve(ctx, ":8080", configFrom(getenv))
	case len(args) == 2 && args[0] == "wait":
		return wait(ctx, args[1], getenv("REDIS_PASSWORD"), time.Second)
	}
	return errors.New("usage: frontend serve | frontend wait HOST:PORT")
}

// configFrom reads the configuration from the environment.
func configFrom(getenv func(string) string) config {
	return config{
		Pod:      getenv("POD_NAME"),
		Greeting: getenv("GREETING"),
		Leader:   getenv("REDIS_LEADER"),
		Follower: getenv("REDIS_FOLLOWER"),
		Password: getenv("REDIS_PASSWORD"),
		Settings: "/etc/guestbook/settings.json",
		Dir:      "/var/guestbook",
	}
}

// serve answers on addr until ctx ends, then lets open requests finish.
func serve(ctx context.Context, addr string, c config) error {
	server := &http.Server{Addr: addr, Handler: newHandler(c), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	log.Printf("serving on %s", addr)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	// Shorter than the pod's grace period of ten seconds.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return server.Shutdown(grace)
}

// wait returns once redis at addr answers a ping. It has no end of its own:
// whoever started it decides how long is too long.
func wait(ctx context.Context, addr, password string, pause time.Duration) error {
	last := ""
	for {
		err := ping(ctx, addr, password)
		if err == nil {
			log.Printf("redis at %s answers", addr)
			return nil
		}
		if state := err.Error(); state != last {
			log.Printf("waiting: %s", state)
			last = state
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", addr, ctx.Err())
		case <-time.After(pause):
		}
	}
}

func ping(ctx context.Context, addr, password string) error {
	conn, err := resp.Dial(ctx, addr, password)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Do("PING")
	return err
}
