// Command echo is the application of the agent's engine test: a server that
// says who it is, and a client for asking from inside a pod.
//
//	echo serve ADDRESS        HTTP server; GET / answers "<hostname> <client's IP>", and so does a datagram
//	echo udp ADDRESS...       prints each answer to a datagram
//	echo follow ADDRESS       sends datagrams from one socket, prints who answers until that is another
//	echo rules ADDRESS        takes over the rules that lead services, for a pod with that address
//	echo do VERB=ARG...       does each
//	echo get URL...           prints each body, or "error: ..." in its place
//	echo lookup NAME...       prints each address
//	echo cat FILE...          prints each file
//	echo mode FILE...         prints each file's mode
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cuepod/cuepod/runner/agent/nft"
)

func main() {
	verb, args := os.Args[1], os.Args[2:]
	if verb == "serve" {
		serve(args[0])
		return
	}
	switch verb {
	case "toggle":
		times, _ := strconv.Atoi(args[1])
		toggle(args[0], times)
		return
	}
	for _, arg := range args {
		verb := verb
		if verb == "do" {
			verb, arg, _ = strings.Cut(arg, "=")
		}
		out, err := ask(verb, arg)
		if err != nil {
			out = "error: " + err.Error()
		}
		fmt.Println(out)
	}
}

// toggle opens a port and closes it again, so often, and says when it opened: in
// nanoseconds.
func toggle(addr string, times int) {
	for range times {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(time.Now().UnixNano())
		end := time.Now().Add(toggleOpen)
		_ = ln.(*net.TCPListener).SetDeadline(end)
		for {
			conn, err := ln.Accept()
			if err != nil {
				break
			}
			conn.Close()
		}
		ln.Close()
		time.Sleep(toggleClosed)
	}
}

// A port's turns: both are longer than a readiness probe of one second needs.
const toggleOpen, toggleClosed = 2 * time.Second, 2 * time.Second

func serve(addr string) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else a client that still sends is reset
		host, _ := os.Hostname()
		client, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintf(w, "%s %s", host, client)
	})
	go serveDatagrams(addr)
	go func() {
		fmt.Println(http.ListenAndServe(addr, nil))
		os.Exit(1)
	}()
	<-stop
}

func serveDatagrams(addr string) {
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	host, _ := os.Hostname()
	buf := make([]byte, 100)
	for {
		_, from, err := conn.ReadFrom(buf)
		if err != nil {
			continue // the kernel's word about an earlier answer
		}
		client, _, _ := net.SplitHostPort(from.String())
		fmt.Fprintf(writerTo{conn, from}, "%s %s", host, client)
	}
}

type writerTo struct {
	net.PacketConn
	to net.Addr
}

func (w writerTo) Write(b []byte) (int, error) { return w.WriteTo(b, w.to) }

// datagram sends one, and returns the answer.
func datagram(conn net.Conn, patience time.Duration) (string, error) {
	if _, err := conn.Write([]byte("?")); err != nil {
		return "", err
	}
	buf := make([]byte, 100)
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	n, err := conn.Read(buf)
	return string(buf[:n]), err
}

func follow(addr string) (string, error) {
	conn, err := net.Dial("udp", addr)
	if err != nil {
		return "", err
	}
	first := ""
	for range 1200 {
		got, err := datagram(conn, 50*time.Millisecond)
		if err == nil && first == "" {
			first = got
			fmt.Println(got)
		}
		if err == nil && got != first {
			return got, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return "", errors.New("nobody else answers")
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
	case "post": // 100,000 bytes, on a connection of its own
		client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Post(arg, "text/plain", strings.NewReader(strings.Repeat("x", 100_000)))
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return string(body), err
	case "udp":
		conn, err := net.Dial("udp", arg)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		return datagram(conn, 10*time.Second)
	case "follow":
		return follow(arg)
	case "rules":
		_, err := nft.Open(netip.MustParseAddr(arg))
		return "taken", err
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
