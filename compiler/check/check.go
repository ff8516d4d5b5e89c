// Package check holds the rules of an app that a schema cannot express: names
// that refer to something, choices, numbers that must not clash. It works on
// the model alone, whatever the model came from.
package check

import "github.com/cuepod/cuepod/compiler/app"

// Problem is one mistake, at the user's line.
type Problem struct {
	Pos     app.Pos
	Message string
	Hint    string
}

// App returns everything that is wrong with an app, in the app's order.
func App(a *app.App) []Problem { return nil }
