package router

import (
	"strings"

	"github.com/cuepod/cuepod/runner/agent/http1"
	"github.com/cuepod/cuepod/targets/route"
)

// origin is the path and query of a request's target.
func origin(target string) string {
	if _, rest, ok := strings.Cut(target, "://"); ok && !strings.HasPrefix(target, "/") {
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			return "/" + strings.TrimPrefix(rest[i:], "/")
		}
		return "/"
	}
	return target
}

// prepare changes a request as the filters say.
func (v *verdict) prepare(req *http1.Request) {
	for _, f := range v.filters {
		req.Fields = change(req.Fields, f.Request)
		if f.Host != "" || f.Path != nil {
			host := req.Host()
			if f.Host != "" {
				host = f.Host
			}
			req.Fields = append(req.Fields.Without("Host"), http1.Field{Name: "Host", Value: host})
			req.Target = f.Path.Target(v.match, origin(req.Target))
		}
	}
}

// finish changes a response as the filters say.
func (v *verdict) finish(res *http1.Response) {
	for i := len(v.filters) - 1; i >= 0; i-- {
		res.Fields = change(res.Fields, v.filters[i].Response)
	}
}

func change(f http1.Fields, h route.Headers) http1.Fields {
	if len(h.Remove) > 0 {
		f = f.Without(h.Remove...)
	}
	for _, v := range h.Set {
		f = append(f.Without(v.Name), http1.Field(v))
	}
	for _, v := range h.Add {
		f = append(f, http1.Field(v))
	}
	return f
}

// forwarded tells the endpoint whom a request is from, and nobody else does.
func forwarded(req *http1.Request, client, scheme string) {
	req.Fields = append(req.Fields.Without("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"),
		http1.Field{Name: "X-Forwarded-For", Value: client},
		http1.Field{Name: "X-Forwarded-Host", Value: req.Host()},
		http1.Field{Name: "X-Forwarded-Proto", Value: scheme})
}
