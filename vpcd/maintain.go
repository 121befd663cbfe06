package vpcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/service"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// CheckLimits refuses an unknown quota, an impossible value, and values that
// cannot be together.
func CheckLimits(limits map[string]int64) error { return service.CheckLimits(limits) }

// backupSocket is where the daemon hands out copies; it is no action, because an
// answer of any size does not fit one.
const backupSocket = "backup.sock"

// listenBackup opens the socket inside the data directory, which only root can
// enter. Who holds the store's lock may take the place of a socket there.
func listenBackup(dataDir string) (_ net.Listener, remove func(), err error) {
	dir, err := os.Open(dataDir)
	if err != nil {
		return nil, nil, err
	}
	defer dir.Close()
	path := filepath.Join(dataDir, backupSocket)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: briefly(dir), Net: "unix"})
	if err != nil {
		return nil, nil, err
	}
	// Its name is of a descriptor that is another file by then.
	l.SetUnlinkOnClose(false)
	return l, func() { l.Close(); os.Remove(path) }, nil
}

// serveBackup answers each connection with one copy of the store, or with the
// keys of its records: whoever looks for what was left behind needs no values.
func serveBackup(ctx context.Context, st *store.Store, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/backup", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Vpc-Complete")
		if err := st.Backup(r.Context(), w); err == nil {
			w.Header().Set("Vpc-Complete", "yes")
		}
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		for key := range store.List[any](st.Snapshot(), record.Root) {
			fmt.Fprintln(w, strings.TrimPrefix(key, record.Root))
		}
	})
	srv := &http.Server{Handler: mux}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return ctx.Err()
}

// briefly is the socket's path by an open directory: the kernel takes no more
// than 107 bytes, and data directories can be deeper.
func briefly(dir *os.File) string { return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), backupSocket) }

func dialBackup(ctx context.Context, dataDir string) (net.Conn, error) {
	dir, err := os.Open(dataDir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return new(net.Dialer).DialContext(ctx, "unix", briefly(dir))
}

// inUse reports whether a daemon runs on the directory.
func inUse(dataDir string) bool {
	c, err := dialBackup(context.Background(), dataDir)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// Backup writes a copy of the store to file, from the running daemon or, when
// there is none, from its directory. A copy that did not get through is removed.
func Backup(ctx context.Context, dataDir, file string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	err = errors.Join(copyStore(ctx, dataDir, f), f.Sync(), f.Close())
	if err != nil {
		os.Remove(file)
	}
	return err
}

func copyStore(ctx context.Context, dataDir string, w io.Writer) error {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialBackup(ctx, dataDir)
	}
	c := http.Client{Transport: &http.Transport{DialContext: dial}}
	defer c.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://vpcd/backup", nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return copyStopped(ctx, dataDir, w)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return err
	}
	if resp.Trailer.Get("Vpc-Complete") != "yes" {
		return errors.New("the daemon could not copy its store; its log says why")
	}
	return nil
}

// copyStopped opens the store of a daemon that does not run.
func copyStopped(ctx context.Context, dataDir string, w io.Writer) error {
	dir := filepath.Join(dataDir, storeDir)
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("%w: --data-dir: %w", ErrRefused, err)
	}
	st, err := store.Open(ctx, store.Config{Dir: dir})
	if err != nil {
		return err
	}
	defer st.Close()
	return st.Backup(ctx, w)
}

// Restore fills an empty data directory from a copy. One that it had to make
// goes again when the copy is of no use.
func Restore(ctx context.Context, file, dataDir string) error {
	if _, err := os.Stat(file); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	_, missing := os.Stat(dataDir)
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return fmt.Errorf("%w: --data-dir: %w", ErrRefused, err)
	}
	err := store.Restore(ctx, file, filepath.Join(dataDir, storeDir))
	if err != nil && errors.Is(missing, os.ErrNotExist) {
		os.Remove(dataDir)
	}
	if errors.Is(err, store.ErrNotEmpty) || errors.Is(err, store.ErrCorrupt) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err != nil {
		return err
	}
	return skipAhead(ctx, dataDir)
}

// indicesBetween bounds how many indices can have been given out between a copy
// and the loss of what it is a copy of.
const indicesBetween = 1 << 20

// skipAhead moves every sequence past what may have been given out after the
// copy was made: the kernel may still hold state under those indices.
func skipAhead(ctx context.Context, dataDir string) error {
	st, err := store.Open(ctx, store.Config{Dir: filepath.Join(dataDir, storeDir), Decode: record.Decode})
	if err != nil {
		return err
	}
	defer st.Close()
	_, err = st.Update(ctx, func(tx *store.Tx) error {
		for key, c := range store.List[*record.Counter](tx, record.Counters) {
			if key != record.Counters+"vni" {
				tx.Put(key, record.Counter{Next: c.Next + indicesBetween})
			}
		}
		return nil
	})
	return err
}
