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
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/dataplane"
	"github.com/vpcfabric/vpc/vpcd/internal/service"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// CheckLimit refuses an unknown quota or an impossible value.
func CheckLimit(name string, value int64) error { return service.CheckLimit(name, value) }

// CleanupOptions say what to remove.
type CleanupOptions struct {
	Name      string
	All       bool
	Force     bool
	DataDir   string
	PurgeData bool
}

// Cleanup removes the kernel objects of one host, or of every host whose daemon
// does not run, and returns their names.
func Cleanup(ctx context.Context, o CleanupOptions) ([]string, error) {
	names := []string{o.Name}
	if o.All {
		var err error
		if names, err = dataplane.Hosts(); err != nil {
			return nil, err
		}
	} else if err := CheckName(o.Name); err != nil {
		return nil, err
	}
	var (
		removed []string
		errs    []error
	)
	for _, name := range names {
		if err := cleanupOne(ctx, name, o); err != nil {
			errs = append(errs, fmt.Errorf("host %s: %w", name, err))
			continue
		}
		removed = append(removed, name)
	}
	return removed, errors.Join(errs...)
}

func cleanupOne(ctx context.Context, name string, o CleanupOptions) error {
	lock, err := lockHost(name, "cleanup")
	if err != nil {
		return fmt.Errorf("%w; stop it first", err)
	}
	defer func() {
		os.Remove(filepath.Join(runDir, name+".lock"))
		lock.Close()
		os.Remove(runDir) // only when it is empty
	}()
	if !o.Force {
		attached, err := dataplane.Attached(ctx, name)
		if err != nil {
			return err
		}
		if len(attached) > 0 {
			slices.Sort(attached)
			return fmt.Errorf("%w: %d workloads are attached (%s); detach them, or use --force", ErrRefused, len(attached), strings.Join(attached, ", "))
		}
	}
	if err := dataplane.Cleanup(ctx, name); err != nil {
		return err
	}
	if !o.PurgeData {
		return nil
	}
	return os.RemoveAll(o.DataDir)
}

// backupSocket is where the daemon hands out copies; it is no action, because an
// answer of any size does not fit one.
const backupSocket = "backup.sock"

// serveBackup answers each connection on a socket inside the data directory,
// which only root can enter, with one copy of the store.
func serveBackup(ctx context.Context, st *store.Store, dataDir string) error {
	path := filepath.Join(dataDir, backupSocket)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Vpc-Complete")
		if err := st.Backup(r.Context(), w); err == nil {
			w.Header().Set("Vpc-Complete", "yes")
		}
	})}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return ctx.Err()
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
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(dataDir, backupSocket))
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
	dir := filepath.Join(dataDir, "store")
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

// Restore fills an empty data directory from a copy.
func Restore(ctx context.Context, file, dataDir string) error {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return err
	}
	err := store.Restore(ctx, file, filepath.Join(dataDir, "store"))
	if errors.Is(err, store.ErrNotEmpty) || errors.Is(err, store.ErrCorrupt) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}
