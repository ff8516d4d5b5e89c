package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/probe"
)

// maxGet bounds what describes a request, in bytes: its headers are the most of it.
const maxGet = 1 << 20

// runGet makes the one request that stdin describes.
func runGet(stdin io.Reader) error {
	ctx, stop := untilTerminated()
	defer stop()
	line, err := readLine(bufio.NewReader(stdin), maxGet)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var ask api.Get
	if err := json.Unmarshal(line, &ask); err != nil {
		return errors.New("standard input does not describe a request")
	}
	if ask.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(ask.Timeout)*time.Second)
		defer cancel()
	}
	return probe.Get(ctx, ask.Host, &ask.HTTPProbe)
}
