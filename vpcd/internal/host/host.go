// Package host is the set of questions that one asks a host about its own
// kernel. The local agent answers them for this machine; another implementation
// carries them to a host elsewhere. The service asks and never touches a kernel
// itself.
package host

import (
	"context"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// Host answers for one machine.
type Host interface {
	// Verify compares records, plan and kernel, map contents included.
	Verify(ctx context.Context) ([]api.Drift, error)
	// Drops returns the drop counters of the named interfaces, or of all.
	Drops(ctx context.Context, interfaces []string) ([]api.Drop, error)
	// RuleHits returns how often rules of security groups and entries of
	// network ACLs have decided, those that never have left out.
	RuleHits(ctx context.Context) ([]api.RuleHit, error)
	// Flows lists live flows of the named interfaces in order of their ids, at
	// most limit of those after one.
	Flows(ctx context.Context, interfaces []string, after FlowID, limit int) ([]api.Flow, error)
	// TrackedFlows counts live flows there that outlive these rules, by id.
	TrackedFlows(ctx context.Context, interfaces, rules []string) (int, error)
	// Statistics returns the counters of those interfaces and NAT gateways that it
	// has, by id; without names, of all interfaces.
	Statistics(ctx context.Context, ids []string) (map[string][]api.Counter, error)
	// Resolve checks that a target can be attached under the name ifname and,
	// with defaultRoute, that its namespace has no default route yet. Errors
	// are *api.Error and name the flag that helps.
	Resolve(ctx context.Context, target string, ifname string, defaultRoute bool) (Workload, error)
	// Confirm lifts the brake and reports how many objects it released.
	Confirm(ctx context.Context) (int, error)
}

// Workload is what a target stands for at the moment.
type Workload struct {
	// Target is the canonical form, for example "docker:" and the full
	// container id where the user typed a name.
	Target string
	// Display is the form that people recognise.
	Display string
	// Kind is netns, pid, docker or tap.
	Kind string
	// Engine is the id of the container engine, "" for other kinds: only its
	// word counts when it is asked about the container later.
	Engine string
	// IfName is the name the link will have in the workload.
	IfName string
}
