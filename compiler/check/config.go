package check

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// maxConfigMap is Kubernetes' limit in bytes for all values of one ConfigMap
// (core/validation, MaxSecretSize).
const maxConfigMap = 1 << 20

// maxAnnotations is Kubernetes' limit in bytes for all annotations of one
// object (apimachinery, TotalAnnotationSizeLimitB).
const maxAnnotations = 256 << 10

func (c *checker) configMap(m *app.ConfigMap) {
	size := 0
	for _, key := range sortedKeys(m.Data) {
		size += len(key) + len(m.Data[key])
		c.key(m.Pos, "configMaps."+m.Name+".data", key)
	}
	if size > maxConfigMap {
		c.report(m.Pos, "configMaps.%s: it holds %d bytes; Kubernetes allows %d", m.Name, size, maxConfigMap)
	}
}

// key refuses the names that mean a directory.
func (c *checker) key(pos app.Pos, at, key string) {
	if key == "." || strings.HasPrefix(key, "..") {
		c.report(pos, "%s: the key %q is not valid; it must not be \".\" nor start with \"..\"", at, key)
	}
}

func (c *checker) secret(s *app.Secret) {
	for _, k := range s.Keys {
		at := "secrets." + s.Name + ".keys." + k.Name
		c.key(k.Pos, at, k.Name)
		set, all := chosen(
			choice{"external", k.External}, choice{"env", k.Env != ""},
			choice{"file", k.File != ""}, choice{"generate", k.Generate != nil})
		c.exactlyOne(k.Pos, at, "source", set, all)
		if k.File != "" && !relativePath(k.File) {
			c.report(k.Pos, "%s.file: %q must be a path in the module, without \"..\"", at, k.File)
		}
	}
}

func (c *checker) claim(cl *app.Claim) {
	at := "persistentVolumeClaims." + cl.Name
	if c.quantity(cl.Pos, at+".storage", cl.Storage) {
		if cl.Storage.Compare("0") <= 0 {
			c.report(cl.Pos, "%s.storage: it must be more than 0", at)
		}
		c.wholeBytes(cl.Pos, at+".storage", cl.Storage)
	}
	if len(cl.AccessModes) == 0 {
		c.report(cl.Pos, "%s.accessModes: there is none", at)
		c.hint("leave the field out for ReadWriteOnce")
	}
	if i := slices.Index(cl.AccessModes, "ReadWriteOncePod"); i >= 0 && len(cl.AccessModes) > 1 {
		c.report(cl.Pos, "%s.accessModes: ReadWriteOncePod cannot have other modes beside it", at)
	}
}

// meta checks labels and annotations; at ends with a dot, or is "" for the app.
// The rules are those of Kubernetes'
// apimachinery/pkg/util/validation.
func (c *checker) meta(at string, pos app.Pos, labels, annotations map[string]string) {
	for _, key := range sortedKeys(labels) {
		if !qualifiedName(key) {
			c.report(pos, "%slabels: the key %q is not valid", at, key)
			c.hint("a key is NAME or DOMAIN/NAME; NAME has at most 63 letters, digits, \"-\", \"_\" and \".\", with a letter or digit at both ends")
		}
		if v := labels[key]; v != "" && !qualifiedPart.MatchString(v) {
			c.report(pos, "%slabels.%s: the value %q is not valid", at, labelPath(key), v)
			c.hint("a value has at most 63 letters, digits, \"-\", \"_\" and \".\", with a letter or digit at both ends")
		}
	}
	size := 0
	for _, key := range sortedKeys(annotations) {
		size += len(key) + len(annotations[key])
		if !qualifiedName(strings.ToLower(key)) {
			c.report(pos, "%sannotations: the key %q is not valid", at, key)
			c.hint("a key is NAME or DOMAIN/NAME; NAME has at most 63 letters, digits, \"-\", \"_\" and \".\", with a letter or digit at both ends")
		}
	}
	if size > maxAnnotations {
		c.report(pos, "%sannotations: they hold %d bytes; Kubernetes allows %d", at, size, maxAnnotations)
	}
}

// labelPath is a key as CUE writes it in a path.
func labelPath(key string) string {
	if strings.ContainsAny(key, "./-") {
		return quoted(key)
	}
	return key
}

var (
	qualifiedPart = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
	subdomain     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
)

// qualifiedName reports whether a label's key is one Kubernetes accepts.
func qualifiedName(key string) bool {
	name := key
	if prefix, rest, ok := strings.Cut(key, "/"); ok {
		if len(prefix) > 253 || !subdomain.MatchString(prefix) {
			return false
		}
		name = rest
	}
	return qualifiedPart.MatchString(name)
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
