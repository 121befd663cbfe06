// Package store keeps revisioned records on etcd and is the only importer of etcd.
//
// Three pieces make it:
//
//   - a cache: one full listing, then a watch from its revision, kept in a
//     copy-on-write tree, so that Snapshot costs nothing and never waits;
//   - transactions: Update runs a function on a snapshot, remembers what it
//     read, and commits its writes in one etcd transaction that fails if any
//     of it has changed;
//   - upkeep: bounded history, the quota alarm, backup and restore.
//
// Without Config.Endpoints the store runs its own etcd in Config.Dir, reached
// over a unix socket; with endpoints the same client code talks to a cluster.
//
// Keys below Prefix hold records. Keys below deletionPrefix are the store's
// own: one per collection, touched by every deletion in it, because an etcd
// guard on a range sees what is new in the range and not what has gone.
//
// Everything here is level-triggered: a watch that fails, lags or is compacted
// away is answered by a new full listing and a comparison.
package store
