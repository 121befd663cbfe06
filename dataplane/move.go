package dataplane

import (
	"log/slog"
	"time"

	"github.com/vpcfabric/vpc/dataplane/flows"
	"github.com/vpcfabric/vpc/dataplane/progs"
)

// mover brings the live flows of other layouts over, around the moment in which
// the programs move. What it cannot read begins anew; no failure of its own keeps
// the programs where they are.
type mover struct {
	set  *progs.Set
	log  *slog.Logger
	from []source
}

// source is one other layout while its flows are taken over.
type source struct {
	adoption *flows.Adoption
	total    flows.Adopted
}

// waiting reports whether flows of another layout are to be taken over.
func (m *mover) waiting() bool {
	if m.set == nil {
		return false
	}
	former, err := m.set.Former()
	return err == nil && len(former) > 0
}

// early copies everything, and what changed meanwhile: that takes as long as it
// takes, and the programs that carry traffic are still the old ones.
func (m *mover) early() (int, error) {
	m.close()
	former, err := m.set.Former()
	if err != nil {
		m.warn(err)
		return 0, nil
	}
	for _, f := range former {
		if s, err := m.open(f); err != nil {
			m.warn(err)
		} else {
			m.from = append(m.from, s)
		}
	}
	return m.copy() + m.copy(), nil
}

func (m *mover) open(f progs.Former) (source, error) {
	table, err := f.Open()
	if err != nil {
		return source{}, err
	}
	a, err := flows.NewAdoption(table, m.set.Maps, m.set.Adopt())
	return source{adoption: a}, err
}

// copy is one round; it returns how many pairs are new.
func (m *mover) copy() int {
	n := 0
	for i := range m.from {
		s := &m.from[i]
		got, err := s.adoption.Copy()
		if err != nil {
			m.warn(err)
		}
		s.total.New += got.New
		s.total.NoRoom = max(s.total.NoRoom, got.NoRoom)
		n += got.New
	}
	return n
}

// late copies what the old programs wrote while they were being replaced, and
// forgets their tables.
func (m *mover) late() (int, error) {
	start := time.Now()
	n := m.copy()
	if m.log != nil {
		for _, s := range m.from {
			m.log.Info("the maps have another layout: "+s.total.String(), "last round", time.Since(start), "last pairs", n)
		}
	}
	m.close()
	former, err := m.set.Former()
	if err != nil {
		m.warn(err)
	}
	for _, f := range former {
		if err := f.Forget(); err != nil {
			m.warn(err)
		}
	}
	return n + len(former), nil
}

func (m *mover) close() {
	for _, s := range m.from {
		s.adoption.Close()
	}
	m.from = nil
}

func (m *mover) warn(err error) {
	if m.log != nil {
		m.log.Warn("flows of another layout of the maps begin anew", "err", err)
	}
}
