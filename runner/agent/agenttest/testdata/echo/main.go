// Command echo is the application of the agent's engine test: a server that
// says who it is, and a client for asking from inside a pod.
//
//	echo serve ADDRESS        HTTP server; GET / answers "<hostname> <client's IP>"
//	echo get URL...           prints each body, or "error: ..." in its place
//	echo lookup NAME...       prints each address
//	echo cat FILE...          prints each file
//	echo mode FILE...         prints each file's mode
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	verb, args := os.Args[1], os.Args[2:]
	if verb == "serve" {
		serve(args[0])
		return
	}
	for _, arg := range args {
		out, err := ask(verb, arg)
		if err != nil {
			out = "error: " + err.Error()
		}
		fmt.Println(out)
	}
}

func serve(addr string) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		host, _ := os.Hostname()
		client, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintf(w, "%s %s", host, client)
	})
	go func() {
		fmt.Println(http.ListenAndServe(addr, nil))
		os.Exit(1)
	}()
	<-stop
}

func ask(verb, arg string) (string, error) {
	switch verb {
	case "get":
		client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Get(arg)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return string(body), err
	case "lookup":
		addrs, err := net.LookupHost(arg)
		return fmt.Sprint(addrs), err
	case "cat":
		data, err := os.ReadFile(arg)
		return string(data), err
	case "mode":
		info, err := os.Stat(arg)
		if err != nil {
			return "", err
		}
		return info.Mode().String(), nil
	}
	return "", fmt.Errorf("no such verb: %s", verb)
}
