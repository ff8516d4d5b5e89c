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

	"github.com/cuepod/cuepod/runner/engine"
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
	State  *docker.State
	Root   string
	Inputs []string // files and directories to watch
	Losses []Loss   // what this definition says and a local engine cannot do
}

// Loss is something that a local run leaves out. A person is told once.
type Loss struct {
	Key  string // the same for the same loss, wherever its line has moved to
	Text string
}

// Compile makes the desired state anew. A definition error is shown with its
// Error method, as it is; Compiled.Inputs then holds the inputs that are known.
type Compile func(ctx context.Context) (Compiled, error)

// Config is what Up and Plan need.
type Config struct {
	Engine   engine.Engine
	Identity Identity
	Compile  Compile
	Agent    AgentImage
	Secrets  SecretSources
	HTTPPort int           // host port of the HTTP router; 0 keeps the last one, or takes the first free from 8080
	Watch    bool          // recompile when inputs change
	Once     bool          // return once everything is ready, leaving it running
	Timeout  time.Duration // with Once: how long to wait before NotReadyError; 0 means for ever
	Log      *slog.Logger
	Report   func(Event) // called from one goroutine, must not block for long
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
	EventPlan    EventKind = "plan"    // a reload or start begins: Message says what changes and why
	EventStep    EventKind = "step"    // one step is done
	EventReady   EventKind = "ready"   // everything is ready
	EventProblem EventKind = "problem" // something failed; the rest goes on
	EventFailed  EventKind = "failed"  // a job or a pod failed for good: nothing will make the app ready but a change
	EventInvalid EventKind = "invalid" // the definition is broken; the last good state keeps running
	EventFixed   EventKind = "fixed"   // it is valid again
	EventLoss    EventKind = "loss"    // the definition says something that a local engine cannot do
	EventNotice  EventKind = "notice"
)

// Event is one thing a person should see while up runs.
type Event struct {
	Kind    EventKind
	Object  string // "pod web-0", "" for the app
	Message string // plain words, may have several lines for EventInvalid
}

// DownOptions say how to take an app down.
type DownOptions struct {
	Volumes bool // claims and generated secrets too
	Now     bool // kill instead of stopping
	Report  func(Event)
}

// Status is how an app is, for ps.
type Status struct {
	App        string          `json:"app"`
	Root       string          `json:"root"`
	Supervised bool            `json:"supervised"` // unset by the runner; the command knows
	Pods       []PodStatus     `json:"pods"`
	Jobs       []JobStatus     `json:"jobs,omitempty"` // runs, those of CronJobs included
	CronJobs   []CronJobStatus `json:"cronJobs,omitempty"`
	Services   []ServiceStatus `json:"services"`
}

// JobStatus is one run of a job.
type JobStatus struct {
	Name        string    `json:"name"`
	CronJob     string    `json:"cronJob,omitempty"` // whose run it is
	Status      string    `json:"status"`            // Pending, Running, Suspended, Complete, Failed
	Reason      string    `json:"reason,omitempty"`  // of Failed
	Active      int       `json:"active"`
	Succeeded   int       `json:"succeeded"`
	Failed      int       `json:"failed"`
	Completions *int      `json:"completions,omitempty"` // nil for a work queue
	Started     time.Time `json:"started,omitzero"`
	Finished    time.Time `json:"finished,omitzero"`
}

// CronJobStatus is one CronJob.
type CronJobStatus struct {
	Name         string    `json:"name"`
	Schedule     string    `json:"schedule"`
	TimeZone     string    `json:"timeZone,omitempty"`
	Suspend      bool      `json:"suspend,omitempty"`
	Active       int       `json:"active"`
	LastSchedule time.Time `json:"lastSchedule,omitzero"`
	Next         time.Time `json:"next,omitzero"`
}

// PodStatus is one pod in Kubernetes' words.
type PodStatus struct {
	Name       string            `json:"name"`
	Workload   string            `json:"workload"`
	Job        string            `json:"job,omitempty"` // the run it belongs to
	Phase      string            `json:"phase"`         // Pending, Running, Succeeded, Failed
	Reason     string            `json:"reason"`        // ContainerCreating, CrashLoopBackOff, Completed ...; "" when Running says it all
	Ready      bool              `json:"ready"`
	IP         string            `json:"ip"`
	Restarts   int               `json:"restarts"`
	Started    time.Time         `json:"started,omitzero"` // of its infra container
	Containers []ContainerStatus `json:"containers"`
}

// ContainerStatus is one container of a pod.
type ContainerStatus struct {
	Name     string `json:"name"`
	ID       string `json:"id"`
	Init     bool   `json:"init,omitempty"`
	Image    string `json:"image"`
	State    string `json:"state"`  // waiting, running, terminated
	Reason   string `json:"reason"` // of waiting or terminated
	Ready    bool   `json:"ready"`
	Restarts int    `json:"restarts"`
	ExitCode int    `json:"exitCode"`
	Message  string `json:"message,omitempty"` // the last probe failure or error
}

// ServiceStatus is one service.
type ServiceStatus struct {
	Name      string   `json:"name"`
	VIP       string   `json:"vip,omitempty"`
	Ports     []string `json:"ports"`     // "80/TCP"
	Endpoints int      `json:"endpoints"` // ready
	Total     int      `json:"total"`
	URLs      []string `json:"urls,omitempty"` // from the host
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
