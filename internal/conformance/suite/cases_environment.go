package suite

import (
	"fmt"
	"regexp"
	"strings"
)

func environmentCases() []Case {
	return []Case{
		{
			Name: "env-config-map", Rows: append(rows("common/node/configmap.go",
				"ConfigMap, from environment field", "ConfigMap, from environment variables", "ConfigMap, from environment field with various prefixes"),
				rows("common/node/secrets.go", "Secrets, pod environment field", "Secrets, pod environment from source")...),
			Items: []int{58, 59, 61},
			CUE: `app: configMaps: "env-config-map": data: {"data-1": "value-1", DATA_2: "$(FIRST) 2", "data.3": "value-3"}
app: secrets: "env-config-map": keys: {"secret-1": env: "WITNESS_SECRET", SECRET_2: env: "WITNESS_SECRET"}
app: pods: "env-config-map": _once & {containers: main: _witness & {
	envFrom: [
		{configMapRef: name: "env-config-map"},
		{prefix: "p-", configMapRef: name: "env-config-map"},
		{prefix: "p.", configMapRef: name: "env-config-map"},
		{secretRef: name: "env-config-map"},
		{prefix: "s_", secretRef: name: "env-config-map"},
	]
	env: {
		FIRST: value: "1"
		FIELD: valueFrom: configMapKeyRef: {name: "env-config-map", key: "DATA_2"}
		HIDDEN: valueFrom: secretKeyRef: {name: "env-config-map", key: "secret-1"}
	}
	args: ["env"]
}}`,
			Check: func(r *Run) {
				r.Logs("env-config-map-0", "FIRST=1", "FIELD=$(FIRST) 2", "HIDDEN=value of the secret", "data-1=value-1", "DATA_2=$(FIRST) 2", "data.3=value-3",
					"p-data-1=value-1", "p-DATA_2=$(FIRST) 2", "p.data.3=value-3", "secret-1=value of the secret", "s_SECRET_2=value of the secret", "FROM_IMAGE=image")
			},
		}, {
			Name: "env-expansion", Rows: rows("common/node/expansion.go",
				"Environment variables, expansion", "Environment variables, command argument expansion", "Environment variables, command expansion"),
			Items: []int{57},
			CUE: `app: pods: "env-expansion": _once & {containers: main: _witness & {
	env: {FOO: value: "foo-value", BAR: value: "bar-value", FOOBAR: value: "$(FOO);;$(BAR)", LATER: value: "$(NONE) $$(FOO) $(FOO", LIKE: value: "$FOO ${BAR}"}
	command: ["/witness", "say in the command: $(FOO)"]
	args: ["say in the arguments: $(BAR)", "say $$(FOO) and $(NONE)", "say $FOO", "env"]
}}`,
			Check: func(r *Run) {
				r.Logs("env-expansion-0", "FOOBAR=foo-value;;bar-value", "LATER=$(NONE) $(FOO) $(FOO", "LIKE=$FOO ${BAR}",
					"in the command: foo-value", "in the arguments: bar-value", "$(FOO) and $(NONE)", "$FOO")
			},
		}, {
			Name: "env-optional", Items: []int{60}, Negative: []int{60},
			CUE: `app: configMaps: "env-optional": data: here: "yes"
app: pods: "env-optional": _once & {containers: main: _witness & {
	envFrom: [{configMapRef: {name: "env-optional-none", optional: true}}]
	env: {
		NO_KEY: valueFrom: configMapKeyRef: {name: "env-optional", key: "none", optional: true}
		NO_MAP: valueFrom: configMapKeyRef: {name: "env-optional-none", key: "none", optional: true}
		NO_SECRET: valueFrom: secretKeyRef: {name: "env-optional-none", key: "none", optional: true}
		EMPTY: value: ""
		END: value: "yes"
	}
	args: ["env", "say done"]
}}`,
			Check: func(r *Run) {
				r.Logs("env-optional-0", "END=yes", "EMPTY=", "done")
				r.LogsNo("env-optional-0", "NO_")
			},
		}, {
			Name: "env-order", Items: []int{58},
			CUE: `app: configMaps: {"env-order-a": data: {A: "a", B: "a", C: "a"}, "env-order-b": data: {B: "b", C: "b"}}
app: pods: "env-order": _once & {containers: main: _witness & {
	envFrom: [{configMapRef: name: "env-order-a"}, {configMapRef: name: "env-order-b"}]
	env: {C: value: "own", D: value: "$(A) $(B) $(C)", FROM_IMAGE: value: "mine"}
	args: ["env"]
}}`,
			Check: func(r *Run) { r.Logs("env-order-0", "A=a", "B=b", "C=own", "D=a b own", "FROM_IMAGE=mine") },
		},
		serviceVariablesCase(),
	}
}

func serviceVariablesCase() Case {
	return Case{
		Name: "env-services", Rows: rows("common/node/pods.go", "Pods, service environment variables"), Items: []int{62, 63}, Negative: []int{62},
		CUE: `app: services: "env-fooservice": {pod: "env-server", ports: http: {port: 8765, targetPort: 8080}}
app: services: "env-headless": {pod: "env-server", headless: true, ports: http: {port: 8766, targetPort: 8080}}
app: pods: {
	"env-server": containers: main: _witness & {args: ["serve 8080", "wait"]}
	"env-services": containers: main: _witness & {env: URL: value: "$(ENV_FOOSERVICE_SERVICE_HOST):1", args: ["env ENV_", "env URL", "env KUBERNETES_", "say done", "wait"]}
	"env-services-off": {enableServiceLinks: false, containers: main: _witness & {args: ["env ENV_", "say done", "wait"]}}
}`,
		Check: func(r *Run) {
			r.Logs("env-services-0", "done")
			log := strings.Join(r.Log("env-services-0"), "\n")
			host := regexp.MustCompile(`(?m)^ENV_FOOSERVICE_SERVICE_HOST=(.*)$`).FindStringSubmatch(log)
			if host == nil {
				r.Fatalf("there is no address of the service:\n%s", log)
			}
			ip := host[1]
			r.Logs("env-services-0", "ENV_FOOSERVICE_SERVICE_PORT=8765", "ENV_FOOSERVICE_SERVICE_PORT_HTTP=8765",
				fmt.Sprintf("ENV_FOOSERVICE_PORT=tcp://%s:8765", ip), fmt.Sprintf("ENV_FOOSERVICE_PORT_8765_TCP=tcp://%s:8765", ip),
				"ENV_FOOSERVICE_PORT_8765_TCP_PROTO=tcp", "ENV_FOOSERVICE_PORT_8765_TCP_PORT=8765", "ENV_FOOSERVICE_PORT_8765_TCP_ADDR="+ip, "URL="+ip+":1")
			r.LogsNo("env-services-0", "ENV_HEADLESS")
			r.Logs("env-services-off-0", "done")
			r.LogsNo("env-services-off-0", "ENV_FOOSERVICE")
			before := r.Ready("env-services-0").Container("main").ID
			r.Edit("app: services: \"env-headless\"", "app: services: \"env-late\": {pod: \"env-server\", ports: http: {port: 9, targetPort: 8080}}\napp: services: \"env-headless\"")
			r.Wait("the new service is there", func() error {
				for _, s := range r.world.status().Services {
					if s.Name == "env-late" {
						return nil
					}
				}
				return fmt.Errorf("it is not")
			})
			if p := r.Ready("env-services-0"); p.Container("main").ID != before {
				r.Fatalf("a new service has restarted a container")
			}
			r.LogsNo("env-services-0", "ENV_LATE")
		},
	}
}

func downwardCases() []Case {
	const file = "common/node/downwardapi.go"
	return []Case{
		{
			Name: "downward-env", Rows: append(rows(file, "DownwardAPI, environment for name, namespace and ip", "DownwardAPI, environment for host ip", "DownwardAPI, environment for hostIPs"),
				rows("common/node/pods.go", "Pods, assigned hostip")...), Items: []int{64},
			CUE: `app: pods: "downward-env": {
	labels: colour: "red"
	annotations: "witness.example/note": "a note"
	containers: main: _witness & {
		env: {
			NAME: valueFrom: fieldRef: fieldPath: "metadata.name"
			NAMESPACE: valueFrom: fieldRef: fieldPath: "metadata.namespace"
			LABEL: valueFrom: fieldRef: fieldPath: "metadata.labels['colour']"
			NOTE: valueFrom: fieldRef: fieldPath: "metadata.annotations['witness.example/note']"
			IP: valueFrom: fieldRef: fieldPath: "status.podIP"
			IPS: valueFrom: fieldRef: fieldPath: "status.podIPs"
			HOST: valueFrom: fieldRef: fieldPath: "status.hostIP"
			HOSTS: valueFrom: fieldRef: fieldPath: "status.hostIPs"
			NODE: valueFrom: fieldRef: fieldPath: "spec.nodeName"
			ACCOUNT: valueFrom: fieldRef: fieldPath: "spec.serviceAccountName"
		}
		args: ["env", "wait"]
	}
}`,
			Check: func(r *Run) {
				p := r.Ready("downward-env-0")
				r.Logs("downward-env-0", "NAME=downward-env-0", "NAMESPACE=default", "LABEL=red", "NOTE=a note", "IP="+p.IP, "IPS="+p.IP, "ACCOUNT=default")
				log := strings.Join(r.Log("downward-env-0"), "\n")
				host := regexp.MustCompile(`(?m)^HOST=(\d+\.\d+\.\d+\.\d+)$`).FindStringSubmatch(log)
				if host == nil || !strings.Contains(log, "\nHOSTS="+host[1]) || !regexp.MustCompile(`(?m)^NODE=.+$`).MatchString(log) {
					r.Fatalf("there is no address of the host, or no node:\n%s", log)
				}
			},
		}, {
			Name: "downward-uid", Rows: rows(file, "DownwardAPI, environment for Pod UID"), Items: []int{64},
			CUE: `app: pods: "downward-uid": _once & {containers: main: _witness & {
	env: POD_UID: valueFrom: fieldRef: fieldPath: "metadata.uid"
	args: ["env POD_", "say done"]
}}`,
			Check: func(r *Run) {
				r.Logs("downward-uid-0", "done")
				if log := r.Log("downward-uid-0"); !regexp.MustCompile(`^POD_UID=[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(log[0]) {
					r.Fatalf("it says %q", log)
				}
			},
		}, {
			Name: "downward-resources", Rows: rows(file, "DownwardAPI, environment for CPU and memory limits and requests"), Items: []int{66},
			CUE: `app: pods: "downward-resources": _once & {containers: main: _witness & {
	resources: {requests: {cpu: "250m", memory: "32Mi"}, limits: {cpu: "1250m", memory: "64Mi"}}
	env: {
		CPU_LIMIT: valueFrom: resourceFieldRef: resource: "limits.cpu"
		MEMORY_LIMIT: valueFrom: resourceFieldRef: resource: "limits.memory"
		CPU_REQUEST: valueFrom: resourceFieldRef: {resource: "requests.cpu", divisor: "1m"}
		MEMORY_REQUEST: valueFrom: resourceFieldRef: {resource: "requests.memory", divisor: "1Mi"}
	}
	args: ["env"]
}}`,
			Check: func(r *Run) {
				r.Logs("downward-resources-0", "CPU_LIMIT=2", "MEMORY_LIMIT=67108864", "CPU_REQUEST=250", "MEMORY_REQUEST=32")
			},
		}, {
			Name: "downward-allocatable", Rows: rows(file, "DownwardAPI, environment for default CPU and memory limits and requests"), Items: []int{66},
			CUE: `app: pods: "downward-allocatable": _once & {containers: main: _witness & {
	env: {
		CPU_LIMIT: valueFrom: resourceFieldRef: resource: "limits.cpu"
		MEMORY_LIMIT: valueFrom: resourceFieldRef: resource: "limits.memory"
		CPU_REQUEST: valueFrom: resourceFieldRef: resource: "requests.cpu"
	}
	args: ["env", "say done"]
}}`,
			Check: func(r *Run) {
				r.Logs("downward-allocatable-0", "done")
				log := strings.Join(r.Log("downward-allocatable-0"), "\n")
				if !regexp.MustCompile(`(?m)^CPU_LIMIT=[1-9]\d*$`).MatchString(log) || !regexp.MustCompile(`(?m)^MEMORY_LIMIT=[1-9]\d{7,}$`).MatchString(log) {
					r.Fatalf("it says\n%s", log)
				}
			},
		},
		downwardVolumeCase("downward-volume", "downwardAPI", "common/storage/downwardapi_volume.go", []string{
			"DownwardAPI volume, CPU limits", "DownwardAPI volume, CPU request", "DownwardAPI volume, memory limits", "DownwardAPI volume, memory request",
			"DownwardAPI volume, pod name", "DownwardAPI volume, volume mode 0400", "DownwardAPI volume, file mode 0400",
			"DownwardAPI volume, update annotations", "DownwardAPI volume, update label"}),
		downwardVolumeCase("projected-downward", "projected", "common/storage/projected_downwardapi.go", []string{
			"Projected Volume, DownwardAPI, CPU limits", "Projected Volume, DownwardAPI, CPU request", "Projected Volume, DownwardAPI, memory limits", "Projected Volume, DownwardAPI, memory request",
			"Projected Volume, DownwardAPI, pod name", "Projected Volume, DownwardAPI, volume mode 0400",
			"Projected Volume, DownwardAPI, update annotation", "Projected Volume, DownwardAPI, update labels"}),
		downwardDefaultsCase(),
	}
}

// downwardVolumeCase is one pod that reads all that there is from files, of a
// volume of their own or a projected one.
func downwardVolumeCase(name, kind, file string, names []string) Case {
	source := "downwardAPI: {defaultMode: 0o400, items: _items}"
	if kind == "projected" {
		source = "projected: {defaultMode: 0o400, sources: [{downwardAPI: items: _items}]}"
	}
	return Case{
		Name: name, Rows: rows(file, names...), Items: []int{65, 66, 75},
		CUE: strings.NewReplacer("@NAME@", name, "_items", "_"+strings.ReplaceAll(name, "-", "_")).Replace(`_items: {
	name: fieldRef: fieldPath: "metadata.name"
	"deep/labels": fieldRef: fieldPath: "metadata.labels"
	annotations: fieldRef: fieldPath: "metadata.annotations"
	open: {fieldRef: {fieldPath: "metadata.namespace"}, mode: 0o444}
	cpu: resourceFieldRef: {containerName: "main", resource: "limits.cpu"}
	memory: resourceFieldRef: {containerName: "main", resource: "limits.memory"}
	"cpu-request": resourceFieldRef: {containerName: "main", resource: "requests.cpu", divisor: "1m"}
	"memory-request": resourceFieldRef: {containerName: "main", resource: "requests.memory"}
}
app: pods: "@NAME@": {
	labels: {colour: "red"}
	annotations: {builder: "bar"}
	volumes: info: ` + source + `
	containers: main: _witness & {
		resources: {requests: {cpu: "250m", memory: "32Mi"}, limits: {cpu: "1250m", memory: "64Mi"}}
		volumeMounts: "/info": name: "info"
		args: ["stat /info/name", "stat /info/open", "cat /info/name", "cat /info/cpu", "cat /info/memory", "cat /info/cpu-request", "cat /info/memory-request",
			"follow /info/deep/labels", "follow /info/annotations", "wait"]
	}
}`),
		Check: func(r *Run) {
			pod := name + "-0"
			r.Logs(pod, fmt.Sprintf("/info/name mode=-r-------- uid=0 gid=0 size=%d", len(pod)), "/info/open mode=-r--r--r-- uid=0 gid=0 size=7",
				"/info/name: "+pod, "/info/cpu: 2", "/info/memory: 67108864", "/info/cpu-request: 250", "/info/memory-request: 33554432",
				`/info/deep/labels: colour="red"`, `/info/annotations: builder="bar"`)
			before := r.Ready(pod).Container("main").ID
			r.Edit(`{colour: "red"}`, `{colour: "blue", more: "yes"}`)
			r.Logs(pod, `/info/deep/labels: colour="blue"`, `/info/deep/labels: more="yes"`)
			r.Edit(`{builder: "bar"}`, `{builder: "foo"}`)
			r.Logs(pod, `/info/annotations: builder="foo"`)
			if p := r.Pod(pod); p.Container("main").ID != before {
				r.Fatalf("a changed label has restarted the container")
			}
		},
	}
}

func downwardDefaultsCase() Case {
	return Case{
		Name: "downward-defaults", Rows: append(rows("common/storage/downwardapi_volume.go", "DownwardAPI volume, CPU limit, default node allocatable", "DownwardAPI volume, memory limit, default node allocatable"),
			rows("common/storage/projected_downwardapi.go", "Projected Volume, DownwardAPI, CPU limit, node allocatable", "Projected Volume, DownwardAPI, memory limit, node allocatable")...),
		Items: []int{66},
		CUE: `_defaults: {cpu: resourceFieldRef: {containerName: "main", resource: "limits.cpu"}, memory: resourceFieldRef: {containerName: "main", resource: "limits.memory"}}
app: pods: "downward-defaults": _once & {
	volumes: {info: downwardAPI: items: _defaults, also: projected: sources: [{downwardAPI: items: _defaults}]}
	containers: main: _witness & {
		volumeMounts: {"/info": name: "info", "/also": name: "also"}
		args: ["cat /info/cpu", "cat /info/memory", "cat /also/cpu", "cat /also/memory"]
	}
}`,
		Check: func(r *Run) {
			r.Phase("downward-defaults-0", "Succeeded")
			for _, want := range []string{"/info/cpu: [1-9]", "/also/cpu: [1-9]", `/info/memory: [1-9]\d{7}`, `/also/memory: [1-9]\d{7}`} {
				if log := strings.Join(r.Log("downward-defaults-0"), "\n"); !regexp.MustCompile(want).MatchString(log) {
					r.Fatalf("it says\n%s", log)
				}
			}
		},
	}
}
