/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* ARP's frames: a question, and the answer that is written over it. */
#pragma once

#include "packet.h"

struct arp_ipv4 {
	struct arphdr hdr;
	__u8 sha[6];
	__u8 spa[4];
	__u8 tha[6];
	__u8 tpa[4];
} __attribute__((packed));

static __always_inline __be32 read4(const __u8 *b)
{
	return *(const __be16 *)b | (__u32)*(const __be16 *)(b + 2) << 16;
}

static __always_inline int arp_valid(const struct arp_ipv4 *arp)
{
	return arp->hdr.ar_hrd == bpf_htons(ARPHRD_ETHER) && arp->hdr.ar_pro == bpf_htons(ETH_P_IP) &&
	       arp->hdr.ar_hln == ETH_ALEN && arp->hdr.ar_pln == 4;
}

/* A whole answer; written at once, so the frame is not unshared unless we answer. */
struct arp_frame {
	struct ethhdr eth;
	struct arp_ipv4 arp;
} __attribute__((packed));

/* arp_turn: the question becomes its answer, to the asker from mac. */
static __always_inline long arp_turn(struct __sk_buff *skb, const __u8 *asker, const __u8 *mac,
				     const struct arp_ipv4 *ask)
{
	struct arp_frame out = {};

	__builtin_memcpy(out.eth.h_dest, asker, 6);
	__builtin_memcpy(out.eth.h_source, mac, 6);
	out.eth.h_proto = bpf_htons(ETH_P_ARP);
	out.arp.hdr = ask->hdr;
	out.arp.hdr.ar_op = bpf_htons(ARPOP_REPLY);
	__builtin_memcpy(out.arp.sha, mac, 6);
	__builtin_memcpy(out.arp.spa, ask->tpa, 4);
	__builtin_memcpy(out.arp.tha, asker, 6);
	__builtin_memcpy(out.arp.tpa, ask->spa, 4);
	return bpf_skb_store_bytes(skb, 0, &out, sizeof(out), 0);
}
