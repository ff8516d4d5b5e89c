package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// manyEdits are made of manyFiles in bursts, as tools that write code do.
	manyEdits = 1000
	manyFiles = 200
	burst     = 10
	between   = 20 * time.Millisecond
	// resigned is how long a copy may stay as it is before it counts as all there is.
	resigned = 10 * time.Second
)

const lostHeader = `| 1000 edits of 200 files | lost | all there after |
|---|---|---|
`

// lost makes many edits of a synced tree, the same with each tool, and gives the rows
// of how many files are not in the container as they were saved last.
func (b *bench) lost(ctx context.Context) (rows []string, err error) {
	k := kind{name: "many", edited: "many/0/0", ask: "/env", files: map[string]string{}}
	for i := range manyFiles {
		k.files[manyName(i)] = fmt.Sprint("first ", i)
	}
	sites, closeAll, err := b.openAll(ctx, k)
	defer closeAll()
	if err != nil {
		return nil, err
	}
	for _, s := range sites {
		first, err := s.differing(ctx)
		if err == nil && first > 0 {
			err = fmt.Errorf("%s: %d files are not there before anything is edited", s.tool.name(), first)
		}
		if err != nil {
			return nil, err
		}
		if err := makeEdits(ctx, s.dir); err != nil {
			return nil, err
		}
		begin := time.Now()
		left, err := s.differing(ctx)
		if err != nil {
			return nil, err
		}
		after := "-"
		if left == 0 {
			after = fmt.Sprintf("%.1f s", time.Since(begin).Seconds())
		}
		rows = append(rows, fmt.Sprintf("| %s | %d | %s |", s.tool.name(), left, after))
	}
	return rows, nil
}

func manyName(i int) string { return fmt.Sprintf("many/%d/%d", i/20, i%20) }

// makeEdits saves files in the ways of editors, removes and makes some again, and
// renames directories, the same each time.
func makeEdits(ctx context.Context, dir string) error {
	r := rand.New(rand.NewPCG(1, 2))
	for edit := range manyEdits {
		if edit%burst == 0 {
			if err := wait(ctx, between); err != nil {
				return err
			}
		}
		path := filepath.Join(dir, manyName(r.IntN(manyFiles)))
		text := []byte(fmt.Sprint("edit ", edit))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		var err error
		switch r.IntN(10) {
		case 0:
			if err = os.Remove(path); os.IsNotExist(err) {
				err = nil
			}
		case 1:
			err = os.Rename(filepath.Dir(path), filepath.Join(dir, "many", fmt.Sprint("moved-", edit)))
		case 2, 3, 4: // beside it, and renamed over it
			if err = os.WriteFile(path+"~", text, 0o644); err == nil {
				err = os.Rename(path+"~", path)
			}
		default:
			err = os.WriteFile(path, text, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// differing waits until the container has what the site has, or until nothing changes
// there any more, and gives how many files are other, missing, or too many.
func (s *site) differing(ctx context.Context) (n int, err error) {
	want, err := sums(filepath.Join(s.dir, "many"))
	if err != nil {
		return 0, err
	}
	last, since := "", time.Now()
	for {
		text, err := get(ctx, fmt.Sprintf("127.0.0.1:%d", s.port), "/sums")
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case err != nil: // it may be starting
		case text != last:
			last, since = text, time.Now()
		}
		if n = different(want, text); n == 0 && err == nil {
			return 0, nil
		}
		if time.Since(since) > resigned {
			return n, err
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// different are the files of two listings that are not the same in both.
func different(want, got string) int {
	list := func(text string) map[string]string {
		files := map[string]string{}
		for line := range strings.Lines(text) {
			name, sum, _ := strings.Cut(strings.TrimSpace(line), " ")
			files[name] = sum
		}
		return files
	}
	a, b := list(want), list(got)
	n := 0
	for name, sum := range a {
		if b[name] != sum {
			n++
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			n++
		}
	}
	return n
}

// sums lists a tree as the witness does.
func sums(root string) (string, error) {
	var out strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		fmt.Fprintf(&out, "%s %x\n", name, sha256.Sum256(data))
		return err
	})
	return out.String(), err
}
