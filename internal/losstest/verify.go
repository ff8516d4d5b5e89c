package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"

	"github.com/cuepod/cuepod/runner"
)

// verify holds what runs against the shape that it should have: a change that does
// not take place fails no request either.
func (b *bench) verify(ctx context.Context) error {
	b.mu.Lock()
	want := b.shape
	b.mu.Unlock()
	s, err := runner.GetStatus(ctx, b.eng, b.id)
	if err != nil {
		return err
	}
	counts := map[string]int{}
	for _, p := range s.Pods {
		env := map[string]int{web: want.env, solo: want.swap}
		port := map[string]int{web: want.port, solo: firstPort}
		if _, asked := env[p.Workload]; !asked {
			continue
		}
		counts[p.Workload]++
		if image := p.Containers[0].Image; p.Workload == web && image != images[want.image] {
			return fmt.Errorf("pod %s runs %s, want %s", p.Name, image, images[want.image])
		}
		got, err := serial(ctx, net.JoinHostPort(p.IP, strconv.Itoa(port[p.Workload])))
		if err != nil {
			return fmt.Errorf("pod %s: %w", p.Name, err)
		}
		if got != env[p.Workload] {
			return fmt.Errorf("pod %s has change %d, want %d", p.Name, got, env[p.Workload])
		}
	}
	if counts[web] != want.replicas || counts[solo] != 1 {
		return fmt.Errorf("there are %v replicas, want %d of %s", counts, want.replicas, web)
	}
	return nil
}

// serial asks a server which change it has.
func serial(ctx context.Context, addr string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/change", nil)
	if err != nil {
		return 0, err
	}
	req.Close = true // it would be a connection that the next change meets
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text))
}
