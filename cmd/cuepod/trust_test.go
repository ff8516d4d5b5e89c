package main

import (
	"slices"
	"testing"
)

func TestStoreOf(t *testing.T) {
	for dir, update := range map[string]string{
		"/usr/local/share/ca-certificates":          "update-ca-certificates",
		"/etc/pki/ca-trust/source/anchors":          "update-ca-trust",
		"/etc/ca-certificates/trust-source/anchors": "update-ca-trust",
	} {
		got, ok := storeOf("linux", func(path string) bool { return path == dir }, "/home/u/ca.crt")
		if !ok || len(got.install) != 2 || !slices.Equal(got.install[1], []string{"sudo", update}) || got.uninstall[0][3] != got.install[0][5] {
			t.Errorf("%s: %v, %t", dir, got, ok)
		}
	}
	if _, ok := storeOf("linux", func(string) bool { return false }, ""); ok {
		t.Error("a system that is not known has a store")
	}
	if _, ok := storeOf("darwin", nil, "/ca.crt"); !ok {
		t.Error("macOS has none")
	}
}
