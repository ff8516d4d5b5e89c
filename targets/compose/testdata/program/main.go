// Command program is both sides of the engine test: the program of the holders,
// and an app that tells what it sees of its pod.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/cuepod/cuepod/targets/compose/holder"
)

func main() {
	if len(os.Args) < 2 {
		os.Exit(2)
	}
	switch os.Args[1] {
	case "serve": // serve ADDRESS
		fail(serve(os.Args[2]))
	case "get": // get URL: fails unless the answer is a good one
		response, err := http.Get(os.Args[2])
		fail(err)
		if response.StatusCode != http.StatusOK {
			fail(fmt.Errorf("%s: %s", os.Args[2], response.Status))
		}
	case "flaky": // flaky FILE: fails the first time
		if _, err := os.Stat(os.Args[2]); err != nil {
			fail(os.WriteFile(os.Args[2], nil, 0o644))
			fail(fmt.Errorf("the first time fails"))
		}
	case "touch": // touch FILE
		fail(os.WriteFile(os.Args[2], []byte("touched"), 0o644))
	case "echo": // echo ADDRESS: answers datagrams
		fail(echo(os.Args[2]))
	default:
		os.Exit(holder.Run(os.Args[1:]))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve answers what a file holds, what a variable is, and whether a file can
// be written.
func serve(address string) error {
	answer := func(path string, of func(string) (string, error)) {
		http.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			text, err := of(r.FormValue("of"))
			if err != nil {
				http.Error(w, err.Error(), http.StatusNotFound)
				return
			}
			io.WriteString(w, text)
		})
	}
	answer("/ready", func(string) (string, error) { return "ready", nil })
	answer("/env", func(name string) (string, error) { return os.Getenv(name), nil })
	answer("/pid", func(string) (string, error) { return strconv.Itoa(os.Getpid()), nil })
	answer("/get", func(url string) (string, error) {
		response, err := http.Get(url)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		data, err := io.ReadAll(response.Body)
		return string(data), err
	})
	answer("/host", func(string) (string, error) { return os.Hostname() })
	answer("/file", func(name string) (string, error) {
		data, err := os.ReadFile(name)
		return string(data), err
	})
	answer("/mode", func(name string) (string, error) {
		info, err := os.Stat(name)
		if err != nil {
			return "", err
		}
		return info.Mode().String(), nil
	})
	answer("/write", func(name string) (string, error) { return "written", os.WriteFile(name, []byte("written"), 0o644) })
	return http.ListenAndServe(address, nil)
}

func echo(address string) error {
	listener, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	buffer := make([]byte, 1500)
	for {
		n, from, err := listener.ReadFrom(buffer)
		if err != nil {
			return err
		}
		if _, err := listener.WriteTo(buffer[:n], from); err != nil {
			return err
		}
	}
}
