package compose

import (
	gopath "path"
	"strings"

	"github.com/cuepod/cuepod/compiler/app"
	"github.com/cuepod/cuepod/targets/yaml"
)

// addBuild says where the image comes from. One that is built is not pulled.
func (p *replica) addBuild(service *yaml.Map, c *app.Container, path string) {
	b := c.Build
	switch {
	case b == nil:
		service.Opt("pull_policy", pullPolicy(c.ImagePullPolicy))
		return
	case b.Go != "":
		p.find("compose/build-go", path+".build.go", at(b.Pos, c.Pos), "docker compose compiles it in a container of the image golang, which finds no go.mod above the module's directory",
			"`cuepod build` builds it as cuepod up does")
		service.Set("build", yaml.New().
			Set("context", ".").
			Set("dockerfile_inline", escape(program(b))).
			Opt("platforms", platforms(b.Platform)))
		return
	}
	service.Set("build", yaml.New().
		Set("context", escape(relative(b.Context))).
		Opt("dockerfile", escape(dockerfile(b.Dockerfile))).
		Opt("target", escape(b.Target)).
		Opt("args", escapeMap(b.Args)).
		Opt("cache_from", yaml.Strings(escapeAll(b.CacheFrom))).
		Opt("platforms", platforms(b.Platform)).
		Opt("secrets", p.buildSecrets(c)))
}

func platforms(one string) yaml.List {
	if one == "" {
		return nil
	}
	return yaml.List{one}
}

// buildSecrets are what a build may read, by its id.
func (p *replica) buildSecrets(c *app.Container) yaml.List {
	out := yaml.List{}
	for _, s := range c.Build.Secrets {
		name := "..build." + p.pod.Name + "." + c.Name + "." + s.Name // no secret's name begins with a dot
		if s.File != "" {
			p.r.secrets[name] = yaml.New().Set("file", escape(relative(s.File)))
		} else {
			p.r.secrets[name] = yaml.New().Set("environment", s.Env)
		}
		out = append(out, yaml.New().Set("source", name).Set("target", s.Name))
	}
	return out
}

// program is a Dockerfile that makes of a Go program what cuepod makes of it.
func program(b *app.Build) string {
	flags := []string{"-s", "-w"}
	if len(b.Ldflags) > 0 {
		flags = nil
		for _, f := range b.Ldflags {
			if name, ok := strings.CutPrefix(strings.Replace(f, " ", "=", 1), "-X="); ok {
				f = `-X "` + name + `"`
			}
			flags = append(flags, f)
		}
	}
	build := "go build -trimpath -buildvcs=false"
	if len(b.Tags) > 0 {
		build += " -tags " + strings.Join(b.Tags, ",")
	}
	return `FROM golang:1 AS build
COPY . /src
WORKDIR ` + gopath.Join("/src", b.Go) + `
RUN CGO_ENABLED=0 ` + build + ` -ldflags '` + strings.Join(flags, " ") + `' -o /program .
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /program /app/program
USER 65532:65532
ENTRYPOINT ["/app/program"]
`
}

// dockerfile leaves out what is Compose's default.
func dockerfile(name string) string {
	if name == "Dockerfile" {
		return ""
	}
	return name
}

// pullPolicy leaves out what is Compose's default.
func pullPolicy(policy string) string {
	switch policy {
	case "Always":
		return "always"
	case "Never":
		return "never"
	}
	return ""
}
