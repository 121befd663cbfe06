package nft

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Counter is what a named counter of our table has counted since the table was
// first made: it survives replacements of the table, but for the packets between
// two lines of this package's code.
type Counter struct {
	Packets uint64
	Bytes   uint64 // of IP packets, headers included
}

// Counters reads all counters of the host's table by their names. A namespace
// without the table has none.
func (d *Driver) Counters(context.Context) (map[string]Counter, error) {
	var out map[string]Counter
	err := d.with(func(c *nftables.Conn) (err error) {
		out, err = d.counted(c)
		return err
	})
	return out, err
}

// counted is Counters over an open socket.
func (d *Driver) counted(c *nftables.Conn) (map[string]Counter, error) {
	kt, there, err := d.find(c)
	if err != nil || !there {
		return nil, err
	}
	objects, err := c.GetNamedObjects(kt)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errQuestion, err)
	}
	out := map[string]Counter{}
	for _, o := range objects {
		named, ok := o.(*nftables.NamedObj)
		if !ok {
			continue
		}
		if value, ok := named.Obj.(*expr.Counter); ok {
			out[named.Name] = Counter{Packets: value.Packets, Bytes: value.Bytes}
		}
	}
	return out, nil
}

// counterObject is a counter that begins with a value.
func counterObject(t *nftables.Table, name string, from Counter) *nftables.NamedObj {
	return &nftables.NamedObj{
		Table: t, Name: name, Type: nftables.ObjTypeCounter,
		Obj: &expr.Counter{Packets: from.Packets, Bytes: from.Bytes},
	}
}

// readCounters lists counters by name. What they have counted is nobody's wish;
// the text says zero.
func (t *table) readCounters(c *nftables.Conn, kt *nftables.Table) error {
	objects, err := c.GetNamedObjects(kt)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if named, ok := o.(*nftables.NamedObj); ok && named.Type == nftables.ObjTypeCounter {
			t.counters = append(t.counters, named.Name)
		}
	}
	slices.Sort(t.counters)
	return nil
}

// counter reads the block of a counter. A rule names it after it.
func (p *parser) counter(name string) error {
	for _, want := range []string{"packets 0 bytes 0", "}"} {
		line, err := p.next()
		if err != nil || line != want {
			return errors.Join(fmt.Errorf("%q instead of %q", line, want), err)
		}
	}
	p.counters[name] = true
	return nil
}
