package router

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
)

// handshakeTimeout is how long a client may take to agree on TLS.
const handshakeTimeout = 10 * time.Second

// recordHandshake is what TLS begins with, and no method of HTTP does.
const recordHandshake = 0x16

// certificates are those for HTTPS, by lower-case host or "*.x".
type certificates map[string]*tls.Certificate

// SetCertificates puts certificates in force for the connections to come. The
// error joins those that cannot be read; the others are good without them.
func (r *Router) SetCertificates(list []api.Certificate) error {
	certs := certificates{}
	var errs []error
	for _, c := range list {
		pair, err := tls.X509KeyPair(c.Cert, c.Key)
		if err != nil {
			errs = append(errs, errors.New("the certificate for "+c.Host+" cannot be read")) // the error may show the key
			continue
		}
		certs[strings.ToLower(c.Host)] = &pair
	}
	r.certs.Store(&certs)
	return errors.Join(errs...)
}

// find gives the certificate for a name; that of localhost for a client that
// says none, as for an address.
func (c certificates) find(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if cert := c[name]; cert != nil {
		return cert, nil
	}
	if _, domain, ok := strings.Cut(name, "."); ok && c["*."+domain] != nil {
		return c["*."+domain], nil
	}
	if name == "" {
		host, _, _ := net.SplitHostPort(hello.Conn.LocalAddr().String())
		for _, key := range []string{host, "127.0.0.1"} {
			if cert := c[key]; cert != nil {
				return cert, nil
			}
		}
	}
	return nil, errors.New("there is no certificate for " + name)
}

// ahead is a connection of which some was read already.
type ahead struct {
	net.Conn
	in *bufio.Reader
}

func (a ahead) Read(p []byte) (int, error) { return a.in.Read(p) }

// secure begins TLS where the client does. It reports whether the session can
// go on.
func (s *session) secure() bool {
	if s.client.SetReadDeadline(time.Now().Add(idleTimeout)) != nil {
		return false
	}
	first, err := s.client.in.Peek(1)
	if err != nil {
		return false
	}
	if first[0] != recordHandshake {
		return true
	}
	certs := s.router.certs.Load()
	if certs == nil || s.client.SetDeadline(time.Now().Add(handshakeTimeout)) != nil {
		return false
	}
	conn := tls.Server(ahead{s.client.Conn, s.client.in}, &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: certs.find,
	})
	if conn.HandshakeContext(s.ctx) != nil || s.client.SetDeadline(time.Time{}) != nil {
		return false
	}
	s.client, s.scheme = newPeer(conn), "https"
	return true
}
