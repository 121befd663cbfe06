// Demo shows the main job on real traffic, in under half a minute:
//
//	sudo go run ./e2e/demo
//
// It starts a vpcd of its own with a private name, data directory and socket, in
// a namespace that stands for a laptop and has an uplink to another, the world.
// The first half makes two VPCs with the same CIDR, attaches plain namespaces
// and, where a Docker engine runs, containers, and shows what passes and what does
// not. The second is a VPC with three tiers: a public web server with an elastic
// IP, an application behind a NAT gateway, a database that has no way out. Each
// step is printed as the command that a user would type. The binaries come from
// VPC_BIN, ./bin or the PATH; of others, only ip and nsenter are needed.
//
// It ends with a table of what was expected and what happened; the exit code is
// 1 if they differ anywhere. However it ends, also when interrupted, it removes
// everything it made and says whether something is left.
package main
