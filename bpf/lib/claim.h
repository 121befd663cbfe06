/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A place in the clock for a new pair; on the way the hand makes room. */
#pragma once

#include "flow.h"

#define NO_SLOT 0xffffffff
#define STEPS 3	       /* places looked at when there is room */
#define STEPS_TIGHT 16
#define STEPS_FULL 96 /* when the table refused */

struct clock_walk {
	struct host_state *m;
	__u64 now;
	__u32 found;
	__u32 freed;
	__u32 tight;
	__u32 min; /* places to look at even when one was found */
};

static long clock_step(__u64 n, struct clock_walk *w)
{
	__u32 index = __sync_fetch_and_add(&w->m->hand, 1) & flow_slot_mask;
	struct flow_slot *s;

	if (reclaim(index, w->now, w->tight) == RECLAIM_DELETED)
		w->freed++;
	s = bpf_map_lookup_elem(&flow_slots, &index);
	if (w->found == NO_SLOT && s && swap_state(&s->state, SLOT_FREE, SLOT_BUSY))
		w->found = index;
	return w->found != NO_SLOT && n + 1 >= w->min;
}

/* is_tight: the host or this interface has used three quarters. */
static __always_inline int is_tight(const struct host_state *m, const struct flow_usage *u)
{
	return m->live > flow_pairs / 4 * 3 || u->flows > (__s32)(flow_allowance / 4 * 3);
}

/* claim finds a BUSY slot, or NO_SLOT, in w->found. */
static __always_inline void claim(struct clock_walk *w, const struct flow_usage *u)
{
	w->found = NO_SLOT;
	w->tight = is_tight(w->m, u);
	w->min = w->tight ? STEPS_TIGHT : STEPS;
	bpf_loop(STEPS_FULL, clock_step, w, 0);
}

/* claim_for_host is claim for what no interface has to answer for. */
static __always_inline void claim_for_host(struct clock_walk *w)
{
	w->found = NO_SLOT;
	w->min = STEPS;
	bpf_loop(STEPS_FULL, clock_step, w, 0);
}

/* make_room is for a full table: look much further; true if anything went. */
static __always_inline int make_room(struct clock_walk *w)
{
	w->freed = 0;
	w->tight = 1;
	w->min = STEPS_FULL;
	bpf_loop(STEPS_FULL, clock_step, w, 0);
	return w->freed;
}
