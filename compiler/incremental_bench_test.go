package compiler

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// BenchmarkReload changes one file of a thousand, each with a pod, its service
// and its ConfigMap, and compiles. warm/whole is how much CPU that takes with a
// cache, compared with none.
func BenchmarkReload(b *testing.B) {
	const files = 1000
	dir := b.TempDir()
	write := func(i, round int) {
		b.Helper()
		text := "package bench\n\napp: {\n" + fmt.Sprintf(microservice, i) + "}\n"
		text += fmt.Sprintf("app: pods: \"svc-%d\": annotations: round: \"%d\"\n", i, round)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("svc%d.cue", i)), []byte(text), 0o666); err != nil {
			b.Fatal(err)
		}
	}
	for i := range files {
		write(i, 0)
	}
	base := "package bench\n\nimport \"cuepod.dev/core\"\n\napp: core.#App & {name: \"bench\", secrets: db: keys: password: generate: {}}\n"
	if err := os.WriteFile(filepath.Join(dir, "app.cue"), []byte(base), 0o666); err != nil {
		b.Fatal(err)
	}
	opts := Options{Dir: dir, CacheDir: newCache(b), Cache: &Cache{}}
	compile := func(opts Options) time.Duration {
		before := cpuTime(b)
		if _, err := Compile(b.Context(), opts); err != nil {
			b.Fatal(err)
		}
		return cpuTime(b) - before
	}
	compile(opts)
	if opts.Cache.reason != "" {
		b.Fatal(opts.Cache.reason)
	}
	var warm, whole time.Duration
	round := 0
	for b.Loop() {
		round++
		write(round%files, round)
		warm += compile(opts)
		whole += compile(Options{Dir: dir, CacheDir: opts.CacheDir})
	}
	b.ReportMetric(float64(warm)/float64(whole), "warm/whole")
	b.ReportMetric(float64(warm.Milliseconds())/float64(b.N), "warm-ms/op")
}

// cpuTime is what the process has taken of the processors.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
