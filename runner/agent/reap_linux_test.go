package agent

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cuepod/cuepod/runner/agent/agenttest"
)

// asInit marks the test process that is the first of its process namespace.
const asInit = "CUEPOD_TEST_INIT"

// TestReap_CollectsOrphans runs itself again as process 1 of a namespace of its
// own, where it is left an orphan.
func TestReap_CollectsOrphans(t *testing.T) {
	if os.Getenv(asInit) == "" {
		if os.Getuid() != 0 {
			t.Skip("needs root for a process namespace of its own")
		}
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestReap_CollectsOrphans$", "-test.v")
		cmd.Env = append(os.Environ(), asInit+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
		out, err := cmd.CombinedOutput()
		if err != nil && strings.Contains(err.Error(), "operation not permitted") {
			t.Skipf("needs the right to make a process namespace: %v", err)
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if os.Getpid() != 1 {
		t.Fatalf("process %d, want 1", os.Getpid())
	}
	stop := reap()
	defer stop()
	// The shell leaves a child behind, which then ends.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	shell, err := os.StartProcess("/bin/sh", []string{"sh", "-c", "(read line) & echo $!"}, &os.ProcAttr{Files: []*os.File{nil, w, os.Stderr}})
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	buf := make([]byte, 20)
	n, err := r.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	orphan, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{shell.Pid, orphan} {
		agenttest.Eventually(t, func() error {
			if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("process %d is still there: %v", pid, err)
			}
			return nil
		})
	}
}
