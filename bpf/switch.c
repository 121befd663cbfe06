//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Patch ports, both ends: take the next hop that the entry program wrote.
#include "lib/switch.h"

SEC("tc")
int vpc_switch(struct __sk_buff *skb)
{
	__u32 hops, port, patch;

	if (skb->cb[CB_WORD_MAGIC] != CB_MAGIC)
		return drop(skb, 0, STAGE_SWITCH, DROP_FORGED);
	hops = skb->cb[CB_WORD_HOPS] + 1;
	if ((hops & 0xff) > CB_HOPS_MAX)
		return drop(skb, 0, STAGE_SWITCH, DROP_LOOP);
	patch = skb->cb[CB_WORD_PATCH];
	port = skb->cb[CB_WORD_PORT];

	/* The first hop ends in the fabric, the second in the destination's subnet. */
	if ((hops & 0xff) == 1) {
		if (patch == skb->ifindex)
			return drop(skb, 0, STAGE_SWITCH, DROP_LOOP);
		/* The other words stand as the entry program wrote them. */
		*(volatile __u32 *)&skb->cb[CB_WORD_HOPS] = hops;
		return bpf_redirect_peer(patch, 0);
	}
	if (port == skb->ifindex)
		return drop(skb, 0, STAGE_SWITCH, DROP_LOOP);
	return deliver(skb, port, hops & CB_TAP);
}

char _license[] SEC("license") = "Dual BSD/GPL";
