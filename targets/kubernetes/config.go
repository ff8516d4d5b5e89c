package kubernetes

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
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
		names[c.Name] = c.Name + "-" + dataHash(c.Data)
	}
	return names
}

// dataHash is eight hexadecimal digits over keys and values, each with its
// length in front so that no two maps run together into the same bytes.
func dataHash(data map[string]string) string {
	h := sha256.New()
	write := func(s string) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		h.Write([]byte(s))
	}
	for _, k := range slices.Sorted(maps.Keys(data)) {
		write(k)
		write(data[k])
	}
	return hex.EncodeToString(h.Sum(nil)[:4])
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
	body := r.head("v1", "ConfigMap", r.configMaps[c.Name], "", nil, nil).
		Set("immutable", true).
		Opt("data", sorted(c.Data))
	return object{"ConfigMap", c.Name, body}
}

func (r *renderer) claim(c *app.Claim) object {
	modes := c.AccessModes
	if len(modes) == 0 {
		modes = []string{"ReadWriteOnce"}
	}
	spec := yaml.New().
		Set("accessModes", yaml.Strings(modes)).
		Opt("storageClassName", c.StorageClassName).
		Set("resources", yaml.New().Set("requests", yaml.New().Set("storage", string(c.Storage))))
	return object{"PersistentVolumeClaim", c.Name, r.head("v1", "PersistentVolumeClaim", c.Name, "", nil, nil).Set("spec", spec)}
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
