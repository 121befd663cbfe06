/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Send a packet that was let through on its way to the destination's port. */
#pragma once

#include "deliver.h"
#include "port.h"
#include "translate.h"

/* dst_mac_ok: for the router, or for an interface of the subnet, unless it comes
 * from a gateway, where there are no such addresses. Which one is the address's
 * business: a neighbour may still know the MAC of the interface that had it
 * before, and reaches the one that has it now. */
static __always_inline int dst_mac_ok(struct __sk_buff *skb, const struct port *port, const struct port *peer)
{
	struct ethhdr *eth = frame(skb);

	if (is_gateway(port))
		return 1;
	if ((void *)(eth + 1) > frame_end(skb))
		return 0;
	return mac_equal(eth->h_dest, port->router_mac) ||
	       (port->subnet == peer->subnet && *(const __u16 *)eth->h_dest == *(const __u16 *)peer->mac);
}

/* Only the destination's address within a subnet; both when the router is
 * between. TTL is not decremented, as in AWS. */
static __always_inline int address_frame(struct __sk_buff *skb, const struct port *from, const struct port *to)
{
	struct ethhdr *eth = frame(skb);
	__u8 macs[12];

	if ((void *)(eth + 1) > frame_end(skb))
		return -1;
	if (from->subnet == to->subnet) {
		if (mac_equal(eth->h_dest, to->mac))
			return 0;
		return bpf_skb_store_bytes(skb, 0, to->mac, 6, 0);
	}
	__builtin_memcpy(macs, to->mac, 6);
	__builtin_memcpy(macs + 6, to->router_mac, 6);
	return bpf_skb_store_bytes(skb, 0, macs, sizeof(macs), 0);
}

/* From port to port; `out` is 1 + the slot of the link to the receiver's VPC, or 0
 * where that is the sender's. */
struct hop {
	__u32 from_slot;
	const struct port *from;
	__u32 to_slot;
	const struct port *to;
	__u32 out;
};

static __always_inline int forward(struct __sk_buff *skb, const struct packet *p, __be32 nat, const struct hop *h)
{
	if ((nat && translate(skb, p, nat)) || address_frame(skb, h->from, h->to))
		return drop(skb, h->from->eni, STAGE_PARSE, DROP_MALFORMED);
	count_tx(h->from_slot, p->len);
	count_rx(h->to_slot, p->len);
	if (h->out)
		return hand_over(skb, h->out - 1, h->to_slot);
	return deliver(skb, PORT_BASE + h->to_slot, h->to->flags & PORT_TAP);
}
