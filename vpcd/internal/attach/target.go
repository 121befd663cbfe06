package attach

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
)

const (
	maxPid = 1 << 22 // the kernel's PID_MAX_LIMIT
	// maxIfName is the kernel's IFNAMSIZ without its zero byte.
	maxIfName = 15
)

var (
	netnsName     = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	containerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$`)
	containerID   = regexp.MustCompile(`^[0-9a-f]{64}$`)
	// hostNetns are the namespaces that any host of this product makes.
	hostNetns = regexp.MustCompile(`^vpc-.+-vpc-[0-9a-f]{17}$`)
)

// target is a parsed one. For a pid in canonical form start is the process's
// start time in clock ticks since boot, else 0.
type target struct {
	kind, name string
	pid        int
	start      uint64
}

func (t target) String() string {
	if t.kind == KindPid && t.start != 0 {
		return fmt.Sprintf("pid:%d/%d", t.pid, t.start)
	}
	return t.kind + ":" + t.name
}

// parseTarget reads both forms. Errors are *api.Error.
func parseTarget(s string) (target, error) {
	kind, name, ok := strings.Cut(s, ":")
	t := target{kind: kind, name: name}
	var reason string
	switch {
	case !ok:
		reason = "has no kind"
	case kind == KindNetns:
		reason = badNetns(name)
	case kind == KindPid:
		return parsePid(s, name)
	case kind == KindDocker && !containerName.MatchString(name):
		reason = "is not the name or id of a container"
	case kind == KindTap:
		reason = badLink(name)
	case kind != KindDocker:
		reason = "has a kind that is not known"
	}
	if reason != "" {
		return target{}, badTarget(s, reason)
	}
	return t, nil
}

func badTarget(s, reason string) error {
	e := api.Errorf("InvalidParameterValue", "Target", "the target %s %s", api.Quote(s), reason)
	e.Hint = "use netns:NAME, pid:N, docker:CONTAINER or tap:NAME"
	return e
}

func badNetns(name string) string {
	if name == "." || name == ".." || !netnsName.MatchString(name) {
		return "is not the name of a network namespace: 1 to 64 letters, digits, \".\", \"_\" or \"-\", as `ip netns list` shows it"
	}
	return ""
}

func parsePid(s, name string) (target, error) {
	number, start, canonical := strings.Cut(name, "/")
	t := target{kind: KindPid, name: number}
	n, err := strconv.ParseUint(number, 10, 32)
	// Written back, so that no number has two spellings.
	if err != nil || n == 0 || n > maxPid || strconv.FormatUint(n, 10) != number {
		return target{}, badTarget(s, fmt.Sprintf("is not a process: use pid: and a number from 1 to %d", maxPid))
	}
	t.pid = int(n)
	if !canonical {
		return t, nil
	}
	t.start, err = strconv.ParseUint(start, 10, 64)
	if err != nil || t.start == 0 || strconv.FormatUint(t.start, 10) != start {
		return target{}, badTarget(s, "has no start time after the slash")
	}
	return t, nil
}

// badLink says why the kernel, or whoever reads its lists, would not take name
// for a link; empty if it is good.
func badLink(name string) string {
	switch {
	case name == "" || name == "." || name == "..":
		return "is not the name of a link"
	case len(name) > maxIfName:
		return fmt.Sprintf("is longer than the %d characters of a link's name", maxIfName)
	}
	for _, c := range []byte(name) {
		// The kernel reads % as the place of a number.
		if c <= ' ' || c >= 0x7f || strings.IndexByte("/:%", c) >= 0 {
			return "has a character that a link's name cannot have"
		}
	}
	return ""
}
