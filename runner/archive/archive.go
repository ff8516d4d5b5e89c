// Package archive makes container images in memory, as archives that any engine
// loads (image specification of Docker 1.2). There is no builder and no
// registry, and equal content gives equal bytes.
package archive

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
)

// Image is an image for Linux.
type Image struct {
	Arch   string   // in Go's words
	Config Config   // how its containers start
	Layers [][]byte // tars, the lowest first; see Pack
	Refs   []string // name:tag
}

// Config is what an image says of its containers.
type Config struct {
	Entrypoint []string
	Env        []string `json:",omitempty"`
	User       string   `json:",omitempty"`
	Labels     map[string]string
	StopSignal string `json:",omitempty"`
}

// File is one file of a tar, or a directory when its name ends in a slash.
type File struct {
	Name string
	Mode int64
	Data []byte
}

// Pack makes a tar without times, owners or anything else that differs between
// two machines.
func Pack(files ...File) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := tar.Header{Name: f.Name, Mode: f.Mode, Size: int64(len(f.Data)), Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if strings.HasSuffix(f.Name, "/") {
			h.Typeflag = tar.TypeDir
		}
		must(w.WriteHeader(&h))
		_, err := w.Write(f.Data)
		must(err)
	}
	must(w.Close())
	return b.Bytes()
}

// ID is the image's: the digest of its configuration, in hexadecimal digits.
func (i *Image) ID() string { return sum(i.config()) }

// Bytes is the archive.
func (i *Image) Bytes() []byte {
	config := i.config()
	name := sum(config) + ".json"
	m := manifest{Config: name, RepoTags: i.Refs}
	files := []File{{Name: name, Mode: 0o644, Data: config}}
	for _, layer := range i.Layers {
		dir := sum(layer) + "/"
		m.Layers = append(m.Layers, dir+"layer.tar")
		files = append(files, File{Name: dir, Mode: 0o755}, File{Name: dir + "layer.tar", Mode: 0o644, Data: layer})
	}
	files = append(files, File{Name: "manifest.json", Mode: 0o644, Data: marshal([]manifest{m})})
	return Pack(files...)
}

func (i *Image) config() []byte {
	c := configuration{Architecture: i.Arch, OS: "linux", Created: time.Unix(0, 0).UTC(), Config: i.Config, RootFS: rootFS{Type: "layers"}}
	for _, layer := range i.Layers {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, "sha256:"+sum(layer))
	}
	return marshal(c)
}

// The documents of the format, as far as they are used.
type (
	manifest struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	configuration struct {
		Architecture string    `json:"architecture"`
		OS           string    `json:"os"`
		Created      time.Time `json:"created"`
		Config       Config    `json:"config"`
		RootFS       rootFS    `json:"rootfs"`
	}
	rootFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	}
)

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
		panic("archive: " + err.Error())
	}
}
