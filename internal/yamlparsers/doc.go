// Package yamlparsers holds what targets/yaml writes against parsers that
// others wrote: random values, written as YAML and as KYAML, must read back
// the same in every one of them. It is a module of its own because of them.
package yamlparsers
