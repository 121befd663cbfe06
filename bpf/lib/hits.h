/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Which rules decide: counted once for a flow, per CPU, and never waited for. */
#pragma once

#include "decide.h"

__noinline int hit(__u32 kind, __u32 owner, __u32 rule, __u64 now)
{
	struct hit_key key = { .owner = owner, .rule = rule, .kind = kind };
	struct hit_count *c, zero = {};
	struct host_state *m;

	if (!rule)
		return 0;
	c = bpf_map_lookup_elem(&hits, &key);
	if (!c) {
		bpf_map_update_elem(&hits, &key, &zero, BPF_NOEXIST);
		c = bpf_map_lookup_elem(&hits, &key);
	}
	if (c) {
		c->verdicts++;
		c->last = now;
		return 0;
	}
	m = host_state();
	if (m)
		__sync_fetch_and_add(&m->hits_uncounted, 1);
	return 0;
}

/* The verdicts of a packet that passed. Groups are asked once for a flow, ACLs
 * once for each of its directions. */
static __always_inline void count_verdicts(const struct decision *d, const struct port *from, const struct port *to,
					   __u64 now)
{
	if (d->fresh) {
		hit(HIT_GROUP, from->vpc, d->own_rule, now);
		hit(HIT_GROUP, to->vpc, d->peer_rule, now);
	}
	if (d->begins && d->crosses) {
		hit(HIT_ACL_OUT, d->acl, d->acl_out, now);
		hit(HIT_ACL_IN, d->peer_acl, d->acl_in, now);
	}
}

/* The verdict of a rule that refuses; only ACLs have such. */
static __always_inline void count_refusal(const struct decision *d, __u64 now)
{
	if (d->stage == STAGE_NACL_OUT)
		hit(HIT_ACL_OUT, d->acl, d->rule, now);
	if (d->stage == STAGE_NACL_IN)
		hit(HIT_ACL_IN, d->peer_acl, d->rule, now);
}
