package check

import (
	"maps"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
)

// selector checks a query of labels, which may be nil.
func (c *checker) selector(s *app.LabelSelector, at place) {
	if s == nil {
		return
	}
	at = at.at(s.Pos)
	c.labels(s.MatchLabels, at.field("matchLabels"))
	for i, r := range s.MatchExpressions {
		at := at.field("matchExpressions").item(i).at(r.Pos)
		at.field("key").qualified(r.Key)
		if at.field("operator").oneOf(r.Operator, "In", "NotIn", "Exists", "DoesNotExist") {
			at.field("values").operands(r.Operator, r.Values)
		}
		for j, v := range r.Values {
			at.field("values").item(j).labelValue(v)
		}
	}
}

// labels checks keys and values of labels, as at selectors.
func (c *checker) labels(labels map[string]string, at place) {
	for _, key := range sortedKeys(labels) {
		at.key(key).qualified(key)
		at.key(key).labelValue(labels[key])
	}
}

// operands wants as many values as an operator takes.
func (p place) operands(operator string, values []string) {
	switch n := len(values); {
	case (operator == "In" || operator == "NotIn") && n == 0:
		p.refuse("the operator %s needs values", operator).hint("list the values, or use the operator \"Exists\"")
	case (operator == "Exists" || operator == "DoesNotExist") && n > 0:
		p.refuse("the operator %s takes no values", operator).hint("leave values out, or use the operator \"In\"")
	case (operator == "Gt" || operator == "Lt") && n != 1:
		p.refuse("the operator %s needs one value, not %d", operator, n).hint("give it one whole number")
	case (operator == "Gt" || operator == "Lt") && !decimal.MatchString(values[0]):
		p.refuse("the operator %s needs a whole number, not %q", operator, values[0])
	}
}

// pathSegment reports whether a name can be a part of a URL.
func pathSegment(name string) bool {
	return name != "." && name != ".." && !strings.ContainsAny(name, "/%")
}

// selectsNothing reports a selector that no pod of the app has the labels of,
// with what the pods have instead.
func (c *checker) selectsNothing(selector map[string]string, at place) {
	at.refuse("no pod of the app has these labels")
	for _, key := range sortedKeys(selector) {
		values := map[string]bool{}
		for i := range c.app.Pods {
			if v, ok := c.app.PodLabels(&c.app.Pods[i])[key]; ok {
				values[quoted(v)] = true
			}
		}
		switch {
		case len(values) == 0:
			at.hint("no pod has a label %s; pods have: %s", key, strings.Join(c.podLabelKeys(), ", "))
			return
		case !values[quoted(selector[key])]:
			at.hint("pods have %s: %s", key, either(slices.Sorted(maps.Keys(values))))
			return
		}
	}
	at.hint("each label is there, and no pod has them all")
}

// podLabelKeys are the keys of all labels that pods of the app have.
func (c *checker) podLabelKeys() []string {
	keys := map[string]bool{}
	for i := range c.app.Pods {
		for key := range c.app.PodLabels(&c.app.Pods[i]) {
			keys[key] = true
		}
	}
	return slices.Sorted(maps.Keys(keys))
}
