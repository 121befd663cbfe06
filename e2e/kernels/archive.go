package kernels

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// archive writes an initramfs: the cpio format "newc", which the kernel reads.
// The first error stays and is returned by Close.
type archive struct {
	w     io.Writer
	dirs  map[string]bool
	inode int
	err   error
}

func newArchive(w io.Writer) *archive {
	return &archive{w: w, dirs: map[string]bool{"/": true, ".": true}}
}

const (
	modeDir  = 0o040755
	modeFile = 0o100755
)

// Dir adds a folder and those above it.
func (a *archive) Dir(name string) {
	name = path.Clean(name)
	if a.dirs[name] {
		return
	}
	a.dirs[name] = true
	a.Dir(path.Dir(name))
	a.entry(name, modeDir, nil)
}

// File adds an executable file and the folders above it.
func (a *archive) File(name string, content []byte) {
	a.Dir(path.Dir(name))
	a.entry(name, modeFile, content)
}

// Copy adds a file or a whole folder of this machine.
func (a *archive) Copy(name, from string) {
	err := filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			a.Dir(path.Join(name, rel))
			return nil
		}
		content, err := os.ReadFile(p)
		if err == nil {
			a.File(path.Join(name, rel), content)
		}
		return err
	})
	if a.err == nil {
		a.err = err
	}
}

// Close writes the end mark.
func (a *archive) Close() error {
	a.entry("/TRAILER!!!", 0, nil)
	return a.err
}

func (a *archive) entry(name string, mode int, content []byte) {
	if a.err != nil {
		return
	}
	name = name[1:] // all names here are absolute, in the archive none is
	a.inode++
	// magic, inode, mode, uid, gid, links, mtime, size, device, rdevice, length of the name, checksum
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0, name)
	_, a.err = fmt.Fprintf(a.w, "%s%s%s%s", header, pad(len(header)), content, pad(len(content)))
}

// pad fills up to a multiple of four bytes.
func pad(n int) string { return "\x00\x00\x00"[:(4-n%4)%4] }
