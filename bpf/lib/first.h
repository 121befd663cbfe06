/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A packet that no valid flow entry answers: decided, written down, sent. */
#pragma once

#include "denied.h"
#include "dhcp.h"
#include "forward.h"
#include "hits.h"
#include "install.h"

/* needs_room: what nobody tracks can be judged packet by packet. Not so on the way
 * to the world or to a NAT gateway, where others keep an entry for it; but a NAT
 * gateway has bounds of its own for what it sends on. */
static __always_inline int needs_room(const struct decision *d, const struct port *port, const struct port *peer)
{
	if (d->flags & TRACKS)
		return 1;
	if (is_gateway(port) || is_gateway(peer))
		return !((port->flags | peer->flags) & PORT_NAT);
	return (peer->flags & PORT_NAT) != 0;
}

__noinline int first_packet(struct __sk_buff *skb, const struct packet *p, __u32 slot, struct port *port,
			    struct flow *f)
{
	struct scratch *own = scratch();
	struct decision *d;
	struct port *peer;
	int reason;

	if (!p || !port || !own)
		return TC_ACT_SHOT;
	if (dhcp_offer(p))
		return drop(skb, port->eni, STAGE_ROUTE, DROP_ROGUE_DHCP);
	d = &own->d;
	if (recall_denied(p, slot, port, !f || p->syn || READ(f->state) == FLOW_DEAD, d))
		return drop_rule(skb, blamed(port, d), d->stage << 8 | d->reason, d->rule);
	if (decide(p, port, f, d, p)) {
		if (d->ended)
			end(f, p->now);
		remember_denied(p, slot, d);
		count_refusal(d, p->now);
		return drop_rule(skb, blamed(port, d), d->stage << 8 | d->reason, d->rule);
	}
	peer = port_at(d->peer_slot);
	if (!peer || !dst_mac_ok(skb, port, peer))
		return drop(skb, port->eni, STAGE_ROUTE, DROP_DST_MAC);
	/* The answer's half is judged on its own. */
	if (dhcp_request(p))
		d->src_known = 0;
	reason = f ? renew(p, slot, d, f) : create(p, slot, d);
	if (reason && needs_room(d, port, peer))
		return drop_rule(skb, payer(port->eni, d->peer_eni), STAGE_FLOW << 8 | reason, 0);
	count_verdicts(d, port, peer, p->now);
	return forward(skb, p, d->nat, &(struct hop){ slot, port, d->peer_slot, peer, d->out });
}
