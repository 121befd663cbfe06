/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What one walk works on, per CPU: the deepest chain of calls has 512 bytes of
 * stack. Nothing interrupts a program of this hook with another.
 */
#pragma once

#include "packet.h"

struct decision {
	__u64 generation;	 /* of the policy that decided */
	__u32 epoch, peer_epoch; /* read before any rule */
	__u32 peer_slot, peer_eni;
	__u32 own_rule, peer_rule;
	__u32 acl_out, acl_in;
	__u32 flags;		 /* enum flow_flags */
	__u8 fresh;		 /* a new flow, not a known one judged again */
	__u8 begins;		 /* the first packet of its direction */
	__u8 crosses;		 /* from subnet to subnet */
	__u8 src_known;		 /* the source is the sender's own address */
	__u8 torn;		 /* made while something was replaced: decide again */
	__u8 ended;		 /* refuses a flow that was to end with its rule */
	__u8 pad[2];
	__be32 nat;		 /* as the flow's */
	__u32 out;
	__u32 acl, peer_acl;	 /* whose rules acl_out and acl_in are */
	__u32 stage, reason, rule;
	__u64 born;		 /* of the entry that was judged */
};

struct scratch {
	struct decision d;
	struct packet quoted; /* what would answer the packet that an ICMP error quotes */
	struct flow half;     /* about to be inserted */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

static __always_inline struct scratch *scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratches, &zero);
}
