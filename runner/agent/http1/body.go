package http1

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Body says how a message's body is framed.
type Body struct {
	Length  int64 // bytes; 0 means none, unless one of the others is set
	Chunked bool
	ToEnd   bool // until the connection ends: responses only
}

// None reports whether there is no body at all.
func (b Body) None() bool { return b == Body{} }

// Body returns the framing of a request's body (RFC 9112 6.3).
func (r *Request) Body() (Body, error) {
	length, chunked, err := framing(r.Fields)
	if err != nil {
		return Body{}, err
	}
	if chunked {
		return Body{Chunked: true}, nil
	}
	return Body{Length: max(length, 0)}, nil
}

// Body returns the framing of the body of a response to method.
func (r *Response) Body(method string) (Body, error) {
	if method == "HEAD" || r.Code < 200 || r.Code == 204 || r.Code == 304 {
		return Body{}, nil
	}
	length, chunked, err := framing(r.Fields)
	switch {
	case err != nil:
		return Body{}, err
	case chunked:
		return Body{Chunked: true}, nil
	case length < 0:
		return Body{ToEnd: true}, nil
	}
	return Body{Length: length}, nil
}

// framing reads the two fields that frame a body; length is -1 without one. A
// message with both is refused: that is how requests are smuggled.
func framing(f Fields) (length int64, chunked bool, err error) {
	length = -1
	for _, value := range f.Values("Content-Length") {
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil || length >= 0 && length != int64(n) || strings.HasPrefix(value, "+") {
			return 0, false, fmt.Errorf("%w: Content-Length %.40q", ErrHead, value)
		}
		length = int64(n)
	}
	codings := f.Values("Transfer-Encoding")
	if len(codings) == 0 {
		return length, false, nil
	}
	if len(codings) > 1 || !strings.EqualFold(codings[0], "chunked") || length >= 0 {
		return 0, false, fmt.Errorf("%w: Transfer-Encoding %.40q", ErrHead, strings.Join(codings, ", "))
	}
	return length, true, nil
}

// Copy carries the body as it is, framing included, and flushes dst whenever it
// would have to wait for more.
func (b Body) Copy(dst *bufio.Writer, src *bufio.Reader) error {
	var err error
	switch {
	case b.Chunked:
		err = copyChunks(dst, src)
	case b.ToEnd:
		err = copyBytes(dst, src, -1)
	default:
		err = copyBytes(dst, src, b.Length)
	}
	if err != nil {
		return err
	}
	return dst.Flush()
}

// copyBytes carries n bytes, or all up to the end when n is negative.
func copyBytes(dst *bufio.Writer, src *bufio.Reader, n int64) error {
	for n != 0 {
		if src.Buffered() == 0 {
			if err := dst.Flush(); err != nil {
				return err
			}
		}
		if _, err := src.Peek(1); err != nil {
			switch {
			case err == io.EOF && n < 0:
				return nil
			case err == io.EOF:
				return io.ErrUnexpectedEOF
			}
			return err
		}
		piece, _ := src.Peek(src.Buffered()) // all there: cannot fail
		if n > 0 && int64(len(piece)) > n {
			piece = piece[:n]
		}
		if _, err := dst.Write(piece); err != nil {
			return err
		}
		_, _ = src.Discard(len(piece)) // was peeked: cannot fail
		if n > 0 {
			n -= int64(len(piece))
		}
	}
	return nil
}

func copyChunks(dst *bufio.Writer, src *bufio.Reader) error {
	for {
		size, err := copySize(dst, src)
		if err != nil {
			return err
		}
		if size == 0 {
			return copyTrailer(dst, src)
		}
		if err := copyBytes(dst, src, size); err != nil {
			return err
		}
		if line, err := copyLine(dst, src, 2); err != nil || line != "" {
			return fmt.Errorf("%w: no end of a chunk", ErrHead)
		}
	}
}

// copySize carries the line before a chunk and returns the chunk's size.
// Extensions are passed on.
func copySize(dst *bufio.Writer, src *bufio.Reader) (int64, error) {
	line, err := copyLine(dst, src, 4<<10)
	if err != nil {
		return 0, err
	}
	digits, _, _ := strings.Cut(line, ";")
	size, err := strconv.ParseUint(strings.TrimRight(digits, " \t"), 16, 62)
	if err != nil {
		return 0, fmt.Errorf("%w: chunk size %.40q", ErrHead, line)
	}
	return int64(size), nil
}

func copyTrailer(dst *bufio.Writer, src *bufio.Reader) error {
	for left := maxHead; ; {
		line, err := copyLine(dst, src, left)
		if err != nil || line == "" {
			return err
		}
		left -= len(line)
	}
}

// copyLine carries one line of at most limit bytes and returns it without its end.
func copyLine(dst *bufio.Writer, src *bufio.Reader, limit int) (string, error) {
	if src.Buffered() == 0 {
		if err := dst.Flush(); err != nil {
			return "", err
		}
	}
	line, err := readLine(src, &limit)
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return "", err
	}
	if _, err := dst.WriteString(line); err != nil {
		return "", err
	}
	_, err = dst.WriteString("\r\n")
	return line, err
}
