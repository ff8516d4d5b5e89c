package check

import (
	"maps"
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
	at := c.place("configMaps."+m.Name, m.Pos)
	size := 0
	for _, key := range sortedKeys(m.Data) {
		size += len(key) + len(m.Data[key])
		c.key(m.Pos, at.path+".data", key)
		if _, ok := m.BinaryData[key]; ok {
			at.field("binaryData").key(key).refuse("the key is there twice").hint("give each value a key of its own")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(m.BinaryData)) {
		size += len(key) + len(m.BinaryData[key])
		c.key(m.Pos, at.path+".binaryData", key)
	}
	if size > maxConfigMap {
		at.refuse("it holds %d bytes; Kubernetes allows %d", size, maxConfigMap)
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

func (c *checker) claim(cl *app.Claim, at place) {
	c.meta(at.path+".", cl.Pos, cl.Labels, cl.Annotations)
	c.storage(cl.Storage, at.field("storage"))
	if len(cl.AccessModes) == 0 {
		at.field("accessModes").refuse("there is none").hint("leave the field out for ReadWriteOnce")
	}
	c.accessModes(cl.AccessModes, at.field("accessModes"))
	c.claimSpec(&claimRest{cl.Selector, cl.StorageClassName, cl.VolumeAttributesClassName, cl.DataSource, cl.DataSourceRef}, at)
}

// storage wants an amount of bytes.
func (c *checker) storage(q app.Quantity, at place) {
	if !c.quantity(at.pos, at.path, q) {
		return
	}
	if q.Compare("0") <= 0 {
		at.refuse("it must be more than 0")
	}
	c.wholeBytes(at.pos, at.path, q)
}

func (c *checker) accessModes(modes []string, at place) {
	if slices.Contains(modes, "ReadWriteOncePod") && len(modes) > 1 {
		at.refuse("ReadWriteOncePod cannot have other modes beside it")
	}
}

// claimRest is what a claim of the app and one in a template have in common,
// beside their storage.
type claimRest struct {
	selector  *app.LabelSelector
	class     *string
	settings  string
	source    *app.TypedLocalObjectReference
	sourceRef *app.TypedObjectReference
}

func (c *checker) claimSpec(r *claimRest, at place) {
	c.selector(r.selector, at.field("selector"))
	if r.class != nil {
		at.field("storageClassName").dnsName(*r.class)
	}
	at.field("volumeAttributesClassName").dnsName(r.settings)
	if s := r.source; s != nil {
		c.dataSource(s.APIGroup, s.Kind, at.field("dataSource").at(s.Pos))
	}
	ref := r.sourceRef
	if ref == nil {
		return
	}
	where := at.field("dataSourceRef").at(ref.Pos)
	c.dataSource(ref.APIGroup, ref.Kind, where)
	where.field("namespace").dnsLabel(ref.Namespace)
	if s := r.source; s != nil && (ref.Namespace != "" || s.APIGroup != ref.APIGroup || s.Kind != ref.Kind || s.Name != ref.Name) {
		at.field("dataSource").refuse("dataSourceRef says something else").hint("leave dataSource out: dataSourceRef says more")
	}
}

func (c *checker) dataSource(group, kind string, at place) {
	at.field("apiGroup").dnsName(group)
	if group == "" && kind != "PersistentVolumeClaim" {
		at.refuse("a %s needs an apiGroup", kind).hint("add apiGroup, such as \"snapshot.storage.k8s.io\"; without it, kind is \"PersistentVolumeClaim\"")
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

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
