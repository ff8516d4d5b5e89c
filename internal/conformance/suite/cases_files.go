package suite

import (
	"fmt"
	"strings"
)

// fileSource is a kind of volume that has files, of ConfigMaps or secrets, on
// their own or projected.
type fileSource struct {
	name string // of the case
	rows []string
	kind string // configMap or secret
	// volume is a volume of all keys; with items, mode or both in place of @MORE@.
	volume string
}

// configCases are the volumes of ConfigMaps and secrets: the same cases for
// each way to have them.
func configCases() []Case {
	config, projected := "common/storage/configmap_volume.go", "common/storage/projected_configmap.go"
	secret, projectedSecret := "common/storage/secrets_volume.go", "common/storage/projected_secret.go"
	sources := []fileSource{
		{"config-volume", rows(config, "ConfigMap Volume, without mapping", "ConfigMap Volume, without mapping, non-root user", "ConfigMap Volume, without mapping, volume mode set",
			"ConfigMap Volume, with mapping", "ConfigMap Volume, with mapping, volume mode set", "ConfigMap Volume, with mapping, non-root user",
			"ConfigMap Volume, multiple volume maps"), "configMap", `configMap: {name: "@NAME@"@MORE@}`},
		{"config-projected", rows(projected, "Projected Volume, ConfigMap, volume mode default", "Projected Volume, ConfigMap, non-root user", "Projected Volume, ConfigMap, volume mode 0400",
			"Projected Volume, ConfigMap, mapped", "Projected Volume, ConfigMap, mapped, volume mode 0400", "Projected Volume, ConfigMap, mapped, non-root user",
			"Projected Volume, ConfigMap, multiple volume paths"), "configMap", `projected: {@MODE@sources: [{configMap: {name: "@NAME@"@ITEMS@}}]}`},
		{"secret-volume", rows(secret, "Secrets Volume, default", "Secrets Volume, volume mode 0400", "Secrets Volume, mapping", "Secrets Volume, mapping, volume mode 0400",
			"Secrets Volume, mapping multiple volume paths"), "secret", `secret: {secretName: "@NAME@"@MORE@}`},
		{"secret-projected", rows(projectedSecret, "Projected Volume, Secrets, volume mode default", "Projected Volume, Secrets, volume mode 0400", "Projected Volume, Secrets, mapped",
			"Projected Volume, Secrets, mapped, volume mode 0400", "Projected Volume, Secrets, mapped, multiple paths"), "secret", `projected: {@MODE@sources: [{secret: {name: "@NAME@"@ITEMS@}}]}`},
	}
	var out []Case
	for _, s := range sources {
		out = append(out, s.reads(), s.changes())
	}
	return append(out, binaryCase(), fsGroupCase(), wrapperCase(), secretNamesCase(), combinedCase(), subPathStaysCase())
}

func (s fileSource) of(name, items, mode string) string {
	more := ""
	if mode != "" {
		more += ", defaultMode: " + mode
		mode = "defaultMode: " + mode + ", "
	}
	if items != "" {
		items = ", items: " + items
		more += items
	}
	return strings.NewReplacer("@NAME@", name, "@MORE@", more, "@ITEMS@", items, "@MODE@", mode).Replace(s.volume)
}

// data defines the ConfigMap or secret.
func (s fileSource) data(name string) string {
	if s.kind == "configMap" {
		return fmt.Sprintf(`app: configMaps: %q: data: {"data-1": "value-1", "data-2": "value-2"}`, name)
	}
	return fmt.Sprintf(`app: secrets: %q: keys: {"data-1": env: "WITNESS_SECRET", "data-2": env: "WITNESS_SECRET"}`, name)
}

func (s fileSource) value(n int) string {
	if s.kind == "configMap" {
		return fmt.Sprint("value-", n)
	}
	return "value of the secret"
}

// reads is one pod with volumes of all modes and mappings, seen by root and by
// another user.
func (s fileSource) reads() Case {
	items := `{"data-2": {path: "path/to/data-2"}}`
	withMode := `{"data-2": {path: "path/to/data-2", mode: 0o400}}`
	cue := s.data(s.name) + fmt.Sprintf(`
app: pods: %q: _once & {
	volumes: {plain: %s, strict: %s, mapped: %s, item: %s}
	_sees: _witness & {
		volumeMounts: {"/plain": name: "plain", "/again": name: "plain", "/strict": name: "strict", "/mapped": name: "mapped", "/item": name: "item"}
		args: ["stat /plain/data-1", "cat /plain/data-1", "cat /again/data-1", "ls /plain", "cat /mapped/path/to/data-2", "ls /mapped", "try cat /strict/data-1", "stat /strict/data-1", "stat /item/path/to/data-2"]
	}
	containers: {main: _sees, user: _sees & {securityContext: {runAsUser: 1000}}}
}`, s.name, s.of(s.name, "", ""), s.of(s.name, "", "0o400"), s.of(s.name, items, ""), s.of(s.name, withMode, ""))
	return Case{Name: s.name, Rows: s.rows, Items: []int{69, 70, 72}, CUE: cue, Check: func(r *Run) {
		pod := s.name + "-0"
		r.Phase(pod, "Succeeded")
		common := []string{
			fmt.Sprintf("/plain/data-1 mode=-rw-r--r-- uid=0 gid=0 size=%d", len(s.value(1))), "/plain/data-1: " + s.value(1), "/again/data-1: " + s.value(1),
			"/plain has data-1 -> ..data/data-1", "/mapped/path/to/data-2: " + s.value(2),
			fmt.Sprintf("/strict/data-1 mode=-r-------- uid=0 gid=0 size=%d", len(s.value(1))), fmt.Sprintf("/item/path/to/data-2 mode=-r-------- uid=0 gid=0 size=%d", len(s.value(2))),
		}
		r.Logs(pod, append(common, "done: cat /strict/data-1")...)
		r.Logs(pod+"/user", append(common, "failed: cat /strict/data-1: open /strict/data-1: permission denied")...)
		r.LogsNo(pod, "/mapped has data-1")
	}}
}

// changes is a pod that sees keys come, change and go, all of an optional
// source that is not there at first.
func (s fileSource) changes() Case {
	name := s.name + "-changes"
	file := map[string]string{"config-volume": "common/storage/configmap_volume.go", "config-projected": "common/storage/projected_configmap.go",
		"secret-volume": "common/storage/secrets_volume.go", "secret-projected": "common/storage/projected_secret.go"}[s.name]
	title := map[string][]string{
		"config-volume":    {"ConfigMap Volume, create, update and delete", "ConfigMap Volume, update"},
		"config-projected": {"Projected Volume, ConfigMap, create, update and delete", "Projected Volume, ConfigMap, update"},
		"secret-volume":    {"Secrets Volume, create, update and delete"},
		"secret-projected": {"Projected Volume, Secrets, create, update delete"},
	}[s.name]
	optional := strings.NewReplacer("@NAME@", name+"-late", "@MORE@", ", optional: true", "@ITEMS@", ", optional: true", "@MODE@", "").Replace(s.volume)
	return Case{
		Name: name, Rows: rows(file, title...), Items: []int{70, 72, 75}, Negative: []int{72},
		CUE: s.data(name) + "\n// LATE\n" + fmt.Sprintf(`
app: pods: %q: {
	volumes: {data: %s, late: %s}
	containers: main: _witness & {
		volumeMounts: {"/data": name: "data", "/late": name: "late"}
		args: ["follow /data/data-1", "follow /data/data-3", "follow /late/data-1", "wait"]
	}
}`, name, s.of(name, "", ""), optional),
		Check: func(r *Run) {
			pod := name + "-0"
			before := r.Ready(pod).Container("main").ID
			r.Logs(pod, "/data/data-1: "+s.value(1), "/data/data-3 is gone", "/late/data-1 is gone")
			next := `"data-3": "value-3"`
			if s.kind == "secret" {
				next = `"data-3": env: "WITNESS_SECRET"`
			}
			r.Edit(`"data-2": `, next+`, "data-2": `)
			r.Logs(pod, "/data/data-3: "+s.value(3))
			r.Edit("// LATE", s.data(name+"-late"))
			r.Logs(pod, "/late/data-1: "+s.value(1))
			if s.kind == "configMap" {
				r.Edit(`{"data-1": "value-1", "data-3"`, `{"data-1": "value-9", "data-3"`)
				r.Logs(pod, "/data/data-1: value-9")
			}
			r.Edit(next+", ", "")
			r.LogsTimes(2, pod, "/data/data-3 is gone")
			if p := r.Ready(pod); p.Container("main").ID != before {
				r.Fatalf("the container was restarted: %+v", p)
			}
		},
	}
}

func binaryCase() Case {
	return Case{
		Name: "config-binary", Rows: rows("common/storage/configmap_volume.go", "ConfigMap Volume, text data, binary data"), Items: []int{73},
		CUE: `app: configMaps: "config-binary": {data: text: "text", binaryData: dump: '\xde\xca\xfe\xba\xd0\xfe\xff'}
app: pods: "config-binary": _once & {volumes: data: configMap: name: "config-binary", containers: main: _witness & {volumeMounts: "/data": name: "data", args: ["cat /data/text", "hex /data/dump"]}}`,
		Check: func(r *Run) {
			r.Logs("config-binary-0", "/data/text: text", "/data/dump: decafebad0feff")
		},
	}
}

func fsGroupCase() Case {
	return Case{
		Name: "secret-fs-group", Rows: append(rows("common/storage/projected_secret.go", "Project Volume, Secrets, non-root, custom fsGroup"),
			rows("common/storage/secrets_volume.go", "Secrets Volume, volume mode 0440, fsGroup 1001 and uid 1000")...), Items: []int{84},
		CUE: `app: secrets: "secret-fs-group": keys: "data-1": env: "WITNESS_SECRET"
app: pods: "secret-fs-group": _once & {
	securityContext: {runAsUser: 1000, fsGroup: 1001}
	volumes: {
		secret: secret: {secretName: "secret-fs-group", defaultMode: 0o440}
		projected: projected: {defaultMode: 0o440, sources: [{secret: name: "secret-fs-group"}]}
		empty: emptyDir: {}
		memory: emptyDir: medium: "Memory"
	}
	containers: main: _witness & {
		volumeMounts: {"/secret": name: "secret", "/projected": name: "projected", "/empty": name: "empty", "/memory": name: "memory"}
		args: ["cat /secret/data-1", "stat /secret/data-1", "cat /projected/data-1", "stat /projected/data-1", "stat /empty", "stat /memory", "make 0644 /empty/file text"]
	}
}`,
		Check: func(r *Run) {
			r.Phase("secret-fs-group-0", "Succeeded")
			r.Logs("secret-fs-group-0", "/secret/data-1: value of the secret", "/secret/data-1 mode=-r--r----- uid=0 gid=1001 size=19", "/projected/data-1 mode=-r--r----- uid=0 gid=1001 size=19",
				"/empty/file mode=-rw-r--r-- uid=1000 gid=1001 size=5")
			r.LogsTimes(1, "secret-fs-group-0", "/empty mode=dgrwxrwxrwx uid=0 gid=1001")
			r.Matches("secret-fs-group-0", `^/memory mode=dgt?rwxrwxrwx uid=0 gid=1001 `)
		},
	}
}

// wrapperCase: volumes of several kinds in one pod, and of many ConfigMaps.
func wrapperCase() Case {
	var maps, vols, mounts, args strings.Builder
	for i := range 20 {
		fmt.Fprintf(&maps, "app: configMaps: \"wrapper-%d\": data: \"data-1\": \"value-%d\"\n", i, i)
		fmt.Fprintf(&vols, "v%d: configMap: name: \"wrapper-%d\"\n", i, i)
		fmt.Fprintf(&mounts, "\"/etc/config-%d\": name: \"v%d\"\n", i, i)
		fmt.Fprintf(&args, "\"cat /etc/config-%d/data-1\", ", i)
	}
	return Case{
		Name: "wrapper", Rows: rows("storage/empty_dir_wrapper.go", "EmptyDir Wrapper Volume, ConfigMap volumes, no race", "EmptyDir Wrapper Volume, Secret and ConfigMap volumes, no conflict"),
		CUE: maps.String() + `app: secrets: wrapper: keys: "data-1": env: "WITNESS_SECRET"
app: pods: wrapper: {
	replicas: 2
	volumes: {` + vols.String() + `s: secret: secretName: "wrapper"}
	containers: main: _witness & {volumeMounts: {` + mounts.String() + `"/etc/secret": name: "s"}, args: [` + args.String() + `"cat /etc/secret/data-1", "wait"]}
}`,
		Items: []int{117}, Negative: []int{117},
		Check: func(r *Run) {
			for n := range 2 {
				pod := fmt.Sprint("wrapper-", n)
				r.Ready(pod)
				r.Logs(pod, "/etc/config-0/data-1: value-0", "/etc/config-19/data-1: value-19", "/etc/secret/data-1: value of the secret")
			}
		},
	}
}

// secretNamesCase: a secret that has the name of something else. Kubernetes'
// test has the same name in two namespaces, of which an app has one.
func secretNamesCase() Case {
	return Case{
		Name: "secret-names", Rows: rows("common/storage/secrets_volume.go", "Secrets Volume, volume mode default, secret with same name in different namespace"),
		CUE: `app: secrets: "secret-names": keys: "data-1": env: "WITNESS_SECRET"
app: configMaps: "secret-names": data: "data-1": "another"
app: pods: "secret-names": _once & {
	volumes: {a: secret: secretName: "secret-names", b: configMap: name: "secret-names"}
	containers: main: _witness & {volumeMounts: {"/a": name: "a", "/b": name: "b"}, args: ["cat /a/data-1", "cat /b/data-1", "fs /a", "fs /b"]}
}`,
		Check: func(r *Run) {
			r.Logs("secret-names-0", "/a/data-1: value of the secret", "/b/data-1: another")
			r.LogsTimes(1, "secret-names-0", "/a tmpfs=true")
			r.LogsTimes(1, "secret-names-0", "/b tmpfs=false")
		},
	}
}

func combinedCase() Case {
	return Case{
		Name: "projected-combined", Rows: rows("common/storage/projected_combined.go", "Projected Volume, multiple projections"), Items: []int{83},
		CUE: `app: secrets: "projected-combined": keys: "secret-data": env: "WITNESS_SECRET"
app: configMaps: "projected-combined": data: "configmap-data": "configmap-value"
app: pods: "projected-combined": _once & {
	volumes: all: projected: sources: [
		{downwardAPI: items: {podname: fieldRef: fieldPath: "metadata.name"}},
		{secret: {name: "projected-combined", items: "secret-data": path: "deep/secret"}},
		{configMap: name: "projected-combined"},
	]
	containers: main: _witness & {volumeMounts: "/all": name: "all", args: ["cat /all/podname", "cat /all/deep/secret", "cat /all/configmap-data", "fs /all"]}
}`,
		Check: func(r *Run) {
			r.Logs("projected-combined-0", "/all/podname: projected-combined-0", "/all/deep/secret: value of the secret", "/all/configmap-data: configmap-value")
			r.LogsTimes(1, "projected-combined-0", "/all tmpfs=true")
		},
	}
}

// subPathStaysCase: a file that is mounted by its subPath stays as it was.
func subPathStaysCase() Case {
	return Case{
		Name: "subpath-stays", Items: []int{72, 79}, Negative: []int{79},
		CUE: `app: configMaps: "subpath-stays": data: file: "as it was"
app: pods: "subpath-stays": {
	volumes: data: configMap: name: "subpath-stays"
	containers: main: _witness & {volumeMounts: {"/all": name: "data", "/file": {name: "data", subPath: "file"}}, args: ["follow /all/file", "follow /file", "wait"]}
}`,
		Check: func(r *Run) {
			r.Ready("subpath-stays-0")
			r.Logs("subpath-stays-0", "/all/file: as it was", "/file: as it was")
			r.Edit("as it was", "as it is now")
			r.Logs("subpath-stays-0", "/all/file: as it is now")
			r.LogsNo("subpath-stays-0", "/file: as it is now", "/file is gone")
		},
	}
}
