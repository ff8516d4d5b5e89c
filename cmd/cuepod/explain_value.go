package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/compiler/sandbox"
)

// explainValue prints where a value comes from, within the limits of an
// evaluation.
func (c *cli) explainValue(ctx context.Context, d definition, path string) error {
	d, err := c.readInput(d)
	if err != nil {
		return err
	}
	limits, err := d.limits()
	if err != nil {
		return err
	}
	var e *compiler.Explanation
	explain := func(ctx context.Context, opts compiler.Options) (*compiler.Result, error) {
		var err error
		e, err = compiler.Explain(ctx, opts, path)
		return nil, err
	}
	if _, err := sandbox.Within(ctx, d.options(), limits, explain); err != nil {
		return err
	}
	var b strings.Builder
	writeValue(&b, e, c.colors(c.out))
	return write(c.out, []byte(b.String()))
}

// writeValue prints a value and its origins, each with what it refers to below.
func writeValue(w io.Writer, e *compiler.Explanation, s style) {
	name := s.paint(bold, e.Path)
	switch {
	case e.Problem != "":
		fmt.Fprintf(w, "%s  %s\n", name, s.paint(red, sanitize(e.Problem)))
	case e.Value == "":
		fmt.Fprintf(w, "%s is not set\n", name)
	default:
		fmt.Fprintf(w, "%s = %s\n", name, sanitize(e.Value))
	}
	var t table
	addOrigins(&t, e.Origins, "")
	t.write(w, "  ")
}

func addOrigins(t *table, origins []compiler.Origin, indent string) {
	for _, o := range origins {
		t.add(indent+o.Where, sanitize(o.Text))
		addOrigins(t, o.From, indent+"  ")
	}
}
