/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * ARP is answered here for the router and for addresses that have an
 * interface in the subnet, and never travels. Nobody is told about his own
 * address, or his duplicate detection would see a conflict.
 */
#pragma once

#include "arp_frame.h"
#include "deliver.h"
#include "port.h"

static __always_inline int arp_answer(struct __sk_buff *skb, const struct port *port, const __u8 *mac,
				      const struct arp_ipv4 *ask)
{
	if (arp_turn(skb, port->mac, mac, ask))
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
