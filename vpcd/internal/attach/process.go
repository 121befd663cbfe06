package attach

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Positions in /proc/N/stat, counted from the state, the first field after the
// name of the program (proc_pid_stat(5), fields 3 and 22).
const (
	statState = 0
	statStart = 19
)

// startTime is when a process was started, in clock ticks since boot. Together
// with the number it names one process for as long as the machine runs. One
// that has ended is fs.ErrNotExist, also while its parent has not yet noticed.
func (r *Resolver) startTime(pid int) (uint64, error) {
	b, err := os.ReadFile(filepath.Join(r.proc, strconv.Itoa(pid), "stat"))
	if errors.Is(err, unix.ESRCH) {
		err = fs.ErrNotExist // it ended between opening and reading
	}
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", pid, err)
	}
	// The program's name is in parentheses and may hold any character.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) <= statStart {
		return 0, fmt.Errorf("process %d: its stat file has %d fields", pid, len(fields))
	}
	if state := fields[statState][0]; state == 'Z' || state == 'X' {
		return 0, fmt.Errorf("process %d has ended: %w", pid, fs.ErrNotExist)
	}
	start, err := strconv.ParseUint(string(fields[statStart]), 10, 64)
	if err == nil && start == 0 {
		err = errors.New("it is 0")
	}
	if err != nil {
		return 0, fmt.Errorf("process %d: start time: %w", pid, err)
	}
	return start, nil
}

// netnsOf is the path through which the namespace of a process is opened.
func (r *Resolver) netnsOf(pid int) string {
	return filepath.Join(r.proc, strconv.Itoa(pid), "ns/net")
}
