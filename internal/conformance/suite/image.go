package suite

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// makeImages builds the witness and its images on the engine that docker talks to.
func makeImages(ctx context.Context, temp string) error {
	arch, err := command(ctx, nil, "docker", "version", "--format", "{{.Server.Arch}}")
	if err != nil {
		return err
	}
	env := append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+strings.TrimSpace(arch))
	out := filepath.Join(temp, "witness")
	if _, err := command(ctx, env, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, "../witness"); err != nil {
		return err
	}
	for _, i := range []struct{ ref, file string }{
		{image, `FROM scratch
COPY witness /witness
COPY witness /witness-2
COPY passwd /etc/passwd
COPY content /content/of-the-image
COPY content /tmp/of-the-image
ENV FROM_IMAGE=image
ENTRYPOINT ["/witness"]
CMD ["argv", "of the image"]
`},
		{imageSignal, "FROM " + image + "\nSTOPSIGNAL SIGUSR1\n"},
		{imageUser, "FROM " + image + "\nUSER 1234\n"},
		{imageNamed, "FROM " + image + "\nUSER somebody\n"},
		{imageWorkdir, "FROM " + image + "\nWORKDIR /content\n"},
	} {
		if err := build(ctx, temp, i.ref, i.file); err != nil {
			return err
		}
	}
	return nil
}

func build(ctx context.Context, dir, ref, file string) error {
	for name, text := range map[string]string{
		"Dockerfile": file, "content": "content of the image\n",
		"passwd": "root:x:0:0::/:\nsomebody:x:4321:4321::/:\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	_, err := command(ctx, nil, "docker", "build", "--quiet", "--tag", ref, dir)
	return err
}

// command runs a command and gives what it prints; what it complained of is in
// the error.
func command(ctx context.Context, env []string, name string, args ...string) (string, error) {
	var out, talk bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &out, &talk
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out.String(), talk.String())
	}
	return out.String(), nil
}
