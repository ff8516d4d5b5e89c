package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/cuepod/cuepod/compiler"
)

// request is what the child reads, once.
type request struct {
	Options compiler.Options
	Limits  Limits
}

// frame is one thing that the child writes: what it found, any number of times,
// then one outcome. JSON keeps every value of the model as it is, nil and empty
// apart; gob drops a pointer's zero.
type frame struct {
	Found   *compiler.Found  `json:",omitempty"`
	Result  *compiler.Result `json:",omitempty"`
	Invalid *compiler.Error  `json:",omitempty"` // mistakes in the definition
	Failure string           `json:",omitempty"` // the text of any other error
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

// readFrames reads up to the outcome, and calls tell with what was found.
func readFrames(r io.Reader, tell func(compiler.Found)) (*compiler.Result, error) {
	for in := json.NewDecoder(r); ; {
		var f frame
		err := in.Decode(&f)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errNoOutcome
		}
		if err != nil {
			return nil, fmt.Errorf("compile apart: answer: %w", err)
		}
		switch {
		case f.Found != nil:
			tell(*f.Found)
		case f.Result != nil:
			return f.Result, nil
		case f.Invalid != nil:
			return nil, f.Invalid
		default:
			return nil, errors.New(f.Failure)
		}
	}
}
