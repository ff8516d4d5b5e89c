// Package starter holds the definition that a new user begins with.
package starter

import (
	_ "embed"
	"strings"

	schema "github.com/cuepod/cuepod/cue"
)

//go:embed files/app.cue
var appFile string

//go:embed files/module.cue
var moduleFile string

// Files are the files of a new definition by slash-separated path: a CUE module
// with one small app. name is what the app is to be called, usually that of its
// directory; it is changed where an app's name allows less.
//
// The module asks for the embedded version of the schema, so that plain cue vet
// and editors find it as soon as cuepod has compiled anything once.
func Files(name string) map[string][]byte {
	name = Name(name)
	pkg := strings.ReplaceAll(name, "-", "_")
	if pkg[0] >= '0' && pkg[0] <= '9' {
		pkg = "app_" + pkg
	}
	app := strings.NewReplacer("PACKAGE", pkg, "APP", name).Replace(appFile)
	module := strings.NewReplacer("MODULE", name+".example@v0", "VERSION", schema.Version()).Replace(moduleFile)
	return map[string][]byte{
		"app.cue":            []byte(app),
		"cue.mod/module.cue": []byte(module),
	}
}

// maxName is the length of a DNS label, which an app's name is.
const maxName = 63

// Name makes an app's name of any text: lower-case letters, digits and "-".
// It is "app" when nothing is left.
func Name(text string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(text) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if s := b.String(); s != "" && !strings.HasSuffix(s, "-") {
			b.WriteByte('-')
		}
	}
	name := b.String()
	name = strings.Trim(name[:min(len(name), maxName)], "-")
	if name == "" {
		return "app"
	}
	return name
}
