package kubernetes

import "github.com/cuepod/cuepod/targets"

// Rules lists the findings that Render makes.
func Rules() []targets.Rule {
	return []targets.Rule{
		{Code: "kubernetes/secret-needed", Level: targets.Emulated, Summary: "the output holds no secrets: the Secret has to exist in the cluster; the finding's hint is the command that makes it"},
		{Code: "kubernetes/depends-on", Level: targets.Cannot, Summary: "Kubernetes starts all pods at once"},
		{Code: "kubernetes/label-reserved", Level: targets.Cannot, Summary: "a pod keeps the labels that its workload and Services select by"},
		{Code: "kubernetes/build", Level: targets.Emulated, Summary: "the cluster pulls the image: it has to be built and pushed before"},
		{Code: "kubernetes/dev", Level: targets.Emulated, Summary: "the cluster runs the container as it is without dev, which is a local run's"},
		{Code: "kubernetes/cluster-rules", Level: targets.Emulated, Summary: "the ClusterRoleBinding of an app without a namespace names the namespace default"},
	}
}

// Support says how the target keeps each field: the definition's fields are
// Kubernetes' own, so all that is not named here is exact.
func Support() targets.Support {
	s := exceptions()
	delete(s, targets.Other)
	for _, field := range s.Reachable() {
		if _, ok := s[field]; !ok {
			s[field] = targets.Field{Level: targets.Exact}
		}
	}
	return s
}

// exceptions is the table in short, for rendering: to list all fields takes
// longer than to render an app.
func exceptions() targets.Support {
	secret := targets.Field{Level: targets.Emulated, Codes: []string{"kubernetes/secret-needed"}}
	labels := targets.Field{Level: targets.Exact, Codes: []string{"kubernetes/label-reserved"}}
	compose := note("not meant for it")
	return targets.Support{
		targets.Other: {Level: targets.Exact},

		"App.labels":     labels,
		"App.secrets":    secret,
		"App.grants":     note("the compiler holds modules to it"),
		"Grant.allow":    note("the compiler holds modules to it"),
		"App.compose":    compose,
		"App.configMaps": note("with a hash of the data behind the name"),
		"App.httpRoutes": note("the cluster has to have the Gateway API"),

		"Secret.type":           secret,
		"Secret.keys":           secret,
		"SecretSource.external": secret,
		"SecretSource.env":      secret,
		"SecretSource.file":     secret,
		"SecretSource.generate": secret,
		"GenerateSecret.length": secret,

		"Pod.kind":                 note("the cluster refuses a changed Job until the old one is deleted"),
		"Pod.labels":               labels,
		"Pod.replicas":             note("left out where autoscaling counts"),
		"Pod.volumeClaimTemplates": note("the cluster refuses a change of them"),
		"Pod.dependsOn": {
			Level: targets.Cannot, Codes: []string{"kubernetes/depends-on"},
			Says: "the pod does not wait for the services: Kubernetes starts all pods at once",
			Hint: "let the containers retry, or wait in an init container",
		},
		"Container.compose": compose,
		"Container.build": {
			Level: targets.Emulated, Codes: []string{"kubernetes/build"},
			Says: "the cluster pulls the image: it has to be built and pushed before",
		},
		"Container.dev": {
			Level: targets.Emulated, Codes: []string{"kubernetes/dev"},
			Says: "it is for a local run: the cluster runs the container as it is without it",
		},
		"ServiceAccount.clusterRules": {Level: targets.Exact, Codes: []string{"kubernetes/cluster-rules"}},
	}
}

func note(text string) targets.Field { return targets.Field{Level: targets.Exact, Note: text} }
