/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Only the VPC itself gives out addresses: what a workload offers is dropped. */
#pragma once

#include "count.h"

#define DHCP_SERVER bpf_htons(67)
#define DHCP_CLIENT bpf_htons(68)

static __always_inline int dhcp(const struct packet *p, __be16 from, __be16 to)
{
	return p->key.proto == IPPROTO_UDP && p->key.sport == from && p->key.dport == to;
}

static __always_inline int dhcp_offer(const struct packet *p) { return dhcp(p, DHCP_SERVER, DHCP_CLIENT); }

/* Its answer must not find a flow that nobody would judge. */
static __always_inline int dhcp_request(const struct packet *p) { return dhcp(p, DHCP_CLIENT, DHCP_SERVER); }

/* Where broadcasts end; an offer among them has a name of its own. */
static __noinline int broadcast(struct __sk_buff *skb, const struct port *port)
{
	struct packet p = {};

	if (!parse(skb, &p) && dhcp_offer(&p))
		return drop(skb, port->eni, STAGE_ROUTE, DROP_ROGUE_DHCP);
	return drop(skb, port->eni, STAGE_ROUTE, DROP_BROADCAST);
}
