// Package holder is the program behind the services that a Compose file of
// ours adds to the app's own containers. It has three forms:
//
//	hold  [--forward=PROTO/PORT=[NAME:]PORT]...   keep a pod's namespaces alive and forward ports, until told to stop
//	check [[--timeout=1s] [--header=Name:Value]... URL]...   probe the pod once; exit 0 when every probe succeeds
//	fill  [--dir=PATH | --files=FROM=TO:MODE]...   make volumes usable, write files into them, and exit
//
// Options of fill belong to the --dir or --files before them: --mode=[NAME:]MODE
// is the mode of the directory, or of one of the files, --group=GID is the group
// that may use the volume, and --decode=NAME says that a file comes in base64.
//
// A forward without a name goes to the pod's own address, never to localhost:
// a server that listens on localhost only has to stay out of reach, as in
// Kubernetes. One with a name goes to the addresses of that name in turn.
//
// URLs of check are http://:8080/path, https://:8443/path, tcp://:6379,
// grpc://:9000/service and grpcs://:9000/service. Without a host they too ask at
// the pod's own address. Options belong to the URL after them.
//
// The package uses nothing but the standard library, and of that no net/http:
// the program is loaded into every pod and has to stay small.
package holder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
)

// errUsage marks a command line that makes no sense.
var errUsage = errors.New("usage: hold [--forward=PROTO/PORT=[NAME:]PORT]... | check [[--timeout=1s] [--header=Name:Value]... URL]... | fill [--dir=PATH | --files=FROM=TO:MODE]... (options and URLs as often as needed)")

// Run runs the program with its arguments, the name of the form first, and
// returns its exit code: 0, 1 for a failure, 2 for bad usage. Run as the first
// process of a container, hold also reaps what others leave behind.
func Run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	err := run(ctx, args, os.Stderr)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func run(ctx context.Context, args []string, log io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	switch args[0] {
	case "hold":
		forwards, err := parseForwards(args[1:])
		if err != nil {
			return err
		}
		return hold(ctx, forwards, log)
	case "check":
		checks, err := parseChecks(args[1:])
		if err != nil {
			return err
		}
		address, err := ownAddress()
		if err != nil {
			return err
		}
		return runChecks(ctx, address, checks)
	case "fill":
		steps, err := parseFill(args[1:])
		if err != nil {
			return err
		}
		return fill(steps)
	}
	return fmt.Errorf("%w: there is no %q", errUsage, args[0])
}

// hold keeps the process, and with it the pod's namespaces, until ctx ends.
func hold(ctx context.Context, forwards []forward, log io.Writer) error {
	if os.Getpid() == 1 {
		go reap(ctx)
	}
	forwarder := &forwarder{log: log, lookup: net.DefaultResolver.LookupHost, own: ownAddress}
	defer forwarder.wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before the wait
	for _, f := range forwards {
		if err := forwarder.start(ctx, f); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

// reap collects processes whose parents are gone: they become children of the
// first process, and would stay as zombies.
func reap(ctx context.Context) {
	children := make(chan os.Signal, 1) // one is enough: each signal collects all that ended
	signal.Notify(children, syscall.SIGCHLD)
	defer signal.Stop(children)
	for {
		for {
			var status syscall.WaitStatus
			if pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil); err == syscall.EINTR {
				continue
			} else if err != nil || pid <= 0 {
				break
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-children:
		}
	}
}

// ownAddress is the pod's address: the first that is not the loopback's, IPv4
// before IPv6.
func ownAddress() (string, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("the pod's address: %w", err)
	}
	var six string
	for _, a := range addresses {
		ip, ok := a.(*net.IPNet)
		switch {
		case !ok || !ip.IP.IsGlobalUnicast():
		case ip.IP.To4() != nil:
			return ip.IP.String(), nil
		case six == "":
			six = ip.IP.String()
		}
	}
	if six == "" {
		return "", errors.New("the pod has no address yet")
	}
	return six, nil
}
