/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The way out: from port to port in one bpf_redirect_peer. All ports of a VPC
 * are in one namespace, so the receiver's is always at hand.
 */
#pragma once

#include "count.h"

/* deliver: nothing that the sender or this program left in the packet's
 * metadata survives into the receiver's namespace. Stores to the context are
 * volatile: the compiler must not join neighbours into one wide store, which
 * the verifier refuses. */
static __always_inline int deliver(struct __sk_buff *skb, __u32 ifindex, __u32 tap)
{
	volatile __u32 *cb = skb->cb;

	cb[0] = 0;
	cb[1] = 0;
	cb[2] = 0;
	cb[3] = 0;
	cb[4] = 0;
	*(volatile __u32 *)&skb->mark = 0;
	*(volatile __u32 *)&skb->priority = 0;
	*(volatile __u32 *)&skb->tc_index = 0;
	if (tap)
		return bpf_redirect(ifindex, 0);
	if (skb->pkt_type != 0)
		bpf_skb_change_type(skb, 0); /* PACKET_HOST */
	return bpf_redirect_peer(ifindex, 0);
}
