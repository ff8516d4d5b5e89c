// Package image makes the container image of the agent, in memory: one layer
// with one binary, as an archive that any engine loads. There is no builder and
// no registry, and equal binaries give equal images.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// repository is the name of the image; its tag comes from what is in it.
const repository = "cuepod/infra"

// path is where the binary is in the image.
const path = "/cuepod-agent"

// Build finds the agent for an architecture, in Go's words, and returns its
// image and the reference it loads under. It is a runner.AgentImage.
func Build(arch string) (ref string, archive []byte, err error) {
	binary, args, err := Find(arch)
	if err != nil {
		return "", nil, err
	}
	ref, archive = Archive(binary, arch, args...)
	return ref, archive, nil
}

// Holder returns the image of Compose's pod holders under a reference of the
// caller's choice. It is the agent's own image: only a build with the agents in
// it has one.
func Holder(arch, ref string) (archive []byte, err error) {
	binary, err := prebuilt(arch)
	if err != nil {
		return nil, fmt.Errorf("no agent for linux/%s is built into this program; build cuepod with `make build`", arch)
	}
	_, archive = imageOf(binary, arch, nil, ref)
	return archive, nil
}

// Archive returns the image of a binary as a docker-archive, and the reference
// it loads under. args follow the binary in the entrypoint, before a container's
// own arguments.
func Archive(binary []byte, arch string, args ...string) (ref string, archive []byte) {
	return imageOf(binary, arch, args, "")
}

// imageOf is Archive with a reference; "" makes one of the image's content.
func imageOf(binary []byte, arch string, args []string, ref string) (string, []byte) {
	layer := layer(binary)
	layerSum := sum(layer)
	config := marshal(imageConfig{
		Architecture: arch,
		OS:           "linux",
		Created:      time.Unix(0, 0).UTC(),
		Config: containerConfig{
			Entrypoint: append([]string{path}, args...),
			Labels:     map[string]string{"dev.cuepod.infra": "true"},
			StopSignal: "SIGTERM",
		},
		RootFS: rootFS{Type: "layers", DiffIDs: []string{"sha256:" + layerSum}},
	})
	configSum := sum(config)
	if ref == "" {
		ref = repository + ":" + configSum[:12]
	}
	manifest := marshal([]manifestEntry{{
		Config:   configSum + ".json",
		RepoTags: []string{ref},
		Layers:   []string{layerSum + "/layer.tar"},
	}})
	return ref, pack(
		entry{name: configSum + ".json", mode: 0o644, data: config},
		entry{name: layerSum + "/", mode: 0o755},
		entry{name: layerSum + "/layer.tar", mode: 0o644, data: layer},
		entry{name: "manifest.json", mode: 0o644, data: manifest},
	)
}

// layer holds the binary, and the directories that an engine mounts things in
// and that the agent may write to.
func layer(binary []byte) []byte {
	return pack(
		entry{name: "cuepod-agent", mode: 0o755, data: binary},
		entry{name: "etc/", mode: 0o755},
		entry{name: "run/", mode: 0o755},
		entry{name: "tmp/", mode: 0o1777},
	)
}

// The parts of the image format that are used (image specification of Docker
// 1.2, which every engine reads).
type (
	manifestEntry struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	imageConfig struct {
		Architecture string          `json:"architecture"`
		OS           string          `json:"os"`
		Created      time.Time       `json:"created"`
		Config       containerConfig `json:"config"`
		RootFS       rootFS          `json:"rootfs"`
	}
	containerConfig struct {
		Entrypoint []string
		Labels     map[string]string
		StopSignal string
	}
	rootFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	}
)

// entry is one file of a tar, or a directory when its name ends in a slash.
type entry struct {
	name string
	mode int64
	data []byte
}

// pack makes a tar without times, owners or anything else that differs between
// two machines.
func pack(entries ...entry) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.data)), Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if e.name[len(e.name)-1] == '/' {
			h.Typeflag = tar.TypeDir
		}
		must(w.WriteHeader(&h))
		_, err := w.Write(e.data)
		must(err)
	}
	must(w.Close())
	return b.Bytes()
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	must(err)
	return b
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// must states that plain values always fit a tar and a JSON document in memory.
func must(err error) {
	if err != nil {
		panic("image: " + err.Error())
	}
}
