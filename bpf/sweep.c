//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Walks along the clock, run by user space. vpc_sweep is one bounded turn, now
 * and then: it only keeps the table tidy, new flows make their own room when
 * nobody runs it. vpc_cut ends what outlives a rule that is gone; vpc_adopt takes
 * over what another layout of the maps had.
 */
#include "lib/adopt.h"
#include "lib/bits.h"
#include "lib/build.h"
#include "lib/calls.h"
#include "lib/claim.h"

struct sweep_walk {
	struct host_state *m;
	struct sweep_args *out;
	__u64 now;
};

static long sweep_step(__u64 n, struct sweep_walk *w)
{
	__u32 index = __sync_fetch_and_add(&w->m->hand, 1) & flow_slot_mask;
	int result = reclaim(index, w->now, ROOMY);

	if (result == RECLAIM_KILLED)
		w->out->killed++;
	if (result == RECLAIM_DELETED)
		w->out->deleted++;
	if (result == RECLAIM_KEPT)
		w->out->used++;
	return 0;
}

/* This program type has no coarse clock; it is at most a tick behind. */
SEC("syscall")
int vpc_sweep(struct sweep_args *args)
{
	struct sweep_args out = {};
	struct sweep_walk w = { .m = host_state(), .out = &out, .now = bpf_ktime_get_ns() };

	if (!w.m)
		return 1;
	bpf_loop(args->budget, sweep_step, &w, 0);
	args->killed = out.killed;
	args->deleted = out.deleted;
	args->used = out.used;
	return 0;
}

/* Which sides of a flow track it by one of the rules. */
__noinline __u32 outlived(const struct flow *f, const struct cut_args *args)
{
	__u32 i, own = 0, peer = 0;

	if (!f || !args)
		return 0;
#pragma unroll
	for (i = 0; i < CUT_RULES; i++) {
		own |= is_zero(args->rule[i] ^ f->own_rule);
		peer |= is_zero(args->rule[i] ^ f->peer_rule);
	}
	/* 0 is no rule. */
	own &= is_zero(is_zero(f->own_rule)) & is_zero(is_zero(f->flags & FLOW_TRACK_OWN));
	peer &= is_zero(is_zero(f->peer_rule)) & is_zero(is_zero(f->flags & FLOW_TRACK_PEER));
	return own * FLOW_CUT_OWN | peer * FLOW_CUT_PEER;
}

static __always_inline __u32 seen_from(__u32 marks)
{
	return (marks & FLOW_CUT_OWN ? FLOW_CUT_PEER : 0) | (marks & FLOW_CUT_PEER ? FLOW_CUT_OWN : 0);
}

/* cut_half makes the next packet of a half ask those groups again. Each half
 * remembers the rules of both sides as it met them. */
static __always_inline void cut_half(struct cut_args *args, struct flow *f, const struct flow_key *key)
{
	struct flow *rev = partner(f);
	__u32 marks = outlived(f, args);

	if (rev)
		marks |= seen_from(outlived(rev, args));
	if (READ(f->state) == FLOW_BUILDING || (rev && READ(rev->state) == FLOW_BUILDING))
		args->busy++;
	if (!marks || READ(f->state) != FLOW_LIVE)
		return;
	if (!begin_from(f, key, FLOW_LIVE)) {
		args->busy++;
		return;
	}
	f->flags |= marks;
	finish(f, 0);
	args->cut += !(f->flags & FLOW_REVERSE);
}

static long cut_step(__u64 n, struct cut_args *args)
{
	__u32 index = (args->from + n) & flow_slot_mask;
	struct flow_slot *s = bpf_map_lookup_elem(&flow_slots, &index);
	struct flow_key key;
	struct flow *f;

	if (!s || READ(s->state) == SLOT_FREE)
		return 0;
	key = s->key;
	f = bpf_map_lookup_elem(&flows, &key);
	if (f)
		cut_half(args, f, &key);
	return 0;
}

SEC("syscall")
int vpc_cut(struct cut_args *args)
{
	struct cut_args own = *args;

	bpf_loop(args->count, cut_step, &own, 0);
	args->cut = own.cut;
	args->busy = own.busy;
	return 0;
}

SEC("syscall")
int vpc_adopt(struct adopt_args *args)
{
	struct adopt_args own = *args;

	bpf_loop(args->count, adopt_step, &own, 0);
	args->adopted = own.adopted;
	args->known = own.known;
	args->refused = own.refused;
	args->nobodys = own.nobodys;
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
