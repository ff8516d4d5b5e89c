package docker

import (
	"fmt"
	"slices"
)

// markOptional finds the secrets' keys that nothing needs.
func (s *State) markOptional() {
	needed := map[KeyRef]bool{}
	need := func(ref *KeyRef) {
		if ref != nil && !ref.Optional {
			needed[*ref] = true
		}
	}
	pod := func(p *Pod) {
		for _, c := range slices.Concat(p.Init, p.Containers) {
			for _, e := range c.Env {
				need(e.Secret)
			}
		}
		for _, v := range p.Files {
			for _, f := range v.Files {
				need(f.Secret)
			}
		}
	}
	for i := range s.Pods {
		pod(&s.Pods[i])
	}
	for i := range s.Jobs {
		pod(&s.Jobs[i].Template)
	}
	for i := range s.Secrets {
		s.Secrets[i].Optional = !needed[KeyRef{Name: s.Secrets[i].Name, Key: s.Secrets[i].Key}]
	}
}

// Lacks is what a pod cannot start without and does not have: a secret's value
// that a volume shows.
func (p *Pod) Lacks(secret func(name, key string) (string, bool)) error {
	for _, v := range p.Files {
		for _, f := range v.Files {
			if f.Secret == nil || f.Secret.Optional {
				continue
			}
			if _, ok := secret(f.Secret.Name, f.Secret.Key); !ok {
				return fmt.Errorf("file %s of a volume: secret %s has no value for key %s", f.Path, f.Secret.Name, f.Secret.Key)
			}
		}
	}
	return nil
}
