package build

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cuepod/cuepod/runner/archive"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/watch"
	"github.com/cuepod/cuepod/targets/docker"
)

// program is a Go program that this machine's go command compiles.
type program struct {
	root    string // the module's directory
	dir     string // of the main package
	build   *docker.Build
	arch    string
	environ []string // beside this process's own
	listing *listing
	base    []byte // the layer below the program
}

// newProgram finds the package of a build. Its directory is in the module; what
// it imports is Go's to find, and may be in a Go module that begins above.
func newProgram(root string, b *docker.Build, arch string) (*program, error) {
	dir, err := open(root, b.Go)
	if err != nil {
		return nil, fmt.Errorf("go %s: %w", b.Go, reasonOf(err))
	}
	dir.Close()
	p := &program{root: root, dir: filepath.Join(root, filepath.FromSlash(b.Go)), build: b, arch: cmp.Or(arch, runtime.GOARCH)}
	var variant string
	if b.Platform != "" {
		parts := append(strings.Split(b.Platform, "/"), "")
		p.arch, variant = parts[1], strings.TrimPrefix(parts[2], "v")
	}
	p.environ = []string{"GOOS=linux", "GOARCH=" + p.arch, "CGO_ENABLED=0"}
	if variant != "" && p.arch == "arm" {
		p.environ = append(p.environ, "GOARM="+variant)
	}
	return p, nil
}

// reasonOf is the cause that open wraps.
func reasonOf(err error) error {
	if cause := errors.Unwrap(err); cause != nil {
		return cause
	}
	return err
}

// readProgram is Read for a Go program.
func (s *Source) readProgram(ctx context.Context, b *docker.Build, o Options) error {
	s.Inputs = []watch.Input{{Path: filepath.Join(s.root, filepath.FromSlash(b.Go)), Kind: watch.Names, Why: "Go package"}}
	p, err := newProgram(s.root, b, o.Arch)
	if err != nil {
		return err
	}
	s.program = p
	if p.listing, err = p.list(ctx, o.Cache); err != nil {
		return fmt.Errorf("go %s: %w", b.Go, err)
	}
	s.Inputs = p.listing.inputs()
	p.base = archive.Pack(baseFiles()...)
	s.Hash, err = p.digest(o.Cache)
	return err
}

// digest covers everything that decides about the image. Paths count from the
// directory of go.mod, so that a module that is moved stays the same.
func (p *program) digest(cache *Cache) (string, error) {
	l := p.listing
	top := filepath.Dir(l.env.GOMOD)
	rel := func(path string) string {
		if r, err := filepath.Rel(top, path); err == nil {
			return filepath.ToSlash(r)
		}
		return path
	}
	env := l.env
	env.GOMOD, env.GOWORK, env.GOROOT, env.GOMODCACHE = "", "", "", ""
	head, err := json.Marshal([]any{"cuepod go 1", env, p.environ, rel(p.dir), l.Name, p.build.Tags, p.ldflags(), p.build.Name, sha256.Sum256(p.base)})
	if err != nil {
		return "", err
	}
	h := sha256.New()
	h.Write(append(head, '\n'))
	files := slices.Clone(l.Files)
	for path := range l.shape {
		if fixed(path) {
			files = append(files, path)
		}
	}
	slices.Sort(files)
	for _, path := range slices.Compact(files) {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // no go.sum, or a file that went while we looked
		}
		if err != nil {
			return "", err
		}
		size, sum, err := cache.sumFile(path, info)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%q %d %x\n", rel(path), size, sum)
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil
}

// ldflags is what the linker is told. Without what only a debugger reads a
// program is a third smaller, and linked sooner; stack traces keep their lines.
func (p *program) ldflags() string {
	if len(p.build.LDFlags) == 0 {
		return "-s -w"
	}
	var out []string
	for _, f := range p.build.LDFlags {
		if name, ok := strings.CutPrefix(strings.Replace(f, " ", "=", 1), "-X="); ok {
			f = `-X "` + name + `"` // no quote is in it: the compiler has seen to that
		}
		out = append(out, f)
	}
	return strings.Join(out, " ")
}

func (p *program) tags(rest ...string) []string {
	if len(p.build.Tags) == 0 {
		return rest
	}
	return append([]string{"-tags", strings.Join(p.build.Tags, ",")}, rest...)
}

// interruptPatience is how long go gets to clean up when a build is cancelled.
const interruptPatience = 2 * time.Second

// run runs the go command in the package's directory. When ctx ends, so do the
// compilers that it has started.
func (p *program) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = p.dir
	cmd.Env = append(cmd.Environ(), p.environ...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = interruptPatience
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	switch {
	case err == nil:
		return out, nil
	case ctx.Err() != nil:
		if cmd.Process != nil { // whoever is deaf to the interrupt
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
		return nil, context.Cause(ctx)
	case errors.Is(err, exec.ErrNotFound):
		return nil, errors.New("there is no go command on the PATH; install Go (https://go.dev/dl), or write a Dockerfile and say build: context")
	}
	return nil, &goError{said: said.String(), err: err}
}

// goError is what the go command has said when it failed.
type goError struct {
	said string
	err  error
}

func (e *goError) Error() string {
	if text := strings.TrimSpace(e.said); text != "" {
		return strings.TrimPrefix(text, "go: ")
	}
	return e.err.Error()
}

// IsProgram reports whether this is a Go program, which Compile makes, and no
// context for a builder.
func (s *Source) IsProgram() bool { return s.program != nil }

// Compile compiles the program. The error is an *engine.BuildError where the
// program is at fault.
func (s *Source) Compile(ctx context.Context) (binary []byte, err error) {
	p := s.program
	dir, err := os.MkdirTemp("", "cuepod-go-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, p.listing.Name)
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", p.ldflags(), "-o", out}
	if _, err := p.run(ctx, append(args, p.tags(".")...)...); err != nil {
		if said := (*goError)(nil); errors.As(err, &said) {
			return nil, p.fault(said.Error())
		}
		return nil, err
	}
	return os.ReadFile(out)
}

// Path is where the program is in its image.
func (s *Source) Path() string { return docker.ProgramDir + "/" + s.program.listing.Name }

// Base tells what the image of a program has beside it; "" for a context. Of two
// images with one base, a container of the one is one of the other with its
// program exchanged.
func (s *Source) Base() string {
	p := s.program
	if p == nil || p.listing == nil {
		return ""
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "cuepod go 1 %q %q %q %x", s.Path(), p.environ, nonRoot, sha256.Sum256(p.base)))
	return hex.EncodeToString(sum[:6])
}

// Image is the image of a program that was compiled: two layers, of which only
// the upper one has the program in it, so that an engine has the other already.
func (s *Source) Image(binary []byte, labels map[string]string, refs ...string) *archive.Image {
	return &archive.Image{
		Arch:   s.program.arch,
		Config: archive.Config{Entrypoint: []string{s.Path()}, User: nonRoot, Labels: labels},
		Layers: [][]byte{s.program.base, archive.Pack(
			archive.File{Name: docker.ProgramDir[1:] + "/", Mode: 0o755},
			archive.File{Name: s.Path()[1:], Mode: 0o755, Data: binary},
		)},
		Refs: refs,
	}
}

// nonRoot is the user that images without root agree upon (distroless, ko).
const nonRoot = "65532:65532"

// baseFiles are what programs expect beside themselves: users, a directory for
// temporary files, and the certificates that this machine trusts.
func baseFiles() []archive.File {
	files := []archive.File{
		{Name: "etc/", Mode: 0o755},
		{Name: "etc/group", Mode: 0o644, Data: []byte("root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n")},
		{Name: "etc/passwd", Mode: 0o644, Data: []byte("root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n")},
	}
	for _, path := range trusted() {
		if data, err := os.ReadFile(path); err == nil {
			files = append(files, archive.File{Name: "etc/ssl/", Mode: 0o755}, archive.File{Name: "etc/ssl/certs/", Mode: 0o755},
				archive.File{Name: "etc/ssl/certs/ca-certificates.crt", Mode: 0o644, Data: data})
			break
		}
	}
	return append(files, archive.File{Name: "tmp/", Mode: 0o1777})
}

// trusted are the places where systems keep the certificates that they trust, in
// Go's order (crypto/x509/root_linux.go).
func trusted() []string {
	return []string{
		"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
		"/etc/pki/tls/cacert.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
	}
}

// fault puts what the compiler has said in the words of the module: paths count
// from its directory, and the first complaint comes first.
func (p *program) fault(said string) error {
	place := regexp.MustCompile(`^(\S[^:]*\.\w+):(\d+(?::\d+)?): (.*)$`)
	fault := &engine.BuildError{Step: "go build " + p.build.Go}
	var lines []string
	for line := range strings.Lines(said) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "# ") || strings.HasPrefix(line, "go: downloading ") {
			continue
		}
		if m := place.FindStringSubmatch(line); m != nil {
			where := p.place(m[1]) + ":" + m[2]
			line = where + ": " + m[3]
			if fault.Where == "" {
				fault.Where, fault.Message = where, m[3]
			}
		}
		lines = append(lines, engine.Clean(line))
	}
	if len(lines) == 0 {
		lines = []string{"it failed without a word"}
	}
	if fault.Where == "" {
		fault.Message = lines[0]
	}
	if len(lines) > 1 {
		fault.Output = strings.Join(lines, "\n")
	}
	return fault
}

// place is a path of the compiler's, which counts from the package's directory,
// as one that counts from the module's.
func (p *program) place(path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(p.dir, path)
	}
	if rel, err := filepath.Rel(p.root, path); err == nil && !strings.HasPrefix(rel, "../../../..") {
		return filepath.ToSlash(rel)
	}
	return path
}
