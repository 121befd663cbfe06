package progs

import (
	"maps"
	"slices"
	"strings"
)

// internalMap reports the compiler's own sections, which belong to one object.
func internalMap(name string) bool { return strings.HasPrefix(name, ".") }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
