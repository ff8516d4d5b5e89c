package compose

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// environment is a container's variables in order of first mention.
type environment struct {
	names  []string
	values map[string]text
}

func (e *environment) set(name string, value text) {
	if _, ok := e.values[name]; !ok {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

func (e *environment) lookup(name string) (text, bool) {
	value, ok := e.values[name]
	return value, ok
}

func (e *environment) yaml() *yaml.Map {
	out := yaml.New()
	for _, name := range e.names {
		out.Set(name, e.values[name].String())
	}
	return out
}

// environment works out a container's variables as the kubelet does: envFrom
// in order, then env in order, the later winning. Only literal values are
// expanded, with what came before them.
func (p *replica) environment(c *app.Container, path string) (*environment, error) {
	env := &environment{values: map[string]text{}}
	if indexed(p.pod) {
		env.set("JOB_COMPLETION_INDEX", literal(strconv.Itoa(p.ordinal)))
	}
	for _, from := range c.EnvFrom {
		if err := p.envFrom(env, from); err != nil {
			return nil, err
		}
	}
	for _, v := range c.Env {
		value, ok, err := p.envValue(env, c, v, path)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", v.Name, err)
		}
		if ok {
			env.set(v.Name, value)
		}
	}
	return env, nil
}

func (p *replica) envFrom(env *environment, from app.EnvFromSource) error {
	if ref := from.ConfigMapRef; ref != nil {
		c := p.r.app.ConfigMap(ref.Name)
		if c == nil {
			return missing(ref.Optional, "ConfigMap", ref.Name)
		}
		for _, key := range slices.Sorted(maps.Keys(c.Data)) {
			env.set(from.Prefix+key, literal(c.Data[key]))
		}
		return nil
	}
	ref := from.SecretRef
	if ref == nil {
		return fmt.Errorf("envFrom names neither a ConfigMap nor a Secret")
	}
	s := p.r.app.Secret(ref.Name)
	if s == nil {
		return missing(ref.Optional, "Secret", ref.Name)
	}
	for _, k := range s.Keys {
		env.set(from.Prefix+k.Name, p.r.secretText(s, k))
	}
	return nil
}

// envValue is the value of one variable; ok is false when it is to be absent.
func (p *replica) envValue(env *environment, c *app.Container, v app.EnvVar, path string) (value text, ok bool, err error) {
	path += ".env." + v.Name
	switch from := v.Source(); {
	case from.ConfigMapKeyRef != nil:
		return p.configMapKey(from.ConfigMapKeyRef)
	case from.SecretKeyRef != nil:
		return p.secretKey(from.SecretKeyRef)
	case from.FieldRef != nil:
		s, ok := p.field(from.FieldRef.FieldPath)
		if !ok {
			p.find("compose/field-ref", path, v.Pos,
				fmt.Sprintf("variable %s is not set: %s is known only while the pod runs", v.Name, from.FieldRef.FieldPath),
				"the pod's name, metadata.name, resolves to its address on the app's network")
		}
		return literal(s), ok, nil
	case from.ResourceFieldRef != nil:
		if named := p.container(from.ResourceFieldRef.ContainerName); named != nil {
			c = named
		}
		s, ok, err := resourceField(c, from.ResourceFieldRef)
		if !ok && err == nil {
			p.find("compose/field-ref", path, v.Pos, fmt.Sprintf("variable %s is not set: the container has no %s", v.Name, from.ResourceFieldRef.Resource), "set the limit")
		}
		return literal(s), ok, err
	case from.FileKeyRef != nil:
		p.find("compose/file-key", path, v.Pos, fmt.Sprintf("variable %s is not set: Compose cannot read it from a file of a volume", v.Name), "")
		return nil, false, nil
	}
	return expand(v.Value, env.lookup), true, nil
}

func (p *replica) configMapKey(ref *app.ConfigMapKeySelector) (text, bool, error) {
	c := p.r.app.ConfigMap(ref.Name)
	if c == nil {
		return nil, false, missing(ref.Optional, "ConfigMap", ref.Name)
	}
	value, ok := c.Data[ref.Key]
	if !ok {
		return nil, false, missing(ref.Optional, "key "+ref.Key+" of ConfigMap", ref.Name)
	}
	return literal(value), true, nil
}

func (p *replica) secretKey(ref *app.SecretKeySelector) (text, bool, error) {
	s := p.r.app.Secret(ref.Name)
	if s == nil {
		return nil, false, missing(ref.Optional, "Secret", ref.Name)
	}
	i := slices.IndexFunc(s.Keys, func(k app.SecretKey) bool { return k.Name == ref.Key })
	if i < 0 {
		return nil, false, missing(ref.Optional, "key "+ref.Key+" of Secret", ref.Name)
	}
	return p.r.secretText(s, s.Keys[i]), true, nil
}

// missing is nil for what may be missing.
func missing(optional bool, kind, name string) error {
	if optional {
		return nil
	}
	return fmt.Errorf("there is no %s %s", kind, name)
}
