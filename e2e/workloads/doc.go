// Package workloads tests attachments with the real things: containers of a
// Docker engine, processes with a network namespace of their own, and a virtual
// machine on a tap. Each test starts what it needs and a vpcd of its own, and
// ends with the leak meter.
//
// Tools that are missing skip a test; with CI=true, where `make deps` has
// installed them, they fail it.
package workloads
