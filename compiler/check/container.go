package check

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"github.com/cuepod/cuepod/compiler/app"
)

func (c *checker) container(p *app.Pod, ctr *app.Container, at place) {
	c.image(ctr.Image, at.field("image"))
	c.argument(ctr.Pos, at.path+".command", ctr.Command...)
	c.argument(ctr.Pos, at.path+".args", ctr.Args...)
	at.field("workingDir").absolute(ctr.WorkingDir)
	at.field("terminationMessagePath").absolute(ctr.TerminationMessagePath)
	for i := range ctr.Env {
		e := &ctr.Env[i]
		c.envVar(p, e, at.field("env", e.Name).at(e.Pos))
	}
	for i, e := range ctr.EnvFrom {
		c.envFrom(e, at.field("envFrom").item(i).at(e.Pos))
	}
	for _, port := range ctr.Ports {
		if !portName(port.Name) {
			at.field("ports", port.Name).at(port.Pos).refuse("the name is not valid; it must have a letter, and no two \"-\" in a row")
		}
	}
	c.volumeMounts(p, ctr, at.field("volumeMounts"))
	c.volumeDevices(p, ctr, at.field("volumeDevices"))
	c.resources(p, &ctr.Resources, at.field("resources"))
	c.resizePolicy(p, ctr, at.field("resizePolicy"))
	c.security(p, &ctr.SecurityContext, at.field("securityContext"))
	c.restartRules(ctr, at)
	for _, probe := range probes(ctr) {
		if probe.probe != nil {
			c.probe(ctr, probe.probe, at.field(probe.name))
		}
	}
	if ctr.Lifecycle != nil {
		c.lifecycle(p, ctr, at.field("lifecycle"))
	}
	c.build(ctr, at)
	if ctr.Dev != nil {
		c.dev(ctr, at.field("dev").at(ctr.Dev.Pos))
	}
}

// image checks an image's name by the rules of those who pull it.
func (c *checker) image(image string, at place) {
	if _, err := reference.ParseNormalizedNamed(image); err == nil {
		return
	}
	name, _, _ := strings.Cut(image, ":")
	if lower := strings.Replace(image, name, strings.ToLower(name), 1); lower != image {
		if _, err := reference.ParseNormalizedNamed(lower); err == nil {
			at.refuse("%q is not valid; an image's name has no capital letters", image).hint("did you mean %q?", lower)
			return
		}
	}
	at.refuse("%q is not the name of an image", image).
		hint("a name is NAME:TAG or REGISTRY/NAME:TAG, such as \"registry.example/web:1.2\", or has @DIGEST for the tag")
}

func quoted(s string) string { return fmt.Sprintf("%q", s) }

// noNUL refuses the byte that ends a string in C: the engine would start the
// container and the kernel would then cut or refuse the argument.
func (c *checker) noNUL(pos app.Pos, at string, values ...string) {
	for _, v := range values {
		if strings.ContainsRune(v, 0) {
			c.report(pos, "%s: there is a NUL byte, which no program can be given", at)
		}
	}
}

// maxString is the most bytes that Linux gives a program in one argument or
// variable: MAX_ARG_STRLEN without the NUL behind it. A container with more
// exits as it starts, with "argument list too long".
const maxString = 128<<10 - 1

// argument refuses what no program can be given.
func (c *checker) argument(pos app.Pos, at string, values ...string) {
	c.noNUL(pos, at, values...)
	for _, v := range values {
		if len(v) > maxString {
			c.report(pos, "%s: it has %d bytes; Linux gives a program at most %d in one argument or variable", at, len(v), maxString)
			c.hint("give it in a file, such as one of a ConfigMap's in a volume")
		}
	}
}

// Limits of restart rules, from Kubernetes' core/validation.
const maxRestartRules = 20

// restartRules checks when a container is restarted on its own.
func (c *checker) restartRules(ctr *app.Container, at place) {
	at.field("restartPolicy").oneOf(ctr.RestartPolicy, "Always", "OnFailure", "Never")
	rules := at.field("restartPolicyRules")
	if len(ctr.RestartPolicyRules) > 0 && ctr.RestartPolicy == "" {
		rules.refuse("they are exceptions from a restartPolicy of the container's own").hint("add restartPolicy: \"Never\", or what else holds without them")
	}
	if n := len(ctr.RestartPolicyRules); n > maxRestartRules {
		rules.refuse("there are %d rules; there can be %d", n, maxRestartRules)
	}
	for i, rule := range ctr.RestartPolicyRules {
		at := rules.item(i).at(rule.Pos)
		if rule.Action == "" {
			at.refuse("it has no action").hint("add action: \"Restart\"")
		}
		at.field("action").oneOf(rule.Action, "Restart", "RestartAllContainers")
		codes := rule.ExitCodes
		if codes == nil {
			at.refuse("it has no exitCodes").hint("add exitCodes: {operator: \"In\", values: [NUMBER]}")
			continue
		}
		exits := at.field("exitCodes").at(codes.Pos)
		if codes.Operator == "" {
			exits.refuse("it has no operator").hint("add operator: \"In\" or \"NotIn\"")
		}
		exits.field("operator").oneOf(codes.Operator, "In", "NotIn")
		if n := len(codes.Values); n == 0 || n > maxExitCodes {
			exits.field("values").refuse("there are %d values; there can be 1 to %d", n, maxExitCodes)
		}
	}
}

// volumeMounts checks each mount, and that no two have one path, however
// written.
func (c *checker) volumeMounts(p *app.Pod, ctr *app.Container, at place) {
	taken := map[string]app.VolumeMount{}
	for _, m := range ctr.VolumeMounts {
		where := at.field(quoted(m.MountPath)).at(m.Pos)
		c.volumeMount(p, ctr, m, where)
		if first, ok := taken[path.Clean(m.MountPath)]; ok {
			where.refuse("it is the same path as %q, at %s", first.MountPath, first.Pos).hint("mount one volume at a path")
		}
		taken[path.Clean(m.MountPath)] = m
	}
}

func (c *checker) volumeMount(p *app.Pod, ctr *app.Container, m app.VolumeMount, at place) {
	c.noNUL(m.Pos, at.path, m.MountPath)
	if !path.IsAbs(m.MountPath) || strings.Contains(m.MountPath, ":") {
		at.refuse("the path must be absolute and without \":\"")
	}
	at.field("subPath").below(m.SubPath)
	at.field("subPathExpr").below(m.SubPathExpr)
	if m.SubPath != "" && m.SubPathExpr != "" {
		at.field("subPathExpr").refuse("there is also a subPath").hint("leave one of them out")
	}
	have := volumeNames(p)
	if !slices.Contains(have, m.Name) {
		at.missing("volume", m.Name, "pod "+p.Name, have)
	} else if c.volumeMode(p, m.Name) == "Block" {
		at.refuse("the volume %q is a device, as its claim's volumeMode is Block", m.Name).hint("name it in volumeDevices, or leave volumeMode out")
	}
	c.mountOptions(p, ctr, m, at)
}

func (c *checker) mountOptions(p *app.Pod, ctr *app.Container, m app.VolumeMount, at place) {
	if m.MountPropagation == "Bidirectional" && !isTrue(ctr.SecurityContext.Privileged) {
		at.field("mountPropagation").refuse("only a privileged container can pass mounts on").hint("set securityContext: privileged: true, or mountPropagation: \"HostToContainer\"")
	}
	recursive := at.field("recursiveReadOnly")
	if recursive.oneOf(m.RecursiveReadOnly, "Disabled", "IfPossible", "Enabled") && m.RecursiveReadOnly != "" && m.RecursiveReadOnly != "Disabled" {
		if !m.ReadOnly {
			recursive.refuse("the mount is not read-only").hint("add readOnly: true")
		}
		if m.MountPropagation != "" && m.MountPropagation != "None" {
			recursive.refuse("a mount that others can add to cannot be read-only throughout").hint("leave mountPropagation out")
		}
	}
	options := at.field("bindMountOptions")
	for i, option := range m.BindMountOptions {
		options.item(i).oneOf(option, "noexec", "nodev", "nosuid")
		if slices.Contains(m.BindMountOptions[:i], option) {
			options.item(i).refuse("%q is there twice", option)
		}
	}
	if v := p.Volume(m.Name); v != nil && v.Image != nil && len(m.BindMountOptions) > 0 {
		options.refuse("a volume with an image's files has none").hint("leave them out")
	}
}

func isTrue(b *bool) bool { return b != nil && *b }

// volumeMode is how a volume appears, where a claim of the app says so.
func (c *checker) volumeMode(p *app.Pod, name string) string {
	for _, cl := range p.VolumeClaimTemplates {
		if cl.Name == name {
			return cl.VolumeMode
		}
	}
	v := p.Volume(name)
	if v == nil {
		return ""
	}
	if v.Claim != nil {
		if cl := c.app.Claim(v.Claim.ClaimName); cl != nil {
			return cl.VolumeMode
		}
	}
	if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil && v.Ephemeral.VolumeClaimTemplate.Spec != nil {
		return v.Ephemeral.VolumeClaimTemplate.Spec.VolumeMode
	}
	return ""
}

// volumeDevices checks volumes that appear as devices.
func (c *checker) volumeDevices(p *app.Pod, ctr *app.Container, at place) {
	if len(ctr.VolumeDevices) > 0 && p.HostUsers != nil && !*p.HostUsers {
		at.at(ctr.VolumeDevices[0].Pos).refuse("a pod with users of its own can have no devices").hint("leave hostUsers out")
	}
	have := volumeNames(p)
	for i, d := range ctr.VolumeDevices {
		at := at.field(quoted(d.DevicePath)).at(d.Pos)
		if !path.IsAbs(d.DevicePath) || !noBacksteps(d.DevicePath) {
			at.refuse("the path must be absolute and without \"..\"")
		}
		v := p.Volume(d.Name)
		switch {
		case !slices.Contains(have, d.Name):
			at.missing("volume", d.Name, "pod "+p.Name, have)
		case v != nil && v.Claim == nil && v.Ephemeral == nil:
			at.refuse("the volume %q is no device", d.Name).hint("only a claim with volumeMode: \"Block\" can be one")
		case c.volumeMode(p, d.Name) != "Block" && !c.foreignClaim(v):
			at.refuse("the volume %q is no device", d.Name).hint("set volumeMode: \"Block\" at its claim")
		}
		for _, m := range ctr.VolumeMounts {
			if m.Name == d.Name || m.MountPath == d.DevicePath {
				at.refuse("the volume or its path is also in volumeMounts, at %s", m.Pos).hint("a volume is either mounted or a device")
			}
		}
		for _, other := range ctr.VolumeDevices[:i] {
			if other.Name == d.Name {
				at.refuse("the volume is also the device %q", other.DevicePath).hint("a volume is one device")
			}
		}
	}
}

// foreignClaim reports whether a volume's claim is not of the app.
func (c *checker) foreignClaim(v *app.Volume) bool {
	return v != nil && v.Claim != nil && c.app.Claim(v.Claim.ClaimName) == nil
}
