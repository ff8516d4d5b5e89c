package sandbox_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"cuelang.org/go/mod/modcache"

	"github.com/cuepod/cuepod/compiler"
	"github.com/cuepod/cuepod/compiler/sandbox"
)

// BenchmarkReload changes one file of a thousand, each with a pod of two
// containers, and compiles apart. warm/whole is how much CPU of both processes
// that takes with a worker, compared with a child for each compile.
func BenchmarkReload(b *testing.B) {
	const files = 1000
	dir, cache := b.TempDir(), b.TempDir()
	b.Cleanup(func() {
		if err := modcache.RemoveAll(cache); err != nil {
			b.Error(err)
		}
	})
	put := func(name, text string) {
		b.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("package bench\n\n"+text), 0o666); err != nil {
			b.Fatal(err)
		}
	}
	pod := func(i, round int) {
		put(fmt.Sprintf("svc%d.cue", i), fmt.Sprintf(`app: {
	pods: "svc-%[1]d": {
		annotations: round: "%[2]d"
		containers: main: {
			image: "registry.example/svc:v1"
			env: {PORT: value: "8080", LEVEL: value: "info", PEER: value: "http://svc-0"}
			ports: http: containerPort: 8080
			resources: {requests: {cpu: "50m", memory: "64Mi"}, limits: memory: "128Mi"}
			readinessProbe: {httpGet: {path: "/ready", port: "http"}, periodSeconds: 5}
		}
		containers: sidecar: {image: "registry.example/proxy:v2", args: ["--listen", ":9090"], ports: admin: containerPort: 9090}
	}
	services: "svc-%[1]d": {pod: "svc-%[1]d", ports: http: {port: 80, targetPort: "http"}}
	configMaps: "svc-%[1]d": data: {"app.conf": "a=b\n", MODE: "x"}
}
`, i, round))
	}
	put("app.cue", "import \"cuepod.dev/core\"\n\napp: core.#App & {name: \"bench\"}\n")
	for i := range files {
		pod(i, 0)
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	opts := compiler.Options{Dir: dir, CacheDir: cache}
	// reloads gives the CPU of a worker that compiles once and n times more.
	reloads := func(n int) time.Duration {
		before := cpuTime(b)
		w := sandbox.NewWorker(sandbox.Limits{}, self, os.Environ())
		for i := range n + 1 {
			pod(i%files, n+i)
			if _, err := w.Compile(b.Context(), opts); err != nil {
				b.Fatal(err)
			}
		}
		w.Close()
		return cpuTime(b) - before
	}
	const each = 5
	var warm, whole time.Duration
	for b.Loop() {
		once := reloads(0)
		warm += (reloads(each) - once) / each
		before := cpuTime(b)
		if _, err := sandbox.Apart(b.Context(), opts, sandbox.Limits{}, self, os.Environ()); err != nil {
			b.Fatal(err)
		}
		whole += cpuTime(b) - before
	}
	b.ReportMetric(float64(warm)/float64(whole), "warm/whole")
	b.ReportMetric(float64(warm.Milliseconds())/float64(b.N), "warm-ms/op")
}

// cpuTime is what this process and the children that have ended have taken of
// the processors.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum
}
