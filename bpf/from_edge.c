//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Ingress of the host's end of a gateway's link: packets from public addresses that
 * the world knows leave by the device that the host's routes name, if that is one
 * towards the world. Everything else takes the kernel's way, with its firewall:
 * what is for the host itself or for its other networks, what has no route, and
 * what is too long, of which the kernel tells the sender.
 */
#include "lib/direct.h"

#define INET 2 /* AF_INET */

/* The longest packet that this one will be on the wire, bytes. */
static __always_inline __u32 longest(struct __sk_buff *skb, const struct iphdr *ip)
{
	__u32 header = ip->ihl * 4, gso = skb->gso_size;
	__u8 words = 0;

	if (!gso)
		return bpf_ntohs(ip->tot_len);
	if (ip->protocol != IPPROTO_TCP)
		return gso + header + sizeof(struct udphdr);
	bpf_skb_load_bytes(skb, ETH_HLEN + header + 12, &words, 1);
	return gso + header + (words >> 4) * 4;
}

static __always_inline int leaves(struct __sk_buff *skb, const struct iphdr *ip)
{
	struct bpf_fib_lookup way = {
		.family = INET, .l4_protocol = ip->protocol, .tos = ip->tos, .ifindex = skb->ifindex,
		.ipv4_src = ip->saddr, .ipv4_dst = ip->daddr,
	};
	struct bpf_redir_neigh next = {};
	__u32 len = longest(skb, ip);
	long verdict;

	if (!len || len > 0xffff)
		return LEFT_ALONE;
	way.tot_len = len;
	verdict = bpf_fib_lookup(skb, &way, sizeof(way), 0);
	if (verdict != BPF_FIB_LKUP_RET_SUCCESS && verdict != BPF_FIB_LKUP_RET_NO_NEIGH)
		return LEFT_ALONE;
	if (!bpf_map_lookup_elem(&uplinks, &way.ifindex))
		return LEFT_ALONE;
	next.nh_family = way.family;
	__builtin_memcpy(next.ipv6_nh, way.ipv6_dst, sizeof(next.ipv6_nh));
	return bpf_redirect_neigh(way.ifindex, &next, sizeof(next), 0);
}

SEC("tc")
int vpc_from_edge(struct __sk_buff *skb)
{
	struct public_address *a;
	struct iphdr *ip;

	if (skb->vlan_present || skb->protocol != bpf_htons(ETH_P_IP))
		return LEFT_ALONE;
	ip = ip_header(skb);
	if (!ip || !is_direct(public_of(ip->saddr)))
		return LEFT_ALONE;
	a = public_of(ip->daddr);
	return a ? into(skb, a->vpc) : leaves(skb, ip);
}

char _license[] SEC("license") = "Dual BSD/GPL";
