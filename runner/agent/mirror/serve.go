// Package mirror keeps copies of a developer's directories, for the containers
// of a pod. The agent has them in a volume, and a container sees its own copy
// alone: so files get into an image from scratch, into read-only files, to any
// user, and into a container that is down.
//
//	dir/data        the copy, which the container sees
//	dir/state.json  what was brought there, and by what it can be known again
//	dir/tmp         files on their way: the container never sees half of one
//
// A copy is not the mirror's alone: an image has put things there, and programs
// do. What the mirror has not brought it removes never, and replaces only where
// the developer has something of that name. Programs may put links anywhere: all
// that happens stays in the copy, and in directories that are no links.
package mirror

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// maxLine bounds a line but for the content that follows it, in bytes: a path,
// a link and a few numbers.
const maxLine = 64 << 10

// maxErrors bounds what is told of a round.
const maxErrors = 3

// Serve carries out rounds until in ends. base is put before every directory: ""
// but for tests. A line that is out of place ends it
// with an error, as where its content ends is not known then.
func Serve(base string, in io.Reader, out io.Writer) error {
	s := server{base: base, in: bufio.NewReaderSize(in, maxLine), out: json.NewEncoder(out)}
	for {
		line, err := s.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if line.Open == nil {
			return errors.New("a round begins with open")
		}
		if err := s.round(*line.Open); err != nil {
			return err
		}
	}
}

type server struct {
	base string
	in   *bufio.Reader
	out  *json.Encoder
}

func (s *server) next() (line api.MirrorLine, err error) {
	text, err := s.in.ReadSlice('\n')
	if errors.Is(err, io.EOF) && len(text) > 0 {
		return line, io.ErrUnexpectedEOF
	}
	if err != nil {
		return line, err
	}
	return line, json.Unmarshal(text, &line)
}

// round is one round. Its error is one of the line itself; what goes wrong with
// the copy is answered.
func (s *server) round(open api.MirrorOpen) error {
	open.Dir = s.base + open.Dir
	c, err := openCopy(open)
	if err != nil {
		if err := s.out.Encode(api.MirrorThere{Error: err.Error()}); err != nil {
			return err
		}
		return nil // whoever asked does not go on
	}
	defer c.close()
	if err := s.out.Encode(api.MirrorThere{Entries: c.there(), Acted: c.state.Acted}); err != nil {
		return err
	}
	var done api.MirrorDone
	fail := func(path string, err error) {
		if err != nil && len(done.Errors) < maxErrors {
			done.Errors = append(done.Errors, fmt.Sprintf("%s: %v", path, reason(err)))
		}
	}
	for {
		line, err := s.next()
		switch {
		case err != nil:
			return errors.Join(err, c.save())
		case line.Put != nil:
			body := io.LimitReader(s.in, line.Put.Size)
			err := c.put(*line.Put, body)
			if _, err := io.Copy(io.Discard, body); err != nil {
				return err
			}
			fail(line.Put.Path, err)
			if err == nil {
				done.Put++
			}
		case line.Remove != "":
			removed, err := c.remove(line.Remove)
			fail(line.Remove, err)
			if removed {
				done.Removed++
			}
		case line.Close != nil:
			if line.Close.Acted != "" && len(done.Errors) == 0 {
				c.state.Acted, c.changed = line.Close.Acted, true
			}
			fail("state", c.save())
			if line.Close.Keep != "" {
				fail("earlier copies", removeOthers(open.Dir, line.Close.Keep))
			}
			return s.out.Encode(done)
		default:
			return errors.New("a line in a round says nothing")
		}
	}
}
