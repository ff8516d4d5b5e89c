package watch

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// print is what is known of one path.
type print struct {
	kind kind
	size int64
	time time.Time // of last modification
	node uint64    // changes when a save replaces the file
	sum  [sha256.Size]byte
	read time.Time // when sum was taken
}

type kind byte

const (
	absent     kind = iota
	file            // sum is of its content
	large           // too long to read: size and time stand for the content
	directory       // counts only by being there
	nameList        // sum is of the names in a directory
	unreadable      // sum is of the reason
)

// largeFile is where reading a file on every save would cost more than a
// needless reload: about 10 ms of hashing. Definitions are a thousandth of it.
const largeFile = 8 << 20 // bytes

// sameStat reports whether nothing speaks for a change between two prints.
func (p print) sameStat(q print) bool {
	return p.kind == q.kind && p.size == q.size && p.time.Equal(q.time) && p.node == q.node
}

// sameContent reports whether two prints mean the same to whoever reads the path.
func (p print) sameContent(q print) bool {
	switch {
	case p.kind != q.kind:
		return false
	case p.kind == large:
		return p.size == q.size && p.time.Equal(q.time)
	default:
		return p.sum == q.sum
	}
}

// settled reports whether an equal stat proves equal content: a file that was
// read within two seconds of its last change may have been written again within
// the same tick of its filesystem's clock (FAT counts in two seconds).
func (p print) settled() bool {
	return p.kind != file || p.read.Sub(p.time) > 2*time.Second
}

// isNews reports whether a path that was not known before counts as changed: it
// is there, and younger than since.
func (p print) isNews(since time.Time) bool {
	switch p.kind {
	case file, large, nameList:
		return p.time.After(since)
	default:
		return false
	}
}

// gate remembers each path as it was last reported.
type gate map[string]print

// reader prints a path; prev is what is known of it and saves reading it again.
type reader func(path string, prev print) print

// learn replaces the paths to remember. It returns those that count as changed:
// known ones whose content differs, and new ones younger than since, of which
// whoever asked for them may have read an older state.
func (g *gate) learn(paths []string, since time.Time, read reader) (changed []string) {
	next := make(gate, len(paths))
	for _, path := range paths {
		prev, known := (*g)[path]
		now := read(path, prev)
		next[path] = now
		if known && !now.sameContent(prev) || !known && now.isNews(since) {
			changed = append(changed, path)
		}
	}
	*g = next
	return changed
}

// update is learn for inputs that stayed the same: a path that is new came, and
// one that is missing went.
func (g *gate) update(paths []string, read reader) (changed []string) {
	before := *g
	changed = g.learn(paths, time.Time{}, read)
	for path := range before {
		if _, still := (*g)[path]; !still {
			changed = append(changed, path)
		}
	}
	slices.Sort(changed)
	return changed
}

// stirred reports whether update would return anything. What it learns about
// paths that hold what they held saves reading them the next time.
func (g gate) stirred(paths []string, read reader) bool {
	if len(paths) != len(g) {
		return true
	}
	for _, path := range paths {
		prev, known := g[path]
		now := read(path, prev)
		if !known || !now.sameContent(prev) {
			return true
		}
		g[path] = now
	}
	return false
}

// names prints the names in a directory, without those that nothing depends on.
func names(dir string) print {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return print{kind: absent}
	case err != nil:
		return print{kind: unreadable, sum: sha256.Sum256([]byte(err.Error()))}
	}
	h := sha256.New()
	for _, e := range entries {
		if !ignored(e.Name()) {
			fmt.Fprintf(h, "%q %v\n", e.Name(), e.Type())
		}
	}
	p := print{kind: nameList, sum: [sha256.Size]byte(h.Sum(nil))}
	if info, err := os.Stat(dir); err == nil {
		p.time = info.ModTime()
	}
	return p
}

// stat prints a path without its content.
func stat(path string) print {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return print{kind: absent}
	case err != nil:
		return print{kind: unreadable, sum: sha256.Sum256([]byte(err.Error()))}
	case info.IsDir():
		return print{kind: directory}
	}
	p := print{kind: file, size: info.Size(), time: info.ModTime(), node: nodeOf(info)}
	if !info.Mode().IsRegular() || info.Size() > largeFile { // reading a pipe or a device never ends
		p.kind = large
	}
	return p
}

// read prints a path with its content.
func read(path string, prev print) print {
	if dir, ok := strings.CutSuffix(path, listing); ok {
		return names(dir)
	}
	p := stat(path)
	if p.kind != file {
		return p
	}
	if p.sameStat(prev) && prev.settled() {
		return prev
	}
	p.read = time.Now()
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return print{kind: absent}
	case err != nil:
		return print{kind: unreadable, sum: sha256.Sum256([]byte(err.Error()))}
	}
	p.sum = sha256.Sum256(data)
	return p
}
