package docker

import (
	"cmp"

	"github.com/cuepod/cuepod/compiler/app"
)

// Each pod has a small volume for the last words of its containers: a file for
// each, by its name, which the agent makes and which is mounted where the
// container writes them. /dev, where that is by default, is gone when a
// container has ended.
const (
	// MessagesDir is where the infra container mounts the volume.
	MessagesDir = "/messages"
	// defaultMessagePath is Kubernetes' terminationMessagePath
	// (pkg/apis/core/v1/defaults.go).
	defaultMessagePath = "/dev/termination-log"
	// messagesVolume is no name that a definition could give a volume.
	messagesVolume = ".messages"
)

// setMessages gives a pod its volume for last words.
func (r *renderer) setMessages(d *Pod) Volume {
	v := Volume{Name: VolumeName(r.project, d.Name, messagesVolume), Kind: Messages, Pod: d.Name}
	d.Mounts = append(d.Mounts, Mount{Volume: v.Name, Path: MessagesDir})
	return v
}

func setMessagePath(out *Container, c *app.Container) {
	if c.TerminationMessagePath != defaultMessagePath {
		out.MessagePath = c.TerminationMessagePath
	}
	out.MessageFromLog = c.TerminationMessagePolicy == "FallbackToLogsOnError"
}

// MessageMount shows a container of the pod the file for its last words. It is
// false where the pod has no volume for them, or the container mounts something
// of its own there.
func (p *Pod) MessageMount(c *Container) (Mount, bool) {
	at := cmp.Or(c.MessagePath, defaultMessagePath)
	for _, m := range c.Mounts {
		if m.Path == at {
			return Mount{}, false
		}
	}
	for _, m := range p.Mounts {
		if m.Path == MessagesDir {
			return Mount{Volume: m.Volume, SubPath: c.Name, Fixed: true, Path: at}, true
		}
	}
	return Mount{}, false
}
