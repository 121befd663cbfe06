// Package preflight checks whether this machine can run the data plane, before
// anything is changed on it.
package preflight

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Results of a check.
const (
	OK   = "ok"
	Warn = "warn"
	Fail = "fail"
)

// Check is one finding: what was looked at, how it stands, what to do.
type Check struct {
	ID, Result, Detail, Fix string
}

// Run makes every check; loadable tries what the programs need, and drops names
// the firewall's chains that drop what is forwarded.
func Run(_ context.Context, loadable func() error, drops func() ([]string, error)) []Check {
	return []Check{
		root(), kernelVersion(), jit(), bpfFS(), btf(), unprivileged(),
		result("bpf-programs", loadable(), "loadable", "the kernel, its lockdown mode or missing privileges refuse eBPF"),
		lockdown(), netnsDir(), forwarding(drops),
	}
}

func result(id string, err error, good, fix string) Check {
	if err != nil {
		return Check{ID: id, Result: Fail, Detail: err.Error(), Fix: fix}
	}
	return Check{ID: id, Result: OK, Detail: good}
}

func root() Check {
	if os.Geteuid() != 0 {
		return Check{"privilege", Fail, "not root", "run as root, or with CAP_SYS_ADMIN, CAP_NET_ADMIN and CAP_BPF"}
	}
	return Check{ID: "privilege", Result: OK, Detail: "root"}
}

// release is the running kernel's, for example 6.18.4-cloud.
func release() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}

func kernelVersion() Check {
	r, err := release()
	if err != nil {
		return result("kernel", err, "", "")
	}
	return judgeKernel(r)
}

// judgeKernel: redirect_peer and bpf_loop as the programs use them are in 6.1;
// before 6.6 there is no tcx, and clsact serves.
func judgeKernel(r string) Check {
	var major, minor int
	if _, err := fmt.Sscanf(r, "%d.%d", &major, &minor); err != nil {
		return Check{"kernel", Warn, fmt.Sprintf("release %q cannot be read", r), "use Linux 6.1 or newer"}
	}
	if major < 6 || major == 6 && minor < 1 {
		return Check{"kernel", Fail, r + " is too old", "use Linux 6.1 or newer"}
	}
	if major == 6 && minor < 6 {
		return Check{ID: "kernel", Result: OK, Detail: r + ", attaching by clsact"}
	}
	return Check{ID: "kernel", Result: OK, Detail: r}
}

func sysctl(path string) (string, error) {
	b, err := os.ReadFile("/proc/sys/" + path)
	return string(bytes.TrimSpace(b)), err
}

func jit() Check {
	v, err := sysctl("net/core/bpf_jit_enable")
	if err == nil && v == "0" {
		return Check{"bpf-jit", Warn, "off: every packet is interpreted", "sysctl -w net.core.bpf_jit_enable=1"}
	}
	return result("bpf-jit", err, "on", "")
}

func bpfFS() Check {
	var st unix.Statfs_t
	if err := unix.Statfs("/sys/fs/bpf", &st); err != nil || st.Type != unix.BPF_FS_MAGIC {
		return Check{"bpffs", Warn, "not mounted on /sys/fs/bpf", "nothing: vpcd mounts it; add it to fstab to have it at boot"}
	}
	return Check{ID: "bpffs", Result: OK, Detail: "/sys/fs/bpf"}
}

func btf() Check {
	_, err := os.Stat("/sys/kernel/btf/vmlinux")
	if errors.Is(err, fs.ErrNotExist) {
		return Check{"btf", Warn, "the kernel describes no types", "use a distribution's kernel"}
	}
	return result("btf", err, "present", "")
}

func unprivileged() Check {
	v, err := sysctl("kernel/unprivileged_bpf_disabled")
	if err == nil && v == "0" {
		return Check{"unprivileged-bpf", Warn, "everyone may load programs", "sysctl -w kernel.unprivileged_bpf_disabled=2"}
	}
	return result("unprivileged-bpf", err, "disabled", "")
}

func lockdown() Check {
	b, err := os.ReadFile("/sys/kernel/security/lockdown")
	if errors.Is(err, fs.ErrNotExist) {
		return Check{ID: "lockdown", Result: OK, Detail: "none"}
	}
	if err == nil && strings.Contains(string(b), "[confidentiality]") {
		return Check{"lockdown", Fail, "confidentiality mode refuses eBPF", "boot without lockdown=confidentiality"}
	}
	return result("lockdown", err, strings.TrimSpace(string(b)), "")
}

func netnsDir() Check {
	fi, err := os.Stat("/run/netns")
	if errors.Is(err, fs.ErrNotExist) {
		return Check{ID: "netns", Result: OK, Detail: "/run/netns will be made"}
	}
	if err == nil && !fi.IsDir() {
		err = errors.New("/run/netns is not a directory")
	}
	return result("netns", err, "/run/netns", "remove what is in the way")
}

func forwarding(drops func() ([]string, error)) Check {
	v, err := sysctl("net/ipv4/ip_forward")
	if err != nil {
		return result("forwarding", err, "", "")
	}
	c := judgeForwarding(v, unix.Access("/proc/sys/net/ipv4/conf/default/forwarding", unix.W_OK) == nil)
	chains, err := drops()
	if err != nil {
		chains = nil // who may not ask hears of that from another check
	}
	return withDrops(c, chains)
}

// withDrops adds chains of a firewall that no rule of ours can overrule. They may
// have rules that let gateways through, so it is a warning.
func withDrops(c Check, chains []string) Check {
	if c.Result != OK || len(chains) == 0 {
		return c
	}
	return Check{c.ID, Warn, c.Detail + "; but nftables drops by default what is forwarded, in chain " + strings.Join(chains, ", "),
		"nft add rule " + chains[0] + " iifname \"vpc-*\" accept, and the same with oifname, for internet gateways"}
}

// judgeForwarding: an internet gateway needs the kernel to forward between its
// device and the uplinks. Where the machine does not, vpcd turns it on for these
// alone; in a container it may not be allowed to.
func judgeForwarding(all string, writable bool) Check {
	switch {
	case writable && all == "0":
		return Check{ID: "forwarding", Result: OK, Detail: "off; vpcd turns it on for the devices of internet gateways"}
	case writable:
		return Check{ID: "forwarding", Result: OK, Detail: "on"}
	case all == "0":
		return Check{"forwarding", Warn, "off, and /proc/sys is read-only: VPCs have no internet gateways",
			"sysctl -w net.ipv4.ip_forward=1 on the host, and give vpcd a writable /proc/sys/net"}
	}
	return Check{"forwarding", Warn, "on, but /proc/sys is read-only: VPCs have no internet gateways", "give vpcd a writable /proc/sys/net"}
}
