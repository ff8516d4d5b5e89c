package docker

import (
	"testing"

	"github.com/cuepod/cuepod/compiler/app"
)

// conformance:S19
func TestMessages(t *testing.T) {
	a := one(func(p *app.Pod, c *app.Container) {
		c.TerminationMessagePath, c.TerminationMessagePolicy = "/dev/termination-log", "FallbackToLogsOnError"
		p.Containers = append(p.Containers,
			app.Container{Name: "other", Image: "i", TerminationMessagePath: "/words"},
			app.Container{Name: "own", Image: "i", VolumeMounts: []app.VolumeMount{{Name: "tmp", MountPath: "/dev/termination-log"}}})
		p.Volumes = append(p.Volumes, app.Volume{Name: "tmp", EmptyDir: &app.EmptyDir{}})
	})
	s, _, err := Render(a, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := &s.Pods[0]
	volume := VolumeName(s.Prefix(), p.Name, messagesVolume)
	if v := s.Volume(volume); v == nil || v.Kind != Messages || v.Pod != p.Name {
		t.Errorf("volumes %+v", s.Volumes)
	}
	for i, want := range []string{"/dev/termination-log", "/words", ""} {
		c := &p.Containers[i]
		m, ok := p.MessageMount(c)
		if ok != (want != "") || m.Path != want || ok && (m.Volume != volume || m.SubPath != c.Name || !m.Fixed || m.ReadOnly) {
			t.Errorf("%s: %+v, %t", c.Name, m, ok)
		}
	}
	if c := p.Containers[0]; !c.MessageFromLog || c.MessagePath != "" {
		t.Errorf("%+v", c)
	}
	if _, ok := (&Pod{}).MessageMount(&p.Containers[0]); ok {
		t.Error("a pod without the volume mounts it")
	}
}
