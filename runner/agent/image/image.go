// Package image makes the container image of the agent, in memory: one layer
// with one binary, as an archive that any engine loads. There is no builder and
// no registry, and equal binaries give equal images.
package image

import (
	"fmt"

	"github.com/cuepod/cuepod/runner/archive"
)

// repository is the name of the image; its tag comes from what is in it.
const repository = "cuepod/infra"

// path is where the binary is in the image.
const path = "/cuepod-agent"

// Build finds the agent for an architecture, in Go's words, and returns its
// image and the reference it loads under. It is a runner.AgentImage.
func Build(arch string) (ref string, data []byte, err error) {
	binary, args, err := Find(arch)
	if err != nil {
		return "", nil, err
	}
	ref, data = Archive(binary, arch, args...)
	return ref, data, nil
}

// Holder returns the image of Compose's pod holders under a reference of the
// caller's choice. It is the agent's own image: only a build with the agents in
// it has one.
func Holder(arch, ref string) (data []byte, err error) {
	binary, err := prebuilt(arch)
	if err != nil {
		return nil, fmt.Errorf("no agent for linux/%s is built into this program; build cuepod with `make build`", arch)
	}
	_, data = imageOf(binary, arch, nil, ref)
	return data, nil
}

// Archive returns the image of a binary as a docker-archive, and the reference
// it loads under. args follow the binary in the entrypoint, before a container's
// own arguments.
func Archive(binary []byte, arch string, args ...string) (ref string, data []byte) {
	return imageOf(binary, arch, args, "")
}

// imageOf is Archive with a reference; "" makes one of the image's content.
func imageOf(binary []byte, arch string, args []string, ref string) (string, []byte) {
	img := archive.Image{
		Arch: arch,
		Config: archive.Config{
			Entrypoint: append([]string{path}, args...),
			Labels:     map[string]string{"dev.cuepod.infra": "true"},
			StopSignal: "SIGTERM",
		},
		Layers: [][]byte{layer(binary)},
	}
	if ref == "" {
		ref = repository + ":" + img.ID()[:12]
	}
	img.Refs = []string{ref}
	return ref, img.Bytes()
}

// layer holds the binary, and the directories that an engine mounts things in
// and that the agent may write to.
func layer(binary []byte) []byte {
	return archive.Pack(
		archive.File{Name: "cuepod-agent", Mode: 0o755, Data: binary},
		archive.File{Name: "etc/", Mode: 0o755},
		archive.File{Name: "run/", Mode: 0o755},
		archive.File{Name: "tmp/", Mode: 0o1777},
	)
}
