/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * classify: which rule of a list is the first that matches this packet. One
 * engine for security groups and network ACLs. The remote's address, or a group
 * of its, gives one bit vector, the service another; the lowest common bit is
 * the rule. An absent list, chunk or vector matches nothing. Callers see only
 * `struct question` and `struct answer`.
 *
 * The searches are arithmetic, not branches: the verifier walks every path, and
 * the processor guesses none wrong. What is called from two places is global,
 * so that it is verified once.
 */
#pragma once

#include "bits.h"
#include "port.h"

struct question {
	__u32 list;
	struct addr remote;
	__u32 service;	/* protocol << 16 | destination port, or ICMP type << 8 | code */
};

struct answer {
	__u32 allowed;
	__u32 rule;	/* 0: none matched */
	__u32 any;	/* a rule for the whole world */
	__u32 flags;	/* enum list_flags of the list */
};

#define NO_BIT (MAX_WORDS * WORD_RULES)

/* 1 if a < b. */
static __always_inline __u64 below(__u64 a, __u64 b) { return ((~a & b) | (~(a ^ b) & (a - b))) >> 63; }

/* Says again that x is below n, a power of two: Linux 6.1 loses sight of it in
 * the arithmetic, and the compiler would leave out an ordinary mask. */
static __always_inline __u64 within(__u64 x, __u32 n)
{
	asm volatile("%0 &= %1" : "+r"(x) : "i"(n - 1));
	return x;
}

/* 1 if the segment begins at or before the address. */
static __always_inline __u64 addr_reached(const struct addr_segment *s, __u64 hi, __u64 lo)
{
	__u64 other = hi ^ s->hi;

	return 1 ^ (below(hi, s->hi) | (is_zero(other | other >> 32) & below(lo, s->lo)));
}

/* The last of n segments that begins at or before the address. */
static __always_inline __u64 addr_search(const struct addr_segment *s, const __u32 n, __u64 hi, __u64 lo)
{
	__u64 at = 0, step;

#pragma unroll
	for (step = n / 2; step; step /= 2)
		at += addr_reached(&s[within(at + step, n)], hi, lo) * step;
	return within(at, n);
}

static __always_inline __u64 service_search(const __u32 *s, const __u32 n, __u64 service)
{
	__u64 at = 0, step;

	/* Both are below 2^32: the sign says which is larger. */
#pragma unroll
	for (step = n / 2; step; step /= 2)
		at += ((s[within(at + step, n)] - service - 1) >> 63) * step;
	return within(at, n);
}

static __always_inline __u64 word64(__be32 hi, __be32 lo) { return (__u64)bpf_ntohl(hi) << 32 | bpf_ntohl(lo); }

/* The rules that match this address. */
__noinline __u64 addr_bits(const struct list *l, __u32 list, const struct addr *remote)
{
	struct list_key key = { .list = list };
	struct addr_chunk *c;
	__u64 hi, lo, at;

	if (!l || !remote)
		return 0;
	hi = word64(remote->w[0], remote->w[1]);
	lo = word64(remote->w[2], remote->w[3]);
	at = addr_search(l->addrs, INLINE_SEGMENTS, hi, lo);
	if (!l->addr_chunks)
		return l->addrs[at].bits;
	key.part = at;
	c = bpf_map_lookup_elem(&addr_chunks, &key);
	return c ? c->addrs[addr_search(c->addrs, CHUNK_SEGMENTS, hi, lo)].bits : 0;
}

/* The rules that match this service. */
__noinline __u64 service_bits(const struct list *l, __u32 list, __u32 service)
{
	struct list_key key = { .list = list };
	struct service_chunk *c;
	__u64 at;

	if (!l)
		return 0;
	at = service_search(l->services, INLINE_SEGMENTS, service);
	if (!l->service_chunks)
		return l->service_bits[at];
	key.part = at;
	c = bpf_map_lookup_elem(&service_chunks, &key);
	return c ? c->bits[service_search(c->services, CHUNK_SEGMENTS, service)] : 0;
}

/* The lowest bit of a word that is not 0, by halves. */
static __always_inline __u32 lowest(__u64 w)
{
	__u32 at = 0, half;

#pragma unroll
	for (half = 32; half; half /= 2) {
		__u64 skip = is_zero(w & ((1ULL << half) - 1)) * half;

		w >>= skip;
		at += skip;
	}
	return at;
}

/* The lowest bit that two vectors share, or NO_BIT. */
__noinline __u32 first_common(__u32 words, __u64 a, __u64 b)
{
	__u32 ka = a, kb = b, i;
	struct bitmap *x, *y;
	__u64 w = a & b;

	if (words == 1)
		return w ? lowest(w) : NO_BIT;
	if (!ka || !kb)
		return NO_BIT;
	x = bpf_map_lookup_elem(&bitmaps, &ka);
	y = bpf_map_lookup_elem(&bitmaps, &kb);
	if (!x || !y)
		return NO_BIT;
	for (i = 0; i < MAX_WORDS; i++) {
		w = x->w[i] & y->w[i];
		if (w)
			return i * WORD_RULES + lowest(w);
	}
	return NO_BIT;
}

/* The same for the groups of the remote: the lowest of all. What a group's
 * members are costs nothing here; how many groups one member has does. */
__noinline __u32 first_of_groups(__u32 list, __u32 words, __u64 service, const struct membership *remote)
{
	struct member_key key = { .list = list };
	__u32 best = NO_BIT, bit, i;
	struct member *m;

	if (!remote)
		return NO_BIT;
	for (i = 0; i < MAX_GROUPS; i++) {
		key.group = *(volatile const __u32 *)&remote->groups[i];
		if (!key.group)
			break;
		m = bpf_map_lookup_elem(&members, &key);
		if (!m)
			continue;
		bit = first_common(words, m->bits, service);
		best = bit < best ? bit : best;
	}
	return best;
}

static __always_inline void answer_with(struct answer *a, const struct rule_word *v, __u32 bit)
{
	a->rule = v->id[bit];
	a->any = v->any >> bit & 1;
	a->allowed = 1 ^ (v->deny >> bit & 1);
}

/* remote has the groups of whose address the question's is; 0 if it is nobody's. Linux 6.1
 * takes no map key from a function's argument: keys are local. */
__noinline int classify(const struct question *q, const struct membership *remote, struct answer *a)
{
	struct list_key key = {};
	struct rule_word *v;
	struct list *l;
	__u32 bit, other;
	__u64 service;

	if (!q || !a)
		return 0;
	a->allowed = 0;
	a->rule = 0;
	a->any = 0;
	a->flags = 0;
	key.list = q->list;
	l = bpf_map_lookup_elem(&lists, &key.list);
	if (!l)
		return 0;
	a->flags = l->flags;
	service = service_bits(l, key.list, q->service);
	bit = first_common(l->words, addr_bits(l, key.list, &q->remote), service);
	if (l->flags & LIST_GROUPS) {
		other = first_of_groups(key.list, l->words, service, remote);
		bit = other < bit ? other : bit;
	}
	if (bit >= NO_BIT)
		return 0;
	if (bit < WORD_RULES) {
		answer_with(a, &l->first, bit);
		return a->allowed;
	}
	key.part = bit / WORD_RULES;
	v = bpf_map_lookup_elem(&rule_words, &key);
	if (v)
		answer_with(a, v, bit % WORD_RULES);
	return a->allowed;
}

/* list_flags without evaluating the list. */
static __always_inline __u32 list_flags(__u32 list)
{
	struct list *l = bpf_map_lookup_elem(&lists, &list);

	return l ? l->flags : 0;
}
