/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Refusals are remembered for as long as both ports keep their epochs, so that
 * a flood of packets that may not pass costs little. What a known flow's packet
 * is told depends on the flow, so security groups' refusals serve only packets
 * that would begin one; an ACL's do not know of flows and serve all.
 */
#pragma once

#include "decide.h"

static __always_inline struct denied *denied_at(__u32 slot, const struct flow_key *k)
{
	struct denied_table *t = bpf_map_lookup_elem(&denied, &slot);
	__u32 h = k->saddr ^ k->daddr * 0x85ebca6b ^ ((__u32)k->sport << 16 | k->dport) * 0x9e3779b1 ^ k->proto;

	return t ? &t->at[(h * 0xc2b2ae35) >> 26 & (DENIED_PER_PORT - 1)] : 0;
}

/* begins says that the packet belongs to no live flow. */
__noinline int recall_denied(const struct packet *p, __u32 slot, const struct port *port, int begins,
			     struct decision *d)
{
	struct denied *e;
	struct port *peer;
	__u32 seq;

	if (!p || !port || !d)
		return 0;
	e = denied_at(slot, &p->key);
	if (!e)
		return 0;
	seq = READ(e->seq);
	if ((seq & 1) || !same_key(&e->key, &p->key) || e->epoch != port->epoch)
		return 0;
	if (!begins && e->reason != DROP_NETWORK_ACL)
		return 0;
	peer = port_at(e->peer_slot);
	if (!peer || READ(peer->epoch) != e->peer_epoch)
		return 0;
	d->peer_eni = peer->eni;
	d->stage = e->stage;
	d->reason = e->reason;
	d->rule = e->rule;
	return READ(e->seq) == seq;
}

__noinline int remember_denied(const struct packet *p, __u32 slot, const struct decision *d)
{
	struct denied *e;

	if (!p || !d)
		return 0;
	if (d->reason != DROP_NETWORK_ACL && !(d->reason == DROP_SECURITY_GROUP && d->fresh))
		return 0;
	e = denied_at(slot, &p->key);
	if (!e || !seq_begin(&e->seq))
		return 0;
	e->key = p->key;
	e->epoch = d->epoch;
	e->peer_epoch = d->peer_epoch;
	e->peer_slot = d->peer_slot;
	e->rule = d->rule;
	e->stage = d->stage;
	e->reason = d->reason;
	seq_end(&e->seq);
	return 0;
}
