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
)

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
	case "txt":
		lines, err = net.DefaultResolver.LookupTXT(ctx, args[1])
	}
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	fmt.Println(strings.Join(lines, "\n"))
}
