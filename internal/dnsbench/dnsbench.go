// Package dnsbench measures name servers side by side: short slices of time for
// one after the other in random order, so that what else the machine does
// meets all of them, and ratios within a round.
package dnsbench

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	slice    = 50 * time.Millisecond // of one server at a time
	patience = time.Second           // for an answer; one that does not come counts for nothing
)

// Server is one to measure, and the query it is asked over and over.
type Server struct {
	Name  string
	Addr  string // host:port, asked over UDP
	Query []byte
}

// Result is how one did.
type Result struct {
	Name       string
	Concurrent int
	PerSecond  float64 // answers, median of the rounds
	Ratio      float64 // of PerSecond to the first server's, median of the rounds
	P50, P99   time.Duration
	Lost       int // queries without an answer
}

// Run measures servers with so many queries under way at once.
func Run(servers []Server, concurrent, rounds int) ([]Result, error) {
	out := make([]Result, len(servers))
	rates := make([][]float64, len(servers))
	latencies := make([][]time.Duration, len(servers))
	for range rounds {
		for _, i := range rand.Perm(len(servers)) {
			took, seconds, lost, err := measure(servers[i], concurrent)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", servers[i].Name, err)
			}
			rates[i] = append(rates[i], float64(len(took))/seconds)
			latencies[i] = append(latencies[i], took...)
			out[i].Lost += lost
		}
	}
	for i, s := range servers {
		var ratios []float64
		for round, rate := range rates[i] {
			ratios = append(ratios, rate/rates[0][round])
		}
		slices.Sort(latencies[i])
		r := &out[i]
		r.Name, r.Concurrent, r.PerSecond, r.Ratio = s.Name, concurrent, median(rates[i]), median(ratios)
		if n := len(latencies[i]); n > 0 {
			r.P50, r.P99 = latencies[i][n/2], latencies[i][n*99/100]
		}
	}
	return out, nil
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}

// measure asks for one slice.
func measure(s Server, concurrent int) (took []time.Duration, seconds float64, lost int, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := time.Now()
	for range concurrent {
		wg.Go(func() {
			own, gone, e := askAgain(s, start.Add(slice))
			mu.Lock()
			defer mu.Unlock()
			took, lost = append(took, own...), lost+gone
			if e != nil {
				err = e
			}
		})
	}
	wg.Wait()
	return took, time.Since(start).Seconds(), lost, err
}

// askAgain asks on one socket until a time, each query with an ID of its own.
func askAgain(s Server, until time.Time) (took []time.Duration, lost int, err error) {
	conn, err := net.Dial("udp", s.Addr)
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close()
	query, buf := slices.Clone(s.Query), make([]byte, 4096)
	for id := uint16(1); ; id++ {
		sent := time.Now()
		if sent.After(until) {
			return took, lost, nil
		}
		query[0], query[1] = byte(id>>8), byte(id)
		if err := conn.SetReadDeadline(sent.Add(patience)); err != nil {
			return nil, 0, err
		}
		if _, err := conn.Write(query); err != nil {
			return nil, 0, err
		}
		for {
			n, err := conn.Read(buf)
			if err != nil {
				lost++
				break
			}
			if n > 12 && buf[0] == query[0] && buf[1] == query[1] {
				if buf[3]&15 != 0 {
					return nil, 0, fmt.Errorf("the answer's code is %d", buf[3]&15)
				}
				took = append(took, time.Since(sent))
				break
			}
		}
	}
}

// Table prints results; ratios are to the first of each concurrency.
func Table(results []Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-28s %3s %10s %7s %9s %9s\n", "", "c", "answers/s", "ratio", "p50", "p99")
	for _, r := range results {
		fmt.Fprintf(&b, "%-28s %3d %10.0f %6.2fx %9s %9s", r.Name, r.Concurrent, r.PerSecond, r.Ratio, r.P50.Round(time.Microsecond), r.P99.Round(time.Microsecond))
		if r.Lost > 0 {
			fmt.Fprintf(&b, "  %d without an answer", r.Lost)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
