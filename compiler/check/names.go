package check

import (
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"
)

// The forms of names and addresses are those of Kubernetes'
// apimachinery/pkg/util/validation.

var (
	qualifiedPart = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
	subdomain     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	dnsLabel      = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	searchDomain  = regexp.MustCompile(`^[a-z0-9_]([-_a-z0-9]*[a-z0-9_])?(\.[a-z0-9_]([-_a-z0-9]*[a-z0-9_])?)*$`)
	sysctlName    = regexp.MustCompile(`^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$`)
	decimal       = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)
)

// maxName is the longest DNS name, in characters.
const maxName = 253

// maxID is the greatest number of a user or group (IsValidUserID).
const maxID = 1<<31 - 1

// qualifiedName reports whether a label's key is one Kubernetes accepts.
func qualifiedName(key string) bool {
	name := key
	if prefix, rest, ok := strings.Cut(key, "/"); ok {
		if !isDNSName(prefix) {
			return false
		}
		name = rest
	}
	return qualifiedPart.MatchString(name)
}

func isDNSName(name string) bool { return len(name) <= maxName && subdomain.MatchString(name) }

func isLabelValue(value string) bool { return value == "" || qualifiedPart.MatchString(value) }

// portName reports whether a port can have this name; that it is short and of
// lower-case letters, digits and "-" is for the schema to say.
func portName(name string) bool {
	return strings.ContainsAny(name, "abcdefghijklmnopqrstuvwxyz") && !strings.Contains(name, "--")
}

// relativePath reports whether p stays below the directory it starts in.
func relativePath(p string) bool {
	return p != "" && !path.IsAbs(p) && noBacksteps(p) && !strings.ContainsRune(p, 0)
}

func noBacksteps(p string) bool { return !slices.Contains(strings.Split(p, "/"), "..") }

// qualified wants a key of labels, or a name of that form.
func (p place) qualified(name string) {
	if !qualifiedName(name) {
		p.refuse("%q is not valid", name).hint("it is NAME or DOMAIN/NAME; NAME has at most 63 letters, digits, \"-\", \"_\" and \".\", with a letter or digit at both ends")
	}
}

// labelValue wants a value that a label can have.
func (p place) labelValue(value string) {
	if !isLabelValue(value) {
		p.refuse("the value %q is not valid", value).hint("a value has at most 63 letters, digits, \"-\", \"_\" and \".\", with a letter or digit at both ends")
	}
}

// dnsName wants a name, if there is one, that an object can have.
func (p place) dnsName(name string) {
	if name != "" && !isDNSName(name) {
		p.refuse("%q is not valid", name).hint("it must be a DNS name: lower-case letters, digits, \"-\" and \".\", such as \"shop.example\", of at most %d characters", maxName)
	}
}

// notEmpty wants an item of a list to be something, and reports whether it is.
func (p place) notEmpty(name string) bool {
	if name == "" {
		p.refuse("it is empty").hint("leave it out")
	}
	return name != ""
}

// dnsLabel wants a name, if there is one, without dots.
func (p place) dnsLabel(name string) {
	if name != "" && !dnsLabel.MatchString(name) {
		p.refuse("%q is not valid", name).hint("it must have lower-case letters, digits and \"-\" only, a letter or digit at both ends, and at most 63 characters")
	}
}

// ip wants an address in its usual form, and gives it.
func (p place) ip(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Is4In6() || addr.Zone() != "" {
		p.refuse("%q is not an IP address", text).hint("write an address such as \"10.9.8.7\" or \"2001:db8::1\"")
		return addr, false
	}
	if addr.String() != text {
		p.refuse("%q is not how this address is written", text).hint("write it as %q", addr.String())
		return addr, false
	}
	return addr, true
}

// cidr wants a range of addresses, and gives it.
func (p place) cidr(text string) (netip.Prefix, bool) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix.Addr().Is4In6() {
		p.refuse("%q is not a range of addresses", text).hint("write a range such as \"10.9.8.0/24\" or \"2001:db8::/64\"")
		return prefix, false
	}
	if prefix.Masked().String() != text {
		p.refuse("%q is not how this range is written", text).hint("write it as %q", prefix.Masked().String())
		return prefix, false
	}
	return prefix, true
}

// below wants a path, if there is one, that stays below where it starts.
func (p place) below(text string) {
	if text != "" && !relativePath(text) {
		p.refuse("%q must be a relative path without \"..\"", text)
	}
}

// absolute wants a path, if there is one, from the root.
func (p place) absolute(text string) {
	if text != "" && (!path.IsAbs(text) || strings.ContainsRune(text, 0)) {
		p.refuse("%q is not an absolute path", text)
	}
}

// ids wants numbers of users or groups.
func (p place) id(n *int64) { within(p, n, 0, maxID) }

// fileMode wants file mode bits, if there are any.
func (p place) fileMode(mode *int, most int) {
	if mode != nil && (*mode < 0 || *mode > most) {
		p.refuse("file mode bits are from 0 to 0o%o", most).hint("write them in octal: 0o644")
	}
}
