// Package agent is the program inside the containers that hold an app up: each
// pod's infra container, the app's gateway, and a portal for each service that
// the host can reach.
//
// It is one small static binary. What it is told comes as values of package api:
// a pod's agent applies what the gateway says (files, names, probes) and reports
// how its containers are; the gateway decides from the reports which pods are
// ready, carries the services' virtual addresses to them, and tells every agent.
// Both go on with what they know when nobody talks to them.
package agent

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/agent/mirror"
)

const usage = `usage: cuepod-agent <role> [arguments]

roles:
  pod                              hold a pod's namespaces and serve its containers
  gateway                          hold an app's services
  portal tcp/30080=10.1.2.140:80   carry published ports to services
  subpath DIR PATH                 make a path in a volume, and say what it is
  hold                             keep mounted what the engine found at sub-paths
  same [DIR PATH SHOWN]...         fail unless it is what is there
  kill MARK                        kill what carries the mark of a late probe
  mirror                           keep copies of a developer's directories
  forward                          carry connections to ports of the pod itself
  get                              make the HTTP request that standard input describes
`

// Main runs one role until it is told to end (SIGTERM or SIGINT) and returns the
// exit code. args are the arguments without the program's name. Talk goes to
// stderr; stdout is the gateway's line to the supervisor.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	role := ""
	if len(args) > 0 {
		role = args[0]
	}
	// Not slog: it would add 120 KB to what every pod runs, for a few lines.
	log := log.New(stderr, "", log.LstdFlags|log.Lmsgprefix)
	var err error
	switch role {
	case "pod":
		// It has one thing to do at a time, and there are as many of it as pods: threads
		// that look for work would take the processors from those that have some.
		runtime.GOMAXPROCS(1)
		defer reap()()
		err = runPod(stdin, log)
	case "gateway":
		defer reap()()
		err = runGateway(stdin, stdout, log)
	case "portal":
		defer reap()()
		err = runPortal(args[1:], log)
	case api.RoleSubPath:
		err = makeSubPath(args[1:], stdout)
	case api.RoleHold:
		err = hold()
	case api.RoleSame:
		err = compareSubPaths(args[1:])
	case api.RoleKill:
		err = killMarked(args[1:], stdout)
	case api.RoleGet:
		if err := runGet(stdin); err != nil {
			fmt.Fprintln(stderr, err) // as it is: people read it in an event
			return 1
		}
		return 0
	case api.RoleMirror:
		err = mirror.Serve("", stdin, stdout)
	case api.RoleForward:
		err = runForward(stdin, stdout)
	default:
		fmt.Fprint(stderr, usage)
		return 2
	}
	if err != nil {
		fmt.Fprintf(stderr, "cuepod-agent %s: %v\n", role, err)
		return 1
	}
	return 0
}

// untilTerminated returns a context that ends when the process is asked to end.
// As the first process of a container it would else ignore the signal, and every
// stop would cost the whole grace period.
func untilTerminated() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}
