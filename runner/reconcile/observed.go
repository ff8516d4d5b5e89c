package reconcile

import (
	"time"

	"github.com/cuepod/cuepod/internal/cron"
	"github.com/cuepod/cuepod/targets/docker"
)

// Desired is what should be.
type Desired struct {
	State      *docker.State
	AgentImage string                   // reference of the infra image
	Schedules  map[string]cron.Schedule // of State's CronJobs, parsed
	Scope      Scope
	OnlyRun    string // with OnlyJobs: no other run than this one
	Backoff    Backoff
	Offline    bool // use an image that is there, whatever its pull policy
	// Hold lets new connections wait while a container is replaced in its living pod.
	Hold bool
	// Strict replaces pods as Kubernetes does: whatever of a template changes is
	// a rollout. Otherwise containers are replaced within their living pods.
	Strict bool
}

// Scope is which part of the state is compared.
type Scope string

const (
	Everything Scope = ""
	AllButJobs Scope = "all but jobs" // images of jobs included
	OnlyJobs   Scope = "only jobs"    // network, gateway and record have to be there
)

// Observed is what is, as far as it carries the app's labels.
type Observed struct {
	Network string // ID, "" when there is none
	Record  *Record
	Records []Leftover // besides Record
	Gateway *Container
	Portals map[string]*Container // by service
	Pods    map[string]*Pod       // by name
	Jobs    []Job                 // runs
	Crons   map[string]*Cron      // by CronJob
	Volumes map[string]bool       // names that exist
	Images  map[string]string     // reference to ID, for images that are on the engine
	Fetches map[string]Fetch      // by reference: images that were asked for
	Built   []Image               // that were built for the app, desired or not
	Ready   map[string]bool       // pods that are ready, in the gateway's word
	Since   map[string]time.Time  // since when, of those
}

// Record is what the last run wrote down.
type Record struct {
	ID         string // of the container that carries it
	Generation int64
	State      *docker.State
	AgentImage string
	Backoff    Backoff
	Strict     bool       // as Desired.Strict was
	Earlier    []Instance // what pods of earlier revisions were made from
	Incomplete bool       // the secrets that belong to it are not all there
}

// Leftover is a record that a later one has taken the place of, or that nobody
// can read: whoever wrote it was killed before it could be removed.
type Leftover struct{ ID, Name string }

// Pod is the observed part of one replica.
type Pod struct {
	Name     string
	Workload string
	Revision string // of its template, when it was made
	Ordered  bool   // as docker.Pod.Ordered was, when it was made
	Job, Run string // of a pod of a job
	Infra    *Container
	Members  []Container // init and app containers, also of an earlier infra
}

// Job is one run of a job.
type Job struct {
	ID        string   // of the container that stands for it
	Stale     []string // containers that stood for it before
	Name      string   // "migrate"; "report-29012345" of a CronJob
	Workload  string   // the job or CronJob
	Run       string   // tells runs of one name apart
	Hash      string   // of the job as it was
	Created   time.Time
	Scheduled time.Time // zero unless its CronJob's time had come
	Result    Result
	Reason    string
	Finished  time.Time
}

// Cron is since when the times of a CronJob count.
type Cron struct {
	ID    string // of the container that says so
	Stale []string
	Hash  string // of the schedule as it was
	Since time.Time
}

// Container is one observed container.
type Container struct {
	ID      string
	Name    string // on the engine
	Key     string // name in the pod
	Init    bool   // runs to its end before the others start
	Sidecar bool   // an init container that stays
	Image   string
	ImageID string
	Program string // the slot that its program is in, of one made of another image than its own
	Hash    string // from its label
	Infra   string // ID of the infra container it joined
	IP      string // of an infra container that runs
	State   State
	// Detached is whether it runs and is not in the app's network, where it has to
	// be: of the gateway, portals and infra containers.
	Detached bool
	// Paused is whether it runs and somebody holds it up.
	Paused   bool
	ExitCode int
	// OOMKilled is the engine's word that the kernel killed a process of it for
	// want of memory: its exit code need not say so.
	OOMKilled bool
	Error     string    // why the engine could not start it
	Created   time.Time // zero when the engine does not say
	Started   time.Time
	Finished  time.Time
	Restarts  int // how often it was started anew in its pod
	Backoff   int // consecutive restarts that count for the back-off
	// Up is whether it runs and its startup probe, if it has one, has succeeded.
	Up bool
	// PostStart is how the hook of a running container is that has one.
	PostStart HookState
	// Ending is what the container was made with, for when its definition is gone;
	// nil when it does not say.
	Ending *Ending
	// Waiting is why the container cannot be made, in Kubernetes' word, and
	// Message what is wrong. What is observed then only stands for it.
	Waiting string
	Message string
	Tries   int // of making it, that failed
	// Again is why it is to be started anew though nothing is wrong with it.
	Again string
	// Previous is the instance before this one; nil when there is none.
	Previous *Container
	// Next is the instance that is made ahead to take this one's place; nil when
	// there is none.
	Next *Container
	// Unhealthy is why it has to be restarted though it runs: the words of a
	// failed liveness or startup probe.
	Unhealthy string
}

// HookState is how a postStart hook is; "" where that is not known.
type HookState string

const (
	HookDue    HookState = "due" // not run, or not to its end
	HookRuns   HookState = "runs"
	HookDone   HookState = "done"
	HookFailed HookState = "failed"
)

// Ending is how a container is stopped.
type Ending struct {
	Grace   int64        `json:"grace"` // seconds
	PreStop *docker.Hook `json:"preStop,omitempty"`
	Order   int          `json:"order,omitempty"` // of a sidecar: those with a greater one stop first
}

// State of a container, reduced to what decisions need.
type State string

const (
	Created State = "created"
	Running State = "running"
	Exited  State = "exited"
)

func (c *Container) running() bool { return c != nil && c.State == Running }

// regular reports whether it is one of the containers that the pod is for.
func (c *Container) regular() bool { return !c.Init && !c.Sidecar }
