package agent

import (
	"fmt"
	"log"
	"net/netip"
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/runner/proxy"
)

// runPortal carries published ports to services until it is told to end.
func runPortal(args []string, log *log.Logger) error {
	table, err := portalTable(args)
	if err != nil {
		return err
	}
	ctx, stop := untilTerminated()
	defer stop()
	server := proxy.New(proxy.Config{})
	defer server.Close()
	if err := server.Apply(table); err != nil {
		return err
	}
	log.Printf("portal open: %s", strings.Join(args, " "))
	<-ctx.Done()
	return nil
}

// portalTable reads arguments like tcp/30080=10.1.2.140:80: protocol, port of
// this container, and where it leads.
func portalTable(args []string) (proxy.Table, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("portal: no port given; say for example tcp/30080=10.1.2.140:80")
	}
	table := proxy.Table{}
	for _, arg := range args {
		front, to, ok := strings.Cut(arg, "=")
		protocol, digits, ok2 := strings.Cut(front, "/")
		port, err := strconv.ParseUint(digits, 10, 16)
		endpoint, endpointErr := netip.ParseAddrPort(to)
		protocol = strings.ToUpper(protocol)
		if !ok || !ok2 || err != nil || port == 0 || endpointErr != nil || protocol != proxy.TCP && protocol != proxy.UDP {
			return nil, fmt.Errorf("portal: %q is not like tcp/30080=10.1.2.140:80", arg)
		}
		key := proxy.Front{Protocol: protocol, Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port))}
		if _, twice := table[key]; twice {
			return nil, fmt.Errorf("portal: %s is given twice", front)
		}
		table[key] = proxy.Target{Service: front, Endpoints: []netip.AddrPort{endpoint}}
	}
	return table, nil
}
