// Package e2e tells the promises of the product as scripts against the real
// binaries: one promise per file in testdata/script, the file's name says it.
// DESIGN.md has the topologies and the commands that scripts may use.
//
// Sub-packages: netns (namespaces of workloads), probe (traffic), meter (what
// the kernel holds, what was lost), harness (the commands of scripts).
package e2e
