package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/engine"
)

// eventPrinter prints what happens while up and down run, a line each.
type eventPrinter struct {
	w      io.Writer
	style  style
	marks  bool // signs instead of words, for a terminal
	screen *screen
	told   map[string]time.Time // when progress was last printed, by object, where there is no screen
}

func (c *cli) eventPrinter() *eventPrinter {
	return &eventPrinter{w: c.err, style: c.colors(c.err), marks: isTerminal(c.err), screen: c.screen}
}

// eventLook is how a kind of event looks.
type eventLook struct{ mark, word, color string }

func lookOf(kind runner.EventKind) eventLook {
	switch kind {
	case runner.EventPlan:
		return eventLook{"→", "plan", cyan}
	case runner.EventStep:
		return eventLook{"·", "done", dim}
	case runner.EventBuild:
		return eventLook{"·", "build", dim}
	case runner.EventProgress:
		return eventLook{"…", "progress", dim}
	case runner.EventSync:
		return eventLook{"↻", "sync", cyan}
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
	switch {
	case ev.Kind == runner.EventProgress:
		p.progress(ev, time.Now())
		return
	case ev.Kind == runner.EventBuild && p.marks: // a terminal has a line that lives
		return
	}
	if ev.Kind == runner.EventStep {
		p.screen.set(ev.Object, "")
	}
	text := ev.Message
	if ev.Object != "" {
		text = ev.Object + ": " + text
	}
	if ev.Kind == runner.EventInvalid {
		text = "the definition is not valid; the last valid one keeps running\n" + text
	}
	p.line(lookOf(ev.Kind), text)
}

// progressEvery is how often a long pull or build is mentioned where there is no
// terminal: often enough to see that it goes on, seldom enough for a log.
const progressEvery = 15 * time.Second

// progress shows how far something is: in its own line at the bottom of a
// terminal, else now and then. Without a message it is over.
func (p *eventPrinter) progress(ev runner.Event, now time.Time) {
	switch {
	case ev.Message == "":
		p.screen.set(ev.Object, "")
		delete(p.told, ev.Object)
	case p.screen != nil:
		look := lookOf(ev.Kind)
		p.screen.set(ev.Object, look.mark+" "+sanitize(ev.Object+": "+ev.Message))
	default:
		if p.told == nil {
			p.told = map[string]time.Time{}
		}
		last, known := p.told[ev.Object]
		if !known {
			p.told[ev.Object] = now // the plan has said that it begins
		} else if now.Sub(last) >= progressEvery {
			p.told[ev.Object] = now
			p.line(lookOf(ev.Kind), ev.Object+": "+ev.Message)
		}
	}
}

// line writes in one write, so that lines from elsewhere do not come between.
func (p *eventPrinter) line(look eventLook, text string) {
	lead := fmt.Sprintf("%-8s", look.word)
	if p.marks {
		lead = look.mark
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := range lines {
		lines[i] = sanitize(lines[i]) // it may quote a container, a builder or a registry
	}
	p.screen.write(p.w, p.style.paint(look.color, lead)+" "+strings.Join(lines, "\n  ")+"\n")
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
