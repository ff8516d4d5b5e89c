package runner

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
)

// link is the line to the gateway: its standard streams, through the engine's
// attach call, so that it works on a remote engine and survives our death.
type link struct {
	mu     sync.Mutex // of writes: one line at a time
	stream io.ReadWriteCloser
}

// openLink attaches to the gateway and calls receive for every line, from one
// goroutine, until the line is lost; then it calls lost once.
func openLink(ctx context.Context, eng engine.Engine, container string, receive func(api.FromGateway), lost func(error)) (*link, error) {
	stream, err := eng.Attach(ctx, container)
	if err != nil {
		return nil, err
	}
	l := &link{stream: stream}
	// A supervisor that was killed may have left half a line.
	if _, err := stream.Write([]byte("\n")); err != nil {
		stream.Close()
		return nil, fmt.Errorf("gateway: %w", err)
	}
	go func() {
		lost(l.read(receive))
	}()
	return l, nil
}

// maxLine bounds one message: a snapshot with all files of all ConfigMaps.
const maxLine = 64 << 20

func (l *link) read(receive func(api.FromGateway)) error {
	scan := bufio.NewScanner(l.stream)
	scan.Buffer(make([]byte, 64<<10), maxLine)
	for scan.Scan() {
		var msg api.FromGateway
		if json.Unmarshal(scan.Bytes(), &msg) != nil {
			continue // the tail of a line that was under way when we came
		}
		receive(msg)
	}
	if err := scan.Err(); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	return io.EOF
}

func (l *link) send(msg api.ToGateway) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return writeLine(l.stream, msg)
}

func (l *link) close() { l.stream.Close() }

func writeLine(w io.Writer, msg any) error {
	data, err := json.Marshal(msg)
	if err != nil {
		return fmt.Errorf("message: %w", err)
	}
	if _, err := w.Write(append(data, '\n')); err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	return nil
}
