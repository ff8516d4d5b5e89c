// Package cuecli proves with the real cue command that a user's module works
// without cuepod: for cue vet, cue fmt, cue export, and so for what stands on
// them, such as editors. It is a module of its own, so that the command's
// dependencies stay out of the main one.
package cuecli
