package mirror

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// Line is a line to the agent of a pod. Its methods are safe for concurrent use:
// one round goes on at a time. After an error of the line itself it is of no more
// use.
type Line struct {
	mu   sync.Mutex
	conn io.ReadWriteCloser
	out  *bufio.Writer
	in   *json.Decoder
	err  error // the line is broken
}

// NewLine begins with a connection to an agent in the role api.RoleMirror.
func NewLine(conn io.ReadWriteCloser) *Line {
	return &Line{conn: conn, out: bufio.NewWriterSize(conn, 64<<10), in: json.NewDecoder(bufio.NewReader(conn))}
}

// Close ends the line; a round under way fails.
func (l *Line) Close() error { return l.conn.Close() }

// Broken is why the line is of no more use, or nil.
func (l *Line) Broken() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Round is what one copy is to become. Manifest is nil where it is to stay as it
// is.
type Round struct {
	Open     api.MirrorOpen
	Root     string // of the module, absolute
	From     string // the directory, relative to it
	Manifest *Manifest
	Look     bool // say what there is to do, and do none of it
	Close    api.MirrorClose
}

// Result is what a round did.
type Result struct {
	Acted   string // as it was before: see api.MirrorClose
	Put     int    // files and links that were brought
	Removed int
	Bytes   int64
	Errors  []string // what could not be done
}

// Carry carries out a round. Its error is one of the line, or that the agent has
// no such copy.
func (l *Line) Carry(r Round) (Result, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return Result{}, l.err
	}
	out, err := l.carry(r)
	var refused *refusedError
	if err != nil && !errors.As(err, &refused) {
		l.err = err
		l.conn.Close()
	}
	return out, err
}

// refusedError is the agent's word, after which the line goes on.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }

func (l *Line) carry(r Round) (Result, error) {
	if err := errors.Join(l.say(api.MirrorLine{Open: &r.Open}), l.out.Flush()); err != nil {
		return Result{}, err
	}
	var there api.MirrorThere
	if err := l.in.Decode(&there); err != nil {
		return Result{}, err
	}
	if there.Error != "" {
		return Result{}, &refusedError{there.Error}
	}
	out := Result{Acted: there.Acted}
	if r.Manifest != nil {
		d := Compare(r.Manifest, there.Entries)
		if r.Look {
			out.Put, out.Removed = d.count()
			d = Delta{}
		}
		if err := l.bring(r, d, &out); err != nil {
			return out, err
		}
	}
	if err := errors.Join(l.say(api.MirrorLine{Close: &r.Close}), l.out.Flush()); err != nil {
		return out, err
	}
	var done api.MirrorDone
	if err := l.in.Decode(&done); err != nil {
		return out, err
	}
	if !r.Look {
		out.Removed = done.Removed
	}
	out.Errors = append(out.Errors, done.Errors...)
	return out, nil
}

func (l *Line) say(line api.MirrorLine) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	_, err = l.out.Write(append(text, '\n'))
	return err
}

// bring sends a difference. What went in the meantime is left out: whoever
// watches tells.
func (l *Line) bring(r Round, d Delta, out *Result) error {
	for _, name := range d.Remove {
		if err := l.say(api.MirrorLine{Remove: name}); err != nil {
			return err
		}
	}
	if len(d.Put) == 0 {
		return nil
	}
	module, err := os.OpenRoot(r.Root)
	if err != nil {
		return err
	}
	defer module.Close()
	for _, e := range d.Put {
		if e.Kind != api.MirrorDir {
			out.Put++
		}
		if e.Kind != api.MirrorFile {
			e.Time = 0
			if err := l.say(api.MirrorLine{Put: &e}); err != nil {
				return err
			}
			continue
		}
		err := l.file(module, path.Join(r.From, e.Path), e, out)
		var own *fs.PathError
		switch {
		case errors.As(err, &own) && errors.Is(err, fs.ErrNotExist):
			out.Put--
		case errors.As(err, &own):
			out.Put--
			out.Errors = append(out.Errors, fmt.Sprintf("%s: %v", e.Path, own.Err))
		case err != nil:
			return err
		}
	}
	return nil
}

// whole is up to how many bytes a file is read at once, so that one that changes
// meanwhile is brought as it was at one moment.
const whole = 1 << 20

// ErrChanged is why a round breaks off: a large file became shorter while it was
// on its way.
var ErrChanged = errors.New("a file changed while it was copied")

// file sends a file as it is now. An error of opening or reading it is a
// *fs.PathError, and nothing was sent then.
func (l *Line) file(module *os.Root, name string, e api.MirrorEntry, out *Result) error {
	f, err := module.Open(filepath.FromSlash(name))
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist} // it is another thing now
	}
	e.Size, e.Time, e.Mode = info.Size(), info.ModTime().UnixNano(), uint32(info.Mode().Perm())
	var body io.Reader = f
	if e.Size <= whole {
		text, err := io.ReadAll(io.LimitReader(f, 2*whole))
		if err != nil {
			return err
		}
		e.Size, body = int64(len(text)), bytes.NewReader(text)
	}
	if err := l.say(api.MirrorLine{Put: &e}); err != nil {
		return err
	}
	n, err := io.CopyN(l.out, body, e.Size)
	out.Bytes += n
	if errors.Is(err, io.EOF) {
		return ErrChanged
	}
	var own *fs.PathError
	if errors.As(err, &own) {
		return fmt.Errorf("%w: %v", ErrChanged, own.Err) // what was said to follow does not
	}
	return err
}
