package kubernetes

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// hashedNames gives each ConfigMap the name it has in the cluster.
func hashedNames(a *app.App) map[string]string {
	names := make(map[string]string, len(a.ConfigMaps))
	for i := range a.ConfigMaps {
		c := &a.ConfigMaps[i]
		names[c.Name] = c.Name + "-" + dataHash(c)
	}
	return names
}

// dataHash is eight hexadecimal digits over keys and values, each with its
// length in front so that no two maps run together into the same bytes. What is
// text and what is bytes are two parts.
func dataHash(c *app.ConfigMap) string {
	h := sha256.New()
	writeMap(h, c.Data)
	if len(c.BinaryData) > 0 {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(c.Data))))
		writeMap(h, c.BinaryData)
	}
	return hex.EncodeToString(h.Sum(nil)[:4])
}

func writeMap[T string | []byte](h hash.Hash, m map[string]T) {
	write := func(s []byte) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		h.Write(s)
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		write([]byte(k))
		write([]byte(m[k]))
	}
}

// configMapName is the cluster's name of a ConfigMap; one that is not the
// app's own keeps its name.
func (r *renderer) configMapName(name string) string {
	if hashed, ok := r.configMaps[name]; ok {
		return hashed
	}
	return name
}

// configMap is immutable: its name is its content, and the kubelet need not
// watch it.
func (r *renderer) configMap(c *app.ConfigMap) object {
	body := r.head("v1", "ConfigMap", meta{name: r.configMaps[c.Name]}).
		Set("immutable", true).
		Opt("data", sorted(c.Data)).
		Opt("binaryData", encoded(c.BinaryData))
	return object{"ConfigMap", c.Name, body}
}

// encoded is bytes as JSON has them.
func encoded(m map[string][]byte) *yaml.Map {
	out := yaml.New()
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out.Set(k, base64.StdEncoding.EncodeToString(m[k]))
	}
	return out
}

// needSecret says that a secret has to exist, and how to make it.
func (r *renderer) needSecret(s *app.Secret) {
	hint := "create it with: " + r.createCommand(s)
	if external(s) {
		hint = "whoever provides it can use: " + r.createCommand(s)
	}
	r.findings.Add("kubernetes/secret-needed", "secrets."+s.Name, s.Pos,
		fmt.Sprintf("the output holds no secret values: secret %s with %s has to exist before the pods that read it can start", s.Name, keyList(s)), hint)
}

func external(s *app.Secret) bool {
	return !slices.ContainsFunc(s.Keys, func(k app.SecretKey) bool { return !k.External })
}

func keyList(s *app.Secret) string {
	names := make([]string, len(s.Keys))
	for i, k := range s.Keys {
		names[i] = k.Name
	}
	if len(names) == 1 {
		return "the key " + names[0]
	}
	return "the keys " + strings.Join(names, ", ")
}

// createCommand is the kubectl command that makes the secret from its sources.
func (r *renderer) createCommand(s *app.Secret) string {
	var b strings.Builder
	b.WriteString("kubectl create secret generic " + s.Name)
	if r.app.Namespace != "" {
		b.WriteString(" --namespace=" + r.app.Namespace)
	}
	if s.Type != "" && s.Type != "Opaque" {
		b.WriteString(" --type=" + s.Type)
	}
	for _, k := range s.Keys {
		b.WriteString(" " + keyOption(k))
	}
	return b.String()
}

func keyOption(k app.SecretKey) string {
	switch {
	case k.Env != "":
		return fmt.Sprintf(`--from-literal=%s="$%s"`, k.Name, k.Env)
	case k.File != "":
		return fmt.Sprintf("--from-file=%s=%s", k.Name, k.File)
	case k.Generate != nil:
		return fmt.Sprintf(`--from-literal=%s="$(LC_ALL=C tr -dc A-Za-z0-9 </dev/urandom | head -c %d)"`, k.Name, length(k.Generate))
	}
	return fmt.Sprintf("--from-file=%s=FILE", k.Name)
}

func length(g *app.GenerateSecret) int {
	if g.Length == 0 {
		return 32
	}
	return g.Length
}
