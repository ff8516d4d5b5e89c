//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

// address is where a port is served: "8080" is every address, and
// "127.0.0.1:8080" that one.
func address(text string) string {
	if strings.Contains(text, ":") {
		return text
	}
	return ":" + text
}

// serve answers HTTP beside the other steps:
//
//	/ok, /fail, /hang          200, 500, nothing
//	/file?path=P               200 when the path exists, else 500
//	/after?d=3s, /until?d=3s   500 from, or up to, that long after the start
//	/mark?event=E              marks it
//	/redirect?to=URL
//	/headers                   those that the kubelet sends or is told to
//	/hostname, /client
func (w *witness) serve(text string) error {
	l, err := net.Listen("tcp", address(text))
	if err != nil {
		return err
	}
	go serveOn(l, w.handler())
	return nil
}

// serveTLS is serve with a certificate that nobody has a reason to trust.
func (w *witness) serveTLS(text string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{}, &key.PublicKey, key)
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", address(text), &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		return err
	}
	go serveOn(l, w.handler())
	return nil
}

func serveOn(l net.Listener, h http.Handler) {
	fmt.Fprintln(os.Stderr, "witness:", http.Serve(l, h))
	os.Exit(1)
}

func (w *witness) handler() http.Handler {
	start := time.Now()
	mux := http.NewServeMux()
	say := func(path string, f func(*http.Request) (int, string)) {
		mux.HandleFunc(path, func(rw http.ResponseWriter, r *http.Request) {
			code, text := f(r)
			rw.WriteHeader(code)
			fmt.Fprintln(rw, text)
		})
	}
	verdict := func(ok bool) (int, string) {
		if ok {
			return http.StatusOK, "ok"
		}
		return http.StatusInternalServerError, "failed"
	}
	aged := func(r *http.Request) bool {
		d, err := time.ParseDuration(r.URL.Query().Get("d"))
		return err == nil && time.Since(start) >= d
	}
	say("/ok", func(*http.Request) (int, string) { return verdict(true) })
	say("/fail", func(*http.Request) (int, string) { return verdict(false) })
	say("/hang", func(r *http.Request) (int, string) { <-r.Context().Done(); return verdict(false) })
	say("/after", func(r *http.Request) (int, string) { return verdict(!aged(r)) })
	say("/until", func(r *http.Request) (int, string) { return verdict(aged(r)) })
	say("/file", func(r *http.Request) (int, string) { return verdict(exists(r.URL.Query().Get("path")) == nil) })
	say("/mark", func(r *http.Request) (int, string) { w.mark(r.URL.Query().Get("event")); return verdict(true) })
	say("/client", func(r *http.Request) (int, string) { return http.StatusOK, r.RemoteAddr })
	say("/hostname", func(*http.Request) (int, string) {
		name, err := os.Hostname()
		return http.StatusOK, fmt.Sprint(name, errText(err))
	})
	say("/headers", func(r *http.Request) (int, string) {
		fmt.Printf("headers host=%s agent=%s accept=%s x=%s\n", r.Host, r.UserAgent(), r.Header.Get("Accept"), r.Header.Get("X-Witness"))
		return verdict(true)
	})
	mux.HandleFunc("/redirect", func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, r.URL.Query().Get("to"), http.StatusFound)
	})
	return mux
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// serveTCP says hello and the host's name to whoever connects.
func serveTCP(text string) error {
	l, err := net.Listen("tcp", address(text))
	if err != nil {
		return err
	}
	name, err := os.Hostname()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(conn, "hello from", name)
			conn.Close()
		}
	}()
	return err
}

// serveUDP answers each packet with the host's name.
func serveUDP(text string) error {
	c, err := net.ListenPacket("udp", address(text))
	if err != nil {
		return err
	}
	name, err := os.Hostname()
	go func() {
		buf := make([]byte, 1500)
		for {
			_, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = c.WriteTo([]byte("hello from "+name), from) // a packet may always be lost
		}
	}()
	return err
}

// serveGRPC serves grpc.health.v1: "serve-grpc PORT [not|other]". "not" is not
// serving, "other" knows no such method.
func serveGRPC(text string) error {
	port, how, _ := strings.Cut(text, " ")
	l, err := net.Listen("tcp", address(port))
	if err != nil {
		return err
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // what it asks for makes no difference
		rw.Header().Set("Content-Type", "application/grpc")
		rw.Header().Set("Trailer", "Grpc-Status")
		code, status := "0", byte(1) // OK, SERVING
		switch {
		case how == "other" || r.URL.Path != "/grpc.health.v1.Health/Check":
			code = "12"
		case how == "not":
			status = 2
		}
		if code == "0" {
			_, _ = rw.Write([]byte{0, 0, 0, 0, 2, 8, status}) // one message: field 1, a number
		}
		rw.Header().Set("Grpc-Status", code)
	})}
	go func() { _ = s.Serve(l) }()
	return nil
}

// get asks for a URL, until somebody answers.
func get(url string) error {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return poll(func() error {
		resp, err := client.Get(url)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		fmt.Printf("%s: %d %s\n", url, resp.StatusCode, strings.TrimSpace(string(text)))
		return err
	})
}

// dial says what came of connecting to a TCP address: what the other side says,
// or that it refused, or nothing.
func dial(address string) error {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		what := err.Error()
		var timeout net.Error
		switch {
		case strings.Contains(what, "refused"):
			what = "refused"
		case errors.As(err, &timeout) && timeout.Timeout():
			what = "timeout"
		}
		fmt.Printf("dial %s: %s\n", address, what)
		return nil
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second)) // it fails for a closed connection alone
	text, err := io.ReadAll(conn)
	switch {
	case errors.Is(err, syscall.ECONNRESET):
		text, err = []byte("reset"), nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		// A network may take connections in the name of addresses that are nobody's.
		text, err = []byte("timeout"), nil
	}
	fmt.Printf("dial %s: %s\n", address, strings.TrimSpace(string(text)))
	return err
}

// lookup prints the addresses of a name.
func lookup(name string) error {
	addresses, err := net.LookupHost(name)
	if err != nil {
		fmt.Printf("lookup %s: %v\n", name, err)
		return nil
	}
	fmt.Printf("lookup %s: %s\n", name, strings.Join(addresses, " "))
	return nil
}

// udp says what a UDP address answers, and asks again until it does.
func udp(address string) error {
	return poll(func() error {
		conn, err := net.Dial("udp", address)
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("hello")); err != nil {
			return err
		}
		_ = conn.SetDeadline(time.Now().Add(time.Second)) // it fails for a closed connection alone
		buf := make([]byte, 1500)
		n, err := conn.Read(buf)
		if err == nil {
			fmt.Printf("udp %s: %s\n", address, buf[:n])
		}
		return err
	})
}

// reach marks whenever an address begins or ceases to take connections, beside
// the other steps.
func (w *witness) reach(address string) error {
	go func() {
		last := ""
		for {
			now := "reached"
			conn, err := net.DialTimeout("tcp", address, 5*time.Second)
			switch {
			case err == nil:
				conn.Close()
			case errors.Is(err, syscall.ECONNREFUSED):
				now = "refused"
			default:
				now = "lost"
			}
			if now != last {
				w.mark(now)
				last = now
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	return nil
}
