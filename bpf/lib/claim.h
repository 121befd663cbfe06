/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A place in the clock for a new pair; on the way the hand makes room. */
#pragma once

#include "flow.h"

#define NO_SLOT 0xffffffff
#define STEPS 3	       /* places looked at when there is room */
/* From half to the whole of an allowance, the hand goes round four times: once
 * to kill what is closed, once more to delete it, and the same again. */
#define STEPS_TIGHT 64
#define STEPS_FULL 96 /* when the table refused */

struct clock_walk {
	__u64 now;
	__u32 found;
	__u32 freed;
	__u32 tight;
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

/* allowance is what one interface may open: its share, and once three quarters
 * of the table are used an eighth of that, so that the last quarter is for those
 * who have opened little. */
static __always_inline __s32 allowance(const struct host_state *m)
{
	return m->live > flow_pairs / 4 * 3 ? flow_allowance / 8 : flow_allowance;
}

/* is_tight: the host or this interface has used half. */
static __always_inline int is_tight(const struct host_state *m, const struct flow_usage *u)
{
	return m->live > flow_pairs / 2 || u->flows > (__s32)(flow_allowance / 2);
}

/* claim finds a slot and makes it BUSY; NO_SLOT when there is none. */
__noinline __u32 claim(__u64 now, int tight)
{
	struct clock_walk w = { .now = now, .found = NO_SLOT, .tight = tight };

	bpf_loop(tight ? STEPS_TIGHT : STEPS, clock_step, &w, 0);
	if (w.found == NO_SLOT)
		bpf_loop(STEPS_FULL, probe_step, &w, 0);
	return w.found;
}

/* make_room is for a full table: look much further; true if anything went. */
__noinline int make_room(__u64 now)
{
	struct clock_walk w = { .now = now, .found = 0, .tight = 1 };

	bpf_loop(STEPS_FULL, clock_step, &w, 0);
	return w.freed;
}
