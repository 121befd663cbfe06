// Package ipam holds the rules for CIDR blocks and addresses of VPCs and
// subnets: which blocks are accepted, which addresses are reserved, which
// prefix or address is handed out next. It computes; it stores nothing. The
// caller reads the claims, asks this package, and commits the answer in a
// transaction that fails if a claim appeared meanwhile.
//
// The rules are those of the Amazon VPC User Guide (pages "VPC CIDR blocks" and
// "Subnet CIDR blocks"). IPv4 only: an IPv6 value is refused with [Family].
//
// # Promises
//
//   - A parser returns either a canonical prefix (host bits cleared) or an
//     [*Error] that says what is wrong and how to put it right. Only plain
//     dotted quads pass: no leading zeros, zones, IPv4-mapped IPv6 or spaces.
//   - The message of an [*Error] is one printable line of bounded length,
//     whatever the input was.
//   - [Next] never returns a reserved address or one in use. It returns the
//     lowest address that was never used; when there is none, the one whose
//     release lies longest ago, so that stale peers, caches and flow entries
//     have the most time to forget an address before it gets a new owner.
//   - [Next] and [FreePrefix] are functions of their arguments: no clock, no
//     randomness, no memory between calls.
//   - [Next] holds a constant amount of memory and reads claims only up to the
//     first gap. [FreePrefix] costs a sort of the used prefixes and one sweep of
//     them per parent.
//   - No exported function panics, whatever prefix or address it is given.
//
// # What a reviewer should check
//
//   - unusable and restrictions are the whole policy on address ranges: compare
//     them with the User Guide line by line.
//   - The first usable offset, 4, and the order of [Reserved] agree.
//   - Arithmetic is on uint64, so 255.255.255.255 + 1 does not wrap to 0.
//   - [Next] depends on claims in strictly ascending numeric order. It refuses
//     the disorder it sees, but what lies behind the first gap is not read.
//     Order of text is not numeric order: "10.0.0.10" sorts before "10.0.0.4".
package ipam
