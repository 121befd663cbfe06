//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Ingress of a device towards the world, where public addresses are known to it.
 * Whoever asks for one that an interface has is answered, packets for it go
 * straight to its VPC, and all else is the host's own business.
 */
#include "lib/arp_frame.h"
#include "lib/direct.h"

#define TO_HOST 0    /* PACKET_HOST */
#define TO_OTHERS 3  /* PACKET_OTHERHOST: only a promiscuous device shows it */

/* A question by its owner, about his own address, is an announcement. One without
 * a source is asked before somebody takes the address: he must hear of us. */
static __always_inline int asked(struct __sk_buff *skb)
{
	__u32 device = skb->ifindex;
	struct public_address *a;
	struct arp_ipv4 *arp;
	struct uplink *u;
	__u8 asker[6];
	__be32 tpa;

	linear(skb, ETH_HLEN + sizeof(*arp));
	arp = frame(skb) + ETH_HLEN;
	if ((void *)(arp + 1) > frame_end(skb) || !arp_valid(arp) || arp->hdr.ar_op != bpf_htons(ARPOP_REQUEST))
		return LEFT_ALONE;
	tpa = read4(arp->tpa);
	a = public_of(tpa);
	u = bpf_map_lookup_elem(&uplinks, &device);
	if (!a || !u || a->segment != device || read4(arp->spa) == tpa)
		return LEFT_ALONE;
	__builtin_memcpy(asker, arp->sha, 6);
	if (arp_turn(skb, asker, u->mac, arp))
		return TC_ACT_SHOT;
	return bpf_redirect(device, 0);
}

/* Nobody out there has an address that is somebody's in here. */
static __always_inline int arrives(struct __sk_buff *skb)
{
	struct iphdr *ip = ip_header(skb);
	struct public_address *a = ip ? public_of(ip->daddr) : 0;

	if (!is_direct(a))
		return LEFT_ALONE;
	if (public_of(ip->saddr))
		return drop(skb, EDGE_ENI | a->vpc, STAGE_SPOOF, DROP_ANTI_SPOOF);
	return into(skb, a->vpc);
}

SEC("tc")
int vpc_from_uplink(struct __sk_buff *skb)
{
	if (skb->vlan_present || skb->pkt_type == TO_OTHERS)
		return LEFT_ALONE;
	if (skb->protocol == bpf_htons(ETH_P_ARP))
		return asked(skb);
	if (skb->protocol == bpf_htons(ETH_P_IP) && skb->pkt_type == TO_HOST)
		return arrives(skb);
	return LEFT_ALONE;
}

char _license[] SEC("license") = "Dual BSD/GPL";
