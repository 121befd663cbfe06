//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Ingress of a port: everything for packets that a workload sends, and for those
 * that come from the world through a gateway. A packet leaves by redirection, or
 * is dropped by name, or is for the router itself; nothing else is ever passed to
 * the kernel.
 */
#include "lib/arp.h"
#include "lib/established.h"
#include "lib/export.h"
#include "lib/first.h"
#include "lib/fragment.h"
#include "lib/related.h"
#include "lib/service.h"

/* A GSO packet is as long as its segments will be, any other as its frame:
 * bytes behind the packet's end travel too. */
static __always_inline int too_big(struct __sk_buff *skb, const struct packet *p, const struct port *port)
{
	__u32 gso = skb->gso_size;

	return (gso ? gso + p->header : skb->len - ETH_HLEN) > port->mtu;
}

static __always_inline int ipv4(struct __sk_buff *skb, __u32 slot, struct port *port)
{
	struct packet p = { .now = bpf_ktime_get_coarse_ns() };
	struct flow *f;
	int reason;

	p.key.eni = port->eni;
	reason = parse(skb, &p);
	if (reason)
		return drop(skb, port->eni, STAGE_PARSE, reason);
	if (p.key.daddr == port->router && !is_gateway(port))
		return service(skb, &p, port);
	if (too_big(skb, &p, port))
		return drop(skb, port->eni, STAGE_PARSE, DROP_TOO_BIG);
	if (p.fragment && frag_recall(&p, slot))
		return drop(skb, port->eni, STAGE_PARSE, DROP_FRAGMENT);
	if (p.first)
		frag_remember(&p, slot);
	if (p.key.proto == IPPROTO_ICMP && p.icmp_type == ICMP_REDIRECT)
		return drop(skb, port->eni, STAGE_PARSE, DROP_REDIRECT);
	if (is_icmp_error(&p))
		return related(skb, &p, slot, port);
	f = bpf_map_lookup_elem(&flows, &p.key);
	if (f) {
		int verdict = established(skb, &p, slot, port, f);

		if (verdict != MISS)
			return verdict;
	}
	return first_packet(skb, &p, slot, port, f);
}

#define IS_IPV4 (-1)

/* A frame of an interface: its own, and IPv4, or ARP, which ends here. */
static __always_inline int from_interface(struct __sk_buff *skb, const struct ethhdr *eth, struct port *port)
{
	if (!mac_equal(eth->h_source, port->mac))
		return drop(skb, port->eni, STAGE_SPOOF, DROP_ANTI_SPOOF);
	if (eth->h_proto == bpf_htons(ETH_P_ARP))
		return arp_stage(skb, port);
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		return drop(skb, port->eni, STAGE_PARSE, DROP_IPV6);
	if (eth->h_proto != bpf_htons(ETH_P_IP))
		return drop(skb, port->eni, STAGE_PARSE, DROP_ETHERTYPE);
	if (mac_broadcast(eth->h_dest))
		return broadcast(skb, port);
	if (mac_multicast(eth->h_dest))
		return drop(skb, port->eni, STAGE_ROUTE, DROP_MULTICAST);
	return IS_IPV4;
}

/* A frame that the host sends to a gateway: its addresses mean nothing. */
static __always_inline int from_world(struct __sk_buff *skb, const struct ethhdr *eth, struct port *port)
{
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return IS_IPV4;
	return drop(skb, port->eni, STAGE_PARSE, eth->h_proto == bpf_htons(ETH_P_IPV6) ? DROP_IPV6 : DROP_ETHERTYPE);
}

SEC("tc")
int vpc_from_eni(struct __sk_buff *skb)
{
	__u32 slot = skb->ifindex - PORT_BASE;
	struct port *port = port_at(slot);
	struct ethhdr *eth;
	int verdict;

	if (!port || !(port->flags & PORT_READY))
		return drop(skb, port ? port->eni : 0, STAGE_PORT, DROP_NOT_READY);
	/* The tag is in the metadata; the bytes say nothing of it. */
	if (skb->vlan_present)
		return drop(skb, port->eni, STAGE_PARSE, DROP_VLAN);
	linear(skb, ETH_HLEN);
	eth = frame(skb);
	if ((void *)(eth + 1) > frame_end(skb))
		return drop(skb, port->eni, STAGE_PARSE, DROP_MALFORMED);
	verdict = is_gateway(port) ? from_world(skb, eth, port) : from_interface(skb, eth, port);
	return verdict == IS_IPV4 ? ipv4(skb, slot, port) : verdict;
}

char _license[] SEC("license") = "Dual BSD/GPL";
