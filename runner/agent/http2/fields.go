package http2

import (
	"slices"
	"strings"

	"golang.org/x/net/http2/hpack"

	"github.com/cuepod/cuepod/runner/agent/http1"
)

func fieldOf(f http1.Field) hpack.HeaderField {
	return hpack.HeaderField{Name: strings.ToLower(f.Name), Value: f.Value}
}

// validRequest reports whether a head can be a request's, and can be passed on
// in HTTP/1 as the same request.
func validRequest(f http1.Fields) bool {
	pseudo, ok := split(f, ":method", ":scheme", ":path", ":authority")
	return ok && pseudo[":method"] != "CONNECT" && http1.IsToken(pseudo[":method"]) && http1.IsTarget(pseudo[":path"]) &&
		!strings.ContainsAny(pseudo[":authority"], "/ @") && (pseudo[":scheme"] == "http" || pseudo[":scheme"] == "https")
}

func validResponse(f http1.Fields) bool {
	pseudo, ok := split(f, ":status")
	status := pseudo[":status"]
	return ok && len(status) == 3 && status[0] >= '1' && status[0] <= '9' && status != "101"
}

func validTrailer(f http1.Fields) bool {
	_, ok := split(f)
	return ok
}

// split checks all fields and gives those with a colon.
func split(f http1.Fields, allowed ...string) (map[string]string, bool) {
	pseudo := map[string]string{}
	plain := false
	for _, field := range f {
		if !http1.IsValue(field.Value) {
			return nil, false
		}
		if strings.HasPrefix(field.Name, ":") {
			if _, twice := pseudo[field.Name]; twice || plain || !slices.Contains(allowed, field.Name) {
				return nil, false
			}
			pseudo[field.Name] = field.Value
			continue
		}
		plain = true
		switch field.Name {
		case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
			return nil, false
		case "te":
			if field.Value != "trailers" {
				return nil, false
			}
		}
		if !http1.IsToken(field.Name) || strings.ToLower(field.Name) != field.Name {
			return nil, false
		}
	}
	return pseudo, true
}
