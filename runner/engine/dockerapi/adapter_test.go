package dockerapi

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/registry"
	"github.com/google/go-cmp/cmp"

	"github.com/cuepod/cuepod/runner/engine"
)

// conformance:S125
func TestCreateArguments_PodMemberJoinsAndHasNoSwap(t *testing.T) {
	config, host, net := createArguments(engine.ContainerSpec{
		Name: "m", Image: "i", JoinContainer: "holder", MemoryBytes: 1 << 20, CPUQuota: 50_000,
		NoNewPrivileges: true, NoLog: true, StopTimeout: 100 * time.Millisecond,
		Mounts: []engine.Mount{{Volume: "v", Path: "/p", ReadOnly: true, NoCopy: true}},
	})
	got, err := json.Marshal(map[string]any{
		"network": host.NetworkMode, "ipc": host.IpcMode, "memory": host.Memory, "swap": host.MemorySwap,
		"period": host.CPUPeriod, "quota": host.CPUQuota, "restart": host.RestartPolicy.Name,
		"security": host.SecurityOpt, "log": host.LogConfig.Type, "mounts": host.Mounts,
		"stop": config.StopTimeout, "endpoints": net,
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"endpoints":null,"ipc":"container:holder","log":"none","memory":1048576,` +
		`"mounts":[{"Type":"volume","Source":"v","Target":"/p","ReadOnly":true,"VolumeOptions":{"NoCopy":true}}],` +
		`"network":"container:holder","period":100000,"quota":50000,"restart":"no","security":["no-new-privileges"],"stop":1,"swap":1048576}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestCreateArguments_NamespacesAndRights(t *testing.T) {
	config, host, _ := createArguments(engine.ContainerSpec{
		Name: "m", Image: "i", Network: "n", Hostname: "h", HostIPC: true, JoinPID: "holder",
		GroupAdd:   []string{"7"},
		Privileged: true, SeccompUnconfined: true, AppArmor: "mine", UnmaskedProc: true,
		OpenStdin: true, StdinOnce: true, TTY: true, StopSignal: "SIGINT",
		Mounts: []engine.Mount{
			{HostPath: "/src", SubPath: "a", Path: "/a", Propagation: "rshared"},
			{HostPath: "/src", Path: "/b", Create: true, ReadOnly: true},
		},
	})
	got, err := json.Marshal(map[string]any{
		"network": host.NetworkMode, "stdin": []bool{config.OpenStdin, config.StdinOnce, config.Tty}, "signal": config.StopSignal,
		"ipc": host.IpcMode, "pid": host.PidMode, "groups": host.GroupAdd,
		"privileged": host.Privileged, "security": host.SecurityOpt, "masked": host.MaskedPaths, "readonly": host.ReadonlyPaths,
		"mounts": host.Mounts, "binds": host.Binds,
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"binds":["/src:/b:ro"],"groups":["7"],"ipc":"host","masked":[],` +
		`"mounts":[{"Type":"bind","Source":"/src/a","Target":"/a","BindOptions":{"Propagation":"rshared"}}],` +
		`"network":"n","pid":"container:holder","privileged":true,"readonly":[],"security":["seccomp=unconfined","apparmor=mine"],` +
		`"signal":"SIGINT","stdin":[true,true,true]}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	_, host, _ = createArguments(engine.ContainerSpec{Name: "m", Image: "i", HostPID: true})
	if host.PidMode != "host" || host.MaskedPaths != nil || host.IpcMode != "" {
		t.Errorf("the machine's processes alone: %+v", host)
	}
}

func TestCreateArguments_PublishesOnLoopbackUnlessAsked(t *testing.T) {
	_, host, net := createArguments(engine.ContainerSpec{
		Name: "p", Image: "i", Network: "n", IP: "10.0.0.9", Publish: []engine.PortBinding{
			{HostPort: 8080, ContainerPort: 80, Protocol: "TCP"},
			{HostIP: "0.0.0.0", ContainerPort: 53, Protocol: "UDP"},
		},
	})
	got, err := json.Marshal(host.PortBindings)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"53/udp":[{"HostIp":"0.0.0.0","HostPort":""}],"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"}]}`; string(got) != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if ip := net.EndpointsConfig["n"].IPAMConfig.IPv4Address; ip != "10.0.0.9" {
		t.Errorf("address %s", ip)
	}
}

// The words are those of Docker 20.10 to 29 and podman.
func TestKindOf_EnginesWords(t *testing.T) {
	for _, test := range []struct {
		op, text string
		want     engine.Kind
	}{
		{"create container", "No such image: nope:latest", engine.ImageMissing},
		{"create container", "no such image: nope: image not known", engine.ImageMissing},
		{"start container", "driver failed programming external connectivity on endpoint web (1f): Bind for 127.0.0.1:80 failed: port is already allocated", engine.PortTaken},
		{"start container", "driver failed programming external connectivity on endpoint web (1f): Error starting userland proxy: listen tcp4 127.0.0.1:80: bind: address already in use", engine.PortTaken},
		{"start container", "failed to set up container networking: driver failed programming external connectivity on endpoint web (1f): failed to bind host port 127.0.0.1:80/tcp: address already in use", engine.PortTaken},
		{"start container", "Ports are not available: exposing port TCP 127.0.0.1:80 -> 0.0.0.0:0: listen tcp 127.0.0.1:80", engine.PortTaken},
		{"start container", "Address already in use", engine.Other}, // a fixed IP
		{"remove network", "error while removing network: network shop id 5c has active endpoints", engine.NetworkInUse},
		{"create network", "Pool overlaps with other one on this address space", engine.SubnetTaken},
		{"create network", "invalid pool request: Pool overlaps with other one on this address space", engine.SubnetTaken},
		{"create network", "subnet 10.1.0.0/24 is already used on the host or by another config", engine.SubnetTaken},
		{"pull image", "manifest for nope:1 not found: manifest unknown: manifest unknown", engine.ImageMissing},
		{"pull image", "pull access denied for nope, repository does not exist or may require 'docker login'", engine.ImageMissing},
		{"pull image", "Get \"https://registry.example/v2/\": dial tcp: lookup registry.example: Temporary failure in name resolution", engine.Other},
		{"start container", "No such image", engine.Other},
	} {
		if got := kindOf(test.op, errors.New(test.text)); got != test.want {
			t.Errorf("%s: %s\nkind %q, want %q", test.op, test.text, got, test.want)
		}
	}
}

func TestInfo_UnreachableNamesTheEndpointAndItsSource(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "none.sock")
	c, err := New(Options{LookupEnv: lookup(map[string]string{"DOCKER_HOST": "unix://" + socket}), ReadFile: reader(nil)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Info(t.Context())
	if engine.KindOf(err) != engine.Unreachable {
		t.Errorf("kind %q of %v", engine.KindOf(err), err)
	}
	if text := err.Error(); !strings.Contains(text, socket) || !strings.Contains(text, "(from DOCKER_HOST)") || !strings.Contains(text, "DOCKER_HOST or a docker context") && !strings.Contains(text, "there is also") {
		t.Errorf("message: %v", err)
	}
}

func TestNew_RefusesWhatNamesNoEngine(t *testing.T) {
	for _, host := range []string{"ssh://", "tcp://%zz"} {
		c, err := New(Options{Flags: Flags{Host: host}, LookupEnv: lookup(nil), ReadFile: reader(nil)})
		if engine.KindOf(err) != engine.Unreachable {
			t.Errorf("%s: %v, %v", host, c, err)
		}
	}
}

// An old engine would mount the whole volume.
func TestCreateContainer_SubPathNeedsANewEngine(t *testing.T) {
	for version, want := range map[string]string{"1.41": "requires API version 1.45", "1.45": ""} {
		c := fakeDaemon(t, version)
		_, err := c.CreateContainer(t.Context(), engine.ContainerSpec{
			Name: "c", Image: "i", Mounts: []engine.Mount{{Volume: "v", Path: "/p", SubPath: "s"}},
		})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("API %s: %v", version, err)
		}
	}
}

// The engine may find a container's files in use as it removes them, and leaves it
// half-removed.
func TestRemoveContainer_TriesAgainWhenFilesAreInUse(t *testing.T) {
	const inUse = `{"message":"container 1: driver \"overlay2\" failed to remove root filesystem: unlinkat /x: directory not empty"}`
	for _, tt := range []struct {
		name, body   string
		fails, tries int
		want         string // of the error; "" is none
	}{
		{"in use for a moment", inUse, 2, 3, ""},
		{"in use for good", inUse, 100, 5, "failed to remove root filesystem"},
		{"something else", `{"message":"no room"}`, 100, 1, "no room"},
		{"already gone", `{"message":"No such container: 1"}`, 0, 1, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, tries := fakeDaemon(t, "1.41"), 0
			c.mux.HandleFunc("DELETE /v1.41/containers/1", func(w http.ResponseWriter, _ *http.Request) {
				tries++
				status := http.StatusNoContent
				if tt.fails == 0 {
					status = http.StatusNotFound
				} else if tries <= tt.fails {
					status = http.StatusInternalServerError
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				if status != http.StatusNoContent {
					if _, err := w.Write([]byte(tt.body)); err != nil {
						t.Error(err)
					}
				}
			})
			err := c.RemoveContainer(t.Context(), "1")
			if tries != tt.tries || tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("after %d tries: %v", tries, err)
			}
		})
	}
}

// fakeEngine is a client with the routes of what it talks to.
type fakeEngine struct {
	*Client
	mux *http.ServeMux
}

// fakeDaemon answers pings and creates with an API version.
func fakeDaemon(t *testing.T, version string) fakeEngine {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", version) })
	mux.HandleFunc("/v"+version+"/containers/create", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		if _, err := w.Write([]byte(`{"Id":"1"}`)); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	host := "tcp://" + server.Listener.Addr().(*net.TCPAddr).String()
	c, err := New(Options{Flags: Flags{Host: host}, LookupEnv: lookup(nil), ReadFile: reader(nil)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return fakeEngine{c, mux}
}

func TestReadProgress_ReportsBytesAndTheFailure(t *testing.T) {
	const stream = `{"status":"Pulling from library/x","id":"1"}
{"status":"Downloading","progressDetail":{"current":1,"total":9},"id":"a"}
{"status":"Pull complete","id":"a"}
`
	var got []engine.Progress
	report := func(p engine.Progress) { got = append(got, p) }
	if err := readProgress(strings.NewReader(stream), report); err != nil {
		t.Fatal(err)
	}
	want := []engine.Progress{
		{ID: "1", Status: "Pulling from library/x"}, {ID: "a", Status: "Downloading", Current: 1, Total: 9}, {ID: "a", Status: "Pull complete"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	err := readProgress(strings.NewReader(stream+`{"errorDetail":{"message":"no space"},"error":"no space"}`), report)
	if err == nil || err.Error() != "no space" {
		t.Errorf("error %v", err)
	}
	if err := readProgress(strings.NewReader(`{"status":`), report); err == nil {
		t.Error("no error for a stream that breaks off")
	}
}

func TestCredentials(t *testing.T) {
	cfg := dockerConfig{
		Auths: map[string]configAuth{
			"https://index.docker.io/v1/": {Auth: "bWU6c2VjOnJldA=="}, // me:sec:ret
			"https://old.example/v1/":     {Username: "u", Password: "p"},
			"bad.example":                 {Auth: "!"},
		},
		CredHelpers: map[string]string{"helped.example": "h"},
	}
	helper := func(name, key string) (registry.AuthConfig, error) {
		return registry.AuthConfig{Username: name, Password: key}, nil
	}
	for ref, want := range map[string]registry.AuthConfig{
		"redis":                     {Username: "me", Password: "sec:ret", ServerAddress: dockerHub},
		"docker.io/library/redis:7": {Username: "me", Password: "sec:ret", ServerAddress: dockerHub},
		"old.example/x/y:1":         {Username: "u", Password: "p", ServerAddress: "old.example"},
		"helped.example:443/x":      {},
		"helped.example/x":          {Username: "h", Password: "helped.example"},
		"localhost:5000/x":          {},
	} {
		key, err := registryKey(ref)
		if err != nil {
			t.Fatal(err)
		}
		got, err := cfg.credentials(key, helper)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got)\n%s", ref, err, diff)
		}
	}
	if _, err := cfg.credentials("bad.example", helper); err == nil || strings.Contains(err.Error(), "!") {
		t.Errorf("bad credentials: %v", err)
	}
	cfg.CredsStore = "store" // wins over the file, loses to a helper
	for key, want := range map[string]string{dockerHub: "store", "helped.example": "h"} {
		if got, err := cfg.credentials(key, helper); err != nil || got.Username != want {
			t.Errorf("%s: %q, %v", key, got.Username, err)
		}
	}
}

func TestKindOf_GivingUpIsNotTheEnginesFault(t *testing.T) {
	for _, err := range []error{context.Canceled, context.DeadlineExceeded} {
		if got := kindOf("list containers", err); got != engine.Other {
			t.Errorf("%v: %q", err, got)
		}
	}
	if got := kindOf("list containers", &net.OpError{Op: "read", Err: errors.New("reset")}); got != engine.Unreachable {
		t.Errorf("a broken connection: %q", got)
	}
}

// Engines that have it get what they need for parts of volumes and for images.
func TestMountArguments_NewerKinds(t *testing.T) {
	got := mountArguments([]engine.Mount{
		{Volume: "v", SubPath: "a/b", Path: "/v", NoCopy: true},
		{Image: "data:1", SubPath: "files", Path: "/image"},
	})
	want := []mount.Mount{
		{Type: "volume", Source: "v", Target: "/v", VolumeOptions: &mount.VolumeOptions{NoCopy: true, Subpath: "a/b"}},
		{Type: "image", Source: "data:1", Target: "/image", ReadOnly: true, ImageOptions: &mount.ImageOptions{Subpath: "files"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
}
