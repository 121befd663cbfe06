package bpf

// The layouts below are generated from lib/types.h and lib/lists.h; these are the names that
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
	// List is the head of a rule list.
	List = FromEniList
	// ListKey is one part of a rule list.
	ListKey = FromEniListKey
	// RuleWord is what the rules of one word say.
	RuleWord = FromEniRuleWord
	// AddrSegment is the addresses from its start to the next segment's.
	AddrSegment = FromEniAddrSegment
	// AddrChunk is a part of a list's addresses.
	AddrChunk = FromEniAddrChunk
	// ServiceChunk is a part of a list's services.
	ServiceChunk = FromEniServiceChunk
	// MemberKey is a group that a list names.
	MemberKey = FromEniMemberKey
	// Member says which rules name the group.
	Member = FromEniMember
	// Bitmap is a bit vector of a list of several words.
	Bitmap = FromEniBitmap
	// HitKey is a rule whose verdicts are counted.
	HitKey = FromEniHitKey
	// HitCount is the count on one CPU.
	HitCount = FromEniHitCount
	// Policy is what a change of policy replaces in a port.
	Policy = FromEniPolicy
	// Membership is what a change of policy replaces in an endpoint.
	Membership = FromEniMembership
	// FlowKey is a tuple that leaves an interface.
	FlowKey = FromEniFlowKey
	// Flow is one half of a pair.
	Flow = FromEniFlow
	// AdoptArgs is the argument and the result of taking over pairs.
	AdoptArgs = SweepAdoptArgs
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
	// PublicAddress says whose a public address is.
	PublicAddress = FromEniPublicAddress
	// Uplink is a device towards the world.
	Uplink = FromUplinkUplink
	// FilterKey is a prefix that internet gateways treat apart.
	FilterKey = FromEniFilterKey
	// FragTable is what one port remembers of fragments.
	FragTable = FromEniFragTable
	// DeniedTable is what one port remembers of refusals.
	DeniedTable = FromEniDeniedTable
)

// FlowPairs is how many pairs a flow table of n entries holds; half of the
// entries stays free, so that a lookup stays short.
func FlowPairs(n uint32) uint32 { return n / 2 }

// FlowSlots is how many places its clock has: enough that one is soon found.
func FlowSlots(n uint32) uint32 { return 2 * n }

// FlowAllowance is how many pairs one interface may open while there is room.
func FlowAllowance(n uint32) uint32 { return FlowPairs(n) / 4 }

// HalfOpenAllowance is how many of these may be TCP that nobody has answered.
func HalfOpenAllowance(n uint32) uint32 { return FlowAllowance(n) / 8 }

// Numbers that the C side fixes; a test compares them with the headers.
const (
	// PortBase is the ifindex of slot 0.
	PortBase = 0x01000000
	// EdgeENI is the index of the first internet gateway; its VPC's is added.
	EdgeENI = 0x80000000
	// MaxPorts is how many interfaces one host can have.
	MaxPorts = 16384
	// WordRules is how many rules one word of a bit vector has.
	WordRules = 64
	// MaxWords is how many words a bit vector can have.
	MaxWords = 16
	// Adoptions is how many pairs of another layout one call takes over.
	Adoptions = 1024
	// CutRules is how many rules one pass over the clock looks for.
	CutRules = 16
	// InlineSegments is how many segments, or starts of chunks, a list's head has.
	InlineSegments = 32
	// ChunkSegments is how many segments a chunk has.
	ChunkSegments = 128
)
