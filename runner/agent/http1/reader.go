package http1

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Reader reads a body without its framing.
type Reader struct {
	src     *bufio.Reader
	body    Body
	left    int64 // of the body or of the chunk
	chunks  int   // begun so far
	over    bool
	trailer Fields
}

// Reader reads the body that src gives.
func (b Body) Reader(src *bufio.Reader) *Reader { return &Reader{src: src, body: b, left: b.Length} }

// Trailer is what followed the body, once Read has given io.EOF.
func (r *Reader) Trailer() Fields { return r.trailer }

// Read reads the body. io.EOF means that it was whole.
func (r *Reader) Read(p []byte) (int, error) {
	if r.body.Chunked && r.left == 0 && !r.over {
		if err := r.next(); err != nil {
			return 0, unexpected(err)
		}
	}
	if r.over || !r.body.ToEnd && r.left == 0 {
		return 0, io.EOF
	}
	if !r.body.ToEnd && int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.src.Read(p)
	if r.body.ToEnd {
		return n, err
	}
	r.left -= int64(n)
	return n, unexpected(err)
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// next reads up to the next chunk's data, or the trailers.
func (r *Reader) next() error {
	limit := 4 << 10
	if r.chunks > 0 {
		if line, err := readLine(r.src, &limit); err != nil || line != "" {
			return cmpErr(err, fmt.Errorf("%w: no end of a chunk", ErrHead))
		}
	}
	r.chunks++
	line, err := readLine(r.src, &limit)
	if err != nil {
		return err
	}
	digits, _, _ := strings.Cut(line, ";")
	size, err := strconv.ParseUint(strings.TrimRight(digits, " \t"), 16, 62)
	if err != nil {
		return fmt.Errorf("%w: chunk size %.40q", ErrHead, line)
	}
	if r.left = int64(size); size == 0 {
		r.over = true
		left := maxHead
		r.trailer, err = readFields(r.src, &left)
	}
	return err
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}
