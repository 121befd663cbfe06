package vpcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vpcfabric/vpc/dataplane"
	"github.com/vpcfabric/vpc/dataplane/nl"
)

// CleanupOptions say what to remove.
type CleanupOptions struct {
	Name      string
	All       bool
	Force     bool
	DataDir   string
	PurgeData bool
}

// Cleaned is what a cleanup has done.
type Cleaned struct {
	Removed []string // hosts
	Absent  []string // hosts of which the kernel held nothing
	Purged  bool     // the records are gone
	Kept    string   // why the data directory is still there, if it is
}

// Cleanup removes the kernel objects of one host, or of every host whose daemon
// does not run, and with PurgeData the records of that host.
func Cleanup(ctx context.Context, o CleanupOptions) (Cleaned, error) {
	names := []string{o.Name}
	hosts, err := dataplane.Hosts()
	if err != nil {
		return Cleaned{}, err
	}
	if o.All {
		names = hosts
	} else if err := CheckName(o.Name); err != nil {
		return Cleaned{}, err
	}
	if !o.PurgeData {
		return cleanupEach(ctx, names, o)
	}
	if o.DataDir, err = filepath.Abs(o.DataDir); err != nil {
		return Cleaned{}, err
	}
	// What refuses comes first: half of what was asked for helps nobody.
	owner, there, err := purgeable(ctx, o.DataDir)
	if err == nil && owner != "" && owner != o.Name && !o.All {
		err = fmt.Errorf("%s belongs to host %s, and nothing was removed; use --name %s", o.DataDir, owner, owner)
	}
	if err != nil {
		return Cleaned{}, fmt.Errorf("%w: --purge-data: %w", ErrRefused, err)
	}
	done, err := cleanupEach(ctx, names, o)
	// Records outlive a host that could not be removed: they say what it is.
	if refused := slices.Contains(names, owner) && !slices.Contains(done.Removed, owner) && !slices.Contains(done.Absent, owner); !there || refused || err != nil && owner == "" {
		return done, err
	}
	kept, purgeErr := purge(o.DataDir)
	done.Purged, done.Kept = purgeErr == nil, kept
	return done, errors.Join(err, purgeErr)
}

// cleanupEach goes on past hosts that refuse, and names them in the error.
func cleanupEach(ctx context.Context, names []string, o CleanupOptions) (done Cleaned, err error) {
	var errs []error
	for _, name := range names {
		there, err := cleanupOne(ctx, name, o)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("host %s: %w", name, err))
		case there:
			done.Removed = append(done.Removed, name)
		default:
			done.Absent = append(done.Absent, name)
		}
	}
	return done, errors.Join(errs...)
}

// cleanupOne reports whether there was anything of the host.
func cleanupOne(ctx context.Context, name string, o CleanupOptions) (there bool, err error) {
	lock, err := lockHost(name, "cleaning up")
	if err != nil {
		return false, fmt.Errorf("%w; stop it first", err)
	}
	defer func() {
		os.Remove(filepath.Join(runDir, name+".lock"))
		lock.Close()
		os.Remove(runDir) // only when it is empty
	}()
	hosts, err := dataplane.Hosts()
	if err != nil {
		return false, err
	}
	attached, err := dataplane.Attached(ctx, name)
	if err != nil && !o.Force {
		return false, err
	}
	if len(attached) > 0 && !o.Force {
		slices.Sort(attached)
		return false, fmt.Errorf("%w: %d workloads are attached (%s); detach them, or use --force", ErrRefused, len(attached), strings.Join(attached, ", "))
	}
	nets, err := leftIn(name)
	if err != nil {
		return false, err
	}
	if err := cleanupNetworks(ctx, name, nets); err != nil {
		return false, err
	}
	return slices.Contains(hosts, name) || len(attached) > 0 || len(nets) > 0, os.RemoveAll(claimPath(name))
}

// cleanupNetworks removes what a host left inside its namespaces, and on the
// host's side in each network that its daemon ran in and in this one. A network
// that nothing leads to any more has ended, and what was in it too.
func cleanupNetworks(ctx context.Context, name string, nets []uint64) error {
	places, err := nl.NamedNetns()
	if err != nil {
		return err
	}
	here, err := nl.Identify("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	for _, inode := range nets {
		path, there := places[inode]
		if !there || inode == here.Inode {
			continue
		}
		if err := dataplane.Cleanup(ctx, name, dataplane.Outside{Netns: path}); err != nil {
			return fmt.Errorf("in the network namespace %s, where vpcd ran: %w; try: nsenter --net=%s vpcd cleanup --name %s", path, err, path, name)
		}
	}
	return dataplane.Cleanup(ctx, name, dataplane.Outside{})
}
