package bpf

// The layouts below are generated from lib/types.h; these are the names that
// the rest of the program uses for them.
type (
	// Port is one attached interface, by slot.
	Port = FromEniPort
	// PortStats are one port's counters on one CPU.
	PortStats = FromEniPortStats
	// FlowUsage counts the pairs that one interface has opened.
	FlowUsage = FromEniFlowUsage
	// EndpointKey is an address in a VPC.
	EndpointKey = FromEniEndpointKey
	// Endpoint says who has an address.
	Endpoint = FromEniEndpoint
	// RouteKey is a destination in a table.
	RouteKey = FromEniRouteKey
	// Route is a target.
	Route = FromEniRoute
	// ListKey is one chunk of a rule list.
	ListKey = FromEniListKey
	// RuleChunk is up to RulesPerChunk rules.
	RuleChunk = FromEniRuleChunk
	// Rule allows what matches all of it.
	Rule = FromEniRule
	// FlowKey is a tuple that leaves an interface.
	FlowKey = FromEniFlowKey
	// Flow is one half of a pair.
	Flow = FromEniFlow
	// FlowSlot is a place in the clock.
	FlowSlot = FromEniFlowSlot
	// HostState is the state of the whole host.
	HostState = FromEniHostState
	// DropKey names a drop counter.
	DropKey = FromEniDropKey
	// DropCount is a drop counter on one CPU.
	DropCount = FromEniDropCount
	// DropStage says where a packet was dropped.
	DropStage = FromEniDropStage
	// DropReason says why a packet was dropped.
	DropReason = FromEniDropReason
	// FragKey names a packet's fragments.
	FragKey = FromEniFragKey
	// Frag tells the ports of fragments that have none.
	Frag = FromEniFrag
)

// Numbers that the C side fixes; a test compares them with lib/types.h.
const (
	// PortBase is the ifindex of slot 0.
	PortBase = 0x01000000
	// MaxPorts is how many interfaces one host can have.
	MaxPorts = 16384
	// RulesPerChunk is how many rules one chunk holds.
	RulesPerChunk = 16
	// MaxChunks is how many chunks one list can have.
	MaxChunks = 64
)
