package agent

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/netip"
	"os"

	"github.com/cuepod/cuepod/runner/dns"
)

const dnsPort = 53

// nameServer answers names on an address.
type nameServer struct {
	server *dns.Server
	addr   netip.Addr
	udp    net.PacketConn
	tcp    net.Listener
}

// listenForNames listens on an address, for a server that passes what is not
// its own on to the name server of a resolv.conf.
func listenForNames(addr netip.Addr, resolvConf string) (*nameServer, error) {
	conf, err := os.ReadFile(resolvConf)
	if err != nil {
		return nil, fmt.Errorf("find the name server: %w", err)
	}
	udp, tcp, err := dns.Listen(netip.AddrPortFrom(addr, dnsPort))
	if err != nil {
		return nil, fmt.Errorf("listen for DNS: %w", err)
	}
	return &nameServer{dns.NewServer(parseResolvConf(conf).upstreams(addr.String())...), addr, udp, tcp}, nil
}

func (n *nameServer) serve(ctx context.Context, log *log.Logger) {
	if err := n.server.Serve(ctx, n.udp, n.tcp); err != nil {
		log.Printf("the DNS server stopped: %v", err)
	}
}
