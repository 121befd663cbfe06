/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * classify: does a rule list allow this packet, and which rule does. Lists are
 * evaluated in order, rules for the whole world first. An absent list matches
 * nothing. Callers see only `struct question` and `struct answer`.
 */
#pragma once

#include "port.h"

struct question {
	__u32 list;
	struct addr remote;
	__u32 groups[MAX_GROUPS]; /* of the remote; 0 is none */
	__s32 proto;
	__u16 port;	/* destination port, host order; ICMP: type */
	__u16 code;	/* ICMP: code */
};

struct answer {
	__u32 allowed;
	__u32 rule;
	__u32 any;	/* a rule for the whole world allowed it */
	__u32 flags;	/* enum list_flags of the list */
};

struct walk {
	struct question *q;
	struct answer *a;
};

/* 1 if x is 0. Arithmetic, not a branch: the verifier walks every path. */
static __always_inline __u64 is_zero(__u32 x) { return ((__u64)x - 1) >> 63; }

static __always_inline __u64 same_remote(const struct rule *r, const struct question *q)
{
	__u32 other = 0;
	__u64 member = 0;
	__u32 i;

	for (i = 0; i < 4; i++)
		other |= (q->remote.w[i] ^ r->addr.w[i]) & r->mask.w[i];
	for (i = 0; i < MAX_GROUPS; i++)
		member |= is_zero(q->groups[i] ^ r->group);
	/* A rule names a group or an address, never both; 0 is no group. */
	return r->group ? member : is_zero(other);
}

static __always_inline int rule_matches(const struct rule *r, const struct question *q)
{
	if (r->proto != ANY_PROTO && r->proto != q->proto)
		return 0;
	if (q->port < r->port_min || q->port > r->port_max || q->code < r->code_min || q->code > r->code_max)
		return 0;
	return same_remote(r, q) != 0;
}

/* One chunk per iteration; 1 stops. */
static long classify_chunk(__u64 n, struct walk *w)
{
	struct list_key key = { .list = w->q->list, .chunk = n };
	struct rule_chunk *c = bpf_map_lookup_elem(&rules, &key);
	int i;

	if (!c)
		return 1;
	if (n == 0)
		w->a->flags = c->flags;
	for (i = 0; i < RULES_PER_CHUNK; i++) {
		if (i >= c->count)
			return 1;
		if (rule_matches(&c->rules[i], w->q)) {
			w->a->allowed = 1;
			w->a->rule = c->rules[i].id;
			w->a->any = c->rules[i].any;
			return 1;
		}
	}
	return 0;
}

/* Global, so that it is verified once and not per caller. */
__noinline int classify(struct question *q, struct answer *a)
{
	struct walk w = { .q = q, .a = a };

	if (!q || !a)
		return 0;
	a->allowed = 0;
	a->rule = 0;
	a->any = 0;
	a->flags = 0;
	bpf_loop(MAX_CHUNKS, classify_chunk, &w, 0);
	return a->allowed;
}

/* list_flags without evaluating the list. */
static __always_inline __u32 list_flags(__u32 list)
{
	struct list_key key = { .list = list };
	struct rule_chunk *c = bpf_map_lookup_elem(&rules, &key);

	return c ? c->flags : 0;
}
