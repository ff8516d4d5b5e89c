package agent

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"slices"
	"strconv"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/dns"
)

// identity is who the pod is to itself: what is in its hosts file and its
// resolv.conf, and what the engine had put there.
type identity struct {
	resolver  resolver // as the engine made it
	hosts     []byte   // the same
	names     *api.Names
	namespace string
	serves    bool // names on the pod's own address
}

func readIdentity(resolvConf, hosts string) (identity, error) {
	conf, err := os.ReadFile(resolvConf)
	if err != nil {
		return identity{}, fmt.Errorf("find the name server: %w", err)
	}
	file, err := os.ReadFile(hosts)
	if err != nil {
		return identity{}, fmt.Errorf("find the hosts: %w", err)
	}
	return identity{resolver: parseResolvConf(conf), hosts: file}, nil
}

// applyNames writes both files where they change. In place: they are mounted
// into every container of the pod, and a new file under the name would be seen
// by nobody.
func (p *pod) applyNames(ctx context.Context, m api.ToAgent) error {
	names := m.Pod.Names
	id := &p.named
	if id.names != nil && reflect.DeepEqual(*id.names, names) && id.namespace == m.Namespace {
		return nil
	}
	if names.DNS.Policy == "" || names.DNS.Policy == api.ClusterFirst {
		if err := p.serveNames(ctx, names.DNS); err != nil {
			return err
		}
	}
	conf := podResolver(names.DNS, m.Namespace, p.dnsAddr.Addr().String(), id.resolver).bytes()
	if err := os.WriteFile(p.resolvConf, conf, 0o644); err != nil {
		return err
	}
	if names.IP != "" {
		if err := os.WriteFile(p.hosts, hostsFile(names, id.hosts), 0o644); err != nil {
			return err
		}
	}
	if err := free(names.Listens, m.Pod.Containers); err != nil {
		return err
	}
	id.names, id.namespace = &names, m.Namespace
	return nil
}

// free reports a port that somebody else has while no container of the pod
// runs that could be it.
func free(ports []api.Listen, containers []api.Container) error {
	if slices.ContainsFunc(containers, func(c api.Container) bool { return c.Running }) {
		return nil
	}
	for _, p := range ports {
		var socket io.Closer
		var err error
		if address := net.JoinHostPort(p.IP, strconv.Itoa(p.Port)); p.Protocol == "UDP" {
			socket, err = net.ListenPacket("udp", address)
		} else {
			socket, err = net.Listen("tcp", address)
		}
		if err != nil {
			return fmt.Errorf("%s port %d of the machine is in use by another program; stop that, or choose another port: %w", p.Protocol, p.Port, err)
		}
		socket.Close()
	}
	return nil
}

// serveNames answers names, unless somebody else does. A pod that does not ask
// for services' names has its port 53 for itself.
func (p *pod) serveNames(ctx context.Context, c api.DNS) error {
	if p.named.serves || c.Cluster != "" {
		return nil
	}
	udp, tcp, err := dns.Listen(p.dnsAddr)
	if err != nil {
		return fmt.Errorf("listen for DNS: %w", err)
	}
	p.named.serves = true
	p.wg.Go(func() {
		if err := p.names.Serve(ctx, udp, tcp); err != nil {
			p.log.Printf("the DNS server stopped: %v", err)
		}
	})
	return nil
}
