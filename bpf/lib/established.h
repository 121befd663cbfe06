/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A packet of a known flow: one lookup, and the entry is the decision. */
#pragma once

#include "forward.h"
#include "sequence.h"

#define MISS (-2)

/* Apart, because the key's place on the stack would be the hot path's too. */
__noinline int expired(const struct packet *p, struct flow *f)
{
	if (!p || !f)
		return 1;
	return pair_expired(f, partner(f), p->now, SHORTEST);
}

/* Idle or closing entries need a look at their other half. */
static __always_inline int maybe_expired(const struct packet *p, struct flow *f)
{
	if (READ(f->last_seen) + IDLE_MIN > p->now && !(f->seen & (SEEN_FIN | SEEN_RST)))
		return 0;
	return expired(p, f);
}

/* One lookup for an established packet, or MISS. */
static __always_inline int established(struct __sk_buff *skb, const struct packet *p, __u32 slot, struct port *port,
				       struct flow *f)
{
	__u64 born = READ(f->born);
	__u32 peer_slot, out;
	struct port *peer;
	__be32 nat;

	if (READ(f->state) != FLOW_LIVE || READ(f->epoch) != port->epoch || READ(f->own_slot) != slot || p->syn ||
	    !same_key(&f->key, &p->key))
		return MISS;
	/* Only now: what was written before the entry was whole would pass below. */
	peer_slot = READ(f->peer_slot);
	out = READ(f->out);
	nat = READ(f->nat);
	peer = port_at(peer_slot);
	if (!peer || READ(f->peer_epoch) != peer->epoch || maybe_expired(p, f))
		return MISS;
	if (!dst_mac_ok(skb, port, peer))
		return drop(skb, port->eni, STAGE_ROUTE, DROP_DST_MAC);
	touch(f, p);
	/* Killed or recycled meanwhile: the full walk decides. */
	if (READ(f->state) != FLOW_LIVE || READ(f->born) != born)
		return MISS;
	return forward(skb, p, nat, &(struct hop){ slot, port, peer_slot, peer, out });
}
