package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"
)

const (
	// maxLine bounds one line, in bytes. A snapshot carries every ConfigMap and
	// Secret volume of the app, a mebibyte each at most, in base64.
	maxLine = 64 << 20
	// eofPause is how long to wait after an end of file that may not last: when
	// a supervisor dies the next one attaches to the same stream.
	eofPause = 500 * time.Millisecond
)

// readLines calls take for each line of r that is one JSON value of type T. Any
// other line is passed over: garbled, which may be nil, is called for it. It
// returns at the end of r or its first error; nil means the end.
func readLines[T any](r io.Reader, limit int, take func(T), garbled func()) error {
	in := bufio.NewReader(r)
	for {
		line, err := readLine(in, limit)
		var v T
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if json.Unmarshal(line, &v) == nil {
				take(v)
			} else if garbled != nil {
				garbled()
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// readLine reads one line with its end. One longer than limit is read to its
// end and given up: the line is then empty.
func readLine(in *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	tooLong := false
	for {
		piece, err := in.ReadSlice('\n')
		if len(line)+len(piece) > limit {
			line, tooLong = nil, true
		}
		if !tooLong {
			line = append(line, piece...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// followLines is readLines over a stream whose end is not the end. It returns
// when ctx is done, but cannot interrupt a read.
func followLines[T any](ctx context.Context, r io.Reader, take func(T), garbled func()) {
	for ctx.Err() == nil {
		_ = readLines(r, maxLine, take, garbled) // an error is an end, too
		select {
		case <-time.After(eofPause):
		case <-ctx.Done():
		}
	}
}

// writer sends values as JSON lines from a goroutine of its own, so that a slow
// reader holds up nobody. It keeps the newest state only, and the notes sent
// in between.
type writer[T any] struct {
	w     io.Writer
	wake  chan struct{}
	brief func(before *T, now T) T // leaves out of a state what the last one that was sent said; nil leaves out nothing

	mu    sync.Mutex
	state *T
	notes []note[T]
}

type note[T any] struct {
	v     T
	state bool
	sent  chan struct{} // closed then; nil where nobody waits
}

// maxNotes bounds the notes that wait; the oldest go first.
const maxNotes = 64

func newWriter[T any](w io.Writer) *writer[T] {
	return &writer[T]{w: w, wake: make(chan struct{}, 1)}
}

// Put makes v what is sent next, in place of a state that still waits.
func (w *writer[T]) Put(v T) {
	w.mu.Lock()
	w.state = &v
	w.mu.Unlock()
	w.poke()
}

// Note sends v before the next state, and drops none but by the bound.
func (w *writer[T]) Note(v T) { w.note(note[T]{v: v}) }

// Last is Note, and waits until v is sent or ctx is done.
func (w *writer[T]) Last(ctx context.Context, v T) {
	sent := make(chan struct{})
	w.note(note[T]{v: v, sent: sent})
	select {
	case <-sent:
	case <-ctx.Done():
	}
}

func (w *writer[T]) note(n note[T]) {
	w.mu.Lock()
	w.notes = append(w.notes, n)
	if len(w.notes) > maxNotes {
		w.notes = w.notes[1:]
	}
	w.mu.Unlock()
	w.poke()
}

func (w *writer[T]) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take empties what waits.
func (w *writer[T]) take() []note[T] {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.notes
	if w.state != nil {
		out = append(out, note[T]{v: *w.state, state: true})
	}
	w.notes, w.state = nil, nil
	return out
}

// Run sends until ctx is done or a write fails.
func (w *writer[T]) Run(ctx context.Context) error {
	var last *T
	for {
		for _, n := range w.take() {
			v := n.v
			if n.state && w.brief != nil {
				v = w.brief(last, v)
				last = &n.v
			}
			line, err := json.Marshal(v)
			if err != nil {
				return err
			}
			if _, err := w.w.Write(append(line, '\n')); err != nil {
				return err
			}
			if n.sent != nil {
				close(n.sent)
			}
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
