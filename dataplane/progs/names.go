package progs

import (
	"maps"
	"slices"
	"strings"
)

// internalMap reports the compiler's own sections, which belong to one object.
func internalMap(name string) bool { return strings.HasPrefix(name, ".") }

func sortedKeys[K ~string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
