package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// mark adds one line in one write: several containers share the file.
func mark(file, text string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintf(f, "%d %s\n", time.Now().UnixNano(), text)
	return err
}

func pause(seconds string) {
	n, _ := strconv.Atoi(seconds)
	time.Sleep(time.Duration(n) * time.Second)
}

func act(file, name, how string) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	if err := mark(file, name+" starts"); err != nil {
		return err
	}
	word := map[os.Signal]string{syscall.SIGTERM: " TERM", syscall.SIGINT: " INT"}[<-stop]
	if err := mark(file, name+word); err != nil {
		return err
	}
	if how == "ignore" {
		select {}
	}
	pause(how)
	return mark(file, name+" ends")
}

func serve(file, name, address, after string) {
	pause(after)
	_ = mark(file, name+" listens")
	_ = http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = mark(file, name+" "+r.UserAgent()+" "+r.URL.Path)
		w.WriteHeader(http.StatusTeapot) // any answer will do
	}))
}

func hear(file string) error {
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, syscall.SIGHUP, syscall.SIGTERM)
	for s := range heard {
		if s == syscall.SIGTERM {
			break
		}
		if err := mark(file, "HUP"); err != nil {
			return err
		}
	}
	return nil
}
