package compose

import (
	"fmt"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

type secretKey struct{ secret, key string }

// secretUse says how a secret key reaches containers.
type secretUse struct{ env, file bool }

// secretVariable is the variable that holds a key's value when docker compose
// runs: the definition's own, or one named after secret and key.
func secretVariable(s *app.Secret, k app.SecretKey) string {
	if k.Env != "" {
		return k.Env
	}
	upper := func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}
	return strings.Map(upper, s.Name+"_"+k.Name)
}

// secretText is a key's value as a variable that has to be set.
func (r *renderer) secretText(s *app.Secret, k app.SecretKey) text {
	use := r.used[secretKey{s.Name, k.Name}]
	use.env = true
	r.used[secretKey{s.Name, k.Name}] = use
	return text{{variable: secretVariable(s, k), hint: "the key " + k.Name + " of secret " + s.Name}}
}

// secretFile is the name of a key among the file's secrets. A key from a file
// is read from there; every other comes from the environment.
func (r *renderer) secretFile(s *app.Secret, k app.SecretKey) string {
	use := r.used[secretKey{s.Name, k.Name}]
	use.file = true
	r.used[secretKey{s.Name, k.Name}] = use

	name := s.Name + "." + k.Name // no secret's name has a dot
	if k.File != "" {
		r.secrets[name] = yaml.New().Set("file", escape(relative(k.File)))
	} else {
		r.secrets[name] = yaml.New().Set("environment", secretVariable(s, k))
	}
	return name
}

// relative makes clear that a path is one.
func relative(path string) string {
	if path == "." || strings.HasPrefix(path, "/") || strings.HasPrefix(path, "./") || strings.HasPrefix(path, "../") {
		return path
	}
	return "./" + path
}

// reportSecrets says where the values of the secrets in use have to come from.
func (r *renderer) reportSecrets() {
	for i := range r.app.Secrets {
		s := &r.app.Secrets[i]
		for _, k := range s.Keys {
			use := r.used[secretKey{s.Name, k.Name}]
			if use == (secretUse{}) || (k.File != "" && !use.env) {
				continue
			}
			name := secretVariable(s, k)
			pos := k.Pos
			if !pos.IsValid() {
				pos = s.Pos
			}
			r.findings.Add("compose/secret", "secrets."+s.Name+".keys."+k.Name, pos,
				fmt.Sprintf("the file holds no secret values: docker compose takes the key %s of secret %s from the variable %s", k.Name, s.Name, name), provide(k, name))
		}
	}
}

// provide says how to set the variable of a key.
func provide(k app.SecretKey, name string) string {
	switch {
	case k.Generate != nil:
		length := k.Generate.Length
		if length == 0 {
			length = 32
		}
		return fmt.Sprintf(`keep one in .env beside the file: echo "%s=$(LC_ALL=C tr -dc A-Za-z0-9 </dev/urandom | head -c %d)" >>.env`, name, length)
	case k.File != "":
		return fmt.Sprintf(`export %s="$(cat %s)"`, name, k.File)
	}
	return "export " + name + " or put it in .env beside the file"
}

// checkVariables fails when a key's variable, named after it, is also that of
// another key. Two keys may share a variable that the definition names.
func (r *renderer) checkVariables() error {
	type owner struct {
		key   string
		named bool
	}
	owners := map[string]owner{}
	for i := range r.app.Secrets {
		s := &r.app.Secrets[i]
		for _, k := range s.Keys {
			name, me := secretVariable(s, k), owner{s.Name + "/" + k.Name, k.Env != ""}
			if other, ok := owners[name]; ok && !(me.named && other.named) {
				return fmt.Errorf("secret keys %s and %s would share the variable %s: rename one, or give it another env source", other.key, me.key, name)
			}
			owners[name] = me
		}
	}
	return nil
}
