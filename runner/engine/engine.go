// Package engine is the container engine as the runner needs it: a small
// interface, its plain values, and the kinds of error a caller branches on.
//
// Two implementations pass the same conformance suite (package enginetest):
// fake.Engine, in memory, and dockerapi.Client, on a real engine.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"
)

// Engine is a local or remote container engine. All methods are safe for
// concurrent use. Every error is, or wraps, an *Error.
type Engine interface {
	// Info asks the engine who it is. It is the reachability check: it fails
	// with Unreachable when nobody answers.
	Info(ctx context.Context) (Info, error)

	// InspectImage fails with NotFound when the image is not on the engine.
	InspectImage(ctx context.Context, ref string) (Image, error)
	// ListImages returns the images that have a reference and carry all the
	// labels, sorted by their first reference.
	ListImages(ctx context.Context, labels map[string]string) ([]Image, error)
	// PullImage fetches what a registry has under a reference, also when an
	// image of that reference is there. It fails with ImageMissing when the
	// registry has none, or none for us. progress may be nil.
	PullImage(ctx context.Context, ref string, progress func(Progress)) error
	// BuildImage builds an image from a tar stream and gives it all the tags of
	// spec. It fails with BuildFailed, wrapping a *BuildError, when the build
	// itself does; a tag is then where it was. An error of reading the stream
	// ends the build. progress may be nil.
	BuildImage(ctx context.Context, spec BuildSpec, tar io.Reader, progress func(Progress)) error
	// RemoveImage takes a reference off its image, and the image with its last
	// one. It fails with ImageInUse when a container still needs it. A missing
	// reference is not an error.
	RemoveImage(ctx context.Context, ref string) error
	// LoadImage loads a docker-archive.
	LoadImage(ctx context.Context, archive io.Reader) error

	// CreateNetwork fails with SubnetTaken when the subnet overlaps another network's.
	CreateNetwork(ctx context.Context, spec NetworkSpec) (id string, err error)
	// RemoveNetwork fails with NetworkInUse when a container is on it, or when the
	// engine has lost count: engines before 28 may, of many that start at once.
	RemoveNetwork(ctx context.Context, id string) error
	ListNetworks(ctx context.Context, labels map[string]string) ([]Network, error)

	// CreateVolume is idempotent for an equal spec.
	CreateVolume(ctx context.Context, spec VolumeSpec) error
	RemoveVolume(ctx context.Context, name string) error
	ListVolumes(ctx context.Context, labels map[string]string) ([]Volume, error)

	// CreateContainer fails with NameTaken or ImageMissing.
	CreateContainer(ctx context.Context, spec ContainerSpec) (id string, err error)
	// StartContainer fails with PortTaken when a published port is in use; the
	// container then still exists, created and not running.
	StartContainer(ctx context.Context, id string) error
	// StopContainer sends the stop signal, waits up to grace, then kills. A
	// stopped container is not an error.
	StopContainer(ctx context.Context, id string, grace time.Duration) error
	// SignalContainer sends a signal, as "SIGHUP", to the first process of a running
	// container.
	SignalContainer(ctx context.Context, id, signal string) error
	// RemoveContainer removes it with its anonymous volumes, killing it first
	// when it runs. A missing container is not an error.
	RemoveContainer(ctx context.Context, id string) error
	// RenameContainer gives a container in any state another name. It fails with
	// NameTaken when another container has it; the name it has already is none.
	RenameContainer(ctx context.Context, id, name string) error
	InspectContainer(ctx context.Context, id string) (Container, error)
	// Usage is what a container uses; of one that does not run it is zero.
	Usage(ctx context.Context, id string) (Usage, error)
	// ListContainers returns running and stopped containers that carry all the
	// labels, sorted by name, each fully inspected.
	ListContainers(ctx context.Context, labels map[string]string) ([]Container, error)
	// WaitContainer returns the exit code once the container is not running.
	WaitContainer(ctx context.Context, id string) (exitCode int, err error)

	// Logs streams the container's output, demultiplexed, until it ends or ctx
	// does. stdout and stderr get whole writes and may be the same writer.
	Logs(ctx context.Context, id string, opts LogOptions, stdout, stderr io.Writer) error
	// Exec runs a command in a running container and returns its exit code.
	Exec(ctx context.Context, id string, spec ExecSpec) (exitCode int, err error)
	// Attach joins the standard streams of a running container that was created
	// with OpenStdin. Closing the stream leaves the container running. Reads
	// give standard output only.
	Attach(ctx context.Context, id string) (io.ReadWriteCloser, error)
	// CopyTo unpacks a tar stream into a directory of a container in any state.
	CopyTo(ctx context.Context, id, dir string, tar io.Reader) error
	// CopyFrom gives a path of a container in any state as a tar stream. It
	// fails with NotFound when the path does not exist.
	CopyFrom(ctx context.Context, id, path string) (io.ReadCloser, error)

	// Events streams container events that carry all the labels until ctx ends.
	// The error channel gets one error when the stream breaks. Events are hints:
	// they may be lost or repeated, so look again instead of trusting them.
	Events(ctx context.Context, labels map[string]string) (<-chan Event, <-chan error)

	Close() error
}

// Info describes an engine.
type Info struct {
	Name          string // "docker" or "podman"
	Version       string // of the engine, for people
	APIVersion    string // negotiated
	OS            string // "linux"
	Arch          string // in Go's words: "amd64", "arm64"
	Endpoint      string // the address in use, for messages
	Local         bool   // the engine shares this machine's network: a Unix socket on Linux
	Rootless      bool
	NumCPU        int
	Memory        int64  // of the machine, in bytes; 0 when the engine does not say
	Images        bool   // a mount may show an image, see Mount.Image
	SubPaths      bool   // a mount may show a sub-path of a volume, see Mount.SubPath
	DriverMessage string // the engine's own remark worth showing; may be empty
}

// Usage is what a running container uses.
type Usage struct {
	CPU    time.Duration // since it started, of all processors together
	Memory int64         // in bytes, without what the kernel may drop of files: what a kubelet calls the working set
}

// Image is an image on the engine.
type Image struct {
	ID         string
	Refs       []string // name:tag, sorted
	Labels     map[string]string
	Entrypoint []string
	Cmd        []string
	Env        []string
	User       string
	StopSignal string
}

// Progress is how far a part of a pull or a build is. Its texts come from a
// registry or from the program that is built: they may hold anything.
type Progress struct {
	ID             string // of the part: a layer of a pull, a step of a build
	Status         string // what goes on: "Downloading"; of a build, the step: "[2/3] RUN make"
	Current, Total int64  // bytes of this part in this status; Total is 0 when nobody knows
	Output         string // what a step of a build has printed now
	Cached         bool   // the step of a build had nothing to do
	Begins         bool   // the step of a build begins its work; it may say so again
}

// BuildSpec is one build.
type BuildSpec struct {
	Tags       []string // at least one
	Dockerfile string   // its name in the stream; "" is Dockerfile
	Target     string   // stage to build; "" is the last one
	Args       map[string]string
	CacheFrom  []string // images whose layers may be taken over
	Platform   string   // "linux/arm64"; "" is the engine's
	Labels     map[string]string
	// Bases are images that the Dockerfile names. They are pulled with the
	// credentials of docker's configuration, which a builder has no access to.
	Bases []string
}

// BuildError is why a build failed.
type BuildError struct {
	Where   string // file:line of the Dockerfile; who has the file fills it in
	Step    string // the step that failed: "[2/3] RUN make"; "" when the build did not get that far
	Message string // the builder's own word
	Output  string // the end of what the step had printed
}

func (e *BuildError) Error() string {
	text := e.Message
	for _, lead := range []string{e.Step, e.Where} {
		if lead != "" {
			text = lead + ": " + text
		}
	}
	return text
}

// NetworkSpec asks for a bridge network with a fixed address plan.
type NetworkSpec struct {
	Name    string
	Labels  map[string]string
	Subnet  string // CIDR
	IPRange string // CIDR within Subnet that containers without a fixed address get
	Gateway string // the host's address
}

// Network is a network on the engine.
type Network struct {
	ID, Name string
	Labels   map[string]string
	Subnet   string
}

// VolumeSpec asks for a named volume.
type VolumeSpec struct {
	Name   string
	Labels map[string]string
	Memory bool  // backed by memory, never on disk
	Size   int64 // bytes; 0 means no limit; only for Memory
	Shows  *Part // a directory that is there already, in place of one of its own
}

// Part is a directory of a volume, or of the engine's machine. A volume that
// shows one finds it when the first container that mounts the volume starts, and
// goes on to show the same directory while any of them runs, whatever becomes of
// the path. The engine follows links on the way, also out of the volume: who
// does not trust those who write to the volume has to look at what was found
// before others see it.
type Part struct {
	Volume   string
	HostPath string // absolute, in place of Volume
	SubPath  string
}

// Volume is a volume on the engine.
type Volume struct {
	Name   string
	Labels map[string]string
}

// ContainerSpec is one create call.
type ContainerSpec struct {
	Name       string
	Image      string
	Labels     map[string]string
	Entrypoint []string // nil keeps the image's
	Cmd        []string // nil keeps the image's, unless Entrypoint is set
	WorkingDir string
	Env        []string // NAME=value
	User       string   // uid[:gid]; "" keeps the image's
	GroupAdd   []string // further groups of the user, by number
	OpenStdin  bool
	StdinOnce  bool   // close standard input when the first who attached goes
	TTY        bool   // all output is then standard output, with CR LF
	StopSignal string // "" keeps the image's

	// Namespaces. JoinContainer, when set, shares the network and IPC
	// namespaces (and so hostname, hosts and resolv.conf) of that container;
	// the fields of the group below it must then be empty.
	JoinContainer string
	Network       string // network name; "" means no network but loopback
	HostNetwork   bool   // the machine's network, in place of one of its own: its host name, hosts and name servers too
	IP            string // fixed address in Network; "" means the engine's choice
	Hostname      string
	ShareableIPC  bool
	HostIPC       bool     // the machine's IPC namespace, in place of ShareableIPC
	ExtraHosts    []string // host:ip
	Sysctls       map[string]string
	Publish       []PortBinding

	JoinPID string // container whose processes this one shares; "" means its own
	HostPID bool   // the machine's processes, in place of JoinPID

	Mounts            []Mount
	CapAdd            []string // without CAP_
	CapDrop           []string
	Privileged        bool   // all capabilities, all devices
	SeccompUnconfined bool   // without the engine's profile
	AppArmor          string // profile; "" means the engine's
	UnmaskedProc      bool   // all of /proc and /sys as the kernel shows it
	NoNewPrivileges   bool
	ReadOnlyRootFS    bool
	CPUShares         int64
	CPUQuota          int64 // microseconds per 100 ms period; 0 means none
	MemoryBytes       int64 // 0 means none; swap is never added
	OOMScoreAdj       int
	StopTimeout       time.Duration // 0 means the engine's default
	NoLog             bool          // keep no log of the output
}

// Check reports a spec that contradicts itself, which an engine would refuse
// in its own words or, worse, take with a field ignored. Every implementation
// calls it first.
func (s ContainerSpec) Check() error {
	if s.Name == "" || s.Image == "" {
		return errors.New("a container needs a name and an image")
	}
	if s.JoinContainer != "" && (s.Network != "" || s.HostNetwork || s.IP != "" || s.Hostname != "" || s.ShareableIPC || s.HostIPC ||
		len(s.ExtraHosts) > 0 || len(s.Sysctls) > 0 || len(s.Publish) > 0) {
		return fmt.Errorf("a container that joins %s has no network, address, hostname, IPC, hosts, sysctls or ports of its own", s.JoinContainer)
	}
	if s.HostNetwork && (s.Network != "" || s.Hostname != "") {
		return errors.New("in the machine's network a container has no network or host name of its own")
	}
	if s.Network == "" && (s.IP != "" || len(s.Publish) > 0) {
		return errors.New("a fixed address or a published port needs a network")
	}
	if s.ShareableIPC && s.HostIPC || s.JoinPID != "" && s.HostPID {
		return errors.New("a namespace is the machine's or a container's, not both")
	}
	for _, m := range s.Mounts {
		if err := m.check(); err != nil {
			return fmt.Errorf("mount %s: %w", m.Path, err)
		}
	}
	return nil
}

// PortBinding publishes a container port on the host.
type PortBinding struct {
	HostIP        string // "" means 127.0.0.1
	HostPort      int    // 0 lets the engine choose
	ContainerPort int
	Protocol      string // "TCP" or "UDP"
}

// Mount puts a volume, or a path of the engine's machine, into a container.
type Mount struct {
	Volume   string
	HostPath string // absolute, in place of Volume
	Image    string // whose files are shown, read-only, in place of Volume; needs Info.Images
	Create   bool   // make a directory where HostPath is missing; else that is an error
	// Propagation of mounts below HostPath: "rslave", "rshared"; "" is none.
	Propagation string
	Path        string
	// SubPath is within the volume; "" is its root. An engine without
	// Info.SubPaths shows it only where it is Fixed.
	SubPath string
	// Fixed says that nobody who is not trusted can change what is at SubPath, so
	// that the engine may follow links on the way as they come.
	Fixed    bool
	ReadOnly bool
	NoCopy   bool // do not fill a new volume from the image
}

func (m Mount) check() error {
	sources := 0
	for _, s := range []string{m.Volume, m.HostPath, m.Image} {
		if s != "" {
			sources++
		}
	}
	switch {
	case sources != 1:
		return errors.New("either a volume, a path of the host or an image")
	case m.HostPath != "" && !path.IsAbs(m.HostPath):
		return errors.New("a path of the host is absolute")
	case m.HostPath == "" && (m.Create || m.Propagation != ""):
		return errors.New("only a path of the host is made, and passes mounts on")
	case m.Create && strings.Contains(m.HostPath, ":"):
		return errors.New("a path of the host that is made has no \":\"")
	case m.Create && m.Propagation != "":
		return errors.New("a path of the host that passes mounts on has to be there")
	}
	return nil
}

// Container is a container as it is now.
type Container struct {
	ID, Name  string
	Image     string // as given at create
	ImageID   string
	Labels    map[string]string
	Env       []string
	State     State
	ExitCode  int
	OOMKilled bool
	Error     string // the engine's word on why it did not start
	Created   time.Time
	Started   time.Time // zero when it never ran
	Finished  time.Time // zero while it runs
	IP        string    // on its network; "" when it joins another container, is in none or is stopped
	// HostNetwork is whether it is made for the machine's network.
	HostNetwork bool
	Publish     []PortBinding
}

// State of a container.
type State string

const (
	Created State = "created"
	Running State = "running"
	Paused  State = "paused"
	Exited  State = "exited" // also dead
)

// LogOptions select what Logs gives.
type LogOptions struct {
	Follow     bool
	Tail       int       // last lines; negative means all, zero none
	Since      time.Time // zero means from the start
	Timestamps bool
}

// ExecSpec is one command in a running container.
type ExecSpec struct {
	Cmd            []string
	Env            []string
	TTY            bool
	Stdin          io.Reader // nil means none
	Stdout, Stderr io.Writer // nil discards
}

// Event is something that happened to a container.
type Event struct {
	Action   string // create, start, die, destroy, oom
	ID       string
	Name     string
	Labels   map[string]string
	ExitCode int // of die
	Time     time.Time
}

// Kind is the sort of failure a caller branches on.
type Kind string

const (
	Other        Kind = ""
	NotFound     Kind = "not found"
	Unreachable  Kind = "engine not reachable"
	NameTaken    Kind = "name in use"
	PortTaken    Kind = "port in use"
	SubnetTaken  Kind = "subnet in use"
	NetworkInUse Kind = "network in use"
	ImageMissing Kind = "image missing"
	ImageInUse   Kind = "image in use"
	BuildFailed  Kind = "build failed"
)

// Error is a failed engine call.
type Error struct {
	Kind   Kind
	Op     string // "create container"
	Object string // its name
	Err    error  // the engine's own word
}

func (e *Error) Error() string {
	if e.Object == "" {
		return fmt.Sprintf("%s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("%s %s: %v", e.Op, e.Object, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of an engine error, or Other.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Other
}
