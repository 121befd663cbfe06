//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * One bounded turn of the clock, run by user space now and then. It only keeps
 * the table tidy: new flows make their own room when nobody runs this.
 */
#include "lib/claim.h"

struct sweep_walk {
	struct host_state *m;
	struct sweep_args *out;
	__u64 now;
};

static long sweep_step(__u64 n, struct sweep_walk *w)
{
	__u32 index = __sync_fetch_and_add(&w->m->hand, 1) & flow_slot_mask;
	int result = reclaim(index, w->now, 0);

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

char _license[] SEC("license") = "Dual BSD/GPL";
