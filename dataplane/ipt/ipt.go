// Package ipt asks iptables to let through what internet gateways forward, on
// hosts where somebody's rules forward nothing unasked: Docker makes DROP the
// policy of the chain FORWARD. It is the only package that speaks iptables.
//
// What is ours: rules of the table filter, in the chains FORWARD and DOCKER-USER,
// whose comment is the name of the host's nftables table. Everything else in these
// chains is others'.
//
// Reviewers check: a host on which nothing is dropped gets no rule, and one that
// does not use iptables gets no table.
package ipt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/coreos/go-iptables/iptables"

	"github.com/vpcfabric/vpc/dataplane/nl"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// Rule accepts what is forwarded from one device to another: what others forbid of
// the rest of the host's networks they forbid gateways, too. A name that ends in +
// stands for all with its beginning.
type Rule struct{ In, Out string }

// Compare orders by the devices, the one that packets come from first.
func (r Rule) Compare(o Rule) int {
	return cmp.Or(strings.Compare(r.In, o.In), strings.Compare(r.Out, o.Out))
}

// String is the match as iptables writes it.
func (r Rule) String() string { return strings.Join(r.match(), " ") }

func (r Rule) match() []string {
	var out []string
	for _, end := range [][]string{{"-i", r.In}, {"-o", r.Out}} {
		if end[1] != "" { // one of somebody's, with our comment
			out = append(out, end...)
		}
	}
	return out
}

const (
	table   = "filter"
	forward = "FORWARD"
	// docker is where Docker keeps a place for others, before its own rules.
	docker = "DOCKER-USER"
	// lockWait is for how long others may hold the lock of iptables, in seconds.
	lockWait = 2
)

// Driver is a delta.Driver of the rules of one host in one namespace.
type Driver struct {
	netns, mark string
	// none is set once nobody wanted a rule and none was found: they are not
	// made by others, so a host without gateways runs iptables once.
	none bool
}

// Open prepares access to the rules of a host in the namespace at path; it does
// nothing to the kernel.
func Open(netns, host string) *Driver { return &Driver{netns: netns, mark: spec.FirewallTable(host)} }

// Cleanup removes the rules of a host, without knowing what was ever wanted.
func Cleanup(ctx context.Context, netns, host string) error {
	d := Open(netns, host)
	have, err := d.list(nil)
	errs := []error{err}
	for r := range have {
		errs = append(errs, d.Delete(ctx, r))
	}
	return errors.Join(errs...)
}

// chains are the rules of each chain of the table that has to do with forwarding.
type chains map[string][]string

// in runs fn with the chains of the namespace; without iptables, or without its
// table, there are none.
func (d *Driver) in(fn func(t *iptables.IPTables, c chains) error) error {
	return nl.In(d.netns, func() error {
		t, there, err := open()
		if err != nil {
			return err
		}
		c := chains{}
		for _, name := range []string{forward, docker} {
			exists := false
			if there {
				exists, err = t.ChainExists(table, name)
			}
			if err == nil && exists {
				c[name], err = t.List(table, name)
			}
			if err != nil {
				return fmt.Errorf("iptables: chain %s: %w", name, err)
			}
		}
		return fn(t, c)
	})
}

// open is false where nobody uses iptables. The older iptables makes its table as
// soon as it is asked about it, so the kernel is asked first.
func open() (*iptables.IPTables, bool, error) {
	version, err := exec.Command("iptables", "--version").Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("iptables --version: %w", err)
	}
	if !strings.Contains(string(version), "nf_tables") {
		names, _ := os.ReadFile("/proc/thread-self/net/ip_tables_names") // missing without the module
		if !slices.Contains(strings.Fields(string(names)), table) {
			return nil, false, nil
		}
	}
	t, err := iptables.New(iptables.IPFamily(iptables.ProtocolIPv4), iptables.Timeout(lockWait))
	return t, err == nil, err
}

// place is the chain in which rules are needed; "" is none.
func (c chains) place() string {
	if c[docker] != nil {
		return docker
	}
	for _, line := range c[forward] {
		if strings.HasPrefix(line, "-P") && !strings.HasSuffix(line, " ACCEPT") ||
			strings.Contains(line, " -j DROP") || strings.Contains(line, " -j REJECT") {
			return forward
		}
	}
	return ""
}

// ours lists the host's rules of one chain.
func (d *Driver) ours(lines []string) (out []Rule) {
	for _, line := range lines {
		words := strings.Fields(strings.ReplaceAll(line, `"`, ""))
		at := slices.Index(words, "--comment")
		if at < 0 || at+1 >= len(words) || words[at+1] != d.mark {
			continue
		}
		var r Rule
		for i, w := range words[:len(words)-1] {
			switch w {
			case "-i":
				r.In = words[i+1]
			case "-o":
				r.Out = words[i+1]
			}
		}
		out = append(out, r)
	}
	return out
}

func (d *Driver) words(r Rule) []string {
	return append(r.match(), "-m", "comment", "--comment", d.mark, "-j", "ACCEPT")
}

// Observe lists the host's rules. Where no rule is needed, those that are wanted
// count as there. Where none is wanted, iptables that do not work are no failure.
func (d *Driver) Observe(_ context.Context, want map[Rule]struct{}) (map[Rule]struct{}, error) {
	if len(want) == 0 && d.none {
		return nil, nil
	}
	out, err := d.list(want)
	if d.none = err == nil && len(want) == 0 && len(out) == 0; len(want) == 0 {
		return out, nil
	}
	return out, err
}

func (d *Driver) list(want map[Rule]struct{}) (map[Rule]struct{}, error) {
	out := map[Rule]struct{}{}
	err := d.in(func(_ *iptables.IPTables, c chains) error {
		place := c.place()
		for name, lines := range c {
			for _, r := range d.ours(lines) {
				if _, wanted := want[r]; !wanted || name == place {
					out[r] = struct{}{}
				}
			}
		}
		for r := range want {
			if place == "" {
				out[r] = struct{}{}
			}
		}
		return nil
	})
	return out, err
}

// Put inserts the rule before those of others.
func (d *Driver) Put(_ context.Context, r Rule, _ struct{}) error {
	return d.in(func(t *iptables.IPTables, c chains) error {
		place := c.place()
		if place == "" || slices.Contains(d.ours(c[place]), r) {
			return nil
		}
		return t.Insert(table, place, 1, d.words(r)...)
	})
}

// Delete removes the rule, as often as it is there.
func (d *Driver) Delete(_ context.Context, r Rule) error {
	return d.in(func(t *iptables.IPTables, c chains) error {
		var errs []error
		for name, lines := range c {
			for _, have := range d.ours(lines) {
				if have == r {
					errs = append(errs, t.Delete(table, name, d.words(r)...))
				}
			}
		}
		return errors.Join(errs...)
	})
}
