package dataplane

import (
	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/flows"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// What callers see of the packages below.
type (
	// Drift is one kernel object that is not as the spec says.
	Drift = delta.Drift
	// Flow is one live half of a pair.
	Flow = flows.Flow
	// Drop is one drop counter.
	Drop = flows.Drop
	// Rule names a rule within its VPC or subnet.
	Rule = flows.Rule
	// Hit says how often a rule has decided.
	Hit = flows.Hit
	// Usage is what an interface has of the flow table.
	Usage = flows.Usage
)

// Reader tells what the kernel has counted and which flows are live. keep
// chooses interfaces.
type Reader interface {
	Flows(keep func(spec.ENI) bool, limit int) ([]Flow, error)
	// TrackedBy counts live flows of these interfaces that outlive one of the
	// rules, by Rule.ID: some security group tracks them and let them in by it.
	TrackedBy(keep func(spec.ENI) bool, rules map[uint32]bool) (int, error)
	Usage() (map[spec.ENI]Usage, error)
	Drops() ([]Drop, error)
	RuleHits() ([]Hit, error)
}

// Read gives access to counters and flows.
func (d *Dataplane) Read() Reader { return d.flows }
