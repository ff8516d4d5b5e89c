package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/cuepod/cuepod/runner/dns"
)

// Result is what a comparison came to.
type Result struct {
	Seed     uint64
	Queries  int
	Answers  map[string]int // by what CoreDNS said
	Listed   map[string]int // by the name of the difference
	Unlisted []comparison
}

// tableSize is how many queries each table of services gets.
const tableSize = 600

// workers is how many queries are under way at once.
const workers = 8

// Compare asks both servers many questions. The same seed asks the same.
func Compare(seed uint64, queries int) (*Result, error) {
	r := rand.New(rand.NewPCG(seed, 0))
	out := &Result{Seed: seed, Queries: queries, Answers: map[string]int{}, Listed: map[string]int{}}
	upstream, stop, err := startUpstream()
	if err != nil {
		return nil, err
	}
	defer stop()
	for left := queries; left > 0; left -= tableSize {
		table := newTable(r, 1+r.IntN(8)*r.IntN(30))
		if err := out.compareTable(r, &table, min(left, tableSize), upstream); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (out *Result) compareTable(r *rand.Rand, t *Table, n int, upstream string) error {
	api := t.cluster().serve()
	defer api.Close()
	defer api.CloseClientConnections()
	theirs, err := StartCoreDNS(api.URL, upstream)
	if err != nil {
		return err
	}
	defer theirs.Close()
	ours, stop, err := startOurs(t, upstream)
	if err != nil {
		return err
	}
	defer stop()
	comparisons := make([]comparison, n)
	for i := range comparisons {
		comparisons[i].query = newQuery(r, t)
	}
	if err := askBoth(comparisons, ours, theirs); err != nil {
		return err
	}
	for _, c := range comparisons {
		out.add(c)
	}
	return nil
}

func askBoth(comparisons []comparison, ours string, theirs *CoreDNS) error {
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(comparisons); i += workers {
				c := &comparisons[i]
				addr := theirs.UDP
				if c.query.Network == "tcp" {
					addr = theirs.TCP
				}
				var err error
				if c.theirs, err = ask(addr, c.query); err != nil {
					errs[w] = fmt.Errorf("ask CoreDNS %s: %w", c.query.Text, err)
					return
				}
				if c.ours, err = ask(ours, c.query); err != nil {
					errs[w] = fmt.Errorf("ask ours %s: %w", c.query.Text, err)
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (out *Result) add(c comparison) {
	out.Answers[kind(c.theirs)]++
	if same(c.ours, c.theirs) {
		return
	}
	for _, d := range Differences() {
		if d.is(c) {
			out.Listed[d.Name]++
			return
		}
	}
	out.Unlisted = append(out.Unlisted, c)
}

// kind is what an answer is, for the table.
func kind(r Reply) string {
	code, _, _ := strings.Cut(strings.TrimPrefix(r.Head, "QUERY "), " ")
	switch {
	case r.Truncated:
		return code + ", truncated"
	case r.Code == 0 && len(r.Sections[1]) == 0:
		return code + ", no data"
	}
	return code
}

// same reports whether two answers are. What is left of a truncated answer
// depends on the order of its records, which nobody promises: those need only be
// truncated both, and of one kind.
func same(ours, theirs Reply) bool {
	if ours.Truncated && theirs.Truncated && ours.Head == theirs.Head {
		return slices.Equal(ours.Sections[0], theirs.Sections[0]) && (len(ours.Sections[1]) > 0) == (len(theirs.Sections[1]) > 0)
	}
	return ours.String() == theirs.String()
}

// startOurs starts the name server of a pod.
func startOurs(t *Table, upstream string) (addr string, stop func(), err error) {
	self, err := machine()
	if err != nil {
		return "", nil, err
	}
	udp, tcp, err := dns.Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		return "", nil, err
	}
	s := dns.NewServer(upstream)
	s.SetZone(func() *dns.Zone { return dns.NewZone(namespace, t.ours(), self...) })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(ctx, udp, tcp)
	}()
	return tcp.Addr().String(), func() { cancel(); <-done }, nil
}

// machine is its addresses: CoreDNS says that it is to be found there.
func machine() (out []netip.Addr, err error) {
	addrs, err := net.InterfaceAddrs()
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLoopback() {
			out = append(out, p.Addr())
		}
	}
	return out, err
}

// Unused are the names of listed differences that did not occur.
func (out *Result) Unused() (names []string) {
	for _, d := range Differences() {
		if out.Listed[d.Name] == 0 {
			names = append(names, d.Name)
		}
	}
	return names
}

// String is the table.
func (out *Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d queries to CoreDNS 1.15.0 and to ours\n", out.Seed, out.Queries)
	for _, k := range slices.Sorted(maps.Keys(out.Answers)) {
		fmt.Fprintf(&b, "  %5d  %s\n", out.Answers[k], k)
	}
	fmt.Fprintf(&b, "differences: %d, and %d for a reason\n", len(out.Unlisted), sum(out.Listed))
	fmt.Fprintf(&b, "    all  serial of the SOA record: fixed, as nobody transfers the zone; CoreDNS has the time of the last change\n")
	for _, d := range Differences() {
		fmt.Fprintf(&b, "  %5d  %s: %s\n", out.Listed[d.Name], d.Name, d.Reason)
	}
	for _, c := range out.Unlisted[:min(len(out.Unlisted), 20)] {
		fmt.Fprintf(&b, "%s\n  ours:   %s\n  theirs: %s\n", c.query.Text, c.ours, c.theirs)
	}
	return b.String()
}

func sum(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}
