package compiler

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// BenchmarkCompile shows the cost of a compile by number of pods; ns/pod shows
// whether it grows in step. Each pod has what a microservice usually has: two
// containers, environment, probes, resources, a ConfigMap and a service.
func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("pods=%d", n), func(b *testing.B) {
			dir := generate(b, n)
			opts := Options{Dir: dir, CacheDir: newCache(b)}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Compile(b.Context(), opts); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/pod")
		})
	}
}

// generate writes a definition of n microservices and returns its directory.
func generate(tb testing.TB, n int) string {
	tb.Helper()
	var text strings.Builder
	text.WriteString("package bench\n\nimport \"cuepod.dev/core\"\n\napp: core.#App & {\n\tname: \"bench\"\n")
	text.WriteString("\tsecrets: db: keys: password: generate: {}\n")
	for i := range n {
		fmt.Fprintf(&text, microservice, i)
	}
	text.WriteString("}\n")
	dir := tb.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bench.cue"), []byte(text.String()), 0o666); err != nil {
		tb.Fatal(err)
	}
	return dir
}

const microservice = `
	pods: "svc-%[1]d": {
		replicas: 2
		containers: main: {
			image: "registry.example/svc:v1"
			env: {
				PORT: value:      "8080"
				LOG_LEVEL: value: "info"
				PEER: value:      "http://svc-0"
				REGION: value:    "eu"
				DB_PASSWORD: valueFrom: secretKeyRef: {name: "db", key: "password"}
			}
			envFrom: [{configMapRef: name: "svc-%[1]d"}]
			ports: http: containerPort: 8080
			resources: {requests: {cpu: "50m", memory: "64Mi"}, limits: memory: "128Mi"}
			readinessProbe: {httpGet: {path: "/ready", port: "http"}, periodSeconds: 5}
			livenessProbe: httpGet: {path: "/live", port: "http"}
		}
		containers: sidecar: {
			image: "registry.example/proxy:v2"
			args: ["--listen", ":9090"]
			ports: admin: containerPort: 9090
			readinessProbe: tcpSocket: port: "admin"
			resources: limits: memory: "32Mi"
		}
	}
	services: "svc-%[1]d": {pod: "svc-%[1]d", ports: {http: {port: 80, targetPort: "http"}, admin: port: 9090}}
	configMaps: "svc-%[1]d": data: {"app.conf": "a=b\n", MODE: "x"}
`

// BenchmarkMistake tells what one misspelt field among a thousand pods costs,
// compared with the compile of the same definition without it.
func BenchmarkMistake(b *testing.B) {
	cost := func(b *testing.B, dir string, wrong bool) time.Duration {
		opts := Options{Dir: dir, CacheDir: newCache(b)}
		begin := time.Now()
		if _, err := Compile(b.Context(), opts); (err != nil) != wrong {
			b.Fatal(err)
		}
		return time.Since(begin)
	}
	right, wrong := generate(b, 1000), generate(b, 1000)
	path := filepath.Join(wrong, "bench.cue")
	data, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(data, []byte("replicas:"), []byte("replica:"), 1), 0o600); err != nil {
		b.Fatal(err)
	}
	var without, with time.Duration
	for b.Loop() {
		without += cost(b, right, false)
		with += cost(b, wrong, true)
	}
	b.ReportMetric(float64(with)/float64(without), "x-whole-compile")
}
