/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Ports by slot, endpoints by address, routes by longest prefix. */
#pragma once

#include "count.h"

static __always_inline struct port *port_at(__u32 slot)
{
	return bpf_map_lookup_elem(&ports, &slot);
}

static __always_inline int is_gateway(const struct port *p) { return (p->flags & PORT_EDGE) != 0; }

static __always_inline struct endpoint *endpoint_of(__u32 vpc, __be32 v4)
{
	struct endpoint_key key = { .vpc = vpc };

	map4(&key.addr, v4);
	return bpf_map_lookup_elem(&endpoints, &key);
}

static __always_inline int in_subnet(const struct port *p, __be32 v4)
{
	return (v4 & p->mask) == p->net;
}

static __always_inline struct route *route_to(__u32 table, __be32 v4)
{
	struct route_key key = { .prefixlen = 160, .table = bpf_htonl(table) };
	struct route *r;

	map4(&key.addr, v4);
	r = bpf_map_lookup_elem(&routes, &key);
	return r && r->table == key.table && (v4 & r->mask) == r->net ? r : 0;
}

/* The generation of policy in force. */
static __always_inline __u64 generation(void)
{
	__u32 zero = 0;
	__u64 *g = bpf_map_lookup_elem(&generations, &zero);

	return g ? *(volatile __u64 *)g : 0;
}

/* second_of says which of two generations is the newest that is in force: 0 or 1,
 * or -1 where none is. */
static __always_inline int second_of(__u64 first, __u64 second, __u64 now)
{
	if (first > now)
		return second > now ? -1 : 1;
	return second <= now && second > first;
}

static __always_inline const struct policy *policy_of(const struct port *p, __u64 now)
{
	int second = second_of(p->policy[0].since, p->policy[1].since, now);

	if (second < 0)
		return 0;
	return second ? &p->policy[1] : &p->policy[0];
}

static __always_inline const struct membership *membership_of(const struct endpoint *e, __u64 now)
{
	int second = second_of(e->member[0].since, e->member[1].since, now);

	if (second < 0)
		return 0;
	return second ? &e->member[1] : &e->member[0];
}
