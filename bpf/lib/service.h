/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What the router itself offers: the only packets that the kernel gets. */
#pragma once

#include "port.h"

/* The router answers ping; what else it shall offer is named here one by one. */
__noinline int service(struct __sk_buff *skb, const struct packet *p, struct port *port)
{
	struct ethhdr *eth = frame(skb);
	struct endpoint *src;

	if (!p || !port || (void *)(eth + 1) > frame_end(skb))
		return TC_ACT_SHOT;
	if (!mac_equal(eth->h_dest, port->router_mac))
		return drop(skb, port->eni, STAGE_ROUTE, DROP_DST_MAC);
	src = endpoint_of(port->vpc, p->key.saddr);
	if (!src || src->eni != port->eni)
		return drop(skb, port->eni, STAGE_SPOOF, DROP_ANTI_SPOOF);
	if (p->key.proto != IPPROTO_ICMP || p->icmp_type != ICMP_ECHO || p->first || p->fragment)
		return drop(skb, port->eni, STAGE_ROUTE, DROP_SERVICE);
	return TC_ACT_OK;
}
