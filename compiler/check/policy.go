package check

import (
	"slices"

	"github.com/cuepod/cuepod/compiler/app"
)

func (c *checker) networkPolicy(n *app.NetworkPolicy) {
	at := c.place("networkPolicies."+n.Name, n.Pos)
	c.meta(at.path+".", n.Pos, n.Labels, n.Annotations)
	switch {
	case n.Pod != "" && n.PodSelector != nil:
		at.field("podSelector").at(n.PodSelector.Pos).refuse("there is also a pod").hint("leave pod or podSelector out")
	case n.Pod != "" && c.app.Pod(n.Pod) == nil:
		at.field("pod").missing("pod", n.Pod, "the app", c.podNames())
	case n.Pod == "" && n.PodSelector == nil:
		at.refuse("nothing says which pods it is for").hint("add pod: NAME, or podSelector: {} for every pod of the namespace")
	}
	c.selector(n.PodSelector, at.field("podSelector"))
	for i, rule := range n.Ingress {
		c.policyRule(rule.Ports, rule.From, "from", at.field("ingress").item(i).at(rule.Pos))
	}
	for i, rule := range n.Egress {
		c.policyRule(rule.Ports, rule.To, "to", at.field("egress").item(i).at(rule.Pos))
	}
	c.policyTypes(n, at.field("policyTypes"))
}

func (c *checker) policyTypes(n *app.NetworkPolicy, at place) {
	if len(n.PolicyTypes) == 0 {
		return
	}
	for i, t := range n.PolicyTypes {
		if slices.Contains(n.PolicyTypes[:i], t) {
			at.refuse("%s is there twice", t)
		}
	}
	for _, f := range []choice{{"Ingress", len(n.Ingress) > 0}, {"Egress", len(n.Egress) > 0}} {
		if f.set && !slices.Contains(n.PolicyTypes, f.name) {
			at.refuse("there are rules for %s, and it is not named", f.name).hint("add %q, or leave policyTypes out", f.name)
		}
	}
}

func (c *checker) policyRule(ports []app.NetworkPolicyPort, peers []app.NetworkPolicyPeer, side string, at place) {
	for i, port := range ports {
		c.policyPort(port, at.field("ports").item(i).at(port.Pos))
	}
	for i := range peers {
		peer := &peers[i]
		c.policyPeer(peer, at.field(side).item(i).at(peer.Pos))
	}
}

func (c *checker) policyPort(port app.NetworkPolicyPort, at place) {
	if port.Port.Name != "" && !portName(port.Port.Name) {
		at.field("port").refuse("the name %q is not valid; it must have a letter, and no two \"-\" in a row", port.Port.Name)
	}
	if port.EndPort == nil {
		return
	}
	end := at.field("endPort")
	if port.Port.Number == 0 {
		end.refuse("a range begins with a number").hint("add port: NUMBER")
		return
	}
	within(end, port.EndPort, port.Port.Number, maxPort)
}

func (c *checker) policyPeer(peer *app.NetworkPolicyPeer, at place) {
	pods := peer.PodSelector != nil || peer.NamespaceSelector != nil
	switch {
	case !pods && peer.IPBlock == nil:
		at.refuse("it names nobody").hint("give it podSelector, namespaceSelector or ipBlock")
	case pods && peer.IPBlock != nil:
		at.field("ipBlock").refuse("there is also a selector").hint("make two of it: addresses are no pods")
	}
	c.selector(peer.PodSelector, at.field("podSelector"))
	c.selector(peer.NamespaceSelector, at.field("namespaceSelector"))
	if peer.IPBlock != nil {
		c.ipBlock(peer.IPBlock, at.field("ipBlock").at(peer.IPBlock.Pos))
	}
}

func (c *checker) ipBlock(b *app.IPBlock, at place) {
	block, ok := at.field("cidr").cidr(b.CIDR)
	for i, text := range b.Except {
		at := at.field("except").item(i)
		except, fine := at.cidr(text)
		if ok && fine && (!block.Contains(except.Addr()) || except.Bits() <= block.Bits()) {
			at.refuse("%s is not a part of %s", text, b.CIDR).hint("leave it out, or name a range inside")
		}
	}
}

func (c *checker) serviceAccount(s *app.ServiceAccount) {
	at := c.place("serviceAccounts."+s.Name, s.Pos)
	c.meta(at.path+".", s.Pos, s.Labels, s.Annotations)
	for i, ref := range s.ImagePullSecrets {
		at := at.field("imagePullSecrets").item(i).at(ref.Pos)
		if ref.Name == "" {
			at.refuse("it names no secret").hint("add name: NAME")
		}
		at.field("name").dnsName(ref.Name)
	}
	for i, rule := range s.Rules {
		where := at.field("rules").item(i).at(rule.Pos)
		if len(rule.NonResourceURLs) > 0 {
			where.field("nonResourceURLs").refuse("URLs are of the whole cluster").hint("move the rule to clusterRules")
			continue
		}
		c.accountRule(rule, where)
	}
	for i, rule := range s.ClusterRules {
		c.accountRule(rule, at.field("clusterRules").item(i).at(rule.Pos))
	}
}

func (c *checker) accountRule(r app.PolicyRule, at place) {
	if len(r.Verbs) == 0 {
		at.field("verbs").refuse("there is none").hint("list what is allowed, such as \"get\", \"list\" and \"watch\"")
	}
	if len(r.NonResourceURLs) > 0 {
		if len(r.APIGroups)+len(r.Resources)+len(r.ResourceNames) > 0 {
			at.field("nonResourceURLs").refuse("the rule is also for resources").hint("make two rules of it")
		}
		return
	}
	if len(r.APIGroups) == 0 {
		at.refuse("it has no apiGroups").hint("add apiGroups: [\"\"] for pods, services and alike, or the group's name")
	}
	if len(r.Resources) == 0 {
		at.refuse("it has no resources").hint("add resources: [\"pods\"], or what else it is for")
	}
}
