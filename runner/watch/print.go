package watch

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/cuepod/cuepod/runner/ignore"
)

// print is what is known of one path. There may be 100,000 of them.
type print struct {
	kind kind
	perm fs.FileMode // permissions, where they count
	size int64
	time int64  // of last modification, in nanoseconds of Unix time
	node uint64 // changes when a save replaces the file
	meta int64  // when anything of it last changed, a name included; in nanoseconds of Unix time
	read int64  // when sum was taken, likewise
	sum  [sha256.Size]byte
}

type kind byte

const (
	absent     kind = iota
	file            // sum is of its content
	unread          // a file of which only size and time are known
	large           // too long to read: size and time stand for the content
	link            // sum is of where it points
	directory       // counts only by being there; sum is of the reason why it cannot be listed
	nameList        // sum is of the names in a directory
	unreadable      // sum is of the reason
)

// largeFile is where reading a file on every save would cost more than a
// needless reload: about 10 ms of hashing. Definitions are a thousandth of it.
const largeFile = 8 << 20 // bytes

// tick is the coarsest clock of a filesystem: FAT counts in two seconds. A file
// that was read so soon after its last change may have been written again
// without a trace in its times.
const tick = 2 * time.Second

// sameStat reports whether nothing speaks for a change between two prints.
func (p print) sameStat(q print) bool {
	return p.size == q.size && p.time == q.time && p.node == q.node && p.perm == q.perm
}

// sameContent reports whether two prints mean the same to whoever reads the path.
func (p print) sameContent(q print) bool {
	switch {
	case p.kind == unread || q.kind == unread: // then it may be either
		return (p.kind == file || p.kind == unread) && (q.kind == file || q.kind == unread) && p.sameStat(q)
	case p.kind != q.kind || p.perm != q.perm:
		return false
	case p.kind == large:
		return p.size == q.size && p.time == q.time
	default:
		return p.sum == q.sum
	}
}

// sameInstance reports whether nothing at all has happened to a path.
func (p print) sameInstance(q print) bool {
	return p.kind == q.kind && p.meta == q.meta && p.sameStat(q)
}

// settled reports whether an equal stat proves equal content.
func (p print) settled() bool {
	return p.kind != file || p.read-p.time > int64(tick)
}

// isNews reports whether a path that was not known before counts as changed: it
// is there, and younger than since.
func (p print) isNews(since time.Time) bool {
	switch p.kind {
	case file, unread, large, link, nameList:
		return p.time > since.UnixNano()
	default:
		return false
	}
}

func because(err error) print {
	if errors.Is(err, fs.ErrNotExist) {
		return print{kind: absent}
	}
	return print{kind: unreadable, sum: sha256.Sum256([]byte(err.Error()))}
}

// statPrint is a path without its content.
func statPrint(info fs.FileInfo) print {
	p := print{kind: file, size: info.Size(), time: info.ModTime().UnixNano(), node: nodeOf(info), meta: metaOf(info)}
	if !info.Mode().IsRegular() || info.Size() > largeFile { // reading a pipe or a device never ends
		p.kind = large
	}
	return p
}

// hashed gives a file its sum, unless prev proves to have it.
func (p print) hashed(path string, prev print) print {
	if p.sameStat(prev) && prev.kind == file && prev.settled() {
		prev.meta = p.meta
		return prev
	}
	p.read = time.Now().UnixNano()
	data, err := os.ReadFile(path)
	if err != nil {
		return because(err)
	}
	p.sum = sha256.Sum256(data)
	return p
}

// printContent prints a path with its content; prev is what is known of it, and
// saves reading it again.
func printContent(path string, prev print) print {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return because(err)
	case info.IsDir():
		return print{kind: directory}
	}
	p := statPrint(info)
	if p.kind != file {
		return p
	}
	return p.hashed(path, prev)
}

// printNames prints the names in a directory, without those that nothing
// depends on.
func printNames(dir string) print {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return because(err)
	}
	h := sha256.New()
	for _, e := range entries {
		if !ignore.Name(e.Name()) {
			fmt.Fprintf(h, "%q %v\n", e.Name(), e.Type())
		}
	}
	p := print{kind: nameList, sum: [sha256.Size]byte(h.Sum(nil))}
	if info, err := os.Stat(dir); err == nil {
		p.time = info.ModTime().UnixNano()
	}
	return p
}

// printEntry prints an entry of a tree, of which info is. Of a file that is not
// known yet, and has been as it is for a while, only size and time are taken:
// reading 100,000 files to find that none has changed would be a long start.
func printEntry(path string, info fs.FileInfo, prev print, now time.Time) print {
	switch info.Mode().Type() {
	case fs.ModeDir:
		return print{kind: directory, perm: info.Mode().Perm(), node: nodeOf(info), meta: metaOf(info)}
	case fs.ModeSymlink:
		target, err := os.Readlink(path)
		if err != nil {
			return because(err)
		}
		return print{kind: link, time: info.ModTime().UnixNano(), node: nodeOf(info), meta: metaOf(info), sum: sha256.Sum256([]byte(target))}
	}
	p := statPrint(info)
	p.perm = info.Mode().Perm()
	switch {
	case p.kind != file:
		return p
	case prev.kind == unread && p.sameStat(prev):
		p.kind = unread
		return p
	case prev.kind == absent && now.UnixNano()-p.time > int64(tick):
		p.kind = unread
		return p
	}
	return p.hashed(path, prev)
}
