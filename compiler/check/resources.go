package check

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

const hugePages = "hugepages-"

// resources checks what a container asks for, resource by resource.
func (c *checker) resources(p *app.Pod, r *app.Resources, at place) {
	c.amounts(r, at)
	claims := names(p.ResourceClaims, func(claim app.PodResourceClaim) string { return claim.Name })
	for _, claim := range r.Claims {
		at := at.field("claims").key(claim.Name).at(claim.Pos)
		if !slices.Contains(claims, claim.Name) {
			at.missing("resource claim", claim.Name, "pod "+p.Name, claims)
		}
		at.field("request").dnsLabel(claim.Request)
	}
}

// amounts checks requests and limits of each resource.
func (c *checker) amounts(r *app.Resources, at place) {
	for _, name := range resourceNames(r) {
		request, hasRequest := r.Requests[name]
		limit, hasLimit := r.Limits[name]
		requests, limits := at.field("requests").key(name), at.field("limits").key(name)
		ok := (!hasRequest || c.amountOf(name, request, requests)) && (!hasLimit || c.amountOf(name, limit, limits))
		switch {
		case !ok:
		case hasRequest && hasLimit && overcommitted(name) && request.Compare(limit) > 0:
			at.refuse("the %s request %s is above the limit %s", name, request, limit)
		case hasRequest && hasLimit && !overcommitted(name) && request.Compare(limit) != 0:
			requests.refuse("the request %s is not the limit %s", request, limit).hint("%s cannot be shared: leave the request out", name)
		case hasRequest && !hasLimit && !overcommitted(name):
			requests.refuse("%s needs a limit", name).hint("%s cannot be shared: set the limit in place of the request", name)
		}
	}
	has := func(match func(string) bool) bool { return slices.ContainsFunc(resourceNames(r), match) }
	huge := func(name string) bool { return strings.HasPrefix(name, hugePages) }
	if has(huge) && !has(func(name string) bool { return name == "cpu" || name == "memory" }) {
		at.refuse("huge pages need cpu or memory beside them").hint("add requests: memory: AMOUNT")
	}
}

// resourceNames are the resources that are requested or limited, sorted.
func resourceNames(r *app.Resources) []string {
	all := slices.AppendSeq(slices.Collect(maps.Keys(r.Requests)), maps.Keys(r.Limits))
	slices.Sort(all)
	return slices.Compact(all)
}

// native reports whether a resource is Kubernetes' own: without a domain, or
// of its own one.
func native(name string) bool {
	return !strings.Contains(name, "/") || strings.Contains(name, "kubernetes.io/")
}

// overcommitted reports whether the limit of a resource may be above the
// request.
func overcommitted(name string) bool { return native(name) && !strings.HasPrefix(name, hugePages) }

// amountOf checks the name of a resource and its amount, and reports whether
// both are right.
func (c *checker) amountOf(name string, q app.Quantity, at place) bool {
	before := len(c.problems)
	at.resourceName(name)
	switch {
	case !c.quantity(at.pos, at.path, q):
	case name == "memory" || name == "ephemeral-storage":
		c.wholeBytes(at.pos, at.path, q)
	case strings.HasPrefix(name, hugePages):
		c.pages(name, q, at)
	case !native(name) && !whole(q):
		at.refuse("%s is not a whole number", q).hint("such resources cannot be split")
	}
	return len(c.problems) == before
}

// resourceName wants the name of a resource that a container can ask for.
func (p place) resourceName(name string) {
	switch {
	case slices.Contains([]string{"cpu", "memory", "ephemeral-storage"}, name) || strings.HasPrefix(name, hugePages):
		return
	case !strings.Contains(name, "/"):
		p.refuse("there is no resource %q", name).hint("resources are cpu, memory, ephemeral-storage, hugepages-SIZE, and those with a domain, such as \"example.com/gpu\"")
	case !qualifiedName(name) || !native(name) && (!qualifiedName("requests."+name) || strings.HasPrefix(name, "requests.")):
		p.refuse("the name %q is not valid", name).hint("it is DOMAIN/NAME, such as \"example.com/gpu\"")
	}
}

// pages wants an amount of huge pages that is some number of whole pages.
func (c *checker) pages(name string, q app.Quantity, at place) {
	size, err := app.Quantity(strings.TrimPrefix(name, hugePages)).Value()
	if err != nil || size <= 0 {
		at.refuse("%q names no size of pages", name).hint("write the size behind it: \"hugepages-2Mi\"")
		return
	}
	if n, err := q.Value(); err != nil || n%size != 0 || !whole(q) {
		at.refuse("%s is not a number of whole pages", q).hint("it is a multiple of %s", strings.TrimPrefix(name, hugePages))
	}
}

// whole reports whether an amount is without a fraction.
func whole(q app.Quantity) bool {
	n, err := q.Value()
	return err == nil && q.Compare(app.Quantity(strconv.FormatInt(n, 10))) == 0
}

// quantity reports whether q can be read.
func (c *checker) quantity(pos app.Pos, at string, q app.Quantity) bool {
	if _, err := q.Value(); err != nil {
		c.report(pos, "%s: %v", at, err)
		return false
	}
	return true
}

// wholeBytes refuses an amount of bytes with a fraction: most often an "m" that
// should be an "M". Kubernetes looks for one by thousandths, and so has less
// room here than in other quantities.
func (c *checker) wholeBytes(pos app.Pos, at string, q app.Quantity) {
	if _, err := q.Value(); err != nil {
		return // reported as no quantity, or absent
	}
	if _, err := q.Milli(); err != nil {
		c.report(pos, "%s: %s is larger than Kubernetes allows (2^63-1 thousandths of a byte)", at, q)
		return
	}
	if whole(q) {
		return
	}
	c.report(pos, "%s: %s is not a whole number of bytes", at, q)
	if n, ok := strings.CutSuffix(string(q), "m"); ok {
		c.hint("m means thousandths; did you mean %sM or %sMi?", n, n)
	}
}

// resizePolicy checks what happens when a running container gets other
// resources.
func (c *checker) resizePolicy(p *app.Pod, ctr *app.Container, at place) {
	never := p.RestartPolicy == "Never" || p.RestartPolicy == "" && runsToEnd(p)
	for i, r := range ctr.ResizePolicy {
		at := at.item(i).at(r.Pos)
		at.field("resourceName").oneOf(r.ResourceName, "cpu", "memory")
		if at.field("restartPolicy").oneOf(r.RestartPolicy, "NotRequired", "RestartContainer") && never && r.RestartPolicy != "NotRequired" {
			at.field("restartPolicy").refuse("the pod's restartPolicy is Never").hint("set it to \"NotRequired\"")
		}
		for _, other := range ctr.ResizePolicy[:i] {
			if other.ResourceName == r.ResourceName {
				at.refuse("there is already one for %s", r.ResourceName).hint("leave one of them out")
			}
		}
	}
}

// podResources checks what a pod as a whole asks for: no less than what its
// containers do.
func (c *checker) podResources(p *app.Pod, at place) {
	r := &p.Resources
	at = at.field("resources").at(r.Pos)
	if len(r.Claims) > 0 {
		at.field("claims").at(r.Claims[0].Pos).refuse("a pod as a whole has no claims").hint("say them at the containers that use them")
	}
	if len(r.Requests) == 0 && len(r.Limits) == 0 {
		return
	}
	if p.OS != nil && p.OS.Name == "windows" {
		at.refuse("a pod for Windows has no resources as a whole").hint("say them at its containers")
		return
	}
	for _, name := range resourceNames(r) {
		if name != "cpu" && name != "memory" && !strings.HasPrefix(name, hugePages) {
			at.refuse("a pod as a whole has no %s", name).hint("it can have cpu, memory and hugepages-SIZE; say others at the containers")
			return
		}
	}
	before := len(c.problems)
	c.amounts(r, at)
	if len(c.problems) > before {
		return
	}
	for _, name := range resourceNames(r) {
		c.enough(p, name, at)
	}
}

// enough wants a pod's request to be as much as its containers', and no
// container's limit to be above the pod's.
func (c *checker) enough(p *app.Pod, name string, at place) {
	if q, ok := p.Resources.Requests[name]; ok {
		have, err := q.Milli()
		if need := requestsOf(p, func(r *app.Resources) app.Quantity { return orLimit(r, name) }); err == nil && need > have {
			at.field("requests").key(name).refuse("%s is less than what the containers request together", q).hint("raise it, or leave it out")
		}
	}
	limit, ok := p.Resources.Limits[name]
	if !ok {
		return
	}
	for i := range p.Containers {
		ctr := &p.Containers[i]
		if own := ctr.Resources.Limits[name]; own != "" && own.Compare(limit) > 0 {
			at.field("limits").key(name).refuse("%s is less than the limit of the container %q, %s", limit, ctr.Name, own).hint("raise it, or lower the container's")
		}
	}
	have, err := limit.Milli()
	if need := requestsOf(p, func(r *app.Resources) app.Quantity { return r.Limits[name] }); err == nil && strings.HasPrefix(name, hugePages) && need > have {
		at.field("limits").key(name).refuse("%s is less than the containers' limits together", limit).hint("huge pages cannot be shared: raise it")
	}
}

// orLimit is the request, which is the limit when only that is written.
func orLimit(r *app.Resources, name string) app.Quantity {
	if q, ok := r.Requests[name]; ok {
		return q
	}
	return r.Limits[name]
}

// requestsOf adds up, in thousandths, what the containers of a pod have at the
// same time: all that last, or one init container with the sidecars before it.
func requestsOf(p *app.Pod, amount func(*app.Resources) app.Quantity) int64 {
	of := func(ctr *app.Container) int64 {
		n, err := amount(&ctr.Resources).Milli()
		if err != nil {
			return 0
		}
		return n
	}
	var sidecars, most, together int64
	for i := range p.InitContainers {
		init := &p.InitContainers[i]
		if sidecar(init) {
			sidecars += of(init)
			most = max(most, sidecars)
		} else {
			most = max(most, sidecars+of(init))
		}
	}
	together = sidecars
	for i := range p.Containers {
		together += of(&p.Containers[i])
	}
	return max(most, together)
}
