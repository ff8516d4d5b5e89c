// Package authority is a local certificate authority: it makes certificates for
// names of this machine alone, and is trusted by nobody who was not asked.
//
// Its key stays in a directory of the user's. What leaves it are certificates of
// single hosts with keys of their own.
package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	// CertFile and keyFile are in the authority's directory.
	CertFile = "ca.crt"
	keyFile  = "ca.key"

	authorityLife = 10 * 365 * 24 * time.Hour
	// leafLife is the longest that browsers take (CA/Browser Forum, from 2020 on).
	leafLife = 397 * 24 * time.Hour
	// skew is how far clocks may be apart.
	skew = time.Hour
)

// Authority makes certificates.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// Pair is a certificate and its key, in PEM.
type Pair struct{ Cert, Key []byte }

// Open reads the authority of a directory, and makes one there on first use:
// the directory for the user alone, the key with mode 0600. Nothing is installed
// anywhere. now is for the dates of a new one.
func Open(dir string, now time.Time) (*Authority, error) {
	a, err := read(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return a, err
	}
	made, err := create(now)
	if err != nil {
		return nil, err
	}
	if err := made.write(dir); err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	return read(dir) // another process may have been first
}

func read(dir string) (*Authority, error) {
	certPEM, err := os.ReadFile(filepath.Join(dir, CertFile))
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	path := filepath.Join(dir, keyFile)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("certificate authority: others can read %s: chmod 600 it, or remove %s for a new one", path, dir)
	}
	keyPEM, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	a, err := parse(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate authority in %s: %w; remove the directory for a new one", dir, err)
	}
	return a, nil
}

func parse(certPEM, keyPEM []byte) (*Authority, error) {
	certBlock, _ := pem.Decode(certPEM)
	keyBlock, _ := pem.Decode(keyPEM)
	if certBlock == nil || keyBlock == nil {
		return nil, errors.New("a file is not PEM")
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParseECPrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, errors.New("the key cannot be read") // without a word of it
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("the key is not the certificate's")
	}
	return &Authority{cert, key}, nil
}

// write puts a whole directory in place, unless there is one with anything in it:
// of several who come at once one is first, with its key and its certificate.
func (a *Authority) write(dir string) error {
	der, err := x509.MarshalECPrivateKey(a.key.(*ecdsa.PrivateKey))
	if err != nil {
		return err
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return err
	}
	made, err := os.MkdirTemp(parent, ".ca-*") // for the user alone
	if err != nil {
		return err
	}
	defer os.RemoveAll(made)
	cert := filepath.Join(made, CertFile)
	if err := errors.Join(
		os.WriteFile(filepath.Join(made, keyFile), encode("EC PRIVATE KEY", der), 0o600),
		os.WriteFile(cert, a.PEM(), 0o644), os.Chmod(cert, 0o644), // whatever the umask
	); err != nil {
		return err
	}
	if info, err := os.Lstat(dir); err == nil && info.IsDir() {
		_ = os.Remove(dir) // an empty one; any other stays
	}
	if err := os.Rename(made, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func create(now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{Organization: []string{"cuepod"}, CommonName: "cuepod local authority"},
		NotBefore: now.Add(-skew), NotAfter: now.Add(authorityLife),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &Authority{cert, key}, err
}

// serial is a random one of 128 bits.
func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails, by its documentation
	return new(big.Int).SetBytes(b)
}

// PEM is the authority's certificate: what a client has to trust.
func (a *Authority) PEM() []byte { return encode("CERTIFICATE", a.cert.Raw) }

// Fingerprint is the certificate's SHA-256, as browsers show it.
func (a *Authority) Fingerprint() string {
	sum := sha256.Sum256(a.cert.Raw)
	out := fmt.Sprintf("%X", sum[:1])
	for _, b := range sum[1:] {
		out += fmt.Sprintf(":%02X", b)
	}
	return out
}

// Issue makes a certificate for one host, which may begin with "*." or be an address.
func (a *Authority) Issue(host string, now time.Time) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("certificate for %s: %w", host, err)
	}
	template := x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{Organization: []string{"cuepod"}},
		NotBefore: now.Add(-skew), NotAfter: now.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, a.cert, key.Public(), a.key)
	if err != nil {
		return Pair{}, fmt.Errorf("certificate for %s: %w", host, err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return Pair{}, fmt.Errorf("certificate for %s: %w", host, err)
	}
	return Pair{Cert: encode("CERTIFICATE", der), Key: encode("EC PRIVATE KEY", private)}, nil
}
