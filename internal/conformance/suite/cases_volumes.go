package suite

import (
	"fmt"
	"strings"
)

func emptyDirCases() []Case {
	const file = "common/storage/empty_dir.go"
	return []Case{
		{
			Name: "empty-dir-modes", Rows: rows(file,
				"EmptyDir, medium default, volume mode default", "EmptyDir, medium memory, volume mode default",
				"EmptyDir, medium default, volume mode 0644", "EmptyDir, medium default, volume mode 0666", "EmptyDir, medium default, volume mode 0777",
				"EmptyDir, medium memory, volume mode 0644", "EmptyDir, medium memory, volume mode 0666", "EmptyDir, medium memory, volume mode 0777",
				"EmptyDir, medium memory, volume mode 0644, non-root user", "EmptyDir, medium memory, volume mode 0666,, non-root user", "EmptyDir, medium memory, volume mode 0777, non-root user"),
			Items: []int{69, 77},
			CUE: `app: pods: "empty-dir-modes": _once & {
	volumes: {disk: emptyDir: {}, memory: emptyDir: {medium: "Memory", sizeLimit: "16Mi"}, disk2: emptyDir: {}, memory2: emptyDir: medium: "Memory"}
	_makes: _witness & {args: ["stat /disk", "fs /disk", "stat /memory", "fs /memory", "make 0644 /disk/a text", "make 0666 /disk/b text", "make 0777 /disk/c text",
		"make 0644 /memory/a text", "make 0666 /memory/b text", "make 0777 /memory/c text"]}
	containers: {
		main: _makes & {volumeMounts: {"/disk": name: "disk", "/memory": name: "memory"}}
		user: _makes & {volumeMounts: {"/disk": name: "disk2", "/memory": name: "memory2"}, securityContext: runAsUser: 1001}
	}
}`,
			Check: func(r *Run) {
				for container, uid := range map[string]int{"main": 0, "user": 1001} {
					at := "empty-dir-modes-0/" + container
					for _, dir := range []string{"/disk", "/memory"} {
						for name, mode := range map[string]string{"a": "-rw-r--r--", "b": "-rw-rw-rw-", "c": "-rwxrwxrwx"} {
							r.Logs(at, fmt.Sprintf("%s/%s mode=%s uid=%d gid=0 size=5", dir, name, mode, uid), fmt.Sprintf("%s/%s: text", dir, name))
						}
					}
					r.LogsTimes(1, at, "/disk mode=drwxrwxrwx uid=0 gid=0")
					r.LogsTimes(1, at, "/memory mode=d")
					r.Wait("everybody may write", func() error {
						for _, l := range r.Log(at) {
							if strings.HasPrefix(l, "/memory mode=") && strings.Contains(l, "rwxrwxrwx uid=0 gid=0") {
								return nil
							}
						}
						return errNotSeen
					})
					r.LogsTimes(1, at, "/disk tmpfs=false")
					r.LogsTimes(1, at, "/memory tmpfs=true")
				}
				r.Logs("empty-dir-modes-0", "/memory tmpfs=true size=16777216")
			},
		}, {
			Name: "empty-dir-shared", Rows: rows(file, "EmptyDir, Shared volumes between containers"), Items: []int{77},
			CUE: `app: pods: "empty-dir-shared": _once & {
	volumes: data: emptyDir: {}
	containers: {
		main: _witness & {volumeMounts: "/usr/share/volume": name: "data", args: ["await /usr/share/volume/file", "cat /usr/share/volume/file", "ls /usr/share/volume"]}
		other: _witness & {volumeMounts: "/content": name: "data", args: ["write /content/file Hello from the busy-box", "ls /content"]}
	}
}`,
			Check: func(r *Run) {
				// What the image has at the mount's path is hidden, and not copied.
				r.Logs("empty-dir-shared-0", "/usr/share/volume/file: Hello from the busy-box", "/usr/share/volume has 1")
				r.Logs("empty-dir-shared-0/other", "/content has 1")
			},
		},
	}
}

func subPathCases() []Case {
	const file, expansion = "storage/subpath.go", "common/node/expansion.go"
	return []Case{
		{
			Name: "subpath-files", Rows: rows(file, "SubPath: Reading content from a secret volume.", "SubPath: Reading content from a configmap volume.",
				"SubPath: Reading content from a downwardAPI volume.", "SubPath: Reading content from a projected volume."), Items: []int{79, 81},
			CUE: `app: secrets: "subpath-files": keys: "data-1": env: "WITNESS_SECRET"
app: configMaps: "subpath-files": data: {"data-1": "value-1", "data-2": "value-2"}
app: pods: "subpath-files": {
	volumes: {
		secret: secret: secretName: "subpath-files"
		config: configMap: name: "subpath-files"
		downward: downwardAPI: items: "deep/name": fieldRef: fieldPath: "metadata.name"
		projected: projected: sources: [{configMap: {name: "subpath-files", items: "data-2": path: "sub/data-2"}}]
		empty: emptyDir: {}
	}
	containers: main: _witness & {
		volumeMounts: {
			"/secret/file": {name: "secret", subPath: "data-1"}
			"/etc/passwd": {name: "config", subPath: "data-1"}
			"/downward": {name: "downward", subPath: "deep"}
			"/projected": {name: "projected", subPath: "sub"}
			"/made": {name: "empty", subPath: "a/b/c"}
			"/empty": name: "empty"
			"/read-only": {name: "empty", subPath: "a", readOnly: true}
		}
		args: ["cat /secret/file", "cat /etc/passwd", "cat /downward/name", "cat /projected/data-2", "write /made/file made", "cat /empty/a/b/c/file", "cat /read-only/b/c/file", "try write /read-only/x y", "say done", "wait"]
	}
}`,
			Check: func(r *Run) {
				r.Logs("subpath-files-0", "/secret/file: value of the secret", "/etc/passwd: value-1", "/downward/name: subpath-files-0", "/projected/data-2: value-2",
					"/empty/a/b/c/file: made", "/read-only/b/c/file: made", "failed: write /read-only/x y: open /read-only/x: read-only file system", "done")
			},
		}, {
			Name: "subpath-expansion", Rows: rows(expansion, "VolumeSubpathEnvExpansion, subpath expansion", "VolumeSubpathEnvExpansion, subpath test writes"), Items: []int{80},
			CUE: `app: pods: "subpath-expansion": {
	volumes: data: emptyDir: {}
	containers: {
		main: _witness & {
			env: POD_NAME: valueFrom: fieldRef: fieldPath: "metadata.name"
			volumeMounts: {"/logs": {name: "data", subPathExpr: "deep/$(POD_NAME)"}, "/all": name: "data"}
			args: ["write /logs/test.log text", "cat /all/deep/$(POD_NAME)/test.log", "wait"]
		}
		other: _witness & {volumeMounts: "/all": name: "data", args: ["await /all/deep/subpath-expansion-0/test.log", "ls /all/deep", "wait"]}
	}
}`,
			Check: func(r *Run) {
				r.Logs("subpath-expansion-0", "/all/deep/subpath-expansion-0/test.log: text")
				r.Logs("subpath-expansion-0/other", "/all/deep has subpath-expansion-0")
			},
		}, {
			Name: "subpath-refused", Rows: rows(expansion, "VolumeSubpathEnvExpansion, subpath with absolute path", "VolumeSubpathEnvExpansion, subpath with backticks",
				"VolumeSubpathEnvExpansion, subpath ready from failed state"), Items: []int{3, 80},
			CUE: `app: pods: {
	"subpath-absolute": {volumes: data: emptyDir: {}, containers: main: _witness & {env: NAME: value: "/tmp", volumeMounts: "/logs": {name: "data", subPathExpr: "$(NAME)"}, args: ["say ran", "wait"]}}
	"subpath-up": {volumes: data: emptyDir: {}, containers: main: _witness & {env: NAME: value: "..", volumeMounts: "/logs": {name: "data", subPathExpr: "$(NAME)"}, args: ["say ran", "wait"]}}
	"subpath-later": {annotations: {none: "x"}, volumes: data: emptyDir: {}, containers: main: _witness & {
		env: NAME: valueFrom: fieldRef: fieldPath: "metadata.annotations['mysubpath']"
		volumeMounts: "/logs": {name: "data", subPathExpr: "$(NAME)/x"}, args: ["say ran", "wait"]
	}}
}`,
			Check: func(r *Run) {
				for _, pod := range []string{"subpath-absolute-0", "subpath-up-0", "subpath-later-0"} {
					r.WaitPod(pod, "waits with CreateContainerConfigError", func(p Pod) bool {
						return p.Container("main").State == "waiting" && p.Container("main").Reason == "CreateContainerConfigError"
					})
					r.LogsNo(pod, "ran")
				}
				r.Edit(`{none: "x"}`, `{mysubpath: "mypath"}`) // without it the path begins with a slash
				r.Ready("subpath-later-0")
			},
		}, {
			Name: "image-volume", Rows: rows("common/node/image_volume.go", "Image Volume"), Items: []int{85}, Pending: "it needs Docker 28 or later",
			CUE: `app: pods: "image-volume": {
	volumes: content: image: {reference: _image, pullPolicy: "IfNotPresent"}
	containers: main: _witness & {volumeMounts: "/image": name: "content", args: ["cat /image/content/of-the-image", "try write /image/x y", "wait"]}
}`,
			Check: func(r *Run) {
				r.Logs("image-volume-0", "/image/content/of-the-image: content of the image", "failed: write /image/x y: open /image/x: read-only file system")
			},
		},
	}
}
