/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Fragments follow their first: it tells the ports of those that have none. */
#pragma once

#include "flow.h"

#define FRAG_LIFE (10 * SECOND)

static __always_inline void frag_key(const struct packet *p, struct frag_key *key)
{
	key->eni = p->key.eni;
	key->saddr = p->key.saddr;
	key->daddr = p->key.daddr;
	key->id = p->frag_id;
	key->proto = p->key.proto;
	key->pad = 0;
}

/* frag_remember is called for every first fragment: the later ones share its
 * verdict because they are judged by its ports. */
__noinline int frag_remember(const struct packet *p, __u64 now)
{
	struct frag value = {};
	struct frag_key key;

	if (!p)
		return 0;
	value.sport = p->key.sport;
	value.dport = p->key.dport;
	value.icmp_type = p->icmp_type;
	value.icmp_code = p->icmp_code;
	value.seen = now;
	frag_key(p, &key);
	return bpf_map_update_elem(&frags, &key, &value, BPF_ANY);
}

/* frag_recall gives a later fragment the ports of its first. */
__noinline int frag_recall(struct packet *p, __u64 now)
{
	struct frag_key key;
	struct frag *f;

	if (!p)
		return -1;
	frag_key(p, &key);
	f = bpf_map_lookup_elem(&frags, &key);
	if (!f || f->seen + FRAG_LIFE < now)
		return -1;
	p->key.sport = f->sport;
	p->key.dport = f->dport;
	p->icmp_type = f->icmp_type;
	p->icmp_code = f->icmp_code;
	return 0;
}
