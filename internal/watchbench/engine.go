package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// engine makes the calls that no tool can do without, with nothing around them:
// Docker Engine API 1.41.
type engine struct {
	client http.Client
	base   string
	// holder has the network that current is in, as a pod has.
	holder, current string
}

func connect(ctx context.Context) (*engine, error) {
	out, err := command(ctx, "", "docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
	if err != nil {
		return nil, err
	}
	at, err := url.Parse(strings.TrimSpace(out))
	if err != nil {
		return nil, err
	}
	if at.Scheme != "unix" {
		return nil, fmt.Errorf("the engine is at %s: it has to be at a socket of this machine", at)
	}
	var d net.Dialer
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", at.Path) }}
	return &engine{client: http.Client{Transport: transport}, base: "http://engine/v1.41"}, nil
}

func (e *engine) call(ctx context.Context, method, path string, body, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, e.base+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := e.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= 300:
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	case into == nil:
		return nil
	}
	return json.Unmarshal(answer, into)
}

// create makes a container of the witness in a network, which "" makes its own.
func (e *engine) create(ctx context.Context, network, port string) (id string, err error) {
	var created struct{ Id string }
	err = e.call(ctx, http.MethodPost, "/containers/create", map[string]any{
		"Image": image, "Env": []string{"PORT=" + port}, "Labels": map[string]string{app: ""},
		"HostConfig": map[string]any{"NetworkMode": network},
	}, &created)
	return created.Id, err
}

func (e *engine) start(ctx context.Context, id string) error {
	return e.call(ctx, http.MethodPost, "/containers/"+id+"/start", nil, nil)
}

func (e *engine) stop(ctx context.Context, id string) error {
	return e.call(ctx, http.MethodPost, "/containers/"+id+"/stop?t=10", nil, nil)
}

func (e *engine) remove(ctx context.Context, id string) error {
	return e.call(ctx, http.MethodDelete, "/containers/"+id+"?force=true", nil, nil)
}

// pod makes and starts a holder and a container in its network.
func (e *engine) pod(ctx context.Context) (holder, member string, err error) {
	if holder, err = e.create(ctx, "bridge", "8080"); err != nil {
		return "", "", err
	}
	if err = e.start(ctx, holder); err != nil {
		return holder, "", err
	}
	if member, err = e.create(ctx, "container:"+holder, "8081"); err != nil {
		return holder, "", err
	}
	return holder, member, e.start(ctx, member)
}

// swap replaces the container in the living network: create, stop, start. The
// first time it makes what is to be replaced.
func (e *engine) swap(ctx context.Context) (took time.Duration, err error) {
	if e.holder == "" {
		if e.holder, e.current, err = e.pod(ctx); err != nil {
			return 0, err
		}
	}
	begin := time.Now()
	next, err := e.create(ctx, "container:"+e.holder, "8081")
	if err == nil {
		err = e.stop(ctx, e.current)
	}
	if err == nil {
		err = e.start(ctx, next)
	}
	took = time.Since(begin)
	if err == nil {
		err = e.remove(ctx, e.current)
	}
	e.current = next
	return took, err
}

// add makes one more pod of two containers.
func (e *engine) add(ctx context.Context) (time.Duration, error) {
	begin := time.Now()
	holder, member, err := e.pod(ctx)
	took := time.Since(begin)
	if err != nil {
		return 0, err
	}
	return took, errors.Join(e.remove(ctx, member), e.remove(ctx, holder))
}
