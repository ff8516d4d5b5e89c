package runner

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"strings"
	"time"

	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/targets/docker"
)

// The vault is a volume that keeps what must not be in labels: the app's key,
// from which the agents' tokens are made, and generated secrets. The record
// container mounts it, so that it can be read and written while nothing runs.
const (
	vaultDir  = "/vault"
	vaultFile = "vault.json"

	vaultPatience = 30 * time.Second // with an engine that is stuck: it is one small file
)

type vault struct {
	Key       string            `json:"key"`
	Generated map[string]string `json:"generated"` // by secretName
}

// secretName is how a key of a secret is called in messages and in the vault.
func secretName(name, key string) string { return name + "/" + key }

// readVault reads the vault through a container that mounts it. An empty vault
// is not an error.
func readVault(ctx context.Context, eng engine.Engine, container string) (vault, error) {
	v := vault{Generated: map[string]string{}}
	ctx, cancel := context.WithTimeout(ctx, vaultPatience)
	defer cancel()
	stream, err := eng.CopyFrom(ctx, container, vaultDir+"/"+vaultFile)
	if engine.KindOf(err) == engine.NotFound {
		return v, nil
	}
	if err != nil {
		return v, fmt.Errorf("vault: %w", err)
	}
	defer stream.Close()
	t := tar.NewReader(stream)
	if _, err := t.Next(); err != nil {
		return v, fmt.Errorf("vault: %w", err)
	}
	data, err := io.ReadAll(t)
	if err != nil {
		return v, fmt.Errorf("vault: %w", err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return v, errors.New("vault: its content is damaged") // the cause could quote a value
	}
	return v, nil
}

func writeVault(ctx context.Context, eng engine.Engine, container string, v vault) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	var buf bytes.Buffer
	t := tar.NewWriter(&buf)
	// A fixed time: the engine refuses none, and nothing depends on it.
	header := &tar.Header{Name: vaultFile, Mode: 0o600, Size: int64(len(data)), ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg}
	if err := t.WriteHeader(header); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	if _, err := t.Write(data); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	if err := t.Close(); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	if err := eng.CopyTo(ctx, container, vaultDir, &buf); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	return nil
}

// secrets are the values of this run. They are in memory only, and nobody
// changes them once they are made.
type secrets struct {
	missing bool              // some that are needed have no value
	vault   vault             // as it is on the engine
	values  map[string]string // by secretName
}

func (s *secrets) lookup(name, key string) (string, bool) {
	value, ok := s.values[secretName(name, key)]
	return value, ok
}

// shortestHidden is the length from which a value is looked for in other
// people's words: a shorter one would be found everywhere.
const shortestHidden = 4

// hide takes the values of secrets out of a text.
func (s *secrets) hide(text string) string {
	if s == nil {
		return text
	}
	for _, value := range s.values {
		if len(value) >= shortestHidden {
			text = strings.ReplaceAll(text, value, "***")
		}
	}
	return text
}

// resolveSecrets gets every value the state asks for, makes what is to be
// generated and does not exist yet, and reports whether the vault has to be
// written. Values that are missing and that somebody needs are in the error, a
// *missingSecrets; the rest is there even so.
func resolveSecrets(list []docker.Secret, old vault, src SecretSources, random io.Reader) (s *secrets, changed bool, err error) {
	v := vault{Key: old.Key, Generated: maps.Clone(old.Generated)}
	s = &secrets{values: map[string]string{}}
	if v.Key == "" {
		if v.Key, err = randomText(random, 32); err != nil {
			return nil, false, err
		}
		changed = true
	}
	var missing []error
	for _, d := range list {
		name := secretName(d.Name, d.Key)
		value, ok := v.Generated[name]
		switch {
		case d.Generate > 0 && !ok:
			if value, err = randomText(random, d.Generate); err != nil {
				return nil, false, err
			}
			v.Generated[name], changed = value, true
		case d.Generate > 0:
		default:
			value, err = outsideSecret(d, src)
			if err != nil {
				if !d.Optional {
					missing = append(missing, fmt.Errorf("%s: secret %s: key %s: %w", d.Line, d.Name, d.Key, err))
				}
				continue
			}
		}
		s.values[name] = value
	}
	s.vault = v
	if len(missing) > 0 {
		s.missing = true
		return s, changed, &missingSecrets{errors.Join(missing...)}
	}
	return s, changed, nil
}

// missingSecrets is the error of values that nobody gives. A new app is not
// begun with it; in one that runs only the containers wait that need them.
type missingSecrets struct{ error }

func (e *missingSecrets) Unwrap() error { return e.error }

// tolerable is nil for an error that an app that runs can live with.
func tolerable(err error) error {
	if _, ok := errors.AsType[*missingSecrets](err); ok {
		return nil
	}
	return err
}

func outsideSecret(d docker.Secret, src SecretSources) (string, error) {
	switch {
	case d.Env != "":
		value, ok := src.LookupEnv(d.Env)
		if !ok {
			return "", fmt.Errorf("the environment variable %s is not set; set it and try again", d.Env)
		}
		return value, nil
	case d.File != "":
		data, err := src.ReadFile(d.File)
		if err != nil {
			return "", fmt.Errorf("the file cannot be read: %w", err)
		}
		return string(data), nil
	}
	return "", errors.New("it is external, and a local run has nobody who makes it; give it `generate`, `env` or `file` for this environment")
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// randomText gives n letters and digits: nothing that a shell, a URL or a
// configuration file would read as more than text.
func randomText(random io.Reader, n int) (string, error) {
	out := make([]byte, n)
	for i := range out {
		k, err := rand.Int(random, big.NewInt(int64(len(alphabet))))
		if err != nil {
			return "", fmt.Errorf("random source: %w", err)
		}
		out[i] = alphabet[k.Int64()]
	}
	return string(out), nil
}
