//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Ingress of the link between two VPCs: everything has been decided at the
 * sender's port. What was not handed over by a port's program does not pass.
 */
#include "lib/deliver.h"
#include "lib/port.h"

SEC("tc")
int vpc_from_peer(struct __sk_buff *skb)
{
	__u32 magic = skb->cb[0], slot = skb->cb[1];
	struct port *to = port_at(slot);

	if (magic != HANDED_OVER || !to || !(to->flags & PORT_READY) || is_gateway(to))
		return drop(skb, 0, STAGE_PORT, DROP_NOT_READY);
	return deliver(skb, PORT_BASE + slot, to->flags & PORT_TAP);
}

char _license[] SEC("license") = "Dual BSD/GPL";
