/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Public addresses that the world knows, on the host: from an uplink to the VPC
 * and back, past the host's forwarding and connection tracking. What is not for
 * them is left to the kernel, and to other programs at the same place.
 */
#pragma once

#include "count.h"

#define LEFT_ALONE (-1) /* TC_ACT_UNSPEC and TCX_NEXT alike: whoever is next */

/* The host's ends of gateways' links, by VPC: ifindexes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PORTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} doors SEC(".maps");

struct uplink {
	__u8 mac[6]; /* zero where frames have no addresses */
	__u16 pad;
};

/* Devices towards the world, by ifindex. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct uplink);
} uplinks SEC(".maps");

static __always_inline struct public_address *public_of(__be32 v4)
{
	return bpf_map_lookup_elem(&publics, &v4);
}

static __always_inline int is_direct(const struct public_address *a) { return a && a->flags & PUBLIC_DIRECT; }

/* into a VPC, by the inner end of its gateway's link. What is too long for it is
 * the kernel's: it tells the sender, or makes fragments. */
static __always_inline int into(struct __sk_buff *skb, __u32 vpc)
{
	__u32 *door = bpf_map_lookup_elem(&doors, &vpc);
	__u32 len = 0;

	if (!door || bpf_check_mtu(skb, *door, &len, 0, BPF_MTU_CHK_SEGS))
		return LEFT_ALONE;
	return bpf_redirect_peer(*door, 0);
}

/* header of the IPv4 packet in a frame, or 0. */
static __always_inline struct iphdr *ip_header(struct __sk_buff *skb)
{
	struct iphdr *ip;

	linear(skb, ETH_HLEN + sizeof(*ip));
	ip = frame(skb) + ETH_HLEN;
	return (void *)(ip + 1) > frame_end(skb) || ip->version != 4 || ip->ihl < 5 ? 0 : ip;
}
