package docker

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// Values is what only a running pod knows.
type Values struct {
	Secret func(name, key string) (value string, ok bool)
	// File reads a file of the infra container's. It fails with an error that
	// wraps fs.ErrNotExist where there is none.
	File    func(path string) ([]byte, error)
	PodIP   string
	HostIP  string
	UID     string
	Machine Machine
	Links   map[string]string // variables of services, see Links
}

// Machine is what the engine's machine has for containers to use.
type Machine struct {
	CPUs   int
	Memory int64 // bytes
}

// Resolve fills in what the definition left open: the environment as
// NAME=value, and entrypoint and arguments with $(VAR) expanded, by Kubernetes'
// rules (kubelet's makeEnvironmentVariables): a reference reaches variables
// before it and those of services; one to an unknown variable stays as it is,
// $$ escapes, values from elsewhere are not expanded again. Variables of
// services come last and replace none. An error says what is missing, or what
// no program can be given; it holds no value.
func (c *Container) Resolve(v Values) (entrypoint, cmd, env []string, err error) {
	known := map[string]string{}
	lookup := func(name string) (string, bool) {
		if value, ok := known[name]; ok {
			return value, true
		}
		value, ok := v.Links[name]
		return value, ok && !c.NoServiceLinks
	}
	var order []string
	for i := range c.Env {
		e := &c.Env[i]
		value, ok, err := e.value(v, lookup)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("environment variable %s: %w", e.Name, err)
		}
		if !ok {
			continue // absent, not empty
		}
		if _, had := known[e.Name]; !had {
			order = append(order, e.Name)
		}
		known[e.Name] = value
	}
	if !c.NoServiceLinks {
		for _, name := range slices.Sorted(maps.Keys(v.Links)) {
			if _, had := known[name]; !had {
				known[name] = v.Links[name]
				order = append(order, name)
			}
		}
	}
	for _, name := range order {
		env = append(env, name+"="+known[name])
	}
	entrypoint, cmd = expandAll(c.Entrypoint, lookup), expandAll(c.Cmd, lookup)
	if err := fit(env, slices.Concat(entrypoint, cmd)); err != nil {
		return nil, nil, nil, err
	}
	return entrypoint, cmd, env, nil
}

// value gives the value of a variable; false for one that is absent.
func (e *EnvVar) value(v Values, lookup func(string) (string, bool)) (value string, ok bool, err error) {
	switch e.Source {
	case Literal:
		return Expand(e.Value, lookup), true, nil
	case FromPodIP:
		return v.PodIP, true, nil
	case FromHostIP:
		return v.HostIP, true, nil
	case FromUID:
		return v.UID, true, nil
	case FromMachine:
		return e.Resource.Of(v.Machine), true, nil
	case FromFile:
		return e.File.value(v.File)
	case FromSecret:
		if value, ok = v.Secret(e.Secret.Name, e.Secret.Key); !ok && !e.Secret.Optional {
			err = fmt.Errorf("secret %s has no value for key %s", e.Secret.Name, e.Secret.Key)
		}
		return value, ok, err
	}
	return e.Value, true, nil
}

// MaxString is the most bytes that Linux gives a program in one argument or
// variable, its name and "=" included: MAX_ARG_STRLEN without the NUL behind
// it. The engine makes and starts a container with more, which exits with code
// 1 and "argument list too long" (measured on 20.10).
const MaxString = 128<<10 - 1

// fit reports what no program can be given. Values are not quoted: they may be
// secrets.
func fit(env, args []string) error {
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		switch {
		case strings.ContainsRune(kv, 0):
			return fmt.Errorf("environment variable %s: there is a NUL byte, which no program can be given", name)
		case len(kv) > MaxString:
			return fmt.Errorf("environment variable %s: with its name it has %d bytes; Linux gives a program at most %d in one", name, len(kv), MaxString)
		}
	}
	for i, arg := range args {
		switch {
		case strings.ContainsRune(arg, 0):
			return fmt.Errorf("argument %d: there is a NUL byte, which no program can be given", i)
		case len(arg) > MaxString:
			return fmt.Errorf("argument %d: it has %d bytes; Linux gives a program at most %d in one", i, len(arg), MaxString)
		}
	}
	return nil
}

// Expand gives the sub-path that a mount asks for, with $(VAR) replaced by the
// container's environment, as Resolve gives it. As in Kubernetes, a variable
// without a value is an error, and so is a path that leads out of the volume.
func (m *Mount) Expand(env []string) (string, error) {
	if m.SubPathExpr == "" {
		return m.SubPath, nil
	}
	unknown := ""
	expanded := Expand(m.SubPathExpr, func(name string) (string, bool) {
		for _, kv := range env {
			if value, ok := strings.CutPrefix(kv, name+"="); ok && value != "" {
				return value, true
			}
		}
		unknown = name
		return "", false
	})
	switch {
	case unknown != "":
		return "", fmt.Errorf("mount %s: subPathExpr %q: the variable %s has no value", m.Path, m.SubPathExpr, unknown)
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
// unclosed reference stay as they are, and a byte after $ that is no text
// becomes U+FFFD. Source: Kubernetes' third_party/forked/golang/expansion.
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
			r, size := utf8.DecodeRuneInString(s[1:])
			b.WriteByte('$')
			b.WriteRune(r)
			s = s[1+size:]
		}
	}
}
