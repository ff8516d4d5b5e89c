package api

import "testing"

func TestToken_OpensOnePodOfOneApp(t *testing.T) {
	token := Token("key", "web-0")
	if token != Token("key", "web-0") {
		t.Error("the token changes")
	}
	for _, other := range []string{Token("key", "web-1"), Token("other", "web-0"), Token("", "web-0"), Token("keyweb", "-0")} {
		if token == other {
			t.Error("another pod or key gives the same token")
		}
	}
}
