// Package nft keeps one nftables table of family ip as it shall be, in one
// namespace: a delta driver whose value is the table's text. It is the only
// package that speaks to nftables.
//
// What is ours: the table of the host's name with everything in it, if it has the
// set of edges or nothing at all. A rule that somebody put into it or took out of
// it is drift. In a namespace that is ours, as a NAT gateway's, every table of the
// name is ours. No other table is read for its content or written.
//
// Reviewers check: a table is replaced in one transaction, so no packet meets it
// empty or half; what is listed as wanted is so in every rule, set and flag.
package nft

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// ErrUnsupported says that nftables cannot be used here.
var ErrUnsupported = errors.New("this kernel or container has no nftables (CONFIG_NF_TABLES, module nf_tables)")

// ErrForeign says that somebody else has a table of the name of ours.
var ErrForeign = errors.New("somebody else has an nftables table of this name, delete it or use another --name")

// mark is the set that every table of ours has, and hardly any other.
const mark = "edges"

// Driver is one host's table in one namespace, keyed by the table's name. It is
// a delta.Driver.
type Driver struct {
	netns, table string
	// whole says that the namespace is ours, so that every table of the name is.
	whole bool
	dial  []nftables.ConnOption // of tests
}

// Open prepares access to the table of a host in the namespace at path, for
// example /run/netns/NAME; it does nothing to the kernel.
func Open(netns, host string) *Driver {
	return &Driver{netns: netns, table: spec.FirewallTable(host)}
}

// OpenInside is Open for a namespace that is ours, where nobody else can have a
// table of the name.
func OpenInside(netns, host string) *Driver {
	return &Driver{netns: netns, table: spec.FirewallTable(host), whole: true}
}

// Cleanup removes the table of a host from the namespace at path. One that is
// missing is removed already, as is any where nftables cannot be used.
func Cleanup(ctx context.Context, netns, host string) error {
	d := Open(netns, host)
	return d.Delete(ctx, d.table)
}

// with runs fn with a socket in the namespace.
func (d *Driver) with(fn func(c *nftables.Conn) error) error {
	ns, err := os.Open(d.netns)
	if err != nil {
		return err
	}
	defer ns.Close()
	options := append([]nftables.ConnOption{nftables.WithNetNSFd(int(ns.Fd())), nftables.AsLasting()}, d.dial...)
	c, err := nftables.New(options...)
	if err != nil {
		return explain(err)
	}
	defer c.CloseLasting()
	return explain(fn(c))
}

// explain tells what a number of the kernel's means here. A kernel without
// nftables does not know the subsystem (EINVAL to a question, EOPNOTSUPP to a
// batch) or not even its socket.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, errQuestion) && errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("nftables needs CAP_NET_ADMIN: %w", err)
	case errors.Is(err, errBatch) && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOENT)):
		return fmt.Errorf("a module of nftables is missing (nf_tables, nft_chain_nat, nft_masq, nft_ct, nft_fib_ipv4, nft_nat, nft_hash, nft_reject_ipv4): %w", err)
	}
	return err
}

// errQuestion and errBatch mark what was asked for when the kernel refused.
var (
	errQuestion = errors.New("list table")
	errBatch    = errors.New("replace table")
)

// Observe reads the table of the host. Where nothing is wanted, a kernel without
// nftables has nothing.
func (d *Driver) Observe(_ context.Context, want map[string]spec.Firewall) (map[string]spec.Firewall, error) {
	out := map[string]spec.Firewall{}
	wanted := want[d.table]
	err := d.with(func(c *nftables.Conn) error {
		// A listing is several requests: what seems to differ is read again, so
		// that somebody's change meanwhile is not taken for drift.
		for range 2 {
			have, there, err := d.read(c, wanted)
			if errors.Is(err, ErrForeign) || err == nil && !there {
				return nil
			}
			if err != nil {
				return err
			}
			if out[d.table] = have; have == wanted {
				break
			}
		}
		return nil
	})
	if errors.Is(err, ErrUnsupported) && len(want) == 0 {
		return out, nil
	}
	return out, err
}

// Put replaces the whole table unless it is as wanted. The kernel does so between
// two packets, or not at all.
func (d *Driver) Put(_ context.Context, name string, v spec.Firewall) error {
	if name != d.table {
		return fmt.Errorf("table %q is not ours, which is %q", name, d.table)
	}
	t, err := parse(v)
	if err != nil {
		return err
	}
	if t.name != name {
		return fmt.Errorf("the text is of table %q", t.name)
	}
	return d.with(func(c *nftables.Conn) error {
		if _, _, err := d.find(c); err != nil {
			return err
		}
		if have, there, err := d.read(c, v); err == nil && there && have == v {
			return nil
		}
		counted, err := d.counted(c)
		if err != nil {
			return err
		}
		return d.replace(t, counted)
	})
}

// Delete removes the table.
func (d *Driver) Delete(_ context.Context, name string) error {
	if name != d.table {
		return fmt.Errorf("table %q is not ours, which is %q", name, d.table)
	}
	err := d.with(func(c *nftables.Conn) error {
		_, there, err := d.find(c)
		if errors.Is(err, ErrForeign) || err == nil && !there {
			return nil
		}
		if err != nil {
			return err
		}
		clearTable(c, name)
		return flush(c)
	})
	if errors.Is(err, ErrUnsupported) {
		return nil
	}
	return err
}

// clearTable makes sure that there is a table before it is deleted: deleting what
// is missing would fail the whole transaction.
func clearTable(c *nftables.Conn, name string) *nftables.Table {
	t := &nftables.Table{Name: name, Family: nftables.TableFamilyIPv4}
	c.AddTable(t)
	c.DelTable(t)
	return t
}

func flush(c *nftables.Conn) error {
	if err := c.Flush(); err != nil {
		return fmt.Errorf("%w: %w", errBatch, err)
	}
	return nil
}

// perMessage bounds the elements of one message: an attribute has at most 64 KiB.
const perMessage = 1000

// replace writes the whole table in one transaction. Counters go on from what
// they have counted.
func (d *Driver) replace(t table, counted map[string]Counter) error {
	batch, err := encoded(func(c *nftables.Conn) error { return t.write(c, counted) })
	if err != nil {
		return err
	}
	return d.send(batch)
}

// write is the whole table, as one transaction begins it.
func (t table) write(c *nftables.Conn, counted map[string]Counter) error {
	kt := c.AddTable(clearTable(c, t.name))
	for _, name := range t.counters {
		c.AddObj(counterObject(kt, name, counted[name]))
	}
	for _, s := range t.sets {
		ks := setTypes[s.kind].kernel(kt, s.name)
		if err := c.AddSet(ks, nil); err != nil {
			return err
		}
		for rest := s.elements; len(rest) > 0; {
			n := min(len(rest), perMessage)
			var keys []nftables.SetElement
			for _, e := range rest[:n] {
				keys = append(keys, nftables.SetElement{Key: setTypes[s.kind].key(e)})
			}
			if err := c.SetAddElements(ks, keys); err != nil {
				return err
			}
			rest = rest[n:]
		}
	}
	for _, ch := range t.chains {
		kc := c.AddChain(ch.kernel(kt))
		for _, r := range ch.rules {
			c.AddRule(&nftables.Rule{Table: kt, Chain: kc, Exprs: r.exprs, UserData: r.userData})
		}
	}
	return nil
}
