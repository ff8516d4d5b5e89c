package check

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

func (c *checker) ingress(i *app.Ingress) {
	at := c.place("ingresses."+i.Name, i.Pos)
	c.meta(at.path+".", i.Pos, i.Labels, i.Annotations)
	if class, ok := i.Annotations["kubernetes.io/ingress.class"]; ok && i.IngressClassName != "" && class != i.IngressClassName {
		at.field("ingressClassName").refuse("an annotation names another class, %q", class).hint("leave the annotation out")
	}
	if len(i.Rules) == 0 && i.DefaultBackend == nil {
		at.refuse("it sends nothing anywhere").hint("add rules: HOST: paths: \"/\": {service: NAME, port: NUMBER}")
	}
	if b := i.DefaultBackend; b != nil {
		c.backend(b.Service, b.Port, at.field("defaultBackend").at(b.Pos))
	}
	for _, rule := range i.Rules {
		c.ingressRule(rule, at.field("rules").key(rule.Host).at(rule.Pos))
	}
	for n, tls := range i.Tls {
		c.ingressTLS(tls, at.field("tls").item(n).at(tls.Pos))
	}
}

func (c *checker) ingressRule(rule app.IngressRule, at place) {
	if rule.Host != "*" {
		at.host(rule.Host)
	}
	if len(rule.Paths) == 0 {
		at.refuse("it has no paths").hint("add paths: \"/\": {service: NAME, port: NUMBER}")
	}
	for _, p := range rule.Paths {
		at := at.field("paths").field(quoted(p.Path)).at(p.Pos)
		if p.PathType != "ImplementationSpecific" {
			at.cleanPath(p.Path)
		}
		c.backend(p.Service, p.Port, at)
	}
}

// host wants the name of a host, which may begin with "*.".
func (p place) host(host string) {
	if _, err := netip.ParseAddr(host); err == nil {
		p.refuse("%s is an address", host).hint("a host is a name, such as \"shop.example\"")
		return
	}
	if len(host) > maxName || !subdomain.MatchString(strings.TrimPrefix(host, "*.")) {
		p.refuse("%q is not the name of a host", host).hint("write a name such as \"shop.example\" or \"*.shop.example\"")
	}
}

// cleanPath wants a path of a URL without what would be taken away.
func (p place) cleanPath(path string) {
	for _, part := range []string{"//", "/./", "/../", "%2f", "%2F"} {
		if strings.Contains(path, part) {
			p.refuse("the path must be without %q", part).hint("write it as clients ask for it")
			return
		}
	}
	for _, end := range []string{"/..", "/."} {
		if strings.HasSuffix(path, end) {
			p.refuse("the path cannot end with %q", end).hint("write it as clients ask for it")
		}
	}
}

// backend wants a service of the app, and a port of it.
func (c *checker) backend(service string, port app.PortRef, at place) {
	s := c.app.Service(service)
	if s == nil {
		at.field("service").missing("service", service, "the app", c.serviceNames())
		return
	}
	have := func(p app.ServicePort) bool { return p.Name == port.Name && port.Name != "" || p.Port == port.Number }
	if !slices.ContainsFunc(s.Ports, have) {
		at.field("port").missing("port", port.String(), "service "+s.Name, portsOf(s))
	} else if port.Name != "" && !portName(port.Name) {
		at.field("port").refuse("the name %q cannot be used here; it must have a letter, and no two \"-\" in a row", port.Name).hint("use the port's number")
	}
}

// portsOf lists the ports of a service by name and number.
func portsOf(s *app.Service) []string {
	return names(s.Ports, func(p app.ServicePort) string { return p.Name + " (" + strconv.Itoa(p.Port) + ")" })
}

// ingressTLS checks a certificate: a secret of the app has to have its keys.
// One of another name may be made in the cluster, as cert-manager does.
func (c *checker) ingressTLS(tls app.IngressTLS, at place) {
	for i, host := range tls.Hosts {
		if host == "*" {
			at.field("hosts").item(i).refuse("a certificate is for hosts with a name").hint("leave hosts out for all of the ingress")
			continue
		}
		at.field("hosts").item(i).host(host)
	}
	s := c.app.Secret(tls.SecretName)
	if s == nil {
		return
	}
	have := names(s.Keys, func(k app.SecretKey) string { return k.Name })
	for _, key := range []string{"tls.crt", "tls.key"} {
		if !slices.Contains(have, key) {
			at.field("secretName").missing("key", key, "secret "+s.Name, have)
		}
	}
}
