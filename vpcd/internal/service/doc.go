// Package service is the actions: each validates its request and makes one
// transaction. It knows nothing of wires, sockets or kernels.
//
// # Promises
//
//   - An action changes all it says or nothing. What it read is guarded, so of
//     two that conflict one wins and the other answers as if it had come later.
//   - Every error is an *api.Error with EC2's code, and Field where one member
//     of the request is at fault. Input is quoted before it is repeated.
//   - An object of another account is not found, in the same words as one that
//     never was. The account comes from the Caller, never from a request.
//   - DryRun validates everything and writes nothing.
//   - Numbers that reach a kernel (indices, VNIs) are never given twice.
//   - A deletion names all that stands in its way, takes with it only what its
//     creation made, and leaves a tombstone for each record.
//   - What is not built is refused with UnsupportedOperation naming the
//     parameter.
//
// # What serialises what
//
// Siblings (the subnets, groups, tables and ACLs of a VPC) are read with Peek,
// and whoever adds or removes one calls guard with the VPC's id. Counters
// serialise creations of one kind. An address is guarded by its own claim, and
// DeleteSubnet lists the claims under guard. The entries and associations of an
// ACL are guarded by its record; a replacement reads and writes both ACLs. So are
// the routes of a table; its associations are under the guard of its VPC, because
// a subnet is in one table at most. What may name a group or a prefix list is listed under guard where that is deleted
// or a list grows, and who names one reads it under guard. Revocations are listed
// under guard where their group is deleted. Whoever gives a private address a
// public one, or attaches or detaches an internet gateway, calls guard with the
// VPC's id; both ends of an association are read and written together. Whoever asks
// for a peering or accepts one calls guard with both VPCs' ids, so that their CIDRs
// stay apart; a route or a rule across one reads it under guard. All NAT gateways of
// an account are listed under guard where one is made. A record
// that is read and written back is read through the transaction, which guards
// its key.
//
// # What a reviewer should check
//
//   - Every Put of a record that another action may change is preceded by a
//     read of its key through tx, not only through Peek.
//   - Every creation below a VPC calls guard; every deletion calls bury.
//   - Shapes in records are shared by all readers: slices and pointers in them
//     are replaced, never written to.
//   - fn of mutate may run again: it sets its results anew and has no other
//     effect.
//   - A new action has its line in Handlers, and in the examples that the tests
//     of conventions go through; both are compared with api.Actions.
package service
