package check

import (
	"path"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// files are what a volume shows: who puts a file there, by its path.
type files map[string]string

// files checks a volume of files: what it names, and where it puts them.
func (c *checker) files(f *app.Files, at place, exists func(pos app.Pos, path, name, key string)) {
	c.shown(f, at, exists)
	put := files{}
	for _, item := range f.Items {
		c.keyToPath(item, at.field("items"), put)
	}
	c.overlaps(put, at.field("items"))
}

// shown checks that what is shown exists, or that it could.
func (c *checker) shown(f *app.Files, at place, exists func(pos app.Pos, path, name, key string)) {
	if f.Optional {
		return
	}
	before := len(c.problems)
	exists(at.pos, at.path, f.Name, "")
	if len(c.problems) > before {
		return
	}
	for _, item := range f.Items {
		exists(at.pos, at.path+".items", f.Name, item.Key)
	}
}

func (c *checker) keyToPath(item app.KeyToPath, at place, put files) {
	entry := at.key(item.Key).at(item.Pos)
	entry.field("mode").fileMode(item.Mode, 0o777)
	entry.field("user").id(item.User)
	c.put(item.Path, "key "+item.Key, at, put)
}

// put notes a file where it goes: below the volume's directory, and not where
// another is. What starts with ".." is for the kubelet.
func (c *checker) put(file, what string, at place, put files) {
	if strings.ContainsRune(file, 0) {
		c.noNUL(at.pos, at.path, file)
		return
	}
	if !relativePath(file) || strings.HasPrefix(file, "..") {
		at.refuse("the path %q must be relative, without \"..\" in it or at its start", file)
		return
	}
	clean := path.Clean(file)
	if other, ok := put[clean]; ok {
		at.refuse("the %s and %s have the same path %q", plural(other, what), last(what), file)
	}
	put[clean] = what
}

// plural names two of a kind in one: "keys a", for b to follow, or the first
// alone where they are of different kinds.
func plural(first, second string) string {
	kind, name, _ := strings.Cut(first, " ")
	if strings.HasPrefix(second, kind+" ") {
		return kind + "s " + name
	}
	return first
}

// last is the name behind the kind.
func last(what string) string { return what[strings.LastIndexByte(what, ' ')+1:] }

// overlaps reports files that are also directories of others.
func (c *checker) overlaps(put files, at place) {
	for _, file := range sortedKeys(put) {
		for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
			if other, ok := put[dir]; ok {
				at.refuse("%q, for the %s, is a file for the %s and cannot hold %q", dir, put[file], other, file)
			}
		}
	}
}

// downwardFiles checks files with what Kubernetes knows of the pod.
func (c *checker) downwardFiles(p *app.Pod, items []app.DownwardAPIVolumeFile, at place, put files) {
	for _, f := range items {
		entry := at.key(f.Path).at(f.Pos)
		c.put(f.Path, "file "+f.Path, entry, put)
		entry.field("mode").fileMode(f.Mode, 0o777)
		entry.field("user").id(f.User)
		entry.one("source", choice{"fieldRef", f.FieldRef != nil}, choice{"resourceFieldRef", f.ResourceFieldRef != nil})
		if f.FieldRef != nil {
			c.fieldRef(f.FieldRef, fileFields(), entry.field("fieldRef"))
		}
		if ref := f.ResourceFieldRef; ref != nil {
			at := entry.field("resourceFieldRef").at(ref.Pos)
			if ref.ContainerName == "" {
				at.refuse("it names no container").hint("add containerName: NAME, as a volume is the pod's")
			}
			c.resourceFieldRef(p, ref, at)
		}
	}
}

// Limits of what Kubernetes makes for a volume, in seconds.
const (
	minTokenSeconds       = 600
	maxTokenSeconds       = 1 << 32
	minCertificateSeconds = 3600
	maxCertificateSeconds = 91 * 24 * 3600
	maxKubernetesSigner   = 24 * 3600 // for signers of Kubernetes' own
)

// projected checks a volume of several sources, which share one directory.
func (c *checker) projected(p *app.Pod, v *app.ProjectedVolumeSource, at place) {
	at.field("defaultMode").fileMode(v.DefaultMode, 0o777)
	at.field("defaultUser").id(v.DefaultUser)
	if len(v.Sources) == 0 {
		at.refuse("it has no sources").hint("add sources: [...]")
	}
	put := files{}
	for i := range v.Sources {
		s := &v.Sources[i]
		c.projection(p, s, at.field("sources").item(i).at(s.Pos), put)
	}
	c.overlaps(put, at)
}

func (c *checker) projection(p *app.Pod, s *app.VolumeProjection, at place, put files) {
	at.one("source",
		choice{"configMap", s.ConfigMap != nil}, choice{"secret", s.Secret != nil}, choice{"downwardAPI", s.DownwardAPI != nil},
		choice{"serviceAccountToken", s.ServiceAccountToken != nil}, choice{"clusterTrustBundle", s.ClusterTrustBundle != nil},
		choice{"podCertificate", s.PodCertificate != nil})
	if m := s.ConfigMap; m != nil {
		c.projectedKeys(&app.Files{Name: m.Name, Items: m.Items, Optional: m.Optional}, at.field("configMap").at(m.Pos), put, c.configMapKey)
	}
	if m := s.Secret; m != nil {
		c.projectedKeys(&app.Files{Name: m.Name, Items: m.Items, Optional: m.Optional}, at.field("secret").at(m.Pos), put, c.secretKey)
	}
	if s.DownwardAPI != nil {
		c.downwardFiles(p, s.DownwardAPI.Items, at.field("downwardAPI").at(s.DownwardAPI.Pos).field("items"), put)
	}
	if t := s.ServiceAccountToken; t != nil {
		token := at.field("serviceAccountToken").at(t.Pos)
		c.put(t.Path, "token "+t.Path, token, put)
		within(token.field("expirationSeconds"), t.ExpirationSeconds, minTokenSeconds, maxTokenSeconds)
		token.field("user").id(t.User)
	}
	if s.ClusterTrustBundle != nil {
		c.trustBundle(s.ClusterTrustBundle, at.field("clusterTrustBundle").at(s.ClusterTrustBundle.Pos), put)
	}
	if s.PodCertificate != nil {
		c.podCertificate(s.PodCertificate, at.field("podCertificate").at(s.PodCertificate.Pos), put)
	}
}

func (c *checker) projectedKeys(f *app.Files, at place, put files, exists func(pos app.Pos, path, name, key string)) {
	if f.Name == "" {
		at.refuse("it has no name").hint("add name: NAME")
		return
	}
	c.shown(f, at, exists)
	for _, item := range f.Items {
		c.keyToPath(item, at.field("items"), put)
	}
}

func (c *checker) trustBundle(b *app.ClusterTrustBundleProjection, at place, put files) {
	at.one("name", choice{"name", b.Name != ""}, choice{"signerName", b.SignerName != ""})
	if b.Name != "" && b.LabelSelector != nil {
		at.field("labelSelector").refuse("a bundle is chosen by its name already").hint("leave it out, or choose by signerName")
	}
	if b.SignerName != "" {
		at.field("signerName").signer(b.SignerName)
	}
	if signer, name, ok := strings.Cut(b.Name, ":"); b.Name != "" && (ok || !isDNSName(b.Name)) && (!ok || !isDNSName(name) || strings.Count(signer, ".") == 0) {
		at.field("name").refuse("%q is not the name of a bundle", b.Name)
	}
	c.selector(b.LabelSelector, at.field("labelSelector"))
	c.put(b.Path, "bundle "+b.Path, at, put)
	at.field("user").id(b.User)
}

func (c *checker) podCertificate(s *app.PodCertificateProjection, at place, put files) {
	if s.SignerName == "" {
		at.refuse("it names no signer").hint("add signerName: \"DOMAIN/NAME\"")
	} else {
		at.field("signerName").signer(s.SignerName)
	}
	if s.KeyType == "" {
		at.refuse("it has no keyType").hint("add keyType: \"ED25519\"")
	}
	at.field("keyType").oneOf(s.KeyType, "RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519")
	most := maxCertificateSeconds
	if domain, _, _ := strings.Cut(s.SignerName, "/"); domain == "kubernetes.io" || strings.HasSuffix(domain, ".kubernetes.io") {
		most = maxKubernetesSigner
	}
	within(at.field("maxExpirationSeconds"), s.MaxExpirationSeconds, minCertificateSeconds, most)
	at.field("user").id(s.User)
	paths := 0
	for _, file := range []string{s.CredentialBundlePath, s.KeyPath, s.CertificateChainPath} {
		if file != "" {
			c.put(file, "certificate "+file, at, put)
			paths++
		}
	}
	if paths == 0 {
		at.refuse("it puts its certificate nowhere").hint("add credentialBundlePath: PATH")
	}
	for _, key := range sortedKeys(s.UserAnnotations) {
		at.field("userAnnotations").key(key).qualified(key)
	}
}

// signer wants the name of who signs: a domain of several parts, and a name.
func (p place) signer(name string) {
	domain, rest, ok := strings.Cut(name, "/")
	if !ok || !isDNSName(domain) || !strings.Contains(domain, ".") || !isDNSName(rest) {
		p.refuse("%q is not the name of a signer", name).hint("it is DOMAIN/NAME, such as \"example.com/pods\"")
	}
}
