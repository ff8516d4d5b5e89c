package runner

import (
	"fmt"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
)

// meter makes one line of the many parts of a pull or a build. It is not safe
// for concurrent use.
type meter struct {
	op     reconcile.Op
	began  time.Time
	told   time.Time
	layers map[string]*layer
	begun  map[string]bool // steps of a build that were told of, by ID
	step   string          // of a build, as last begun
	output string          // its last line
}

// layer is one layer of a pull.
type layer struct {
	current, total int64 // bytes that have come
	unpacked       bool
}

// tellEvery is how often a line is renewed: as often as an eye follows.
const tellEvery = 200 * time.Millisecond

func newMeter(op reconcile.Op) *meter {
	return &meter{op: op, began: time.Now(), layers: map[string]*layer{}, begun: map[string]bool{}}
}

// add takes a message and gives the line, if it is time for one.
func (m *meter) add(p engine.Progress) (line string, due bool) {
	if builds(m.op) {
		m.addStep(p)
	} else {
		m.addLayer(p)
	}
	now := time.Now()
	if now.Sub(m.told) < tellEvery {
		return "", false
	}
	m.told = now
	return m.line(), true
}

// begins is the step of a build that begins with a message, once; "" is none.
// What the builder does for itself, and what it has done before, is no step.
func (m *meter) begins(p engine.Progress) string {
	if !p.Begins || m.begun[p.ID] || strings.HasPrefix(p.Status, "[internal]") || strings.HasPrefix(p.Status, "[auth]") {
		return ""
	}
	if !strings.HasPrefix(p.Status, "[") && !strings.HasPrefix(p.Status, "go build ") {
		return ""
	}
	m.begun[p.ID] = true
	return onALine(p.Status)
}

func (m *meter) took() string { return fmt.Sprintf("%.1f s", time.Since(m.began).Seconds()) }

func (m *meter) addLayer(p engine.Progress) {
	if p.ID == "" {
		return
	}
	l := m.layers[p.ID]
	if l == nil {
		l = &layer{}
	}
	switch p.Status {
	case "Pulling fs layer", "Waiting":
	case "Downloading":
		l.current, l.total = p.Current, max(p.Total, l.total)
	case "Verifying Checksum", "Download complete", "Extracting":
		l.current = l.total
	case "Pull complete", "Already exists":
		l.current, l.unpacked = l.total, true
	default:
		return // about the image as a whole
	}
	m.layers[p.ID] = l
}

func (m *meter) addStep(p engine.Progress) {
	if p.Output == "" {
		if p.Status != "" && !strings.Contains(p.Status, "[internal]") {
			m.step, m.output = p.Status, ""
		}
		return
	}
	lines := strings.Split(strings.TrimRight(p.Output, "\r\n"), "\n")
	m.step, m.output = p.Status, lines[len(lines)-1]
}

func (m *meter) line() string {
	if builds(m.op) {
		return m.buildLine()
	}
	var current, total int64
	unpacked := 0
	for _, l := range m.layers {
		current, total = current+l.current, total+l.total
		if l.unpacked {
			unpacked++
		}
	}
	switch {
	case total == 0:
		return "pulling"
	case current == total:
		return fmt.Sprintf("unpacking, %d of %d layers", unpacked, len(m.layers))
	}
	return fmt.Sprintf("pulling %s of %s (%d %%)", megabytes(current), megabytes(total), current*100/total)
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// buildLine is the step and the last that it printed.
func (m *meter) buildLine() string {
	text := "building"
	if m.step != "" {
		text += " " + m.step
	}
	if m.output != "" {
		text += ": " + m.output
	}
	return onALine(text)
}

// onALine makes a text short enough for a line.
func onALine(text string) string {
	const widest = 120 // characters: a terminal cuts it further
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > widest {
		text = string(r[:widest-3]) + "..."
	}
	return text
}
