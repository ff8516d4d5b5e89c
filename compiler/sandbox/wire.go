package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/cuepod/cuepod/compiler"
)

// request is what the child reads: once, unless it is to keep what it found for
// the next.
type request struct {
	Options compiler.Options
	Limits  Limits // of the first request; they last
	Keep    bool   `json:",omitempty"`
}

// frame is one thing that the child writes: what it found, any number of times,
// then one outcome for each request. JSON keeps every value of the model as it is, nil and empty
// apart; gob drops a pointer's zero.
type frame struct {
	Found   *compiler.Found  `json:",omitempty"`
	Result  *compiler.Result `json:",omitempty"`
	Invalid *compiler.Error  `json:",omitempty"` // mistakes in the definition
	Failure string           `json:",omitempty"` // the text of any other error
	Last    bool             `json:",omitempty"` // with an outcome: the child ends
}

// outcomeFrame is the last frame of a compile.
func outcomeFrame(result *compiler.Result, err error) frame {
	var invalid *compiler.Error
	switch {
	case errors.As(err, &invalid):
		return frame{Invalid: invalid}
	case err != nil:
		return frame{Failure: err.Error()}
	}
	return frame{Result: result}
}

// errNoOutcome says that the child ended in the middle.
var errNoOutcome = errors.New("compile apart: the process ended without a result")

// readFrames reads up to the outcome, and calls tell with what was found. With
// last, nothing will follow.
func readFrames(in *json.Decoder, tell func(compiler.Found)) (result *compiler.Result, last bool, err error) {
	for {
		var f frame
		err := in.Decode(&f)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, true, errNoOutcome
		}
		if err != nil {
			return nil, true, fmt.Errorf("compile apart: answer: %w", err)
		}
		switch {
		case f.Found != nil:
			tell(*f.Found)
		case f.Result != nil:
			return f.Result, f.Last, nil
		case f.Invalid != nil:
			return nil, f.Last, f.Invalid
		default:
			return nil, f.Last, errors.New(f.Failure)
		}
	}
}
