// Package check holds the rules of an app that a schema cannot express: names
// that refer to something, choices of exactly one, numbers that must not
// clash. It works on the model alone, whatever the model came from, and takes
// for granted what the schema guarantees.
package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// Problem is one mistake, at the user's line.
type Problem struct {
	Pos     app.Pos
	Message string // starts with the object's path in the definition
	Hint    string // what to do next; may be empty
}

// App returns everything that is wrong with an app, in no particular order.
func App(a *app.App) []Problem {
	c := &checker{app: a}
	c.meta("", a.Pos, a.Labels, a.Annotations)
	for i := range a.Pods {
		c.pod(&a.Pods[i])
		c.grants(a.Pods[i].Raised, a.Pods[i].Pos)
	}
	c.grants(a.Raised, a.Pos)
	c.cycles()
	for i := range a.Services {
		c.service(&a.Services[i])
	}
	c.nodePorts()
	for i := range a.ConfigMaps {
		c.configMap(&a.ConfigMaps[i])
	}
	for i := range a.Secrets {
		c.secret(&a.Secrets[i])
	}
	for i := range a.Claims {
		c.claim(&a.Claims[i], c.place("persistentVolumeClaims."+a.Claims[i].Name, a.Claims[i].Pos))
	}
	for i := range a.Ingresses {
		c.ingress(&a.Ingresses[i])
	}
	for i := range a.HTTPRoutes {
		c.httpRoute(&a.HTTPRoutes[i])
	}
	for i := range a.NetworkPolicies {
		c.networkPolicy(&a.NetworkPolicies[i])
	}
	for i := range a.ServiceAccounts {
		c.serviceAccount(&a.ServiceAccounts[i])
	}
	c.hatches()
	c.objects()
	return c.problems
}

// checker collects problems.
type checker struct {
	app      *app.App
	problems []Problem
}

func (c *checker) report(pos app.Pos, format string, args ...any) {
	c.problems = append(c.problems, Problem{Pos: pos, Message: fmt.Sprintf(format, args...)})
}

// hint adds a hint to the last problem.
func (c *checker) hint(format string, args ...any) {
	c.problems[len(c.problems)-1].Hint = fmt.Sprintf(format, args...)
}

// missing reports a name that refers to nothing, with what there is instead:
// missing(pos, "services.web", "pod", "wbe", "the app", names).
func (c *checker) missing(pos app.Pos, path, kind, name, owner string, have []string) {
	c.report(pos, "%s: there is no %s %q", path, kind, name)
	if len(have) == 0 {
		c.hint("%s has none", owner)
		return
	}
	slices.Sort(have)
	c.hint("%s has: %s", owner, strings.Join(slices.Compact(have), ", "))
}

func names[T any](list []T, name func(T) string) []string {
	var out []string
	for _, item := range list {
		out = append(out, name(item))
	}
	return out
}

func (c *checker) podNames() []string {
	return names(c.app.Pods, func(p app.Pod) string { return p.Name })
}

func (c *checker) serviceNames() []string {
	return names(c.app.Services, func(s app.Service) string { return s.Name })
}

func (c *checker) configMapNames() []string {
	return names(c.app.ConfigMaps, func(m app.ConfigMap) string { return m.Name })
}

func (c *checker) secretNames() []string {
	return names(c.app.Secrets, func(s app.Secret) string { return s.Name })
}

func (c *checker) claimNames() []string {
	return names(c.app.Claims, func(c app.Claim) string { return c.Name })
}

// configMapKey checks a reference to a ConfigMap, and to a key of it unless key
// is "".
func (c *checker) configMapKey(pos app.Pos, path, name, key string) {
	m := c.app.ConfigMap(name)
	if m == nil {
		c.missing(pos, path, "configMap", name, "the app", c.configMapNames())
		return
	}
	_, text := m.Data[key]
	_, binary := m.BinaryData[key]
	if !text && !binary && key != "" {
		have := slices.AppendSeq(slices.Collect(maps.Keys(m.Data)), maps.Keys(m.BinaryData))
		c.missing(pos, path, "key", key, "configMap "+name, have)
	}
}

// secretKey checks a reference to a secret, and to a key of it unless key is
// "".
func (c *checker) secretKey(pos app.Pos, path, name, key string) {
	s := c.app.Secret(name)
	if s == nil {
		c.missing(pos, path, "secret", name, "the app", c.secretNames())
		return
	}
	keys := names(s.Keys, func(k app.SecretKey) string { return k.Name })
	if key != "" && !slices.Contains(keys, key) {
		c.missing(pos, path, "key", key, "secret "+name, keys)
	}
}

// exactlyOne reports a choice of which not exactly one was made. set has the
// members that are there, all the ones that could be.
func (c *checker) exactlyOne(pos app.Pos, path, what string, set, all []string) {
	if len(set) == 1 {
		return
	}
	if len(set) == 0 {
		c.report(pos, "%s: there is no %s", path, what)
	} else {
		c.report(pos, "%s: there are %d %ss: %s", path, len(set), what, strings.Join(set, ", "))
	}
	c.hint("give it exactly one of %s", strings.Join(all, ", "))
}

// choice is one member of an exactly-one choice.
type choice struct {
	name string
	set  bool
}

func chosen(choices ...choice) (set, all []string) {
	for _, ch := range choices {
		all = append(all, ch.name)
		if ch.set {
			set = append(set, ch.name)
		}
	}
	return set, all
}
