package harness

import (
	"os"
	"time"
)

// Bounds of waiting. Nothing here decides a verdict: a test that passes does
// not wait for any of them to end.
const (
	patience  = 20 * time.Second      // one run of a binary
	readiness = 15 * time.Second      // vpcd until it is ready
	arrival   = 3 * time.Second       // counters and packets
	pause     = 20 * time.Millisecond // between two looks
	teardown  = 10 * time.Second      // of namespaces by the kernel
)

// counts are numbers that scripts use by name: small ones for every run, and
// those that were promised for VPC_SOAK=1.
func counts(soak bool) map[string]int {
	if soak {
		return map[string]int{"KILLS": 20, "PPS": 10_000, "CONNECTIONS": 50, "FLOWS": 200_000, "CYCLES": 200, "BRINGUPS": 200,
			"LISTS": 100, "UPDATES": 200, "OPENED": 2_000, "CHANGES": 1000, "CHANGEKILLS": 100, "RULESETS": 50}
	}
	return map[string]int{"KILLS": 4, "PPS": 5_000, "CONNECTIONS": 50, "FLOWS": 6_000, "CYCLES": 10, "BRINGUPS": 10,
		"LISTS": 10, "UPDATES": 10, "OPENED": 100, "CHANGES": 200, "CHANGEKILLS": 3, "RULESETS": 4}
}

// Count is the number behind a name, for tests that are written in Go.
func Count(name string) int { return counts(os.Getenv("VPC_SOAK") == "1")[name] }
