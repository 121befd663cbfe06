/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Changes of an entry in place. */
#pragma once

#include "flow.h"

/* begin and finish bracket a change in place, by one CPU at a time. An element
 * that was recycled for another tuple is left as it was. */
static __always_inline int begin_from(struct flow *f, const struct flow_key *key, __u32 was)
{
	if (!swap_state(&f->state, was, FLOW_BUILDING))
		return 0;
	if (!same_key(&f->key, key)) {
		swap_state(&f->state, FLOW_BUILDING, was);
		return 0;
	}
	WRITE(f->epoch, 0);
	WRITE(f->born, bpf_ktime_get_ns());
	return 1;
}

static __always_inline int begin(struct flow *f, const struct flow_key *key)
{
	__u32 was = READ(f->state);

	return (was == FLOW_LIVE || was == FLOW_DEAD) && begin_from(f, key, was);
}

static __always_inline void finish(struct flow *f, __u32 epoch)
{
	WRITE(f->epoch, epoch);
	swap_state(&f->state, FLOW_BUILDING, FLOW_LIVE);
}
