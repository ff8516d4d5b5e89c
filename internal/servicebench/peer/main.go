// Command peer is both ends of what servicebench measures.
//
//	peer serve                            answers on port 8080: TCP, UDP and, on 8081, HTTP
//	peer measure [flags] DIRECT OTHER     two ways to a server
//	peer ask [flags] WAY                  as many requests of one kind
//
// A way is a host, and the ports there when they are not the server's own:
// "10.66.0.1 18080 18081 0", with 0 for a port that it does not have.
//
// Measure prints a line for each kind of request: its name, and the ratios of the
// other way to the direct one in rate, median latency and 99th percentile.
package main

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	port     = "8080"
	httpPort = "8081"
	small    = 64      // bytes of a message
	large    = 1 << 20 // bytes before an acknowledgement
	timeout  = 5 * time.Second
)

func main() {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "serve":
		err = serve()
	case len(os.Args) > 2 && os.Args[1] == "measure":
		err = measure(os.Args[2:])
	case len(os.Args) > 2 && os.Args[1] == "ask":
		err = ask(os.Args[2:])
	case len(os.Args) == 2 && os.Args[1] == "wait":
		end := make(chan os.Signal, 1)
		signal.Notify(end, syscall.SIGTERM)
		<-end
	default:
		err = fmt.Errorf("usage: peer serve | wait | measure DIRECT OTHER | ask WAY")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func serve() error {
	ln, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	udp, err := net.ListenPacket("udp", ":"+port)
	if err != nil {
		return err
	}
	go func() {
		buf := make([]byte, small)
		for {
			if n, from, err := udp.ReadFrom(buf); err == nil {
				_, _ = udp.WriteTo(buf[:n], from)
			}
		}
	}()
	go func() {
		for {
			if c, err := ln.Accept(); err == nil {
				go echo(c)
			}
		}
	}()
	return http.ListenAndServe(":"+httpPort, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
}

// echo answers each message; one that begins with 1 is followed by the rest of a
// large one, which is acknowledged with the beginning.
func echo(c net.Conn) {
	defer c.Close()
	buf := make([]byte, small)
	for {
		if _, err := io.ReadFull(c, buf); err != nil {
			return
		}
		if buf[0] == 1 {
			if _, err := io.CopyN(io.Discard, c, large-small); err != nil {
				return
			}
		}
		if _, err := c.Write(buf); err != nil {
			return
		}
	}
}

// operation is one thing that is done again and again on a way; close ends what
// it keeps open.
type operation struct {
	do    func() error
	close func() error
}

// way is how a server is reached: the addresses of its ports, "" for one that
// there is none of on that way.
type way struct{ tcp, http, udp string }

func parseWay(text string) (way, error) {
	f := strings.Fields(text)
	switch len(f) {
	case 1:
		f = append(f, port, httpPort, port)
	case 4:
	default:
		return way{}, fmt.Errorf("%q is no host, or host and three ports", text)
	}
	at := func(port string) string {
		if port == "0" {
			return ""
		}
		return net.JoinHostPort(f[0], port)
	}
	return way{at(f[1]), at(f[2]), at(f[3])}, nil
}

// mode is one kind of request.
type mode struct {
	name    string
	address func(way) string
	open    func(address string) (operation, error)
}

func modes() []mode {
	tcp := func(w way) string { return w.tcp }
	return []mode{
		{"TCP request, one connection", tcp, func(a string) (operation, error) { return kept("tcp", a, make([]byte, small)) }},
		{"TCP request, new connection", tcp, func(a string) (operation, error) { return fresh(a), nil }},
		{"UDP request", func(w way) string { return w.udp }, func(a string) (operation, error) { return kept("udp", a, make([]byte, small)) }},
		{"HTTP request, keep-alive", func(w way) string { return w.http }, func(a string) (operation, error) { return get(a), nil }},
		{"1 MiB and its acknowledgement", tcp, func(a string) (operation, error) {
			return kept("tcp", a, append([]byte{1}, make([]byte, large-1)...))
		}},
	}
}

// begin opens what a mode asks on a way, and asks once to warm it.
func (m *mode) begin(w way) (operation, error) {
	op, err := m.open(m.address(w))
	if err == nil {
		err = op.do()
	}
	if err != nil {
		return operation{}, fmt.Errorf("%s to %s: %w", m.name, m.address(w), err)
	}
	return op, nil
}

func kept(network, address string, message []byte) (operation, error) {
	c, err := net.DialTimeout(network, address, timeout)
	if err != nil {
		return operation{}, err
	}
	return operation{func() error { return exchange(c, message) }, c.Close}, nil
}

func exchange(c net.Conn, message []byte) error {
	_ = c.SetDeadline(time.Now().Add(timeout))
	if _, err := c.Write(message); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, small))
	return err
}

func fresh(address string) operation {
	return operation{func() error {
		c, err := net.DialTimeout("tcp", address, timeout)
		if err != nil {
			return err
		}
		defer c.Close()
		return exchange(c, make([]byte, small))
	}, func() error { return nil }}
}

func get(address string) operation {
	client := &http.Client{Timeout: timeout, Transport: &http.Transport{}}
	return operation{func() error {
		res, err := client.Get("http://" + address + "/")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}, func() error { client.CloseIdleConnections(); return nil }}
}

// measure takes slices of both ways in turns, in an order left to chance, so that
// what else the machine does meets both.
func measure(args []string) error {
	flags := flag.NewFlagSet("measure", flag.ContinueOnError)
	rounds := flags.Int("rounds", 60, "pairs of slices")
	slice := flags.Duration("slice", 30*time.Millisecond, "length of one")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 2 {
		return fmt.Errorf("measure wants two ways, not %q", flags.Args())
	}
	var ways [2]way
	for i, text := range flags.Args() {
		var err error
		if ways[i], err = parseWay(text); err != nil {
			return err
		}
	}
	for _, m := range modes() {
		if m.address(ways[0]) == "" || m.address(ways[1]) == "" {
			continue
		}
		r, err := m.compare(ways, *rounds, *slice)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		fmt.Printf("%s\t%.2f\t%.2f\t%.2f\n", m.name, r.rate, r.p50, r.p99)
	}
	return nil
}

func (m *mode) compare(ways [2]way, rounds int, slice time.Duration) (result, error) {
	var ops [2]operation
	for i, w := range ways {
		op, err := m.begin(w)
		if err != nil {
			return result{}, err
		}
		defer op.close()
		ops[i] = op
	}
	return compare(ops, rounds, slice)
}

// ask makes requests of one kind and no more, for whoever counts what they cost.
func ask(args []string) error {
	flags := flag.NewFlagSet("ask", flag.ContinueOnError)
	kind := flags.String("kind", modes()[0].name, "of request, as measure prints it")
	count := flags.Int("count", 1000, "requests")
	if err := flags.Parse(args); err != nil {
		return err
	}
	at := slices.IndexFunc(modes(), func(m mode) bool { return m.name == *kind })
	if flags.NArg() != 1 || at < 0 {
		return fmt.Errorf("ask wants one way and a kind of request, not %q of %q", flags.Args(), *kind)
	}
	w, err := parseWay(flags.Arg(0))
	if err != nil {
		return err
	}
	op, err := modes()[at].begin(w)
	if err != nil {
		return err
	}
	defer op.close()
	for range *count {
		if err := op.do(); err != nil {
			return err
		}
	}
	return nil
}

// result is the second way's ratios to the first.
type result struct{ rate, p50, p99 float64 }

func compare(ops [2]operation, rounds int, slice time.Duration) (result, error) {
	var rates, medians []float64
	var all [2][]time.Duration
	for range rounds {
		var took [2][]time.Duration
		first := rand.IntN(2)
		for _, i := range []int{first, 1 - first} {
			for begin := time.Now(); len(took[i]) == 0 || time.Since(begin) < slice; {
				at := time.Now()
				if err := ops[i].do(); err != nil {
					return result{}, err
				}
				took[i] = append(took[i], time.Since(at))
			}
			all[i] = append(all[i], took[i]...)
		}
		rates = append(rates, mean(took[0])/mean(took[1]))
		medians = append(medians, float64(quantile(took[1], .5))/float64(quantile(took[0], .5)))
	}
	slices.Sort(rates)
	slices.Sort(medians)
	return result{rates[rounds/2], medians[rounds/2], float64(quantile(all[1], .99)) / float64(quantile(all[0], .99))}, nil
}

func mean(list []time.Duration) float64 {
	var sum time.Duration
	for _, d := range list {
		sum += d
	}
	return float64(sum) / float64(len(list))
}

func quantile(list []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[int(q*float64(len(sorted)-1))]
}
