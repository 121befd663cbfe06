/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * One address for another, at the internet gateway: the source of what leaves,
 * the destination of what enters. Stateless and one for one, so a fragment
 * without ports is translated like any packet. Checksums follow; one that is
 * still to be computed by a device is left to it.
 */
#pragma once

#include "flow.h"

#define OFF_IP_CHECK (ETH_HLEN + offsetof(struct iphdr, check))

static __always_inline __u32 off_address(int source)
{
	return source ? offsetof(struct iphdr, saddr) : offsetof(struct iphdr, daddr);
}

/* Where a protocol has the checksum that covers both addresses. */
static __always_inline __u32 off_sum(__u8 proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return offsetof(struct tcphdr, check);
	case IPPROTO_UDP:
		return offsetof(struct udphdr, check);
	}
	return 0;
}

/* To UDP, 0 says that there is none. */
static __always_inline __u64 no_sum(__u8 proto) { return proto == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0; }

/* translate gives the packet its other address. Of fragments only the first has
 * the checksum. */
__noinline int translate(struct __sk_buff *skb, const struct packet *p, __be32 to)
{
	__u32 sum, source;
	__be32 from;

	if (!p)
		return -1;
	source = !is_edge(p->key.eni);
	from = source ? p->key.saddr : p->key.daddr;
	sum = p->fragment ? 0 : off_sum(p->key.proto);
	if (sum && bpf_l4_csum_replace(skb, p->l4 + sum, from, to,
				       BPF_F_PSEUDO_HDR | no_sum(p->key.proto) | 4))
		return -1;
	if (bpf_l3_csum_replace(skb, OFF_IP_CHECK, from, to, 4))
		return -1;
	return bpf_skb_store_bytes(skb, ETH_HLEN + off_address(source), &to, sizeof(to), 0);
}

/* quoted_sum makes the checksum that is quoted right, if that much is quoted, and
 * with it the error's own, which covers nothing behind the packet's end. */
static __always_inline int quoted_sum(struct __sk_buff *skb, const struct packet *p, __u32 at, __be32 from, __be32 to,
				      __u64 none)
{
	__be16 was, now;

	if (at + sizeof(was) > ETH_HLEN + p->len || bpf_skb_load_bytes(skb, at, &was, sizeof(was)))
		return 0;
	if (bpf_l4_csum_replace(skb, at, from, to, none | 4) || bpf_skb_load_bytes(skb, at, &now, sizeof(now)))
		return -1;
	return bpf_l4_csum_replace(skb, p->l4 + offsetof(struct icmphdr, checksum), was, now, 2);
}

/* translate_quote does the same in the packet that an ICMP error quotes, which
 * went the other way. Its address need not be the error's own: an interface may
 * complain from another of its addresses. The sum over a header with its checksum
 * does not change. */
__noinline int translate_quote(struct __sk_buff *skb, const struct packet *p, __be32 to)
{
	__u32 quote, source, sum;
	struct iphdr ip;
	__be32 from;

	if (!p)
		return -1;
	source = is_edge(p->key.eni);
	quote = p->l4 + sizeof(struct icmphdr);
	if (bpf_skb_load_bytes(skb, quote, &ip, sizeof(ip)))
		return -1;
	from = source ? ip.saddr : ip.daddr;
	sum = off_sum(ip.protocol);
	if (sum && quoted_sum(skb, p, quote + ip.ihl * 4 + sum, from, to, no_sum(ip.protocol)))
		return -1;
	if (bpf_l3_csum_replace(skb, quote + offsetof(struct iphdr, check), from, to, 4))
		return -1;
	return bpf_skb_store_bytes(skb, quote + off_address(source), &to, sizeof(to), 0);
}
