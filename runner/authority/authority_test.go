package authority

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestOpen_IsMadeOnceForTheUserAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "ca")
	var wg sync.WaitGroup
	got := make([]*Authority, 8)
	for i := range got {
		wg.Go(func() {
			var err error
			if got[i], err = Open(dir, now); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, a := range got {
		if a == nil || !bytes.Equal(a.PEM(), got[0].PEM()) {
			t.Fatal("two who came at once have two authorities")
		}
	}
	for path, want := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, filepath.Join(dir, keyFile): 0o600, filepath.Join(dir, CertFile): 0o644} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 2 {
		t.Errorf("left behind: %v", files)
	}
	if err := os.Chmod(filepath.Join(dir, keyFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, now); err == nil {
		t.Error("a key that others can read is used")
	}
}

func TestIssue_IsForOneHost(t *testing.T) {
	a, err := Open(t.TempDir(), now)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.PEM())
	for host, asks := range map[string][2]string{
		"web.shop.localhost": {"web.shop.localhost", "api.shop.localhost"},
		"*.shop.example":     {"a.shop.example", "shop.example"},
		"127.0.0.1":          {"127.0.0.1", "127.0.0.2"},
	} {
		pair, err := a.Issue(host, now)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(pair.Cert)
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range asks {
			_, err := cert.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: now.Add(24 * time.Hour)})
			if (err == nil) != (i == 0) {
				t.Errorf("%s for %s: %v", host, name, err)
			}
		}
		if cert.IsCA || bytes.Contains(pair.Key, a.PEM()) {
			t.Errorf("%s: the certificate can make others", host)
		}
	}
}
