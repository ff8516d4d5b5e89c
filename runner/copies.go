package runner

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cuepod/cuepod/runner/agent/api"
	"github.com/cuepod/cuepod/runner/engine"
	"github.com/cuepod/cuepod/runner/ignore"
	"github.com/cuepod/cuepod/runner/mirror"
	"github.com/cuepod/cuepod/targets/docker"
)

// copies keeps what is copied into containers as it is in the module. It has a
// line to the agent of each pod that it has to do with, for as long as both live:
// a copy of a file then takes a few milliseconds, where a command in a container
// takes the engine a hundred.
//
// Its methods are safe for concurrent use. What it does with one pod comes one
// after the other, from reading the directories to the last file: a look that is
// older never undoes what a later one brought.
type copies struct {
	eng   engine.Engine
	root  string // of the module
	agent string // reference of the agent's image
	cache mirror.Cache

	wg  sync.WaitGroup
	mu  sync.Mutex
	all map[string]*podCopies // by ID of the infra container
	// owners are the users of images, by image ID and name.
	owners map[string]fileOwner
	closed bool
}

// podCopies is what there is to do with one pod.
type podCopies struct {
	turn sync.Mutex
	line *mirror.Line        // nil when there is none; only for who has the turn
	done map[string]copyMark // by container and image; the same
}

// copyMark is when a container's copies were brought to what they are.
type copyMark struct {
	digest string
	at     time.Time
}

// fresh is how long a copy counts as what it was made: what a program changes in
// its files is put right at its next start, unless that follows at once.
const fresh = 2 * time.Second

func newCopies(eng engine.Engine, root, agent string) *copies {
	return &copies{eng: eng, root: root, agent: agent, all: map[string]*podCopies{}, owners: map[string]fileOwner{}}
}

// close ends the lines and waits for them.
func (k *copies) close() {
	k.mu.Lock()
	k.closed = true
	all := k.all
	k.all = map[string]*podCopies{}
	k.mu.Unlock()
	for _, p := range all {
		p.turn.Lock()
		if p.line != nil {
			p.line.Close()
		}
		p.turn.Unlock()
	}
	k.wg.Wait()
}

// forget ends the lines to pods that are gone.
func (k *copies) forget(gone func(infra string) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, p := range k.all {
		if gone(id) && p.turn.TryLock() { // else it is under way, and found later
			if p.line != nil {
				p.line.Close()
			}
			p.turn.Unlock()
			delete(k.all, id)
		}
	}
}

func (k *copies) pod(infra string) (*podCopies, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, errors.New("it ends")
	}
	if k.all[infra] == nil {
		k.all[infra] = &podCopies{done: map[string]copyMark{}}
	}
	return k.all[infra], nil
}

// copied is a container whose files are copied.
type copied struct {
	c         *docker.Container
	infra     string // ID of the pod's infra container, which runs
	container string // ID or name of the container; it need not run
	image     string // ID of its image
}

// copyDir is where the agent has a copy, and what the copies of other images in
// its place begin with.
func (t *copied) copyDir(to string) (dir, prefix string) {
	prefix = t.c.Name + "." + shortHash(to) + "."
	return path.Join(docker.SyncDir, prefix+imageHash(t.image)), prefix
}

func shortHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}

// imageHash is a short form of an image's ID.
func imageHash(id string) string {
	_, hash, ok := strings.Cut(id, ":")
	if !ok {
		hash = id
	}
	return hash[:min(12, len(hash))]
}

// prepare makes the directories that a container's copies are in.
func (k *copies) prepare(ctx context.Context, t copied) error {
	p, err := k.pod(t.infra)
	if err != nil {
		return err
	}
	p.turn.Lock()
	defer p.turn.Unlock()
	for _, s := range t.c.Synced() {
		dir, _ := t.copyDir(s.To)
		if _, err := k.carry(ctx, p, t.infra, mirror.Round{Open: api.MirrorOpen{Dir: dir}}); err != nil {
			return err
		}
	}
	return nil
}

// brought is what became of a container's copies.
type brought struct {
	digest  string // of the directories as they are now, and of what is watched
	acted   string // the digest on which the container acted last; "" is not known
	put     int
	removed int
	errors  []string // what could not be copied
}

func (b *brought) changed() bool { return b.put+b.removed > 0 }

// bringHow says what else becomes of a container's copies.
type bringHow struct {
	look   bool // nothing is copied: what would be is told
	starts bool // the container is about to start: it will have acted on what it finds
	acted  bool // it has nothing to do but to have the files
	recent bool // copies that were made just now are taken as they are
}

// bring makes a container's copies what the module has.
func (k *copies) bring(ctx context.Context, t copied, how bringHow) (brought, error) {
	p, err := k.pod(t.infra)
	if err != nil {
		return brought{}, err
	}
	p.turn.Lock()
	defer p.turn.Unlock()
	found, out, err := k.scan(t.c.Dev)
	if err != nil || len(t.c.Synced()) == 0 {
		return out, err
	}
	key := t.c.Name + " " + t.image
	if mark := p.done[key]; how.recent && mark.digest == out.digest && time.Since(mark.at) < fresh {
		return out, k.note(ctx, p, t, out.digest, how)
	}
	owner := k.owner(ctx, t)
	for i, s := range t.c.Synced() {
		dir, prefix := t.copyDir(s.To)
		r := mirror.Round{
			Open: api.MirrorOpen{Dir: dir, User: owner.user, Group: owner.group},
			Root: k.root, From: s.From, Manifest: found[i], Look: how.look,
		}
		if how.starts || how.acted {
			r.Close.Acted = out.digest
		}
		if how.starts {
			r.Close.Keep = prefix
		}
		got, err := k.carry(ctx, p, t.infra, r)
		if err != nil {
			return out, err
		}
		out.put, out.removed = out.put+got.Put, out.removed+got.Removed
		out.errors = append(out.errors, got.Errors...)
		if i == 0 {
			out.acted = got.Acted
		}
	}
	if len(out.errors) == 0 && !how.look {
		p.done[key] = copyMark{out.digest, time.Now()}
	}
	return out, nil
}

// note writes down that a container acts on what it finds, where that is all.
func (k *copies) note(ctx context.Context, p *podCopies, t copied, digest string, how bringHow) error {
	if !how.starts {
		return nil
	}
	return k.remember(ctx, p, t, digest)
}

func (k *copies) remember(ctx context.Context, p *podCopies, t copied, digest string) error {
	for _, s := range t.c.Synced() {
		dir, _ := t.copyDir(s.To)
		if _, err := k.carry(ctx, p, t.infra, mirror.Round{Open: api.MirrorOpen{Dir: dir}, Close: api.MirrorClose{Acted: digest}}); err != nil {
			return err
		}
	}
	return nil
}

// acted writes down that a container has acted on what it has.
func (k *copies) acted(ctx context.Context, t copied, digest string) error {
	p, err := k.pod(t.infra)
	if err != nil {
		return err
	}
	p.turn.Lock()
	defer p.turn.Unlock()
	return k.remember(ctx, p, t, digest)
}

// scan reads the directories that are copied, and digests them and what is
// watched besides.
func (k *copies) scan(d *docker.Dev) (found []*mirror.Manifest, out brought, err error) {
	matcher, err := ignore.New(d.Ignore)
	if err != nil {
		return nil, out, err
	}
	h := sha256.New()
	for _, s := range d.Sync {
		m, err := mirror.Scan(k.root, s.From, matcher, &k.cache)
		if err != nil {
			return nil, out, err
		}
		if m.Why != nil {
			out.errors = append(out.errors, fmt.Sprintf("%s/%s cannot be read: %v", s.From, m.Unread[0], cause(m.Why)))
		}
		fmt.Fprintf(h, "%q %s\n", s.To, m.Digest())
		found = append(found, m)
	}
	for _, name := range d.Watch {
		digest, err := mirror.Digest(k.root, name, matcher, &k.cache)
		if err != nil {
			return nil, out, err
		}
		fmt.Fprintf(h, "%q %s\n", name, digest)
	}
	out.digest = hex.EncodeToString(h.Sum(nil)[:12])
	return found, out, nil
}

// carry carries out a round, over a new line where the old one is broken: its
// engine may have been restarted.
func (k *copies) carry(ctx context.Context, p *podCopies, infra string, r mirror.Round) (mirror.Result, error) {
	for try := 0; ; try++ {
		held := p.line != nil
		if !held {
			line, err := k.dial(ctx, infra)
			if err != nil {
				return mirror.Result{}, err
			}
			p.line = line
		}
		stop := context.AfterFunc(ctx, func() { p.line.Close() })
		got, err := p.line.Carry(r)
		stop()
		if p.line.Broken() == nil {
			return got, err
		}
		p.line = nil
		if ctx.Err() != nil {
			return got, context.Cause(ctx)
		}
		if try > 0 || !held && !errors.Is(err, mirror.ErrChanged) {
			return got, err
		}
	}
}

// dial begins a line to the agent of a pod.
func (k *copies) dial(ctx context.Context, infra string) (*mirror.Line, error) {
	image, err := k.eng.InspectImage(ctx, k.agent)
	if err != nil {
		return nil, err
	}
	ours, theirs := net.Pipe()
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	conn := &agentPipe{Conn: ours, stop: stop}
	k.wg.Go(func() {
		defer stop()
		var said bytes.Buffer
		_, err := k.eng.Exec(life, infra, engine.ExecSpec{
			Cmd: append(slices.Clone(image.Entrypoint), api.RoleMirror), Stdin: bufio.NewReader(theirs), Stdout: theirs, Stderr: &said,
		})
		if err == nil && said.Len() > 0 {
			err = errors.New(strings.TrimSpace(said.String()))
		}
		conn.over(err)
		theirs.Close()
	})
	return mirror.NewLine(conn), nil
}

// agentPipe is a connection that knows why it ended.
type agentPipe struct {
	net.Conn
	stop func() // the agent, where it does not end with its input
	mu   sync.Mutex
	why  error
}

// endPatience is how long an agent may take to end with its input. An engine that
// is stuck must not keep us.
const endPatience = 2 * time.Second

// Close ends the connection.
func (p *agentPipe) Close() error {
	time.AfterFunc(endPatience, p.stop)
	return p.Conn.Close()
}

func (p *agentPipe) over(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.why = err
}

func (p *agentPipe) reason(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil && p.why != nil {
		return p.why
	}
	return err
}

func (p *agentPipe) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	return n, p.reason(err)
}

func (p *agentPipe) Write(b []byte) (int, error) {
	n, err := p.Conn.Write(b)
	return n, p.reason(err)
}

// fileOwner is whom copied files belong to; nil leaves it to the image.
type fileOwner struct{ user, group *int64 }

// owner is the user that a container runs as, by number.
func (k *copies) owner(ctx context.Context, t copied) fileOwner {
	user := t.c.User
	if user == "" || strings.HasPrefix(user, ":") {
		image, err := k.eng.InspectImage(ctx, t.image)
		if err != nil {
			return fileOwner{}
		}
		own, group, _ := strings.Cut(image.User, ":")
		user = own + cmp.Or(t.c.User, ":"+group)
	}
	key := t.image + " " + user
	k.mu.Lock()
	found, ok := k.owners[key]
	k.mu.Unlock()
	if ok {
		return found
	}
	file := func(name string) []byte { return readContainerFile(ctx, k.eng, t.container, name) }
	found = ownerOfUser(user, file)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.owners[key] = found
	return found
}

// ownerOfUser finds the numbers of USER[:GROUP] with the files of an image, which
// nothing has to run for. Of a user without a group it is that of passwd, else 0,
// as engines have it. A name that is not there has no number.
func ownerOfUser(user string, file func(name string) []byte) fileOwner {
	name, group, _ := strings.Cut(user, ":")
	var out fileOwner
	root := int64(0)
	entry := lookUp(file("/etc/passwd"), cmp.Or(name, "0"))
	switch {
	case number64(name) != nil:
		out = fileOwner{number64(name), &root}
		if len(entry) > 3 && number64(entry[3]) != nil {
			out.group = number64(entry[3])
		}
	case name == "" || name == "root" && entry == nil:
		out = fileOwner{&root, &root}
	case len(entry) > 3:
		out = fileOwner{number64(entry[2]), number64(entry[3])}
	}
	if group == "" {
		return out
	}
	out.group = number64(group)
	if out.group == nil {
		if entry := lookUp(file("/etc/group"), group); len(entry) > 2 {
			out.group = number64(entry[2])
		}
	}
	return out
}

// lookUp finds a line of passwd or group, by name or number.
func lookUp(text []byte, who string) []string {
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimRight(line, "\r\n"), ":")
		if len(fields) > 2 && (fields[0] == who || fields[2] == who) {
			return fields
		}
	}
	return nil
}

func number64(text string) *int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return nil
	}
	return &n
}

// maxAccounts bounds how much is read of a file of accounts, in bytes.
const maxAccounts = 1 << 20

// readContainerFile reads a file of a container in any state; nil where there is
// none.
func readContainerFile(ctx context.Context, eng engine.Engine, id, name string) []byte {
	stream, err := eng.CopyFrom(ctx, id, name)
	if err != nil {
		return nil
	}
	defer stream.Close()
	in := tar.NewReader(stream)
	head, err := in.Next()
	if err != nil || head.Typeflag != tar.TypeReg {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(in, maxAccounts))
	if err != nil {
		return nil
	}
	return text
}

// cause is the innermost error, for a message that has the rest.
func cause(err error) error {
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return err
}
