// Package harness gives scripts their commands: a vpcd of their own, workload
// namespaces, traffic that must pass and traffic that must not, and the meters.
//
// Every script has a host name of its own; every kernel object that the script
// causes carries it, which is how the leak meter and the clean-up tell them
// from everybody else's.
package harness

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vpcfabric/vpc/e2e/meter"
	"github.com/vpcfabric/vpc/e2e/netns"
	"github.com/vpcfabric/vpc/e2e/probe"
	"github.com/vpcfabric/vpc/vpcd/client"
)

// Config is what all scripts of a run share.
type Config struct {
	Bin   string // directory of vpc and vpcd
	Dir   string // directory of the scripts
	Soak  bool   // the counts that were promised, not those of a quick run
	Alone bool   // nothing else on the machine makes such kernel objects
}

// host is one script's world.
type host struct {
	name, bin, dir, socket, log string
	alone                       bool
	t                           *testing.T

	daemon  *exec.Cmd
	exited  chan struct{} // closed when daemon has ended
	flags   []string
	api     *client.Client
	spaces  map[string]bool // aliases of workload namespaces
	inside  string          // the alias of vpcd's own namespace; "" is this one
	fixed   map[string]netip.Addr
	hostnet string
	servers []interface{ Close() error }
	hold    *probe.Hold
	loss    *meter.Loss
	denied  *denied
	marks   map[string]meter.Dump
	before  meter.Dump
}

// call is one command of a script as it runs.
type call struct {
	*host
	ts *testscript.TestScript
}

// command does its work and says what is wrong.
type command func(c call, args []string) error

// hostKey finds the host among a script's values.
type hostKey struct{}

// script runs scripts one after another: they share the machine.
type script struct{ *testing.T }

func (s script) Run(name string, f func(testscript.T)) {
	s.T.Run(name, func(t *testing.T) { f(script{t}) })
}
func (s script) Parallel()     {}
func (s script) Verbose() bool { return testing.Verbose() }

// Run runs every script of a directory as a subtest.
func Run(t *testing.T, cfg Config) {
	cmds := map[string]func(*testscript.TestScript, bool, []string){}
	for name := range commands() {
		cmds[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			c := call{ts.Value(hostKey{}).(*host), ts}
			err := c.do(append([]string{name}, args...))
			if neg && err == nil {
				ts.Fatalf("%s succeeded", name)
			}
			if !neg && err != nil {
				ts.Fatalf("%s: %v", name, err)
			}
		}
	}
	testscript.RunT(script{t}, testscript.Params{
		Dir: cfg.Dir, Cmds: cmds,
		Setup: func(env *testscript.Env) error { return setup(env, cfg) },
	})
}

// commands are what scripts may say besides testscript's own commands. It is a
// function because eventually and repeat run other commands.
func commands() map[string]command {
	return map[string]command{
		"vpcd": cmdVpcd, "vpc": cmdVpc, "shows": cmdShows, "exit": cmdExit, "refused": cmdRefused, "verify": cmdVerify,
		"ns": cmdNs, "in": cmdIn, "wreck": cmdWreck,
		"serve": cmdServe, "ok": cmdOK, "checksums": cmdChecksums, "blocked": cmdBlocked, "forge": cmdForge, "bringup": cmdBringUp,
		"maxsize": cmdMaxSize, "arrives": cmdArrives, "neighbours": cmdNeighbours,
		"linklocal": cmdLinkLocal, "hostaddress": cmdHostAddress, "nolisteners": cmdNoListeners, "unchanged": cmdUnchanged,
		"hold": cmdHold, "denied": cmdDenied, "loss": cmdLoss, "kills": cmdKills, "flows": cmdFlows,
		"pieces": cmdPieces, "flood": cmdFlood, "syns": cmdSYNs, "closed": cmdClosed, "reconnect": cmdReconnect,
		"world": cmdWorld, "seenas": cmdSeenAs, "hostnet": cmdHostNet,
		"mark": cmdMark, "same": cmdSame, "eventually": cmdEventually, "repeat": cmdRepeat,
	}
}

// do runs one command by its name, or behind "!" one that shall fail.
func (c call) do(words []string) error {
	if words[0] == "!" && len(words) > 1 {
		if c.do(words[1:]) == nil {
			return fmt.Errorf("%s succeeded", words[1])
		}
		return nil
	}
	cmd, ok := commands()[words[0]]
	if !ok {
		return fmt.Errorf("no command %q", words[0])
	}
	return cmd(c, words[1:])
}

func setup(env *testscript.Env, cfg Config) error {
	h, err := newHost(env.T().(script).T, cfg)
	if err != nil {
		return err
	}
	env.Values[hostKey{}] = h
	env.Setenv("HOST", h.name)
	env.Setenv("DATA", h.data())
	env.Setenv("SOCKET", h.socket)
	env.Setenv("VPC_SOCKET", h.socket)
	env.Setenv("PATH", cfg.Bin+string(os.PathListSeparator)+env.Getenv("PATH"))
	for name, n := range counts(cfg.Soak) {
		env.Setenv(name, fmt.Sprint(n))
	}
	env.Defer(h.finish)
	return nil
}

// newHost looks at the machine and makes nothing in the kernel yet.
func newHost(t *testing.T, cfg Config) (*host, error) {
	b := make([]byte, 2)
	rand.Read(b)
	h := &host{name: "t" + hex.EncodeToString(b), bin: cfg.Bin, alone: cfg.Alone, t: t,
		spaces: map[string]bool{}, marks: map[string]meter.Dump{}}
	// Not in $WORK: socket paths end after 107 bytes.
	dir, err := os.MkdirTemp("", h.name)
	if err != nil {
		return nil, err
	}
	h.dir, h.socket, h.log = dir, filepath.Join(dir, "s"), filepath.Join(dir, "log")
	h.api = client.New(h.socket)
	if err := netns.Prepare(); err != nil {
		return nil, err
	}
	h.before, err = meter.Take(h.scope())
	return h, err
}

func (h *host) data() string { return filepath.Join(h.dir, "data") }

func (h *host) scope() meter.Scope {
	return meter.Scope{Host: h.name, Bin: h.bin, Alone: h.alone}
}

// finish removes what the script has made, however it ended, and lets the
// leak meter judge the rest.
func (h *host) finish() {
	defer os.RemoveAll(h.dir)
	h.stopTraffic()
	h.stopDaemon(os.Kill)
	if out, err := h.run(patience, "vpcd", "cleanup", "--name", h.name, "--data-dir", h.data(), "--purge-data", "--force"); err != nil {
		h.t.Errorf("vpcd cleanup: %v\n%s", err, out.stderr)
	}
	for alias := range h.spaces {
		if err := netns.Delete(h.full(alias)); err != nil {
			h.t.Error(err)
		}
	}
	if h.t.Failed() {
		h.showLog()
	}
	h.reportLeaks()
	h.sweep()
}

func (h *host) stopTraffic() {
	if h.hold != nil {
		h.hold.Close()
	}
	if h.loss != nil {
		h.loss.Stop()
	}
	if h.denied != nil {
		h.stopDenied()
	}
	for _, s := range h.servers {
		s.Close()
	}
}

// reportLeaks compares with the dump from before the script. The kernel ends
// namespaces in the background, so a difference is looked at again.
func (h *host) reportLeaks() {
	var changes []meter.Change
	var err error
	poll(teardown, func() bool {
		var after meter.Dump
		if after, err = meter.Take(h.scope()); err == nil {
			changes = meter.Compare(h.before, after)
		}
		return err != nil || len(changes) == 0
	})
	if err != nil {
		h.t.Errorf("leak meter: %v", err)
	}
	for _, ch := range changes {
		h.t.Errorf("leak: %v", ch)
	}
}

// sweep removes what cleanup has left, so that one failure is not the next one's.
func (h *host) sweep() {
	entries, err := os.ReadDir(netns.Dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "vpc-"+h.name+"-") {
			netns.Delete(e.Name())
		}
	}
	os.RemoveAll(h.pins())
}

func (h *host) pins() string { return filepath.Join("/sys/fs/bpf/vpc", h.name) }

// showLog prints the end of the daemon's log.
func (h *host) showLog() {
	const lines = 60
	b, err := os.ReadFile(h.log)
	if err != nil {
		return
	}
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	h.t.Logf("the end of vpcd's log:\n%s", strings.Join(all[max(0, len(all)-lines):], "\n"))
}
