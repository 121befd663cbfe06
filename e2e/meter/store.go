package meter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// storeTime bounds one listing of a store.
const storeTime = 10 * time.Second

// lasting are the records that are meant to stay when everything that a test
// made is deleted. Anything else that stays is a leak: a claim of an address, a
// guard of a parent, a token of a call.
var lasting = []string{
	"counter/",   // sequences of numbers that are never given twice
	"tombstone/", // confirm a deletion to hosts, and go after an hour
	"status/",    // what a host reports of itself
}

// storeKeys lists the records in the store of every daemon in scope that runs:
// its data directory has a socket for copies, which lists them too.
func storeKeys(d Dump, s Scope) error {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	for _, proc := range dirs {
		if name, ok := s.process(proc); !ok || name != "vpcd" {
			continue
		}
		args, err := os.ReadFile(proc + "/cmdline")
		dir := dataDir(strings.Split(string(args), "\x00"))
		if err != nil || dir == "" {
			continue
		}
		keys, err := keysOf(dir)
		// Not a daemon but a command on its directory, or one that is starting.
		none := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
		if _, ended := os.Stat(proc); ended != nil || none {
			continue
		}
		if err != nil {
			return fmt.Errorf("the records of the vpcd on %s: %w", dir, err)
		}
		for _, key := range keys {
			d[Key{"record", "", key}] = "in the store of " + dir
		}
	}
	return nil
}

// dataDir is the value of the flag, "" without one.
func dataDir(args []string) string {
	for i, arg := range args {
		if v, ok := strings.CutPrefix(arg, "--data-dir="); ok {
			return v
		}
		if arg == "--data-dir" && i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}

// keysOf asks the daemon on a data directory. Those that last are left out.
func keysOf(dir string) ([]string, error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	// By the descriptor, because the path of a socket has at most 107 bytes.
	socket := fmt.Sprintf("/proc/self/fd/%d/backup.sock", folder.Fd())
	c := http.Client{Timeout: storeTime, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	defer c.CloseIdleConnections()
	resp, err := c.Get("http://vpcd/keys")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s", resp.Status)
	}
	var out []string
	for key := range strings.Lines(string(text)) {
		if key = strings.TrimSpace(key); !lasts(key) {
			out = append(out, key)
		}
	}
	return out, nil
}

func lasts(key string) bool {
	for _, prefix := range lasting {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}
