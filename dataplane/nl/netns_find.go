package nl

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// NamedNetns maps the inodes of network namespaces to paths that lead to them: a
// mount, by whatever name, or a process. One that is only held open by a file, or
// mounted where this process does not see it, is not among them.
func NamedNetns() (map[uint64]string, error) {
	out := map[uint64]string{}
	procs, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return nil, err
	}
	for _, path := range procs {
		text, err := os.Readlink(path)
		if inode, ok := netnsInode(text); err == nil && ok {
			out[inode] = path
		}
	}
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer mounts.Close()
	lines := bufio.NewScanner(mounts)
	for lines.Scan() {
		// ID PARENT DEVICE ROOT MOUNTPOINT …; the root of a namespace's is its name.
		f := strings.Fields(lines.Text())
		if len(f) < 5 {
			continue
		}
		if inode, ok := netnsInode(f[3]); ok {
			out[inode] = strings.ReplaceAll(f[4], `\040`, " ")
		}
	}
	return out, lines.Err()
}

// netnsInode reads net:[INODE].
func netnsInode(text string) (inode uint64, ok bool) {
	n, err := fmt.Sscanf(text, "net:[%d]", &inode)
	return inode, n == 1 && err == nil
}
