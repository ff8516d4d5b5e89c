package runner

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/agent/http1"
	"github.com/cuepod/cuepod/runner/agent/http2"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/proxy"
	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// ForwardConfig is what PortForward needs.
type ForwardConfig struct {
	Engine   engine.Engine
	Identity Identity
	// Target is pod/NAME, service/NAME, or a name alone: of a pod, else of a
	// workload, whose first ready pod it is.
	Target    string
	Ports     []ForwardPort
	Addresses []string          // to listen on; "localhost" is 127.0.0.1 and ::1
	Report    func(line string) // for people; called from several goroutines
}

// ForwardPort leads a port of this machine to one of the pod. Local 0 lets the
// machine choose. Remote is a number, or a port's name; a service's own ports
// are meant where the target is a service.
type ForwardPort struct {
	Local  int
	Remote string
}

// PortForward carries connections from ports of this machine to ports of a pod,
// through the engine's API: the engine may be anywhere, and the pod's port need
// not be reachable from outside the pod. It listens until ctx ends, also while
// the pod is replaced: a new connection goes to the pod that there is then.
func PortForward(ctx context.Context, cfg ForwardConfig) error {
	f := &forwarder{ForwardConfig: cfg}
	end, err := f.find(ctx)
	if err != nil {
		return err
	}
	for _, p := range cfg.Ports { // what can be known to be wrong is told at once
		if _, err := end.port(p.Remote); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer f.wg.Wait()
	defer f.drop(nil)
	defer cancel()
	var all []net.Listener
	defer func() {
		for _, ln := range all {
			ln.Close()
		}
	}()
	for _, p := range cfg.Ports {
		listeners, err := listenOn(ctx, cfg.Addresses, p.Local)
		all = append(all, listeners...)
		if err != nil {
			return err
		}
		number, _ := end.port(p.Remote) // was found above
		for _, ln := range listeners {
			cfg.Report(fmt.Sprintf("Forwarding from %s -> %d", ln.Addr(), number))
			f.wg.Go(func() { f.serve(ctx, ln, p.Remote) })
		}
	}
	<-ctx.Done()
	return nil
}

// listenOn listens on every address, on one port. Of localhost, one of its two
// addresses is enough: not every machine has IPv6.
func listenOn(ctx context.Context, addresses []string, port int) (out []net.Listener, err error) {
	for _, a := range addresses {
		hosts := []string{a}
		if a == "localhost" {
			hosts = []string{loopback, loopback6}
		}
		var errs []error
		for _, h := range hosts {
			ln, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(h, strconv.Itoa(port)))
			if err != nil {
				errs = append(errs, err)
				continue
			}
			out = append(out, ln)
			port = ln.Addr().(*net.TCPAddr).Port
		}
		if len(errs) == len(hosts) || len(errs) > 0 && inUse(errs) {
			return out, fmt.Errorf("unable to listen on port %d: %w", port, errors.Join(errs...))
		}
	}
	return out, nil
}

// inUse tells a port that somebody has from an address that is not there.
func inUse(errs []error) bool {
	return slices.ContainsFunc(errs, func(err error) bool { return strings.Contains(err.Error(), "in use") })
}

// forwarder keeps the line to the pod.
type forwarder struct {
	ForwardConfig
	wg sync.WaitGroup

	mu   sync.Mutex
	line *forwardLine // nil when there is none
}

// forwardLine is the agent of one pod, at the other end of the engine's API.
type forwardLine struct {
	endpoint
	conn *http2.Conn
	over chan struct{} // closed when the agent has ended
	err  error         // why; valid after over
}

func (f *forwarder) serve(ctx context.Context, ln net.Listener, remote string) {
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		f.wg.Go(func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			f.Report(fmt.Sprintf("Handling connection for %d", ln.Addr().(*net.TCPAddr).Port))
			if err := f.carry(ctx, conn.(*net.TCPConn), remote); err != nil && ctx.Err() == nil {
				proxy.Reset(conn)
				f.Report("error forwarding port " + remote + ": " + err.Error())
			}
		})
	}
}

// carry is one connection.
func (f *forwarder) carry(ctx context.Context, conn *net.TCPConn, remote string) error {
	s, pod, err := f.open(ctx, remote)
	if err != nil {
		return err
	}
	defer s.Close()
	s.OnFail(func() { proxy.Reset(conn) })
	head, err := s.Head()
	if err != nil {
		return fmt.Errorf("lost connection to pod %s", pod)
	}
	if head.Get(":status") != "200" {
		said, _ := io.ReadAll(io.LimitReader(s, 4<<10)) // as much of it as there is
		return fmt.Errorf("pod %s: %s", pod, said)
	}
	back := make(chan error, 1)
	go func() {
		_, err := io.Copy(conn, s)
		if err == nil {
			_ = conn.CloseWrite() // fails only when the connection is gone
		}
		back <- err
	}()
	if _, err := io.Copy(s, conn); err == nil {
		_ = s.End(nil) // fails only when the stream is gone
	} else {
		s.Reset(http2.Cancel)
	}
	if err := <-back; err != nil && !errors.Is(err, http2.Cancel) && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("lost connection to pod %s", pod)
	}
	return nil
}

// open begins a connection to a port, over the line that is there or a new one.
func (f *forwarder) open(ctx context.Context, remote string) (*http2.Stream, string, error) {
	for try := 0; ; try++ {
		line, err := f.connect(ctx)
		if err != nil {
			return nil, "", err
		}
		port, err := line.port(remote)
		if err != nil {
			return nil, "", err
		}
		s, err := line.conn.Open(http1.Fields{
			{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: "/" + strconv.Itoa(port)}, {Name: ":authority", Value: line.pod},
		}, false)
		if err == nil {
			return s, line.pod, nil
		}
		f.drop(line)
		if try > 0 {
			return nil, "", fmt.Errorf("lost connection to pod %s", line.pod)
		}
	}
}

// drop forgets a line, or whichever there is.
func (f *forwarder) drop(line *forwardLine) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.line != nil && (line == nil || f.line == line) {
		f.line.conn.Close()
		f.line = nil
	}
}

// connect gives the line to the pod, and makes one where there is none or the
// pod has gone.
func (f *forwarder) connect(ctx context.Context) (*forwardLine, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.line != nil {
		return f.line, nil
	}
	end, err := f.find(ctx)
	if err != nil {
		return nil, err
	}
	image, err := f.Engine.InspectImage(ctx, end.image)
	if err != nil {
		return nil, err
	}
	ours, theirs := net.Pipe()
	line := &forwardLine{endpoint: end, over: make(chan struct{})}
	f.wg.Go(func() {
		var said bytes.Buffer
		_, err := f.Engine.Exec(ctx, end.container, engine.ExecSpec{
			Cmd: append(slices.Clone(image.Entrypoint), api.RoleForward), Stdin: bufio.NewReader(theirs), Stdout: theirs, Stderr: &said,
		})
		if err == nil && said.Len() > 0 { // an agent of another version, which knows no such role
			err = errors.New(strings.TrimSpace(said.String()))
		}
		line.err = err
		theirs.Close()
		ours.Close()
		close(line.over)
	})
	line.conn = http2.Dial(ours)
	f.line = line
	f.wg.Go(func() {
		<-line.over
		f.drop(line)
		line.conn.Wait()
		if ctx.Err() == nil {
			f.Report(fmt.Sprintf("lost connection to pod %s%s; the next connection goes to the pod that is there then", end.pod, because(line.err)))
		}
	})
	return line, nil
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// endpoint is a pod that connections go to.
type endpoint struct {
	pod, container, image string
	state                 *docker.State
	service               *docker.Service // when the target is one
}

// find looks for the pod that is meant now.
func (f *forwarder) find(ctx context.Context) (endpoint, error) {
	seen, err := observe(ctx, f.Engine, f.Identity, nil, "")
	if err != nil {
		return endpoint{}, err
	}
	if len(seen.all) == 0 || seen.Record == nil || seen.Record.State == nil {
		return endpoint{}, fmt.Errorf("app %s: %w", f.Identity.App, ErrNoApp)
	}
	state := presentOf(seen)
	candidates, service, err := candidatesOf(state, f.Target)
	if err != nil {
		return endpoint{}, err
	}
	ready := map[string]api.PodStatus{}
	if len(candidates) > 1 {
		status, _ := askGateway(ctx, f.Engine, seen) // without its word any pod will do
		ready = status.Pods
	}
	slices.SortStableFunc(candidates, func(a, b string) int {
		switch {
		case ready[a].Ready == ready[b].Ready:
			return 0
		case ready[a].Ready:
			return -1
		}
		return 1
	})
	for _, pod := range candidates {
		if c := seen.infra(pod); c != nil && c.State == engine.Running {
			return endpoint{pod: pod, container: c.ID, image: c.Image, state: state, service: service}, nil
		}
	}
	status := "Pending"
	if p := seen.Pods[candidates[0]]; p != nil && p.Infra != nil && p.Infra.State != reconcile.Running {
		status = string(p.Infra.State)
	}
	return endpoint{}, fmt.Errorf("unable to forward port because pod %s is not running. Current status=%s", candidates[0], status)
}

// candidatesOf are the pods that a target may mean; at least one.
func candidatesOf(state *docker.State, target string) ([]string, *docker.Service, error) {
	kind, name, ok := strings.Cut(target, "/")
	if !ok {
		kind, name = "", target
	}
	var pods []string
	switch strings.ToLower(kind) {
	case "service", "services", "svc":
		i := slices.IndexFunc(state.Services, func(s docker.Service) bool { return s.Name == name })
		if i < 0 {
			return nil, nil, fmt.Errorf("services %q not found", name)
		}
		if pods = slices.Clone(state.Services[i].Pods); len(pods) == 0 {
			return nil, nil, fmt.Errorf("service %s has no pods", name)
		}
		return pods, &state.Services[i], nil
	case "", "pod", "pods", "po", "deployment", "deploy", "statefulset", "sts", "daemonset", "ds", "job":
	default:
		return nil, nil, fmt.Errorf("%s: it takes pod/NAME, service/NAME or the name of a workload", target)
	}
	for _, p := range state.Pods {
		if p.Name == name {
			return []string{name}, nil, nil
		}
		if p.Workload == name {
			pods = append(pods, p.Name)
		}
	}
	if len(pods) == 0 {
		return nil, nil, fmt.Errorf("pods %q not found", name)
	}
	return pods, nil, nil
}

// port is the number of a port of the pod.
func (e *endpoint) port(remote string) (int, error) {
	number, err := strconv.Atoi(remote)
	if err == nil && e.service == nil {
		return number, nil
	}
	if e.service != nil {
		for _, p := range e.service.Ports {
			if p.Name == remote || err == nil && p.Port == number {
				if target := p.Targets[e.pod]; target != 0 && p.Protocol != "UDP" {
					return target, nil
				}
			}
		}
		return 0, fmt.Errorf("service %s does not have a service port %s", e.service.Name, remote)
	}
	for _, s := range e.state.Services { // they know the names of pods' ports
		for _, p := range s.Ports {
			if p.Target == remote && p.Targets[e.pod] != 0 {
				return p.Targets[e.pod], nil
			}
		}
	}
	return 0, fmt.Errorf("pod %s: no service leads to a port named %s; say its number", e.pod, remote)
}
