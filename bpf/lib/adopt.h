/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Flows of another layout of the maps, which this one is about to replace. User
 * space has brought them into this layout's shape; here they get their places and
 * accounts, as flows of our own do, while packets may already be on their way.
 */
#pragma once

#include "build.h"
#include "calls.h"
#include "claim.h"

#define ADOPTIONS 1024 /* pairs of one call */

/* A pair as the other layout has it: LIVE, and of no epoch, so that its first
 * packet is judged again, as one of a known flow. `born` stays that of its life
 * there: what began here is younger. */
struct adoption {
	struct flow forth, back;
	__u32 payer; /* the interface on whose account it is */
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ADOPTIONS);
	__type(key, __u32);
	__type(value, struct adoption);
} adoptions SEC(".maps");

static __always_inline int half_open_pair(const struct adoption *a)
{
	return a->forth.key.proto == IPPROTO_TCP && !a->back.seen;
}

/* crowded: a smaller table takes what leaves room for others. */
static __always_inline int crowded(const struct adopt_args *args, const struct adoption *a, const struct flow_usage *u)
{
	struct host_state *m = host_state();

	if (!m || m->live / 2 >= args->most || u->flows >= (__s32)flow_allowance)
		return 1;
	return half_open_pair(a) && u->half_open >= (__s32)flow_half_open;
}

/* move_in gives a half a place and puts it into the table; 0, or an error. The
 * place and who pays are written before the half appears. */
static __always_inline long move_in(const struct adoption *a, struct flow *half, struct flow_usage *u, __u64 now)
{
	__u32 place = claim(now, ROOMY);
	struct flow_slot *s = bpf_map_lookup_elem(&flow_slots, &place);
	long err;

	if (!s)
		return -1;
	s->key = half->key;
	s->owner = 0;
	s->half_open = 0;
	if (u)
		charge(s, u, a->payer, half->key.proto);
	if (!half_open_pair(a))
		settle(s);
	half->slot = place;
	err = bpf_map_update_elem(&flows, &half->key, half, BPF_NOEXIST);
	if (err)
		vacate(s);
	else
		WRITE(s->state, SLOT_USED);
	return err;
}

/* follow takes over what has happened to a half since it was adopted. Once one of
 * our own packets was judged by it, or if it began here, ours is the truth. */
static __always_inline void follow(struct flow *f, struct flow *half)
{
	__u64 born = half->born;

	if (READ(f->epoch) || READ(f->born) > born || !begin_from(f, &half->key, FLOW_LIVE))
		return;
	half->slot = f->slot;
	half->state = FLOW_BUILDING;
	*f = *half;
	finish(f, 0);
}

/* answered_there: the place of the half that opens the pair no longer counts it
 * as half open. */
static __always_inline void answered_there(const struct adoption *a, const struct flow *f)
{
	__u32 place = f->slot;
	struct flow_slot *s = bpf_map_lookup_elem(&flow_slots, &place);

	if (s && !half_open_pair(a) && same_key(&s->key, &a->forth.key))
		settle(s);
}

/* known_here: one half, or both, is in the table already. */
static __always_inline int known_here(struct adoption *a)
{
	struct flow *f = bpf_map_lookup_elem(&flows, &a->forth.key);
	struct flow *rev = bpf_map_lookup_elem(&flows, &a->back.key);

	if (f) {
		follow(f, &a->forth);
		answered_there(a, f);
	}
	if (rev)
		follow(rev, &a->back);
	return f || rev;
}

static __always_inline long adopt_pair(struct adopt_args *args, struct adoption *a, struct flow_usage *u)
{
	__u64 now = bpf_ktime_get_ns();
	struct flow *f;

	if (crowded(args, a, u) || move_in(a, &a->forth, u, now))
		return 0;
	if (!move_in(a, &a->back, 0, now))
		return 1;
	/* A half alone would answer for as long as it is used. */
	f = bpf_map_lookup_elem(&flows, &a->forth.key);
	if (f)
		die(f, now);
	return 0;
}

static long adopt_step(__u64 n, struct adopt_args *args)
{
	__u32 index = n;
	struct adoption *a = bpf_map_lookup_elem(&adoptions, &index);
	struct flow_usage *u;

	if (!a)
		return 1;
	u = bpf_map_lookup_elem(&usage, &a->payer);
	if (!u)
		args->nobodys++;
	else if (known_here(a))
		args->known++;
	else if (adopt_pair(args, a, u))
		args->adopted++;
	else
		args->refused++;
	return 0;
}
