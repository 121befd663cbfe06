package flows

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// shape is where the members of a C struct lie, by name; a struct inside has its
// members under its own name and a dot.
type shape map[string]span

type span struct{ at, size int }

// shapeOf reads what the kernel keeps of a map's value or key, so that it needs
// neither the program nor the source that made the map.
func shapeOf(m *ebpf.Map, name string, size uint32) (shape, error) {
	info, err := m.Info()
	if err != nil {
		return nil, err
	}
	id, ok := info.BTFID()
	if !ok {
		return nil, fmt.Errorf("%s: the kernel knows no types of the map", name)
	}
	h, err := btf.NewHandleFromID(id)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	types, err := h.Spec(nil)
	if err != nil {
		return nil, err
	}
	all, err := types.AnyTypesByName(name)
	if err != nil {
		return nil, err
	}
	for _, t := range all {
		if s, ok := t.(*btf.Struct); ok && s.Size == size {
			out := shape{}
			return out, out.add("", 0, s)
		}
	}
	return nil, fmt.Errorf("%s: no type of it has the %d bytes of the map", name, size)
}

func (s shape) add(prefix string, at int, t *btf.Struct) error {
	for _, m := range t.Members {
		if m.BitfieldSize != 0 {
			continue // programs have none; what cannot be copied is missing
		}
		offset := at + int(m.Offset.Bytes())
		if inner, ok := btf.UnderlyingType(m.Type).(*btf.Struct); ok {
			if err := s.add(prefix+m.Name+".", offset, inner); err != nil {
				return err
			}
			continue
		}
		size, err := btf.Sizeof(m.Type)
		if err != nil {
			return fmt.Errorf("%s%s: %w", prefix, m.Name, err)
		}
		s[prefix+m.Name] = span{offset, size}
	}
	return nil
}

// move is one member's way from one shape to another.
type move struct{ to, from, size int }

// into says how a value of this shape becomes one of the other. A member that is
// missing here, or of another size, stays 0; missing needed ones are an error.
func (s shape) into(other shape, needed func(member string) bool) ([]move, error) {
	var out []move
	for name, to := range other {
		from, ok := s[name]
		if !ok || from.size != to.size {
			if needed(name) {
				return nil, fmt.Errorf("%s is missing or has another size", name)
			}
			continue
		}
		out = append(out, move{to.at, from.at, to.size})
	}
	slices.SortFunc(out, func(a, b move) int { return a.to - b.to })
	return out, nil
}

// translate makes the value; to is zero where nothing is copied.
func translate(to, from []byte, way []move) {
	clear(to)
	for _, m := range way {
		copy(to[m.to:m.to+m.size], from[m.from:m.from+m.size])
	}
}
