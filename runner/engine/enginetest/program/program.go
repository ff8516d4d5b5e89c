// Package program is what runs inside the containers of the conformance suite:
// the same behaviour as a real process and as a Go function of the fake.
package program

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
)

// World is all that a run touches.
type World struct {
	Args           []string // the command and its arguments
	Env            []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Stop           <-chan struct{} // closed when it is asked to stop
	Signals        <-chan string   // "SIGHUP", as it is sent
	Killed         <-chan struct{} // closed when it is killed; a real process never sees it
	ReadFile       func(string) ([]byte, error)
	WriteFile      func(string, []byte) error
}

// Run carries out one command and returns the exit code:
//
//	wait               blocks until it is asked to stop, says so and exits 0
//	ignore             blocks until it is killed
//	heed               prints each SIGHUP, until it is asked to stop
//	exit CODE
//	print WORD...      one line to standard output each
//	complain WORD...   one line to standard error each
//	echo               each line of standard input to both streams
//	cat                standard input to standard output until it ends
//	env NAME           the value of a variable
//	hostname
//	read FILE          its content
//	write FILE TEXT
//	listen ADDRESS     accepts TCP connections and greets them until it is asked to stop
//	dial ADDRESS       prints what a TCP server says
func Run(w World) int {
	if len(w.Args) == 0 {
		return usage(w)
	}
	rest := w.Args[1:]
	switch w.Args[0] {
	case "wait":
		fmt.Fprintln(w.Stdout, "waiting")
		select {
		case <-w.Stop:
		case <-w.Killed:
		}
		fmt.Fprintln(w.Stdout, "stopping")
		return 0
	case "ignore":
		fmt.Fprintln(w.Stdout, "ignoring")
		<-w.Killed
		return 1
	case "heed":
		return heed(w)
	case "print", "complain":
		return say(w, rest)
	case "echo":
		return echo(w)
	case "cat":
		_, err := io.Copy(w.Stdout, w.Stdin)
		return result(w, "", err)
	case "hostname":
		name, err := os.Hostname()
		return result(w, name+"\n", err)
	}
	if len(rest) == 0 {
		return usage(w)
	}
	return runWithArgument(w, rest)
}

func heed(w World) int {
	fmt.Fprintln(w.Stdout, "heeding")
	for {
		select {
		case s := <-w.Signals:
			fmt.Fprintln(w.Stdout, s)
		case <-w.Stop:
			return 0
		case <-w.Killed:
			return 1
		}
	}
}

func runWithArgument(w World, rest []string) int {
	switch w.Args[0] {
	case "exit":
		code, err := strconv.Atoi(rest[0])
		if err != nil {
			return usage(w)
		}
		return code
	case "env":
		for _, kv := range w.Env {
			if value, ok := strings.CutPrefix(kv, rest[0]+"="); ok {
				return result(w, value+"\n", nil)
			}
		}
		return 1
	case "read":
		data, err := w.ReadFile(rest[0])
		return result(w, string(data), err)
	case "write":
		return result(w, "", w.WriteFile(rest[0], []byte(strings.Join(rest[1:], " "))))
	case "listen":
		return listen(w, rest[0])
	case "dial":
		return dial(w, rest[0])
	}
	return usage(w)
}

func usage(w World) int {
	fmt.Fprintln(w.Stderr, "unknown command:", w.Args)
	return 2
}

func result(w World, text string, err error) int {
	if err != nil {
		fmt.Fprintln(w.Stderr, err)
		return 1
	}
	fmt.Fprint(w.Stdout, text)
	return 0
}

func say(w World, words []string) int {
	to := w.Stdout
	if w.Args[0] == "complain" {
		to = w.Stderr
	}
	for _, word := range words {
		fmt.Fprintln(to, word)
	}
	return 0
}

func echo(w World) int {
	lines := bufio.NewScanner(w.Stdin)
	for lines.Scan() {
		fmt.Fprintln(w.Stderr, "heard:", lines.Text())
		fmt.Fprintln(w.Stdout, lines.Text())
	}
	return result(w, "", lines.Err())
}

func listen(w World, address string) int {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return result(w, "", err)
	}
	fmt.Fprintln(w.Stdout, "listening")
	go func() {
		<-w.Stop
		l.Close()
	}()
	for {
		conn, err := l.Accept()
		if err != nil {
			return 0 // closed above
		}
		fmt.Fprintln(conn, "hello")
		conn.Close()
	}
}

func dial(w World, address string) int {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return result(w, "", err)
	}
	defer conn.Close()
	said, err := io.ReadAll(conn)
	return result(w, string(said), err)
}
