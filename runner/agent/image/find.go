package image

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
)

// Subcommand is the hidden command under which a program that embeds package
// agent runs it, for when that program is its own agent.
const Subcommand = "agent"

// Find returns a Linux binary of the agent for an architecture, and the
// arguments that make it one: the binary built into this program (tag
// embedagent), or else this program itself, where it is a static Linux program
// for that architecture.
func Find(arch string) (binary []byte, args []string, err error) {
	if binary, err = prebuilt(arch); err == nil {
		return binary, nil, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, missing(arch, err)
	}
	if err := usable(self, arch); err != nil {
		return nil, nil, missing(arch, err)
	}
	if binary, err = os.ReadFile(self); err != nil {
		return nil, nil, missing(arch, err)
	}
	return binary, []string{Subcommand}, nil
}

// prebuilt is the binary that was built into this program.
func prebuilt(arch string) ([]byte, error) {
	return fs.ReadFile(embedded(), "bin/cuepod-agent-linux-"+arch)
}

func missing(arch string, why error) error {
	return fmt.Errorf("no agent for linux/%s: none is built in, and this program cannot serve as one (%w); "+
		"build cuepod with `make build`, or with CGO_ENABLED=0 on the engine's architecture", arch, why)
}

// usable reports why a program could not run alone in an otherwise empty Linux
// image.
func usable(program, arch string) error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("it is built for %s", runtime.GOOS)
	}
	if runtime.GOARCH != arch {
		return fmt.Errorf("it is built for %s", runtime.GOARCH)
	}
	f, err := elf.Open(program)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("it is linked dynamically")
		}
	}
	return nil
}
