// Package reconcile decides what to do: it compares the desired state with the
// observed one and returns a plan, a graph of single engine calls, each with
// its cause. It has no effects and reads no clock.
//
// The decision is level-triggered: starting an app, following a change,
// restarting a container that exited, healing a pod and adopting what a killed
// supervisor left are all the same comparison, so each of them works at any
// moment and from any half-done state.
package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cuepod/cuepod/targets/docker"
)

// Plan is what has to be done. The zero Plan means nothing to do.
type Plan struct {
	Steps []Step
	// Waits are objects that need something later: a container in back-off.
	Waits []Wait
	// Instances are the pods of jobs that the steps are about.
	Instances []Instance
	// State is what the steps bring the pods to: the desired state, as far as a
	// rollout has come. nil stands for the desired state.
	State *docker.State
	// Earlier goes into the record: what pods of earlier revisions were made from.
	Earlier []Instance
}

// Instance is a pod of a run of a job, with the volumes that live with it.
type Instance struct {
	Pod     docker.Pod
	Volumes []docker.Volume
}

// Wait is why something is not done now.
type Wait struct {
	Object string
	Reason string
	Code   string    // Kubernetes' word for it, where it has one: ImagePullBackOff
	Until  time.Time // zero: until something else changes
	Job    bool      // it is about a job, and the app may be ready all the same
	Aside  bool      // the definition wants it so, and the app may be ready all the same
}

// Op is one kind of call.
type Op string

const (
	LoadImage       Op = "load image"
	PullImage       Op = "pull image"
	BuildImage      Op = "build image"
	CompileProgram  Op = "compile program" // what is new of an image, for a container that needs no more
	PutProgram      Op = "put program"     // into the pod, for a container that is made of another image
	RemoveImage     Op = "remove image"
	CreateNetwork   Op = "create network"
	RemoveNetwork   Op = "remove network"
	CreateVolume    Op = "create volume"
	RemoveVolume    Op = "remove volume"
	WriteRecord     Op = "record"
	WriteJob        Op = "record job"     // a run of a job, or how it ended
	WriteCron       Op = "record CronJob" // since when its times count
	CreateContainer Op = "create"
	StartContainer  Op = "start"
	Hold            Op = "hold" // new connections to a container, until the next instance serves
	StopContainer   Op = "stop"
	PostStart       Op = "post-start hook"
	PreStop         Op = "pre-stop hook"
	RemoveContainer Op = "remove"
	RenameContainer Op = "keep"          // under the name of a previous instance
	Connect         Op = "connect"       // to the gateway, which then knows the services
	AwaitAgent      Op = "await agent"   // names served, files written
	AwaitExit       Op = "await exit"    // of an init container, with code 0
	AwaitStarted    Op = "await start"   // of a sidecar: it runs, and its startup probe has succeeded
	AwaitTurn       Op = "await turn"    // of a sidecar to stop: others have, or the grace period is over
	AwaitReady      Op = "await ready"   // of a pod, before the next one is touched
	AwaitService    Op = "await service" // of a dependency
	Drain           Op = "drain"         // take a pod out of all services
	Update          Op = "update"        // tell gateway and agents
)

// Role is what a container is for.
type Role string

const (
	RoleInfra   Role = "infra"
	RoleApp     Role = "app"
	RoleInit    Role = "init"
	RoleSidecar Role = "sidecar" // an init container that stays
	RoleGateway Role = "gateway"
	RolePortal  Role = "portal"
	RoleRecord  Role = "record"
	RoleJob     Role = "job"     // a run of a job
	RoleCron    Role = "cronjob" // since when a CronJob's times count
)

// Member reports whether a container of that role is one that a definition names.
func (r Role) Member() bool { return r == RoleApp || r == RoleInit || r == RoleSidecar }

// Step is one call with its arguments and its cause.
type Step struct {
	Op     Op
	Object string // in the user's words: "container web-0/api"
	Cause  string
	After  []int // indexes of steps that must have succeeded before
	Behind []int // indexes of steps that must have ended before, whether they succeeded or not

	Role      Role
	Name      string // on the engine: container, volume or image reference
	ID        string // of an observed container; "" for one that the plan creates
	Pod       string
	Container string // name in the pod
	Service   string
	Workload  string // the job that an image is for
	Job       *Job   // of WriteJob and WriteCron
	Condition string // of AwaitService
	MinReady  int    // of AwaitReady: seconds that the pod has to be ready for
	Restarts  int    // labels of a created container
	Backoff   int
	Tries     int // of making it, that failed before
	// Base is the image that a created container is made of in place of its own, and
	// Slot where its program is put, of PutProgram too.
	Base, Slot string
	Aside      bool // nothing waits for it, and the app is as ready without it

	// Of StopContainer, PreStop and AwaitTurn: how many seconds there are, counted
	// from the first step with the same Clock, the ID of what ends: a container, or
	// the infra container of a pod, whose containers share the time.
	Grace int64
	Clock string
	Hook  *docker.Hook // of PreStop
	Swap  bool         // of StopContainer: the next instance follows, and connections wait for it
	Infra string       // ID of the infra container, of PreStop
	Turn  []string     // IDs of the containers that AwaitTurn waits for
}

// Empty reports whether there is nothing to do now.
func (p Plan) Empty() bool { return len(p.Steps) == 0 }

// FilesChanged is the cause of what is started anew as files changed that it has.
const FilesChanged = "its files changed"

// Follows reports whether all that a plan does follows from changed files.
func (p Plan) Follows() bool {
	follows := false
	for _, s := range p.Steps {
		if s.Cause != "" && s.Cause != FilesChanged && !strings.HasSuffix(s.Cause, ": "+FilesChanged) {
			return false
		}
		follows = follows || s.Cause != ""
	}
	return follows
}

// Aside reports whether nobody waits for anything that a plan does.
func (p Plan) Aside() bool {
	return len(p.Steps) > 0 && !slices.ContainsFunc(p.Steps, func(s Step) bool { return !s.Aside })
}

// Wake is the earliest moment at which a wait is over; zero when none is.
func (p Plan) Wake() time.Time {
	var at time.Time
	for _, w := range p.Waits {
		if !w.Until.IsZero() && (at.IsZero() || w.Until.Before(at)) {
			at = w.Until
		}
	}
	return at
}

// String lists the steps in order, each with what it waits for and its cause:
// after what has to succeed, behind what only has to end.
func (p Plan) String() string {
	var b strings.Builder
	for i, s := range p.Steps {
		fmt.Fprintf(&b, "%-56s", fmt.Sprintf("%3d %s", i+1, s))
		if len(s.After) > 0 {
			fmt.Fprintf(&b, " after %s", numbers(s.After))
		}
		if len(s.Behind) > 0 {
			fmt.Fprintf(&b, " behind %s", numbers(s.Behind))
		}
		if s.Cause != "" {
			fmt.Fprintf(&b, "  # %s", s.Cause)
		}
		b.WriteByte('\n')
	}
	for _, w := range p.Waits {
		fmt.Fprintf(&b, "  - %s waits: %s\n", w.Object, w.Reason)
	}
	return b.String()
}

// numbers are steps as people count them.
func numbers(steps []int) string {
	nums := make([]string, len(steps))
	for i, s := range steps {
		nums[i] = fmt.Sprint(s + 1)
	}
	return strings.Join(nums, ",")
}

// String says what a step does, in a few words: "create volume data".
func (s Step) String() string {
	verb, noun := string(s.Op), ""
	if i := strings.LastIndexByte(verb, ' '); i >= 0 {
		verb, noun = verb[:i], verb[i+1:]
	}
	if noun == "" || strings.HasPrefix(s.Object, noun+" ") {
		return verb + " " + s.Object
	}
	return verb + " " + noun + " of " + s.Object
}

// Summary gives one line per object and cause, in the order of the steps: what
// a person wants to know about a change. What follows from a line that is
// there already is left out: the containers of a new pod, volumes, waits.
func (p Plan) Summary() []string {
	var out []string
	told := map[string]bool{}
	for _, s := range p.Steps {
		if s.Role == RoleInfra && s.Cause != "" {
			told[s.Pod+": "+s.Cause] = true
		}
	}
	for _, s := range p.Steps {
		switch s.Op {
		case PullImage, BuildImage, CompileProgram, CreateNetwork, CreateContainer, StopContainer, RemoveContainer, Update, WriteJob, WriteCron:
		default:
			continue
		}
		line := s.Object + ": " + s.Cause
		follows := s.Role != RoleInfra && told[s.Pod+": "+s.Cause] || s.Role == RoleInfra && s.Op == StopContainer
		if s.Cause != "" && !s.Aside && s.Cause != beyondHistory && !follows && !told[line] {
			told[line] = true
			out = append(out, line)
		}
	}
	return out
}
