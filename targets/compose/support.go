package compose

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cuepod/cuepod/targets"
)

// Support says how a Compose file keeps the meaning of each field of the schema.
func Support() targets.Support {
	out := targets.Support{}
	for _, table := range []targets.Support{supportOfApp(), supportOfPods(), supportOfJobs(), supportOfContainers(), supportOfMounts(), supportOfVolumes(), supportOfServices()} {
		maps.Copy(out, table)
	}
	return out
}

// of gives fields of one definition the same entry.
func of(s targets.Support, definition string, entry targets.Field, names string) {
	for _, name := range strings.Fields(names) {
		field := definition + "." + name
		if _, ok := s[field]; ok {
			panic(fmt.Sprintf("compose: the table has %s twice", field))
		}
		s[field] = entry
	}
}

func exact(note string) targets.Field { return targets.Field{Level: targets.Exact, Note: note} }

// some is for a field of which some values make findings.
func some(codes ...string) targets.Field { return targets.Field{Level: targets.Exact, Codes: codes} }

// made is for a field that is emulated with a finding where it is met.
func made(codes ...string) targets.Field {
	return targets.Field{Level: targets.Emulated, Codes: codes}
}

// says is for a field whose every value makes the same finding, at the level of
// its rule.
func says(code, message, hint string) targets.Field {
	rules := Rules()
	i := slices.IndexFunc(rules, func(r targets.Rule) bool { return r.Code == code })
	return targets.Field{Level: rules[i].Level, Codes: []string{code}, Says: message, Hint: hint}
}

func supportOfApp() targets.Support {
	s := targets.Support{}
	const published = "give a service in front of the pods the type NodePort: its portal publishes a port on 127.0.0.1"
	of(s, "App", exact(""), "configMaps compose")
	of(s, "App", exact("the project's name"), "name")
	of(s, "App", exact("in the services' names"), "namespace")
	of(s, "App", exact("the compiler holds modules to it"), "grants")
	of(s, "Grant", exact("the compiler holds modules to it"), "allow")
	of(s, "App", some("compose/label-reserved"), "labels")
	of(s, "App", exact("Docker Engine 24 or later keeps them"), "annotations")
	of(s, "App", exact("a holder and the services that join it"), "pods")
	of(s, "App", made("compose/service-endpoints"), "services")
	of(s, "App", says("compose/ingress", "nothing routes by host and path", published), "ingresses httpRoutes")
	of(s, "App", says("compose/network-policy", "all pods may talk to each other, and to everybody else", ""), "networkPolicies")
	of(s, "App", says("compose/service-account", "there is no Kubernetes API to have rights on", ""), "serviceAccounts")
	of(s, "App", made("compose/secret"), "secrets")
	of(s, "App", made("compose/claim"), "persistentVolumeClaims")
	of(s, "App", targets.Field{Level: targets.Cannot, Codes: []string{"compose/object"}}, "objects")

	of(s, "ConfigMap", exact(""), "data files")
	of(s, "ConfigMap", exact("in base64, which the service that writes the files decodes"), "binaryData")
	of(s, "Secret", exact("no meaning to containers"), "type")
	of(s, "Secret", exact(""), "keys")
	of(s, "SecretSource", made("compose/secret"), "external env file generate")
	of(s, "GenerateSecret", made("compose/secret"), "length")

	claims(s, "PersistentVolumeClaim", "storage accessModes storageClassName")
	of(s, "PersistentVolumeClaim", some("compose/label-reserved"), "labels")
	of(s, "PersistentVolumeClaim", says("compose/claim-metadata", "the annotations are left out: a volume of the engine has none", ""), "annotations")
	return s
}

// claims are the fields of a claim, as one of the app and within a volume.
func claims(s targets.Support, definition, size string) {
	of(s, definition, made("compose/claim"), size)
	of(s, definition, says("compose/claim", "the volume is a new one of the engine's", ""), "selector volumeName volumeAttributesClassName")
	of(s, definition, some("compose/block-volume"), "volumeMode")
	of(s, definition, says("compose/claim-content", "the volume begins empty", ""), "dataSource dataSourceRef")
}

func supportOfServices() targets.Support {
	s := targets.Support{}
	of(s, "Service", some("compose/service-empty"), "pod selector")
	of(s, "Service", made("compose/host-port"), "type")
	of(s, "Service", made("compose/service-endpoints"), "headless")
	of(s, "Service", exact(""), "ports")
	of(s, "Service", targets.Field{Level: targets.Cannot, Codes: []string{"compose/session-affinity"}}, "sessionAffinity")
	of(s, "Service", says("compose/session-affinity", "connections are spread without regard to the client", ""), "sessionAffinityConfig")
	of(s, "Service", targets.Field{Level: targets.Cannot, Codes: []string{"compose/service-metadata"}}, "labels annotations")
	of(s, "Service", targets.Field{Level: targets.Cannot, Codes: []string{"compose/kubernetes"}}, "kubernetes")
	of(s, "Service", some("compose/service-address"), "clusterIP")
	of(s, "Service", says("compose/service-address", "the service has no address of its own: its ports are published on 127.0.0.1 alone", ""), "externalIPs loadBalancerIP")
	of(s, "Service", says("compose/service-policy", "the ports are published on 127.0.0.1 alone, which nobody else reaches", ""), "loadBalancerSourceRanges")
	of(s, "Service", made("compose/external-relay", "compose/external-name"), "externalName")
	of(s, "Service", made("compose/external-relay", "compose/external-name"), "endpoints")
	of(s, "Endpoint", exact(""), "address")
	of(s, "Endpoint", some("compose/endpoint-port"), "ports")
	of(s, "Service", says("compose/service-policy", "one machine is one node: there is nothing to steer", ""),
		"externalTrafficPolicy healthCheckNodePort allocateLoadBalancerNodePorts loadBalancerClass internalTrafficPolicy trafficDistribution")
	of(s, "Service", exact("names resolve to pods that are not ready in any case"), "publishNotReadyAddresses")
	of(s, "Service", says("compose/ip-family", "the addresses are those of the engine's network", ""), "ipFamilies ipFamilyPolicy")

	of(s, "ServicePort", some("compose/service-port", "compose/service-port-taken"), "port")
	of(s, "ServicePort", some("compose/service-port"), "targetPort")
	of(s, "ServicePort", made("compose/host-port"), "nodePort")
	of(s, "ServicePort", some("compose/sctp"), "protocol")
	of(s, "ServicePort", exact("a hint for gateways"), "appProtocol")
	return s
}
