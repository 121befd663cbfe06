/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The way out: from port to port in one bpf_redirect_peer, for all ports of a VPC
 * are in one namespace; into another VPC's by the link to it, whose other end does
 * the second.
 */
#pragma once

#include "count.h"

#define HANDED_OVER 0x76706331 /* cb[0] of what crosses from VPC to VPC; cb[1] is the receiver's slot */

/* clear_metadata: nothing that the sender or this program left in the packet's
 * metadata survives into the receiver's namespace. Stores to the context are
 * volatile: the compiler must not join neighbours into one wide store, which
 * the verifier refuses. */
static __always_inline void clear_metadata(struct __sk_buff *skb, __u32 magic, __u32 slot)
{
	volatile __u32 *cb = skb->cb;

	cb[0] = magic;
	cb[1] = slot;
	cb[2] = 0;
	cb[3] = 0;
	cb[4] = 0;
	*(volatile __u32 *)&skb->mark = 0;
	*(volatile __u32 *)&skb->priority = 0;
	*(volatile __u32 *)&skb->tc_index = 0;
	if (skb->pkt_type != 0)
		bpf_skb_change_type(skb, 0); /* PACKET_HOST */
}

static __always_inline int deliver(struct __sk_buff *skb, __u32 ifindex, __u32 tap)
{
	clear_metadata(skb, 0, 0);
	if (tap)
		return bpf_redirect(ifindex, 0);
	return bpf_redirect_peer(ifindex, 0);
}

/* hand_over: to the link between two VPCs, whose other end delivers. */
static __always_inline int hand_over(struct __sk_buff *skb, __u32 link, __u32 to_slot)
{
	clear_metadata(skb, HANDED_OVER, to_slot);
	return bpf_redirect_peer(PORT_BASE + link, 0);
}
