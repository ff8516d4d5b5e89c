package compose

import (
	"fmt"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// externalName stands in for another name of a host elsewhere, which Docker's
// DNS does not have: a relay has the name and passes on what comes to the
// service's ports.
func (r *renderer) externalName(s *app.Service, path string) error {
	pos := fieldPos(s.Lines, "externalName", s.Pos)
	relay := relay{path: path}
	for _, port := range s.Ports {
		target := port.Port
		if port.TargetPort.Number != 0 {
			target = port.TargetPort.Number
		}
		r.forward(&relay, port, s.ExternalName, target)
	}
	if len(relay.forwards) == 0 {
		r.findings.Add("compose/external-name", path+".externalName", pos, "the name does not resolve: Docker's DNS has no second names for hosts elsewhere",
			"give the service ports, which can be passed on, or use "+s.ExternalName+" itself")
		return nil
	}
	r.findings.Add("compose/external-relay", path+".externalName", pos, fmt.Sprintf("%s has the name and passes the service's ports on to %s", relayName(s), s.ExternalName), "")
	return r.addRelay(s, relay)
}

// endpoints stands in for a service whose endpoints are given, in the same way:
// the relay knows the addresses behind each port by a name of its own, and takes
// them in turns.
func (r *renderer) endpoints(s *app.Service, path string) error {
	relay := relay{path: path}
	for n := range s.Ports {
		port := s.Ports[n]
		name, target := fmt.Sprintf("%s-%s", s.Name, port.Name), 0
		for i := range s.Endpoints {
			e := &s.Endpoints[i]
			number := app.EndpointPort(e, &s.Ports[n])
			if number != 0 && target != 0 && number != target {
				r.findings.Add("compose/endpoint-port", fmt.Sprintf("%s.endpoints[%d].ports.%s", path, i, port.Name), e.Pos,
					fmt.Sprintf("nobody is sent to port %d: the relay knows one number for a port, here %d", number, target), "")
				continue
			}
			if number != 0 {
				target = number
				relay.hosts = append(relay.hosts, name+"="+e.Address)
			}
		}
		if target == 0 {
			continue
		}
		if s.Headless { // whose clients come to the endpoint's own port
			port.Port = target
		}
		r.forward(&relay, port, name, target)
		if err := r.publishRelay(&relay, s, port); err != nil {
			return err
		}
	}
	if len(relay.forwards) == 0 {
		r.findings.Add("compose/external-name", path+".endpoints", s.Pos, "the name does not resolve: Docker's DNS has no names for addresses elsewhere", "give the service ports, which can be passed on")
		return nil
	}
	r.findings.Add("compose/external-relay", path+".endpoints", s.Pos, relayName(s)+" has the name and passes the service's ports on to the endpoints", "")
	if s.SessionAffinity == "ClientIP" {
		r.findings.Add("compose/session-affinity", path+".sessionAffinity", s.Pos, "connections are spread without regard to the client", "")
	}
	return r.addRelay(s, relay)
}

// relay is what a service's relay has to know.
type relay struct {
	path         string
	forwards     []string
	hosts        yaml.List
	ports        yaml.List
	capabilities []string
}

func relayName(s *app.Service) string { return s.Name + "-relay" }

func (r *renderer) forward(to *relay, port app.ServicePort, host string, target int) {
	if protocol(port.Protocol) == "sctp" {
		r.findings.Add("compose/sctp", to.path+".ports."+port.Name, port.Pos, "the port leads nowhere: nothing can forward SCTP", "")
		return
	}
	to.forwards = append(to.forwards, fmt.Sprintf("--forward=%s/%d=%s:%d", protocol(port.Protocol), port.Port, host, target))
	if port.Port < privilegedPorts {
		to.capabilities = []string{"NET_BIND_SERVICE"}
	}
}

// publishRelay publishes a port of a service that the host may reach.
func (r *renderer) publishRelay(to *relay, s *app.Service, port app.ServicePort) error {
	proto := protocol(port.Protocol)
	if s.Type != "NodePort" && s.Type != "LoadBalancer" || proto == "sctp" {
		return nil
	}
	host, err := r.hostPort(s, port)
	if err != nil {
		return err
	}
	to.ports = append(to.ports, fmt.Sprintf("127.0.0.1:%d:%d/%s", host, port.Port, proto))
	r.findings.Add("compose/host-port", to.path+".ports."+port.Name, port.Pos, fmt.Sprintf("%s publishes the port as 127.0.0.1:%d", relayName(s), host), "")
	return nil
}

func (r *renderer) addRelay(s *app.Service, of relay) error {
	service := r.holderService(append([]string{"hold"}, of.forwards...)).
		Opt("extra_hosts", of.hosts).
		Opt("ports", of.ports).
		Set("networks", yaml.New().Set("default", yaml.New().Set("aliases", dnsNames(s.Name, r.app.DNSNamespace())))).
		Set("restart", "unless-stopped").
		Set("read_only", true)
	return r.addService(relayName(s), "relay of service "+s.Name, confine(service, of.capabilities...))
}
