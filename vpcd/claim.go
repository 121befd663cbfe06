package vpcd

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/ipam"
	"github.com/vpcfabric/vpc/vpcd/internal/service"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
)

// claimSuffix ends the name of a host's claim in runDir. Its lock says that the
// daemon runs, and ends with it however it dies; the text stays for cleanup.
const claimSuffix = ".outside"

// presence is what a claim says.
type presence struct {
	Pid int
	// Netns are the inodes of the network namespaces in which the host may have
	// left something, the present one last.
	Netns []uint64
	// Pools are those that nobody else may use in the present one.
	Pools []netip.Prefix
}

// claim is the host's share of the network that the daemon runs in. Two daemons
// that gave out the same addresses there would both lead to them.
type claim struct {
	host    string
	f, lock *os.File

	mu      sync.Mutex
	was, is presence
	begun   bool
}

// arrive takes the name of the host and, where they were named, its pools.
func arrive(cfg Config, pools []netip.Prefix) (*claim, error) {
	lock, err := lockHost(cfg.Name, "data directory "+cfg.DataDir)
	if err != nil {
		return nil, fmt.Errorf("%w; choose another --name, or stop that one", err)
	}
	c, err := openClaim(cfg.Name)
	if err != nil {
		lock.Close()
		return nil, err
	}
	c.lock = lock
	if cfg.named {
		err = c.take(pools)
	}
	if err != nil {
		c.close()
	}
	return c, err
}

// openClaim needs the lock of the host's name. Nothing is written yet.
func openClaim(host string) (*claim, error) {
	ns, err := nl.Identify("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	c := &claim{host: host}
	return c, withClaims(func() error {
		if c.f, err = os.OpenFile(claimPath(host), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600); err != nil {
			return err
		}
		if err := unix.Flock(int(c.f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return fmt.Errorf("lock %s: %w", c.f.Name(), err)
		}
		c.was, err = readPresence(c.f)
		others := slices.DeleteFunc(slices.Clone(c.was.Netns), func(n uint64) bool { return n == ns.Inode })
		c.is = presence{Pid: os.Getpid(), Netns: append(others, ns.Inode)}
		return err
	})
}

// take notes that the host is here, and refuses pools of which another daemon in
// the same network has a part. Without pools it refuses nothing.
func (c *claim) take(pools []netip.Prefix) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.is.Pools) > 0 {
		return nil
	}
	return withClaims(func() error {
		if err := c.othersHave(pools); err != nil {
			return err
		}
		next := c.is
		next.Pools = pools
		if err := writePresence(c.f, next); err != nil {
			return err
		}
		c.is = next
		return nil
	})
}

// begin notes that the host is here, with its pools where what it has needs them.
func (c *claim) begin(st *store.Store, pools []netip.Prefix) error {
	if !service.NeedsPools(st) {
		pools = nil
	}
	err := c.take(pools)
	c.begun = err == nil
	return err
}

func (c *claim) othersHave(pools []netip.Prefix) error {
	list, err := os.ReadDir(runDir)
	for _, e := range list {
		host, ok := strings.CutSuffix(e.Name(), claimSuffix)
		if !ok || host == c.host {
			continue
		}
		other, runs := running(host)
		if !runs || len(other.Netns) == 0 || other.Netns[len(other.Netns)-1] != c.is.Netns[len(c.is.Netns)-1] {
			continue
		}
		for _, theirs := range other.Pools {
			if i := slices.IndexFunc(pools, func(p netip.Prefix) bool { return ipam.Overlaps(p, theirs) }); i >= 0 {
				return fmt.Errorf("%w: --public-pool: %s shares addresses with %s of the vpcd that runs in this network as host %s (pid %d); give one of them another pool",
					ErrRefused, pools[i], theirs, host, other.Pid)
			}
		}
	}
	return err
}

// running reads the claim of a host whose daemon runs.
func running(host string) (presence, bool) {
	f, err := os.Open(claimPath(host))
	if err != nil {
		return presence{}, false
	}
	defer f.Close() // and the lock with it
	if unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil {
		return presence{}, false
	}
	p, err := readPresence(f)
	return p, err == nil
}

// close lets others have the pools and the name. A start that was refused leaves
// nothing.
func (c *claim) close() {
	if c.lock != nil {
		defer c.lock.Close()
	}
	withClaims(func() error {
		switch {
		case c.begun:
		case len(c.was.Netns) == 0:
			os.Remove(c.f.Name())
		default:
			writePresence(c.f, c.was)
		}
		return c.f.Close()
	})
}

func claimPath(host string) string { return filepath.Join(runDir, host+claimSuffix) }

// withClaims runs fn while nobody else reads or changes a claim.
func withClaims(fn func() error) error {
	dir, err := os.Open(runDir)
	if err != nil {
		return err
	}
	defer dir.Close() // and the lock with it
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", runDir, err)
	}
	return fn()
}

// readPresence takes what cannot be read for nothing: whoever wrote it died
// meanwhile.
func readPresence(f *os.File) (p presence, err error) {
	b, err := io.ReadAll(f)
	if err == nil && json.Unmarshal(b, &p) != nil {
		p = presence{}
	}
	return p, err
}

func writePresence(f *os.File, p presence) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(append(b, '\n'), 0)
	return err
}

// leftIn are the namespaces in which a host may have left something.
func leftIn(host string) (nets []uint64, err error) {
	return nets, withClaims(func() error {
		b, err := os.ReadFile(claimPath(host))
		var p presence
		if err == nil && json.Unmarshal(b, &p) == nil {
			nets = p.Netns
		}
		return nil
	})
}
