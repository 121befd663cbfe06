/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A place in the clock for a new pair; on the way the hand makes room. */
#pragma once

#include "flow.h"

#define NO_SLOT 0xffffffff
#define STEPS 2	       /* places looked at for each half, when there is room */
/* From half to the whole of an allowance, the hand goes round four times: once
 * to kill what is closed, once more to delete it, and the same again. */
#define STEPS_TIGHT 128 /* for a flow: its replies' half is not asked once more */
#define STEPS_FULL 96 /* when the table refused */
/* When an interface has used its share: the whole clock in half a second, and
 * not more often than the coarse clock ticks, so that refusals cost little. */
#define STEPS_OVER 2048
#define WALKS_OVER 4 /* in one tick, whoever they are for */

struct clock_walk {
	__u64 now;
	__u32 found;
	__u32 freed;
	__u32 tight; /* whose flows are, as reclaim says */
	__u32 pad;
};

static long clock_step(__u64 n, struct clock_walk *w)
{
	struct host_state *m = host_state();
	struct flow_slot *s;
	__u32 index;

	if (!m)
		return 1;
	index = __sync_fetch_and_add(&m->hand, 1) & flow_slot_mask;
	if (reclaim(index, w->now, w->tight) == RECLAIM_DELETED)
		w->freed++;
	s = bpf_map_lookup_elem(&flow_slots, &index);
	if (w->found == NO_SLOT && s && swap_state(&s->state, SLOT_FREE, SLOT_BUSY))
		w->found = index;
	return 0;
}

/* Flows opened in a row have places in a row, and may live long: where the
 * hand finds nothing free, any other place does. There are twice as many
 * places as pairs, so a few tries are enough. */
static long probe_step(__u64 n, struct clock_walk *w)
{
	__u32 index = bpf_get_prandom_u32() & flow_slot_mask;
	struct flow_slot *s = bpf_map_lookup_elem(&flow_slots, &index);

	if (!s || !swap_state(&s->state, SLOT_FREE, SLOT_BUSY))
		return 0;
	w->found = index;
	return 1;
}

/* allowance is what one interface may open: its share, and never more than a
 * third of what is free. So the table is never full: n interfaces that take all
 * they get leave a newcomer as much as each of them has, and as they come to be
 * more, each of them gets less. */
static __always_inline __s32 allowance(const struct host_state *m)
{
	__u32 pairs = m->live / 2, free = pairs < flow_pairs ? flow_pairs - pairs : 0;

	return free / 3 < flow_allowance ? free / 3 : flow_allowance;
}

/* What a new flow would add to its interface's account. */
struct bill {
	__u32 flows, half_open;
	__u32 payer;
};

/* over: why an interface may not have that too, or 0. */
static __always_inline int over(const struct host_state *m, const struct flow_usage *u, const struct bill *b)
{
	if (b->flows && u->flows >= allowance(m))
		return DROP_ALLOWANCE;
	return b->half_open && u->half_open >= (__s32)flow_half_open ? DROP_HALF_OPEN : 0;
}

/* whose flows are short of room: everyone's once the host has used half, its own
 * once this interface has. */
static __always_inline __u32 hurried(const struct host_state *m, const struct flow_usage *u, __u32 eni)
{
	if (m->live / 2 > flow_pairs / 2)
		return EVERYONE;
	return u->flows > (__s32)(flow_allowance / 2) || u->half_open > (__s32)(flow_half_open / 2) ? eni : ROOMY;
}

/* claim finds a slot and makes it BUSY, nobody's; NO_SLOT when there is none. */
__noinline __u32 claim(__u64 now, __u32 tight)
{
	struct clock_walk w = { .now = now, .found = NO_SLOT, .tight = tight };
	struct host_state *m = host_state();

	bpf_loop(tight ? STEPS_TIGHT : STEPS, clock_step, &w, 0);
	if (w.found == NO_SLOT)
		bpf_loop(STEPS_FULL, probe_step, &w, 0);
	if (w.found != NO_SLOT && m)
		__sync_fetch_and_add(&m->live, 1);
	return w.found;
}

/* make_room looks further; true if anything went. */
__noinline int make_room(__u64 now, __u32 tight, __u32 steps)
{
	struct clock_walk w = { .now = now, .found = 0, .tight = tight };

	bpf_loop(steps, clock_step, &w, 0);
	return w.freed;
}

/* far_walk: may the clock be walked far in this tick? The count need not be exact. */
static __always_inline int far_walk(struct host_state *m, __u64 now)
{
	if (READ(m->walked) != now) {
		WRITE(m->walked, now);
		WRITE(m->walks, 0);
	}
	return __sync_fetch_and_add(&m->walks, 1) < WALKS_OVER;
}
