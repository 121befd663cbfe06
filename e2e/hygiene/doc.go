// Package hygiene holds the rules of the house as tests: who may import whom,
// how large a file may grow, which words stay out. Every failure prints the
// reason of the rule it enforces.
//
// The tests read sources only, compile nothing, and need no root. Each check is
// itself tested on a planted tree, testdata/planted.txtar, in which it must
// find exactly what was planted.
package hygiene
