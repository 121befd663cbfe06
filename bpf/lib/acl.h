/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Network ACLs: at a subnet's edge, for each packet's own direction, whatever
 * flow it belongs to. A flow entry remembers the answer for its own half only.
 */
#pragma once

#include "classify.h"

static __always_inline __u32 service_of(const struct packet *p)
{
	__u32 proto = (__u32)p->key.proto << 16;

	if (p->key.proto == IPPROTO_ICMP)
		return proto | (__u32)p->icmp_type << 8 | p->icmp_code;
	if (p->key.proto == IPPROTO_TCP || p->key.proto == IPPROTO_UDP)
		return proto | bpf_ntohs(p->key.dport);
	return proto;
}

static __always_inline int crosses(const struct port *from, const struct port *to)
{
	return from->subnet != to->subnet;
}

/* acl asks one list; *rule is the number of the rule that decided, 0 if none. */
static __always_inline int acl(const struct packet *p, __u32 list, __be32 remote, __u32 *rule)
{
	struct question q = {};
	struct answer a = {};

	q.list = list;
	map4(&q.remote, remote);
	q.service = service_of(p);
	classify(&q, 0, &a);
	*rule = a.rule;
	return a.allowed;
}
