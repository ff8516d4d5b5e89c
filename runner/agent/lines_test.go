package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cuepod/cuepod/runner/agent/agenttest"
	"github.com/cuepod/cuepod/runner/agent/api"
)

func generations(t testing.TB, r io.Reader, limit int) (string, error) {
	t.Helper()
	var got []string
	err := readLines(r, limit, func(m api.FromAgent) { got = append(got, fmt.Sprint(m.Generation)) }, func() { got = append(got, "garbled") })
	return strings.Join(got, " "), err
}

func TestReadLines_PassesOverWhatIsNoMessage(t *testing.T) {
	in := `{"generation":1}` + "\n\n" +
		`{"generation":99,"contai` + "\n" + // a writer that was killed, and the newline the next one begins with
		`[1]` + "\n" +
		"\x00\xff\n" +
		`{"generation":2}` + "\r\n" +
		`{"generation":3,"error":"` + strings.Repeat("x", 5000) + `"}` + "\n" +
		`{"generation":4}` // no newline: the end says that it is whole
	for name, r := range map[string]io.Reader{"whole": strings.NewReader(in), "byte by byte": iotest.OneByteReader(strings.NewReader(in))} {
		if got, err := generations(t, r, 4096); got != "1 garbled garbled garbled 2 4" || err != nil {
			t.Errorf("%s: %s, %v; want 1, 2 and 4, and between them three that are none: the third is too long", name, got, err)
		}
	}
	broken := errors.New("broken")
	got, err := generations(t, io.MultiReader(strings.NewReader(`{"generation":1}`+"\n"), iotest.ErrReader(broken)), 4096)
	if got != "1" || !errors.Is(err, broken) {
		t.Errorf("%s, %v", got, err)
	}
}

func FuzzReadLines(f *testing.F) {
	f.Add([]byte(`{"generation":1}` + "\n"))
	f.Add([]byte(`{"snapshot":{"generation":3,"pods":[{"na` + "\n" + `{"generation":7}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		// Whatever comes before, a whole line after a newline is heard, last.
		in := append(append([]byte(nil), data...), "\n{\"generation\":424242}\n"...)
		var last int64
		if err := readLines(bytes.NewReader(in), 1<<20, func(m api.FromAgent) { last = m.Generation }, nil); err != nil {
			t.Fatal(err)
		}
		if last != 424242 {
			t.Errorf("the last message is %d", last)
		}
	})
}

// gate is a writer that takes one write for each token.
type gate struct {
	tokens chan struct{}
	wrote  chan string
}

func (g gate) Write(b []byte) (int, error) {
	<-g.tokens
	g.wrote <- string(b)
	return len(b), nil
}

func TestWriter_SlowReaderGetsTheNewestStateAndEveryNote(t *testing.T) {
	agenttest.NoLeaks(t)
	g := gate{make(chan struct{}), make(chan string, 100)}
	w := newWriter[api.FromGateway](g)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	status := func(n int64) api.FromGateway { return api.FromGateway{Status: &api.Status{Generation: n}} }
	w.Put(status(1))
	g.tokens <- struct{}{} // the first is under way
	first := <-g.wrote
	for n := range int64(50) {
		w.Put(status(n + 2))
	}
	w.Note(api.FromGateway{Error: "one"})
	w.Note(api.FromGateway{Error: "two"})
	var lines []string
	for range 8 { // generous: at most two states and two notes are left
		select {
		case g.tokens <- struct{}{}:
			lines = append(lines, <-g.wrote)
		case <-t.Context().Done():
		}
		if strings.Contains(strings.Join(lines, ""), `"generation":51`) && strings.Contains(strings.Join(lines, ""), "two") {
			break
		}
	}
	all := strings.Join(lines, "")
	if len(lines) > 4 || !strings.Contains(all, "one") || !strings.Contains(all, "two") || !strings.Contains(all, `"generation":51`) {
		t.Errorf("after %s came %d lines:\n%s", first, len(lines), all)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestWriter_BoundsTheNotes(t *testing.T) {
	w := newWriter[api.FromGateway](io.Discard)
	for i := range 10 * maxNotes {
		w.Note(api.FromGateway{Error: fmt.Sprint(i)})
	}
	got := w.take()
	if len(got) != maxNotes || got[maxNotes-1].v.Error != fmt.Sprint(10*maxNotes-1) {
		t.Errorf("%d notes wait, the last is %q", len(got), got[len(got)-1].v.Error)
	}
	if _, err := json.Marshal(got); err != nil {
		t.Error(err)
	}
}
