package agent

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/cuepod/cuepod/runner/agent/api"
)

func TestKillMarked_KillsWhatCarriesTheMarkAlone(t *testing.T) {
	start := func(mark string) *exec.Cmd {
		cmd := exec.Command("sleep", "600")
		cmd.Env = append(os.Environ(), api.Marker+"="+mark)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd
	}
	late, other := start("late"), start("late2")
	var out strings.Builder
	if err := killMarked([]string{"late"}, &out); err != nil || out.String() != "1\n" {
		t.Fatalf("said %q, error %v", out.String(), err)
	}
	_ = late.Wait()
	if s := late.ProcessState.Sys().(syscall.WaitStatus); s.Signal() != syscall.SIGKILL {
		t.Errorf("it ended with %v", late.ProcessState)
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("another command is gone: %v", err)
	}
	if err := killMarked(nil, &out); err == nil {
		t.Error("without a mark it does not fail")
	}
}
