// Package runner runs an app on an engine: it compares the desired state with
// what it observes, carries out the difference, and keeps it that way while
// files, containers and probes change.
//
//	Up(ctx, Config) error                        supervise until ctx ends, then return and leave the app running
//	Plan(ctx, Config) (reconcile.Plan, error)    what Up would do
//	RunJob(ctx, RunConfig) error                 start a job now and follow it
//	Down, GetStatus, Logs, Exec, List            work from the engine's labels alone
//
// Jobs are looked after beside the rest, see lane: neither waits for the other.
//
// One goroutine (loop in up.go) owns the state: file changes, engine events,
// the gateway's reports and finished steps are values on its channels.
package runner

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/build"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/runner/watch"
	"github.com/cuepod/cuepod/targets/docker"
)

// Identity tells apps apart: the name alone is not enough, as two checkouts of
// one repository may run side by side.
type Identity struct {
	App  string
	Root string // absolute directory of the CUE module
}

// Compiled is what a compile gives the runner.
type Compiled struct {
	State *docker.State
	Root  string
	// Watch is what the state depends on. A change of a group named Definitions or
	// Builds (runner/watch) has it compiled again.
	Watch []watch.Group
	// Source is what the state was made of, for Config.Changes; it may be nil.
	Source any
	Losses []Loss // what this definition says and a local engine cannot do
}

// Order is what somebody who watches asks for.
type Order int

const (
	OrderRebuild Order = iota // compile and compare again, even if no file has changed
	OrderRestart              // start all containers anew that run to stay
	OrderPause                // changes of the definition and of builds wait; the next one lets them take effect
)

// Changes tells what a person changed between the sources of two results, on
// one line, with the place; "" when there is nothing to tell.
type Changes func(before, after any) string

// Loss is something that a local run leaves out. A person is told once.
type Loss struct {
	Key  string // the same for the same loss, wherever its line has moved to
	Text string
}

// Compile makes the desired state anew. A definition error is shown with its
// Error method, as it is; Compiled.Watch then has what is known of what it depends on.
type Compile func(ctx context.Context) (Compiled, error)

// Config is what Up and Plan need.
type Config struct {
	Engine   engine.Engine
	Identity Identity
	Compile  Compile
	Changes  Changes // nil: reloads are told without what changed
	Agent    AgentImage
	Secrets  SecretSources
	// Sources is what Compile has learnt of the files that images are built from;
	// nil means to read them again.
	Sources *build.Cache
	// Strict replaces pods as Kubernetes does, see reconcile.Desired. The state
	// that Compile gives has to be rendered with docker.Options.Strict.
	Strict bool
	// ProxyMode is the way that pods' connections to services take, see
	// api.ProxyNFTables; "" is the best that each can have.
	ProxyMode string
	HTTPPort  int               // host port of the HTTP router; 0 keeps the last one, or takes the first free from 8080
	Issue     Issue             // certificates for HTTPS; nil means none
	Watch     bool              // recompile when inputs change
	NoHold    bool              // with Watch: connections to a container that is swapped are refused, as in a cluster
	Offline   bool              // ask no registry: what is on the engine has to do
	Once      bool              // return once everything is ready, leaving it running
	Timeout   time.Duration     // with Once: how long to wait before NotReadyError; 0 means for ever
	Backoff   reconcile.Backoff // between restarts of a container; "" means as recorded, else fast
	Orders    <-chan Order      // from whoever watches; may be nil
	Ask       <-chan struct{}   // each value asks to follow what changed in files that waits for somebody to ask; may be nil
	Log       *slog.Logger
	Report    func(Event) // called from one goroutine, must not block for long
}

// AgentImage gives the docker-archive of the infra image for an architecture
// in Go's words, and its reference.
type AgentImage func(arch string) (ref string, archive []byte, err error)

// SecretSources read what lives with whoever runs the app.
type SecretSources struct {
	LookupEnv func(name string) (string, bool)
	ReadFile  func(path string) ([]byte, error) // path relative to Identity.Root
}

// EventKind is the sort of thing a person should see.
type EventKind string

const (
	EventPlan     EventKind = "plan"     // a reload or start begins: Message says what changes and why
	EventStep     EventKind = "step"     // one step is done
	EventProgress EventKind = "progress" // how far a step is, several times a second: for who has a place to show it
	EventBuild    EventKind = "build"    // a step of a build begins; EventProgress tells how far it is
	EventReady    EventKind = "ready"    // everything is ready
	EventProblem  EventKind = "problem"  // something failed; the rest goes on
	EventFailed   EventKind = "failed"   // a job or a pod failed for good: nothing will make the app ready but a change
	EventInvalid  EventKind = "invalid"  // the definition is broken; the last good state keeps running
	EventFixed    EventKind = "fixed"    // it is valid again
	EventLoss     EventKind = "loss"     // the definition says something that a local engine cannot do
	EventSync     EventKind = "sync"     // changed files were copied, and what followed
	EventNotice   EventKind = "notice"
)

// Event is one thing a person should see while up runs.
type Event struct {
	Kind    EventKind
	Object  string // "pod web-0", "" for the app
	Message string // plain words, may have several lines for EventInvalid
}

// DownOptions say how to take an app down.
type DownOptions struct {
	Volumes bool // claims, generated secrets and built images too
	Now     bool // kill instead of stopping
	Report  func(Event)
}

// Target names a container for logs and exec: a pod or workload, and a
// container; "" means all (logs) or the first (exec).
type Target struct {
	Pod       string
	Container string
}

// LogLine is one line of a container's output.
type LogLine struct {
	Pod, Container string
	Stderr         bool
	Text           string // without the newline
	Time           time.Time
}

// LogOptions select lines.
type LogOptions struct {
	Follow bool // also follow containers that appear later
	Tail   int  // last lines per container; negative means all
	Since  time.Time
	Init   bool // init containers too
	// Previous means the instances before the current ones. There is nothing to
	// follow then.
	Previous bool
}

// App is one app found on an engine.
type App struct {
	Name string
	Root string
}

// IO are the streams of an exec.
type IO struct {
	In       io.Reader
	Out, Err io.Writer
	TTY      bool
}

// NotReadyError is what Up returns when the app was not ready in time.
type NotReadyError struct {
	Reasons []string // what is not ready and why, one line each
}

func (e *NotReadyError) Error() string {
	return "not ready in time:\n  " + strings.Join(e.Reasons, "\n  ")
}

// FailedError is what Up returns with Once when something failed for good.
type FailedError struct {
	Reasons []string // what failed and why; EventFailed has told more
}

func (e *FailedError) Error() string { return strings.Join(e.Reasons, "\n  ") }
