package main

import (
	"fmt"
	"net"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/plugin/forward"    // for the Corefile
	_ "github.com/coredns/coredns/plugin/kubernetes" // the same
)

// corefile is that of a cluster which kubeadm makes, as far as it decides what
// an answer is, with the plugin's own TTL.
const corefile = `.:0 {
	kubernetes cluster.local in-addr.arpa ip6.arpa {
		endpoint %s
		pods insecure
		ttl 5
		fallthrough in-addr.arpa ip6.arpa
	}
	forward . %s
}
`

// CoreDNS is a running one.
type CoreDNS struct {
	UDP, TCP string // host:port
	instance *caddy.Instance
}

// StartCoreDNS starts one that serves what an API server lists, and passes other
// names on to upstream. It knows all services when it returns.
func StartCoreDNS(api, upstream string) (*CoreDNS, error) {
	dnsserver.Quiet = true
	caddy.Quiet = true
	instance, err := caddy.Start(caddy.CaddyfileInput{
		Contents: fmt.Appendf(nil, corefile, api, upstream), Filepath: "Corefile", ServerTypeName: "dns",
	})
	if err != nil {
		return nil, fmt.Errorf("start CoreDNS: %w", err)
	}
	c := &CoreDNS{instance: instance}
	for _, s := range instance.Servers() {
		if addr := s.LocalAddr(); addr != nil {
			_, port, _ := net.SplitHostPort(addr.String())
			c.UDP = net.JoinHostPort("127.0.0.1", port)
		}
		if addr := s.Addr(); addr != nil {
			_, port, _ := net.SplitHostPort(addr.String())
			c.TCP = net.JoinHostPort("127.0.0.1", port)
		}
	}
	return c, nil
}

// Close stops it.
func (c *CoreDNS) Close() error {
	for _, err := range c.instance.ShutdownCallbacks() {
		if err != nil {
			return err
		}
	}
	return c.instance.Stop()
}
