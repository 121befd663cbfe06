/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Ports by slot, endpoints by address, routes by longest prefix. */
#pragma once

#include "count.h"

static __always_inline struct port *port_at(__u32 slot)
{
	return bpf_map_lookup_elem(&ports, &slot);
}

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

static __always_inline __u32 route_to(__u32 table, __be32 v4)
{
	struct route_key key = { .prefixlen = 160, .table = bpf_htonl(table) };
	struct route *r;

	map4(&key.addr, v4);
	r = bpf_map_lookup_elem(&routes, &key);
	return r ? r->target : 0;
}
