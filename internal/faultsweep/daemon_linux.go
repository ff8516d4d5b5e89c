package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// daemon is a private engine that may be killed, paused and filled: a dockerd in
// network and mount namespaces of its own, whose data are on a small file system
// in memory. It needs root, and touches no other engine.
type daemon struct {
	dir    string
	flags  []string
	anchor *exec.Cmd // keeps the namespaces
	cmd    *exec.Cmd // dockerd; nil while it does not run
	done   chan struct{}
}

// errNoDaemon means that this machine cannot have a private engine.
var errNoDaemon = errors.New("a private engine needs root, dockerd, unshare and nsenter")

// dataSize is enough for the images of an app, and soon filled.
const dataSize = "160m"

func newDaemon(ctx context.Context, dir string, flags ...string) (*daemon, error) {
	for _, tool := range []string{"dockerd", "unshare", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, errNoDaemon
		}
	}
	if os.Getuid() != 0 {
		return nil, errNoDaemon
	}
	d := &daemon{dir: dir, flags: flags}
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	script := `mount --make-rprivate / && mount -t tmpfs tmpfs /run && ip link set lo up && mount -t tmpfs -o size=` + dataSize + ` tmpfs "$1" && echo ready && exec sleep infinity`
	d.anchor = exec.Command("unshare", "--net", "--mount", "--uts", "--ipc", "sh", "-c", script, "sh", data)
	out, err := d.anchor.StdoutPipe()
	if err != nil {
		return nil, err
	}
	d.anchor.Stderr = os.Stderr
	if err := d.anchor.Start(); err != nil {
		return nil, err
	}
	if n, err := out.Read(make([]byte, 16)); n == 0 {
		return nil, errors.Join(fmt.Errorf("namespaces: %w", err), d.close())
	}
	if err := d.start(ctx); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *daemon) socket() string { return filepath.Join(d.dir, "d.sock") }

// enter makes a command of the daemon's namespaces.
func (d *daemon) enter(args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"-t", strconv.Itoa(d.anchor.Process.Pid), "--net", "--mount", "--uts", "--ipc"}, args...)...)
}

// start runs dockerd until it answers.
func (d *daemon) start(ctx context.Context) error {
	if err := os.WriteFile(filepath.Join(d.dir, "docker.json"), []byte("{}"), 0o600); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(d.dir, "dockerd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	_ = os.Remove(filepath.Join(d.dir, "docker.pid")) // of one that was killed
	d.cmd = d.enter(append([]string{"dockerd", "--config-file", filepath.Join(d.dir, "docker.json"), "--data-root", filepath.Join(d.dir, "data"),
		"--exec-root", "/run/dd", "--pidfile", filepath.Join(d.dir, "docker.pid"), "--host", "unix://" + d.socket(),
		"--bip", "172.31.240.1/24", "--exec-opt", "native.cgroupdriver=cgroupfs"}, d.flags...)...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		return err
	}
	d.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		defer close(done)
		_ = cmd.Wait() // it is killed, or told to stop
	}(d.cmd, d.done)
	limit := time.Now().Add(patience)
	for !d.answers(ctx) {
		select {
		case <-d.done:
			return fmt.Errorf("dockerd ended; its log is %s", log.Name())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(limit) {
			return fmt.Errorf("dockerd does not answer; its log is %s", log.Name())
		}
	}
	return nil
}

func (d *daemon) answers(ctx context.Context) bool {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", d.socket())
		}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine/_ping", nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// end signals dockerd and waits for its end.
func (d *daemon) end(sig os.Signal) {
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Signal(sig)
	select {
	case <-d.done:
	case <-time.After(time.Minute):
		_ = d.cmd.Process.Kill()
		<-d.done
	}
	d.cmd = nil
}

// restart ends dockerd with a signal and starts it again. A containerd that is
// left goes too: where nobody reaps it, dockerd takes what is left of it for one
// that runs. Containers do not need it.
func (d *daemon) restart(ctx context.Context, sig os.Signal) error {
	d.end(sig)
	if sig == syscall.SIGKILL {
		const left = `f=/run/dd/containerd/containerd.pid; [ ! -f $f ] || { kill -9 $(cat $f) 2>/dev/null; rm -f $f; }`
		if out, err := d.enter("sh", "-c", left).CombinedOutput(); err != nil {
			return fmt.Errorf("containerd: %w\n%s", err, out)
		}
	}
	return d.start(ctx)
}

// pause stops dockerd from doing anything for a while.
func (d *daemon) pause(ctx context.Context, long time.Duration) error {
	if err := d.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	select {
	case <-time.After(long):
	case <-ctx.Done():
	}
	return d.cmd.Process.Signal(syscall.SIGCONT)
}

// fill leaves no space on the daemon's file system, until free.
func (d *daemon) fill() error {
	file := filepath.Join(d.dir, "data", "filler")
	out, err := d.enter("dd", "if=/dev/zero", "of="+file, "bs=64k").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "No space left") {
		return fmt.Errorf("fill: %w\n%s", err, out)
	}
	return nil
}

func (d *daemon) free() error {
	return d.enter("rm", "-f", filepath.Join(d.dir, "data", "filler")).Run()
}

// close ends everything of the engine: its containers die with the processes
// that are left in its namespaces.
func (d *daemon) close() error {
	if d.cmd != nil {
		ids, _ := d.enter("docker", "-H", "unix://"+d.socket(), "ps", "-aq").Output()
		if list := strings.Fields(string(ids)); len(list) > 0 {
			_ = d.enter(append([]string{"docker", "-H", "unix://" + d.socket(), "rm", "-f"}, list...)...).Run()
		}
		d.end(syscall.SIGTERM)
	}
	_ = d.enter("sh", "-c", "for p in $(cat /run/dd/containerd/containerd.pid 2>/dev/null); do kill $p; done").Run()
	err := d.anchor.Process.Kill()
	_ = d.anchor.Wait() // it was killed
	return err
}
