// Command store is the shop's program: its web server, its worker, and its report.
//
//	store migrate   make the table of orders, once PostgreSQL answers
//	store serve     answer on :8080
//	store pack      pack orders as they come through the queue
//	store report    count the orders, and leave the report in the queue's Redis
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cuepod/cuepod/examples/shop/internal/postgres"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv); err != nil {
		log.Fatal("store: ", err)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string) error {
	s := storeFrom(getenv)
	if len(args) != 1 {
		args = []string{""}
	}
	switch args[0] {
	case "migrate":
		return untilDone(ctx, time.Second, s.migrate)
	case "serve":
		return serve(ctx, ":8080", newHandler(s, getenv("TITLE")))
	case "pack":
		return pack(ctx, s)
	case "report":
		return report(ctx, s)
	}
	return errors.New("usage: store migrate | serve | pack | report")
}

// storeFrom reads the configuration from the environment.
func storeFrom(getenv func(string) string) *store {
	return &store{
		database: postgres.Config{
			Addr:     net.JoinHostPort(getenv("PGHOST"), getenv("PGPORT")),
			Database: getenv("PGDATABASE"),
			User:     getenv("PGUSER"),
			Password: getenv("PGPASSWORD"),
		},
		queue:    getenv("QUEUE"),
		password: getenv("QUEUE_PASSWORD"),
	}
}

// untilDone tries until it succeeds or ctx ends, and tells each new reason why it
// does not.
func untilDone(ctx context.Context, pause time.Duration, try func(context.Context) error) error {
	last := ""
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if reason := err.Error(); reason != last {
			log.Printf("waiting: %s", reason)
			last = reason
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %s", ctx.Err(), last)
		case <-time.After(pause):
		}
	}
}

// serve answers on addr until ctx ends, then lets open requests finish.
func serve(ctx context.Context, addr string, handler http.Handler) error {
	server := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	log.Printf("serving on %s", addr)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return server.Shutdown(grace)
}

// pack takes orders off the queue until ctx ends.
func pack(ctx context.Context, s *store) error {
	for ctx.Err() == nil {
		var id string
		take := func(ctx context.Context) (err error) {
			id, err = s.next(ctx)
			return err
		}
		if err := untilDone(ctx, time.Second, take); err != nil || id == "" {
			continue // ctx has ended, or the queue is empty
		}
		if err := untilDone(ctx, time.Second, func(ctx context.Context) error { return s.pack(ctx, id) }); err != nil {
			return fmt.Errorf("order %s: %w", id, err)
		}
		log.Printf("packed order %s", id)
	}
	return nil
}

// report counts the orders, prints the report and leaves it for the page.
func report(ctx context.Context, s *store) error {
	text, err := s.count(ctx)
	if err != nil {
		return err
	}
	log.Print(text)
	return s.publish(ctx, text)
}
