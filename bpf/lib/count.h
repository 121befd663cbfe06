/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Counters: every drop by interface, stage, reason and rule. */
#pragma once

#include "maps.h"
#include "packet.h"
#include "reasons.h"

static __always_inline struct host_state *host_state(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&meta, &zero);
}

__noinline int drop_rule(struct __sk_buff *skb, __u32 eni, __u32 stage_reason, __u32 rule)
{
	struct drop_key key = { .eni = eni, .rule = rule, .stage = stage_reason >> 8, .reason = stage_reason & 0xff };
	struct drop_count *c = bpf_map_lookup_elem(&drops, &key);
	struct host_state *m;

	if (!c) {
		struct drop_count zero = {};

		bpf_map_update_elem(&drops, &key, &zero, BPF_NOEXIST);
		c = bpf_map_lookup_elem(&drops, &key);
	}
	if (c) {
		c->packets++;
		c->bytes += skb->len;
	} else {
		m = host_state();
		if (m)
			__sync_fetch_and_add(&m->drops_uncounted, 1);
	}
	return TC_ACT_SHOT;
}

static __always_inline int drop(struct __sk_buff *skb, __u32 eni, enum drop_stage stage, enum drop_reason reason)
{
	return drop_rule(skb, eni, stage << 8 | reason, 0);
}

static __always_inline void count_tx(__u32 slot, __u32 bytes)
{
	struct port_stats *s = bpf_map_lookup_elem(&stats, &slot);

	if (s) {
		s->tx_packets++;
		s->tx_bytes += bytes;
	}
}

static __always_inline void count_rx(__u32 slot, __u32 bytes)
{
	struct port_stats *s = bpf_map_lookup_elem(&stats, &slot);

	if (s) {
		s->rx_packets++;
		s->rx_bytes += bytes;
	}
}
