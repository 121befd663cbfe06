// Package storm changes rules under load. Two workloads in two subnets carry
// flows that every state of the rules allows and flows that every state denies,
// while everything else about the rules changes; then the same with a vpcd that
// is killed in the middle of changes. No allowed packet may be lost and no
// denied one may arrive.
//
// A denied flow that two places deny for ever proves little. Each port of the
// denied flows belongs to a trap instead: a change that takes the denial from
// one place to another in one step, so that a packet which met half of the old
// rules and half of the new ones would be let pass. The end of the test opens
// every trap on purpose: what has not arrived before arrives then.
package storm
