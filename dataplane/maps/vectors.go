package maps

import (
	"errors"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/classify"
)

// vectors are the bit vectors of lists of several words. Equal ones are one,
// whichever list they belong to, and go with the last list that names them. A
// number is never given twice while this process lives; one that is gone
// matches nothing.
type vectors struct {
	m      *Maps
	number map[classify.Bits]uint32
	bits   map[uint32]classify.Bits
	refs   map[uint32]int  // lists that name it
	idle   map[uint32]bool // those that none does
	next   uint32
}

func newVectors(m *Maps) *vectors {
	return &vectors{m: m, number: map[classify.Bits]uint32{}, bits: map[uint32]classify.Bits{}, refs: map[uint32]int{}, idle: map[uint32]bool{}, next: 1}
}

// read is what the kernel holds, named by nobody yet.
func (v *vectors) read() error {
	v.number, v.bits, v.refs, v.idle = map[classify.Bits]uint32{}, map[uint32]classify.Bits{}, map[uint32]int{}, map[uint32]bool{}
	return each(v.m.m["bitmaps"], func(n uint32, b bpf.Bitmap) {
		v.add(n, b.W)
		v.next = max(v.next, n+1)
	})
}

func (v *vectors) add(n uint32, b classify.Bits) {
	v.number[b], v.bits[n] = n, b
	v.count(n, 0)
}

var errNoVector = errors.New("a bit vector is missing")

// find is the number of a vector that is there.
func (v *vectors) find(b classify.Bits) (uint32, error) {
	if n, ok := v.number[b]; ok {
		return n, nil
	}
	return 0, errNoVector
}

// intern is the number of a vector, which is written if it is not there.
func (v *vectors) intern(b classify.Bits) (uint32, error) {
	if n, ok := v.number[b]; ok {
		return n, nil
	}
	n := v.next
	v.next++
	writes.Add(1)
	if err := v.m.m["bitmaps"].Put(n, bpf.Bitmap{W: b}); err != nil {
		return 0, err
	}
	v.add(n, b)
	return n, nil
}

func (v *vectors) count(n uint32, more int) {
	v.refs[n] += more
	if v.refs[n] > 0 {
		delete(v.idle, n)
		return
	}
	v.idle[n] = true
}

func (v *vectors) hold(numbers []uint32) {
	for _, n := range numbers {
		v.count(n, 1)
	}
}

func (v *vectors) release(numbers []uint32) {
	for _, n := range numbers {
		v.count(n, -1)
	}
}

// tidy removes vectors that no list names: of lists that are gone, or that were
// never written to their end.
func (v *vectors) tidy() error {
	for n := range v.idle {
		if err := remove(v.m.m["bitmaps"], n); err != nil {
			return err
		}
		if b := v.bits[n]; v.number[b] == n {
			delete(v.number, b)
		}
		delete(v.bits, n)
		delete(v.refs, n)
		delete(v.idle, n)
	}
	return nil
}
