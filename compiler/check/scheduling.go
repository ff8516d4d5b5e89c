package check

import (
	"slices"

	"github.com/cuepod/cuepod/compiler/app"
)

// scheduling checks which nodes a pod asks for.
func (c *checker) scheduling(p *app.Pod, at place) {
	c.labels(p.NodeSelector, at.field("nodeSelector"))
	at.field("nodeName").dnsName(p.NodeName)
	at.field("priorityClassName").dnsName(p.PriorityClassName)
	at.field("runtimeClassName").dnsName(p.RuntimeClassName)
	for i, t := range p.Tolerations {
		c.toleration(t, at.field("tolerations").item(i).at(t.Pos))
	}
	if p.Affinity != nil {
		c.affinity(p, at.field("affinity").at(p.Affinity.Pos))
	}
	for i := range p.TopologySpreadConstraints {
		s := &p.TopologySpreadConstraints[i]
		c.topologySpread(p, i, s, at.field("topologySpreadConstraints").item(i).at(s.Pos))
	}
	if g := p.SchedulingGroup; g != nil {
		group := at.field("schedulingGroup").at(g.Pos)
		if g.PodGroupName == "" {
			group.refuse("it names no group").hint("add podGroupName: NAME")
		}
		group.field("podGroupName").dnsName(g.PodGroupName)
		if len(p.EvictionResponders) > 0 {
			group.refuse("a pod with evictionResponders has no schedulingGroup").hint("leave one of them out")
		}
	}
}

func (c *checker) toleration(t app.Toleration, at place) {
	if t.Key != "" {
		at.field("key").qualified(t.Key)
	} else if t.Operator != "Exists" {
		at.refuse("without a key it must have the operator Exists").hint("add key: NAME of the taint, or operator: \"Exists\" for every taint")
	}
	if t.TolerationSeconds != nil && t.Effect != "NoExecute" {
		at.field("tolerationSeconds").refuse("it needs the effect NoExecute").hint("set effect: \"NoExecute\", the only one that ends pods")
	}
	switch t.Operator {
	case "", "Equal":
		at.field("value").labelValue(t.Value)
	case "Exists":
		if t.Value != "" {
			at.field("value").refuse("the operator Exists takes no value").hint("leave value out, or use the operator \"Equal\"")
		}
	default:
		at.field("operator").refuse("clusters do not compare taints by %s unless told to", t.Operator).hint("use the operator \"Equal\" or \"Exists\"")
	}
}

func (c *checker) affinity(p *app.Pod, at place) {
	if n := p.Affinity.NodeAffinity; n != nil {
		c.nodeAffinity(n, at.field("nodeAffinity").at(n.Pos))
	}
	if a := p.Affinity.PodAffinity; a != nil {
		c.podAffinity(a.RequiredDuringSchedulingIgnoredDuringExecution, a.PreferredDuringSchedulingIgnoredDuringExecution, at.field("podAffinity").at(a.Pos))
	}
	if a := p.Affinity.PodAntiAffinity; a != nil {
		c.podAffinity(a.RequiredDuringSchedulingIgnoredDuringExecution, a.PreferredDuringSchedulingIgnoredDuringExecution, at.field("podAntiAffinity").at(a.Pos))
	}
}

const (
	required  = "requiredDuringSchedulingIgnoredDuringExecution"
	preferred = "preferredDuringSchedulingIgnoredDuringExecution"
	maxWeight = 100
)

func (c *checker) nodeAffinity(n *app.NodeAffinity, at place) {
	if r := n.RequiredDuringSchedulingIgnoredDuringExecution; r != nil {
		at := at.field(required, "nodeSelectorTerms").at(r.Pos)
		if len(r.NodeSelectorTerms) == 0 {
			at.refuse("there is no term").hint("add one, or leave %s out", required)
		}
		for i := range r.NodeSelectorTerms {
			c.nodeSelectorTerm(&r.NodeSelectorTerms[i], at.item(i))
		}
	}
	for i, t := range n.PreferredDuringSchedulingIgnoredDuringExecution {
		at := at.field(preferred).item(i).at(t.Pos)
		within(at.field("weight"), &t.Weight, 1, maxWeight)
		if t.Preference != nil {
			c.nodeSelectorTerm(t.Preference, at.field("preference"))
		}
	}
}

func (c *checker) nodeSelectorTerm(t *app.NodeSelectorTerm, at place) {
	at = at.at(t.Pos)
	for i, r := range t.MatchExpressions {
		at := at.field("matchExpressions").item(i).at(r.Pos)
		at.field("key").qualified(r.Key)
		at.field("values").operands(r.Operator, r.Values)
		for j, v := range r.Values {
			at.field("values").item(j).labelValue(v)
		}
	}
	for i, r := range t.MatchFields {
		at := at.field("matchFields").item(i).at(r.Pos)
		at.field("key").oneOf(r.Key, "metadata.name")
		if at.field("operator").oneOf(r.Operator, "In", "NotIn") && len(r.Values) != 1 {
			at.field("values").refuse("it needs one value, not %d", len(r.Values)).hint("give it the name of one node")
		}
		for j, v := range r.Values {
			if at := at.field("values").item(j); at.notEmpty(v) {
				at.dnsName(v)
			}
		}
	}
}

func (c *checker) podAffinity(require []app.PodAffinityTerm, prefer []app.WeightedPodAffinityTerm, at place) {
	for i := range require {
		c.podAffinityTerm(&require[i], at.field(required).item(i))
	}
	for i, w := range prefer {
		at := at.field(preferred).item(i).at(w.Pos)
		within(at.field("weight"), &w.Weight, 1, maxWeight)
		if w.PodAffinityTerm != nil {
			c.podAffinityTerm(w.PodAffinityTerm, at.field("podAffinityTerm"))
		}
	}
}

func (c *checker) podAffinityTerm(t *app.PodAffinityTerm, at place) {
	at = at.at(t.Pos)
	if t.LabelSelector == nil {
		at.refuse("there is no labelSelector, so that it means no pod").hint("add labelSelector: matchLabels: NAME: VALUE")
	}
	c.selector(t.LabelSelector, at.field("labelSelector"))
	c.selector(t.NamespaceSelector, at.field("namespaceSelector"))
	at.field("topologyKey").qualified(t.TopologyKey)
	for i, n := range t.Namespaces {
		if at := at.field("namespaces").item(i); at.notEmpty(n) {
			at.dnsLabel(n)
		}
	}
	c.labelKeys(t.MatchLabelKeys, t.LabelSelector, at.field("matchLabelKeys"))
	c.labelKeys(t.MismatchLabelKeys, nil, at.field("mismatchLabelKeys"))
	for i, key := range t.MatchLabelKeys {
		if slices.Contains(t.MismatchLabelKeys, key) {
			at.field("matchLabelKeys").item(i).refuse("%q is also in mismatchLabelKeys", key)
		}
	}
}

// labelKeys checks keys whose values come from the pod itself; a query that has
// one too would say the same twice.
func (c *checker) labelKeys(keys []string, s *app.LabelSelector, at place) {
	for i, key := range keys {
		at.item(i).qualified(key)
		if s == nil {
			continue
		}
		_, inLabels := s.MatchLabels[key]
		if inLabels || slices.ContainsFunc(s.MatchExpressions, func(r app.LabelSelectorRequirement) bool { return r.Key == key }) {
			at.item(i).refuse("%q is also in labelSelector", key).hint("leave one of them out")
		}
	}
}

func (c *checker) topologySpread(p *app.Pod, i int, s *app.TopologySpreadConstraint, at place) {
	within(at.field("maxSkew"), &s.MaxSkew, 1, maxID)
	within(at.field("minDomains"), s.MinDomains, 1, maxID)
	if s.MinDomains != nil && s.WhenUnsatisfiable != "DoNotSchedule" {
		at.field("minDomains").refuse("it needs whenUnsatisfiable: \"DoNotSchedule\"").hint("leave it out, or set that")
	}
	for _, other := range p.TopologySpreadConstraints[:i] {
		if other.TopologyKey == s.TopologyKey && other.WhenUnsatisfiable == s.WhenUnsatisfiable {
			at.refuse("there is already a constraint for %s with %s", s.TopologyKey, s.WhenUnsatisfiable).hint("make one of them")
		}
	}
	if s.LabelSelector == nil {
		at.refuse("there is no labelSelector, so that it means no pod").hint("add labelSelector: matchLabels: NAME: VALUE")
	}
	c.selector(s.LabelSelector, at.field("labelSelector"))
	c.labelKeys(s.MatchLabelKeys, s.LabelSelector, at.field("matchLabelKeys"))
}
