/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Fragments follow their first: it tells the ports of those that have none. */
#pragma once

#include "flow.h"

#define FRAG_LIFE (10 * SECOND)

static __always_inline int same_frag(const struct frag *f, const struct packet *p)
{
	return !((f->eni ^ p->key.eni) | (f->saddr ^ p->key.saddr) | (f->daddr ^ p->key.daddr) | (f->id ^ p->frag_id) |
		 (f->proto ^ p->key.proto));
}

/* Two places may hold a packet; which, its identification and ends say. */
static __always_inline struct frag *frag_at(__u32 slot, const struct packet *p, __u32 other)
{
	struct frag_table *t = bpf_map_lookup_elem(&frags, &slot);
	__u32 h = (p->key.saddr ^ p->key.daddr ^ p->key.proto) * 0x9e3779b1 ^ (__u32)p->frag_id * 0x85ebca6b;

	return t ? &t->at[(h >> 26 ^ other) & (FRAGS_PER_PORT - 1)] : 0;
}

/* The place that holds the packet, or else the older one. */
static __always_inline struct frag *frag_place(__u32 slot, const struct packet *p)
{
	struct frag *a = frag_at(slot, p, 0), *b = frag_at(slot, p, 1);

	if (!a || !b || same_frag(a, p))
		return a;
	return same_frag(b, p) || b->seen < a->seen ? b : a;
}

/* frag_remember is called for every first fragment: the later ones share its
 * verdict because they are judged by its ports. */
__noinline int frag_remember(const struct packet *p, __u32 slot)
{
	struct frag *f;

	if (!p)
		return 0;
	f = frag_place(slot, p);
	if (!f || !seq_begin(&f->seq))
		return 0;
	f->eni = p->key.eni;
	f->saddr = p->key.saddr;
	f->daddr = p->key.daddr;
	f->id = p->frag_id;
	f->proto = p->key.proto;
	f->sport = p->key.sport;
	f->dport = p->key.dport;
	f->icmp_type = p->icmp_type;
	f->icmp_code = p->icmp_code;
	f->seen = p->now;
	seq_end(&f->seq);
	return 0;
}

/* frag_recall gives a later fragment the ports of its first. */
__noinline int frag_recall(struct packet *p, __u32 slot)
{
	struct frag *f;
	__u32 seq;

	if (!p)
		return -1;
	f = frag_place(slot, p);
	if (!f)
		return -1;
	seq = READ(f->seq);
	if ((seq & 1) || !same_frag(f, p) || f->seen + FRAG_LIFE < p->now)
		return -1;
	p->key.sport = f->sport;
	p->key.dport = f->dport;
	p->icmp_type = f->icmp_type;
	p->icmp_code = f->icmp_code;
	return READ(f->seq) == seq ? 0 : -1;
}
