package docker

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Values is what only a running pod knows.
type Values struct {
	Secret func(name, key string) (value string, ok bool)
	PodIP  string
	HostIP string
}

// Resolve fills in what the definition left open: the environment as
// NAME=value, and entrypoint and arguments with $(VAR) expanded, by Kubernetes'
// rules (a reference to an unknown variable stays as it is, $$ escapes, values
// from elsewhere are not expanded again). It fails when a secret that is not
// optional has no value.
func (c *Container) Resolve(v Values) (entrypoint, cmd, env []string, err error) {
	known := map[string]string{}
	lookup := func(name string) (string, bool) { value, ok := known[name]; return value, ok }
	for _, e := range c.Env {
		value := e.Value
		switch e.Source {
		case Literal:
			value = Expand(value, lookup)
		case FromPodIP:
			value = v.PodIP
		case FromHostIP:
			value = v.HostIP
		case FromSecret:
			var ok bool
			if value, ok = v.Secret(e.Secret.Name, e.Secret.Key); !ok {
				if e.Secret.Optional {
					continue // absent, not empty
				}
				return nil, nil, nil, fmt.Errorf("environment variable %s: secret %s has no value for key %s", e.Name, e.Secret.Name, e.Secret.Key)
			}
		}
		known[e.Name] = value
		env = append(env, e.Name+"="+value)
	}
	return expandAll(c.Entrypoint, lookup), expandAll(c.Cmd, lookup), env, nil
}

// Expand gives the sub-path that a mount asks for, with $(VAR) replaced by the
// container's environment, as Resolve gives it. As in Kubernetes, an unknown
// variable is an error, and so is a path that leads out of the volume.
func (m *Mount) Expand(env []string) (string, error) {
	if m.SubPathExpr == "" {
		return m.SubPath, nil
	}
	unknown := ""
	expanded := Expand(m.SubPathExpr, func(name string) (string, bool) {
		for _, kv := range env {
			if value, ok := strings.CutPrefix(kv, name+"="); ok {
				return value, true
			}
		}
		unknown = name
		return "", false
	})
	switch {
	case unknown != "":
		return "", fmt.Errorf("mount %s: subPathExpr %q: there is no variable %s", m.Path, m.SubPathExpr, unknown)
	case path.IsAbs(expanded) || slices.Contains(strings.Split(expanded, "/"), ".."):
		return "", fmt.Errorf("mount %s: subPathExpr %q leads out of the volume", m.Path, m.SubPathExpr)
	}
	return expanded, nil
}

func expandAll(list []string, lookup func(string) (string, bool)) []string {
	if list == nil {
		return nil
	}
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = Expand(s, lookup)
	}
	return out
}

// Expand replaces $(NAME) by its value. $$ gives one $; an unknown name and an
// unclosed reference stay as they are. Source: Kubernetes'
// third_party/forked/golang/expansion.
func Expand(s string, lookup func(name string) (string, bool)) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 || i+1 == len(s) {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		s = s[i:]
		switch s[1] {
		case '$':
			b.WriteByte('$')
			s = s[2:]
		case '(':
			end := strings.IndexByte(s, ')')
			if end < 0 {
				b.WriteString("$(")
				s = s[2:]
				continue
			}
			if value, ok := lookup(s[2:end]); ok {
				b.WriteString(value)
			} else {
				b.WriteString(s[:end+1])
			}
			s = s[end+1:]
		default:
			b.WriteByte('$')
			s = s[1:]
		}
	}
}
