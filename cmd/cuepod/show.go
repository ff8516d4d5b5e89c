package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/engine"
)

// eventPrinter prints what happens while up and down run, a line each.
type eventPrinter struct {
	w     io.Writer
	style style
	marks bool // signs instead of words, for a terminal
}

func (c *cli) eventPrinter() *eventPrinter {
	return &eventPrinter{w: c.err, style: c.colors(c.err), marks: isTerminal(c.err)}
}

// eventLook is how a kind of event looks.
type eventLook struct{ mark, word, color string }

func lookOf(kind runner.EventKind) eventLook {
	switch kind {
	case runner.EventPlan:
		return eventLook{"→", "plan", cyan}
	case runner.EventStep:
		return eventLook{"·", "done", dim}
	case runner.EventReady:
		return eventLook{"✔", "ready", green}
	case runner.EventFixed:
		return eventLook{"✔", "fixed", green}
	case runner.EventProblem:
		return eventLook{"✗", "problem", red}
	case runner.EventFailed:
		return eventLook{"✗", "failed", red}
	case runner.EventLoss:
		return eventLook{"!", "warning", yellow}
	case runner.EventInvalid:
		return eventLook{"✗", "invalid", red}
	default:
		return eventLook{"ℹ", "note", dim}
	}
}

// print shows one event.
func (p *eventPrinter) print(ev runner.Event) {
	text := ev.Message
	if ev.Object != "" {
		text = ev.Object + ": " + text
	}
	if ev.Kind == runner.EventInvalid {
		text = "the definition is not valid; the last valid one keeps running\n" + text
	}
	p.line(lookOf(ev.Kind), text)
}

// line writes in one write, so that lines from elsewhere do not come between.
func (p *eventPrinter) line(look eventLook, text string) {
	lead := fmt.Sprintf("%-8s", look.word)
	if p.marks {
		lead = look.mark
	}
	first, rest, more := strings.Cut(strings.TrimRight(text, "\n"), "\n")
	out := p.style.paint(look.color, lead) + " " + first + "\n"
	if more {
		out += "  " + strings.ReplaceAll(rest, "\n", "\n  ") + "\n"
	}
	io.WriteString(p.w, out)
}

// showURLs prints where the services answer, as results.
func (c *cli) showURLs(ctx context.Context, w io.Writer, eng engine.Engine, id runner.Identity, last string) (shown string, err error) {
	st, err := c.status(ctx, eng, id)
	if err != nil {
		return last, err
	}
	if shown = urlLines(st.Services); shown != last {
		_, err = io.WriteString(w, shown)
	}
	return shown, err
}

// urlLines lists the services that the host reaches, one address a line.
func urlLines(services []runner.ServiceStatus) string {
	var t table
	for _, s := range services {
		for _, url := range s.URLs {
			t.add(s.Name, url)
		}
	}
	var b strings.Builder
	t.write(&b, "  ")
	return b.String()
}
