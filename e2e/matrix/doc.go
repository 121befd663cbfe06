// Package matrix generates worlds of 12 workloads with random groups, prefix
// lists and network ACLs, builds each in a real vpcd, and sends every workload's
// TCP, UDP and pings to every other. What arrived and what was answered is
// compared with a small model of what EC2 documents: groups are stateful and
// add up, ACLs are not and are asked at the edges of subnets only.
//
// The model is of this package alone, reads rules one after another, and shares
// nothing with the product but the documentation.
package matrix
