// Command api answers with quotes.
//
//	GET /quotes     all of them, as JSON
//	GET /quotes/N   one, from 1
//	GET /healthz    204 as long as it serves
package main

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed quotes.txt
var text string

// grace is how long requests under way have when it is stopped.
const grace = 5 * time.Second

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	server := &http.Server{
		Addr:              ":8080",
		Handler:           handler(text, cmp.Or(os.Getenv("AUTHOR"), "unknown")),
		ReadHeaderTimeout: 5 * time.Second,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	select {
	case err := <-ended:
		log.Fatal("api: ", err)
	case <-ctx.Done():
	}
	limited, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := server.Shutdown(limited); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		log.Fatal("api: ", err)
	}
}

// quote is what the API answers with.
type quote struct {
	Text   string `json:"text"`
	Author string `json:"author"`
}

// quotes are the lines of a text: a quote, and after a tab who said it.
func quotes(text, unnamed string) []quote {
	var out []quote
	for line := range strings.Lines(text) {
		said, author, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if said != "" {
			out = append(out, quote{said, cmp.Or(author, unnamed)})
		}
	}
	return out
}

func handler(text, unnamed string) http.Handler {
	all := quotes(text, unnamed)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /quotes", func(w http.ResponseWriter, _ *http.Request) { answer(w, all) })
	mux.HandleFunc("GET /quotes/{number}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("number"))
		if err != nil || n < 1 || n > len(all) {
			http.NotFound(w, r)
			return
		}
		answer(w, all[n-1])
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return mux
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who has gone needs no answer
}
