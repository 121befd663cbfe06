/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * From port to port: at most three hops of bpf_redirect_peer, told by skb->cb.
 * Only an entry program may write cb; what a workload wrote there is
 * overwritten before the first hop and cleared before the last.
 */
#pragma once

#include "count.h"

#define CB_MAGIC 0x76706331
#define CB_HOPS_MAX 4
#define CB_TAP 0x100

enum cb_word {
	CB_WORD_MAGIC = 0,
	CB_WORD_PATCH = 1, /* the fabric's patch port towards the destination */
	CB_WORD_PORT = 2,  /* the destination's port */
	CB_WORD_HOPS = 3,  /* hops so far, and CB_TAP */
};

/* Stores to the context are volatile: the compiler must not join neighbours
 * into one wide store, which the verifier refuses. */
static __always_inline void set_cb(struct __sk_buff *skb, __u32 magic, __u32 patch, __u32 port, __u32 hops)
{
	volatile __u32 *cb = skb->cb;

	cb[CB_WORD_MAGIC] = magic;
	cb[CB_WORD_PATCH] = patch;
	cb[CB_WORD_PORT] = port;
	cb[CB_WORD_HOPS] = hops;
	cb[4] = 0;
}

/* deliver makes the last hop: nothing of ours survives into the workload. */
static __always_inline int deliver(struct __sk_buff *skb, __u32 ifindex, __u32 tap)
{
	set_cb(skb, 0, 0, 0, 0);
	*(volatile __u32 *)&skb->mark = 0;
	*(volatile __u32 *)&skb->priority = 0;
	*(volatile __u32 *)&skb->tc_index = 0;
	if (tap)
		return bpf_redirect(ifindex, 0);
	if (skb->pkt_type != 0)
		bpf_skb_change_type(skb, 0); /* PACKET_HOST */
	return bpf_redirect_peer(ifindex, 0);
}
