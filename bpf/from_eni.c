//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Ingress of an interface's port: everything for packets that a workload
 * sends. A packet leaves by redirection, or is dropped by name, or is for the
 * router itself; nothing else is ever passed to the kernel.
 */
#include "lib/arp.h"
#include "lib/denied.h"
#include "lib/dhcp.h"
#include "lib/established.h"
#include "lib/fragment.h"
#include "lib/hits.h"
#include "lib/install.h"
#include "lib/related.h"
#include "lib/service.h"

/* Types that only Go needs: without a user they would not be in the object. */
const enum drop_stage *export_stage __attribute__((unused));
const enum drop_reason *export_reason __attribute__((unused));
const enum port_flags *export_port_flags __attribute__((unused));
const enum flow_state *export_flow_state __attribute__((unused));
const enum flow_flags *export_flow_flags __attribute__((unused));
const enum flow_seen *export_flow_seen __attribute__((unused));
const enum list_flags *export_list_flags __attribute__((unused));
const enum hit_kind *export_hit_kind __attribute__((unused));
const enum route_target *export_route_target __attribute__((unused));

/* A GSO packet is as long as its segments will be, any other as its frame:
 * bytes behind the packet's end travel too. */
static __always_inline int too_big(struct __sk_buff *skb, const struct packet *p, const struct port *port)
{
	__u32 gso = skb->gso_size;

	return (gso ? gso + p->header : skb->len - ETH_HLEN) > port->mtu;
}

__noinline int first_packet(struct __sk_buff *skb, const struct packet *p, __u32 slot, struct port *port,
			    struct flow *f)
{
	struct scratch *own = scratch();
	struct decision *d;
	struct port *peer;
	int reason;

	if (!p || !port || !own)
		return TC_ACT_SHOT;
	if (dhcp_offer(p))
		return drop(skb, port->eni, STAGE_ROUTE, DROP_ROGUE_DHCP);
	d = &own->d;
	if (recall_denied(p, slot, port, !f || p->syn || READ(f->state) == FLOW_DEAD, d))
		return drop_rule(skb, port->eni, d->stage << 8 | d->reason, d->rule);
	if (decide(p, port, f, d, p)) {
		if (d->ended)
			end(f, p->now);
		remember_denied(p, slot, d);
		count_refusal(d, p->now);
		return drop_rule(skb, port->eni, d->stage << 8 | d->reason, d->rule);
	}
	peer = port_at(d->peer_slot);
	if (!peer || !dst_mac_ok(skb, port, peer))
		return drop(skb, port->eni, STAGE_ROUTE, DROP_DST_MAC);
	/* The answer's half is judged on its own. */
	if (dhcp_request(p))
		d->src_known = 0;
	reason = f ? renew(p, slot, d, f) : create(p, slot, d);
	if (reason)
		return drop_rule(skb, port->eni, STAGE_FLOW << 8 | reason, 0);
	count_verdicts(d, port, peer, p->now);
	return forward(skb, p->len, slot, port, d->peer_slot, peer);
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
	if (p.key.daddr == port->router)
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

SEC("tc")
int vpc_from_eni(struct __sk_buff *skb)
{
	__u32 slot = skb->ifindex - PORT_BASE;
	struct port *port = port_at(slot);
	struct ethhdr *eth;

	if (!port || !(port->flags & PORT_READY))
		return drop(skb, port ? port->eni : 0, STAGE_PORT, DROP_NOT_READY);
	/* The tag is in the metadata; the bytes say nothing of it. */
	if (skb->vlan_present)
		return drop(skb, port->eni, STAGE_PARSE, DROP_VLAN);
	linear(skb, ETH_HLEN);
	eth = frame(skb);
	if ((void *)(eth + 1) > frame_end(skb))
		return drop(skb, port->eni, STAGE_PARSE, DROP_MALFORMED);
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
	return ipv4(skb, slot, port);
}

char _license[] SEC("license") = "Dual BSD/GPL";
