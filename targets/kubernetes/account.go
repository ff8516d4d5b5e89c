package kubernetes

import (
	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

const rbac = "rbac.authorization.k8s.io"

// account makes a ServiceAccount, and a role with a binding for what it may do
// in the namespace and for what it may do in the cluster.
func (r *renderer) account(s *app.ServiceAccount) []object {
	m := meta{name: s.Name, labels: s.Labels, annotations: s.Annotations}
	out := []object{{"ServiceAccount", s.Name, r.head("v1", "ServiceAccount", m).Join(r.encodeServiceAccount(s))}}
	if len(s.Rules) > 0 {
		out = append(out, r.role("", m, s.Rules, r.subject(s.Name, r.app.Namespace))...)
	}
	if len(s.ClusterRules) == 0 {
		return out
	}
	m.name = r.clusterName(s.Name)
	if r.app.Namespace == "" {
		r.findings.Add("kubernetes/cluster-rules", "serviceAccounts."+s.Name+".clusterRules", s.ClusterRules[0].Pos,
			"a ClusterRoleBinding names the account's namespace: it is "+r.app.DNSNamespace()+", as the app has none", "give the app a namespace")
	}
	return append(out, r.role("Cluster", m, s.ClusterRules, r.subject(s.Name, r.app.DNSNamespace()))...)
}

// role makes a Role or ClusterRole and what binds the subject to it.
func (r *renderer) role(scope string, m meta, rules []app.PolicyRule, subject *yaml.Map) []object {
	kind := scope + "Role"
	ref := yaml.New().Set("apiGroup", rbac).Set("kind", kind).Set("name", m.name)
	return []object{
		{kind, m.name, r.head(rbac+"/v1", kind, m).Set("rules", each(rules, r.encodePolicyRule))},
		{kind + "Binding", m.name, r.head(rbac+"/v1", kind+"Binding", m).Set("roleRef", ref).Set("subjects", yaml.List{subject})},
	}
}

func (r *renderer) subject(account, namespace string) *yaml.Map {
	return yaml.New().Set("kind", "ServiceAccount").Set("name", account).Opt("namespace", namespace)
}

// clusterName is the name of an account's objects that belong to no namespace:
// accounts of other apps have other names.
func (r *renderer) clusterName(account string) string {
	if r.app.Namespace != "" {
		return r.app.Namespace + "-" + account
	}
	return r.app.Name + "-" + account
}
