package suite

import (
	"fmt"
	"strings"
)

// Images that cases use. The second one is stopped by another signal, and the
// others run as somebody else than root.
const (
	image        = "cuepod-witness:1"
	imageSignal  = "cuepod-witness:signal"
	imageUser    = "cuepod-witness:user"
	imageNamed   = "cuepod-witness:named"
	imageWorkdir = "cuepod-witness:workdir"
)

// baseCUE is what all cases of an app share.
func baseCUE(app, timelines string, repeat int) string {
	return strings.NewReplacer("@APP@", app, "@IMAGE@", image, "@TIMELINES@", timelines, "@REPEAT@", fmt.Sprint(repeat)).Replace(`package conformance

import "cuepod.dev/core"

app: core.#App & {name: "@APP@"}

_image:   "@IMAGE@"
_witness: image: _image
_repeat:  @REPEAT@

// _once is a pod that runs to its end, once.
_once: {kind: "Job", backoffLimit: 0, restartPolicy: "Never", ...}

// _timed is a pod whose containers write what they do to one timeline.
_timed: {
	containers?: [Name=string]:     _member & {env: WITNESS: value: Name}
	initContainers?: [Name=string]: _member & {env: WITNESS: value: Name}
	volumes: timelines: hostPath: path: "@TIMELINES@"
	...
}
_member: {
	image: *_image | string
	env: POD: valueFrom: fieldRef: fieldPath: "metadata.name"
	env: TIMELINE: value: "/timelines/$(POD)"
	volumeMounts: "/timelines": name: "timelines"
	...
}
`)
}
