package main

import (
	"strings"
	"testing"

	"github.com/cuepod/cuepod/runner"
	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
)

func TestDoctor_SaysWhichWayAndWhy(t *testing.T) {
	fast, slow := &api.Proxy{Mode: api.ProxyNFTables}, &api.Proxy{Mode: api.ProxyUserspace, Why: "make rules of nf_tables: operation not supported"}
	st := appStatus{Status: runner.Status{App: "shop", Root: "/src/shop", Pods: []runner.PodStatus{
		{Name: "web-0", Proxy: fast}, {Name: "db-0", Proxy: slow}, {Name: "web-1", Proxy: fast}, {Name: "new-0"}}}}
	info := engine.Info{Name: "docker", Version: "20.10.24", APIVersion: "1.41", OS: "linux", Arch: "amd64", Endpoint: "unix:///var/run/docker.sock", SubPaths: true}
	var b strings.Builder
	diagnose(info, []appStatus{st}).print(&b, style{})
	const want = `engine  docker 20.10.24, API 1.41, linux/amd64
  at unix:///var/run/docker.sock
  volumes cannot show images: that takes Docker 28

shop  /src/shop
  services by nftables: web-0, web-1
  services by userspace: db-0
    ! make rules of nf_tables: operation not supported
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", &b, want)
	}
}
