package runner

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"

	"github.com/cuepod/cuepod/runner/reconcile"
	"github.com/cuepod/cuepod/targets/docker"
)

// manifest is what a record carries: enough for every command but up and plan
// to work without the definition. It holds no secret value.
type manifest struct {
	State      *docker.State  `json:"state"`
	AgentImage string         `json:"agentImage"`
	Slots      map[string]int `json:"slots"` // virtual IP slot by service
	// Backoff is how the last supervisor waited between restarts.
	Backoff reconcile.Backoff `json:"backoff,omitempty"`
	// Strict is Config.Strict, and Earlier what pods of earlier revisions of their
	// template were made from, see reconcile.Record.
	Strict  bool                 `json:"strict,omitempty"`
	Earlier []reconcile.Instance `json:"earlier,omitempty"`
}

// encodeManifest packs a manifest into a label: JSON, gzip, base64. Equal
// manifests give equal text.
func encodeManifest(m manifest) (string, error) {
	data, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("record: %w", err)
	}
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write(data); err != nil {
		return "", fmt.Errorf("record: %w", err)
	}
	if err := z.Close(); err != nil {
		return "", fmt.Errorf("record: %w", err)
	}
	return base64.StdEncoding.EncodeToString(buf.Bytes()), nil
}

// maxManifest bounds what an unpacked record may take; a label is input.
const maxManifest = 64 << 20

func decodeManifest(label string) (manifest, error) {
	var m manifest
	packed, err := base64.StdEncoding.DecodeString(label)
	if err != nil {
		return m, fmt.Errorf("record: %w", err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return m, fmt.Errorf("record: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(z, maxManifest))
	if err != nil {
		return m, fmt.Errorf("record: %w", err)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("record: %w", err)
	}
	return m, nil
}
