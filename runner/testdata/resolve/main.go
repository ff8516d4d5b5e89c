// Resolve looks names up with Go's own resolver, as a program without cgo does.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/cuepod/cuepod/internal/dnsbench"
)

// bench measures the pod's own name server, asked for a service, and the engine's,
// asked for a container.
func bench(service, container string) (lines []string, err error) {
	for _, c := range []int{1, 8} {
		results, err := dnsbench.Run([]dnsbench.Server{
			{Name: "the engine's, 127.0.0.11", Addr: "127.0.0.11:53", Query: dnsbench.Query(container)},
			{Name: "the pod's, 127.0.0.1", Addr: "127.0.0.1:53", Query: dnsbench.Query(service)},
		}, c, 60)
		if err != nil {
			return nil, err
		}
		lines = append(lines, dnsbench.Table(results))
	}
	return lines, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var lines []string
	var err error
	switch args := os.Args[1:]; args[0] {
	case "wait":
		<-ctx.Done()
	case "host":
		lines, err = net.DefaultResolver.LookupHost(ctx, args[1])
	case "addr":
		lines, err = net.DefaultResolver.LookupAddr(ctx, args[1])
	case "srv":
		var srv []*net.SRV
		_, srv, err = net.DefaultResolver.LookupSRV(ctx, args[1], args[2], args[3])
		for _, s := range srv {
			lines = append(lines, fmt.Sprintf("%s:%d", s.Target, s.Port))
		}
	case "bench":
		lines, err = bench(args[1], args[2])
	case "txt":
		lines, err = net.DefaultResolver.LookupTXT(ctx, args[1])
	}
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	fmt.Println(strings.Join(lines, "\n"))
}
