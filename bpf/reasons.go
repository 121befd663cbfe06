package bpf

import (
	_ "embed"
	"regexp"
	"strconv"
	"strings"
)

// The header is the only list of names; it travels inside the binary.
//
//go:embed lib/reasons.h
var reasonsHeader string

var stages, reasons = enumerators("STAGE_"), enumerators("DROP_")

func enumerators(prefix string) map[uint8]string {
	out := map[uint8]string{}
	re := regexp.MustCompile(`(?m)^\t` + prefix + `(\w+) = (\d+),`)
	for _, m := range re.FindAllStringSubmatch(reasonsHeader, -1) {
		n, err := strconv.ParseUint(m[2], 10, 8)
		if err == nil {
			out[uint8(n)] = strings.ToLower(m[1])
		}
	}
	return out
}

// StageName is a drop stage as people see it: STAGE_INGRESS is "ingress".
func StageName(n uint8) string { return nameOf(stages, n) }

// ReasonName is a drop reason as people see it: DROP_ANTI_SPOOF is "anti_spoof".
func ReasonName(n uint8) string { return nameOf(reasons, n) }

// ReasonNames lists every reason by its number.
func ReasonNames() map[uint8]string { return reasons }

func nameOf(names map[uint8]string, n uint8) string {
	if s, ok := names[n]; ok {
		return s
	}
	return "unknown_" + strconv.Itoa(int(n))
}
