/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * ARP is answered here for the router and for addresses that have an
 * interface in the subnet, and never travels. Nobody is told about his own
 * address, or his duplicate detection would see a conflict.
 */
#pragma once

#include "deliver.h"
#include "port.h"

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

static __always_inline int arp_answer(struct __sk_buff *skb, const struct port *port, const __u8 *mac,
				      const struct arp_ipv4 *ask)
{
	struct arp_frame out = {};

	__builtin_memcpy(out.eth.h_dest, port->mac, 6);
	__builtin_memcpy(out.eth.h_source, mac, 6);
	out.eth.h_proto = bpf_htons(ETH_P_ARP);
	out.arp.hdr = ask->hdr;
	out.arp.hdr.ar_op = bpf_htons(ARPOP_REPLY);
	__builtin_memcpy(out.arp.sha, mac, 6);
	__builtin_memcpy(out.arp.spa, ask->tpa, 4);
	__builtin_memcpy(out.arp.tha, port->mac, 6);
	__builtin_memcpy(out.arp.tpa, ask->spa, 4);
	if (bpf_skb_store_bytes(skb, 0, &out, sizeof(out), 0))
		return drop(skb, port->eni, STAGE_ARP, DROP_MALFORMED);
	/* Not through the port's own queue: the kernel starts that a moment after
	 * the link is up, and would lose the first answers of every new port. */
	return deliver(skb, skb->ifindex, port->flags & PORT_TAP);
}

__noinline int arp_stage(struct __sk_buff *skb, struct port *port)
{
	const __u8 *answer;
	struct endpoint *ep;
	struct arp_ipv4 *arp;
	__be32 spa, tpa;

	if (!port)
		return TC_ACT_SHOT;
	linear(skb, ETH_HLEN + sizeof(*arp));
	arp = frame(skb) + ETH_HLEN;
	if ((void *)(arp + 1) > frame_end(skb) || !arp_valid(arp))
		return drop(skb, port->eni, STAGE_ARP, DROP_MALFORMED);
	spa = read4(arp->spa);
	tpa = read4(arp->tpa);
	if (!mac_equal(arp->sha, port->mac))
		return drop(skb, port->eni, STAGE_ARP, DROP_ARP_SPOOF);
	if (spa) {
		ep = endpoint_of(port->vpc, spa);
		if (!ep || ep->eni != port->eni)
			return drop(skb, port->eni, STAGE_ARP, DROP_ARP_SPOOF);
	}
	if (arp->hdr.ar_op != bpf_htons(ARPOP_REQUEST) || spa == tpa)
		return drop(skb, port->eni, STAGE_ARP, DROP_ARP_IGNORED);
	if (tpa == port->router)
		return arp_answer(skb, port, port->router_mac, arp);

	ep = in_subnet(port, tpa) ? endpoint_of(port->vpc, tpa) : 0;
	if (!ep || ep->subnet != port->subnet)
		return drop(skb, port->eni, STAGE_ARP, DROP_ARP_UNKNOWN);
	if (ep->eni == port->eni)
		return drop(skb, port->eni, STAGE_ARP, DROP_ARP_IGNORED);
	answer = ep->mac;
	return arp_answer(skb, port, answer, arp);
}
