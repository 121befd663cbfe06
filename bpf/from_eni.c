//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Ingress of an interface's port: everything for packets that a workload
 * sends. A packet leaves by redirection, or is dropped by name, or is for the
 * router itself; nothing else is ever passed to the kernel.
 */
#include "lib/arp.h"
#include "lib/forward.h"
#include "lib/fragment.h"
#include "lib/install.h"
#include "lib/related.h"

#define MISS (-2)

/* Types that only Go needs: without a user they would not be in the object. */
const enum drop_stage *export_stage __attribute__((unused));
const enum drop_reason *export_reason __attribute__((unused));
const enum port_flags *export_port_flags __attribute__((unused));
const enum flow_state *export_flow_state __attribute__((unused));
const enum flow_flags *export_flow_flags __attribute__((unused));
const enum flow_seen *export_flow_seen __attribute__((unused));
const enum list_flags *export_list_flags __attribute__((unused));
const enum route_target *export_route_target __attribute__((unused));

/* The router answers ping; what else it shall offer is named here one by one. */
static __noinline int service(struct __sk_buff *skb, const struct packet *p, struct port *port)
{
	struct ethhdr *eth = frame(skb);
	struct endpoint *src;

	if (!p || !port || (void *)(eth + 1) > frame_end(skb))
		return TC_ACT_SHOT;
	if (!mac_equal(eth->h_dest, port->router_mac))
		return drop(skb, port->eni, STAGE_ROUTE, DROP_DST_MAC);
	src = endpoint_of(port->vpc, p->key.saddr);
	if (!src || src->eni != port->eni)
		return drop(skb, port->eni, STAGE_SPOOF, DROP_ANTI_SPOOF);
	if (p->key.proto != IPPROTO_ICMP || p->icmp_type != ICMP_ECHO || p->first || p->fragment)
		return drop(skb, port->eni, STAGE_ROUTE, DROP_SERVICE);
	return TC_ACT_OK;
}

/* A GSO packet is as long as its segments will be. */
static __always_inline int too_big(struct __sk_buff *skb, const struct packet *p, const struct port *port)
{
	__u32 gso = skb->gso_size;

	return (gso ? gso + p->header : p->len) > port->mtu;
}

/* Apart, because the key's place on the stack would be the hot path's too. */
static __noinline int expired(const struct packet *p, struct flow *f, __u64 now)
{
	struct flow_key rev;

	if (!p || !f)
		return 1;
	other_half(&p->key, f->peer_eni, &rev);
	return pair_expired(p->key.proto, f, bpf_map_lookup_elem(&flows, &rev), now, 0);
}

/* Idle or closing entries need a look at their other half. */
static __always_inline int maybe_expired(const struct packet *p, struct flow *f, __u64 now)
{
	if (READ(f->last_seen) + IDLE_MIN > now && !(f->seen & (SEEN_FIN | SEEN_RST)))
		return 0;
	return expired(p, f, now);
}

static __always_inline void touch(struct flow *f, const struct packet *p, __u64 now)
{
	__u32 seen = f->seen, next = (p->tcp & SEEN_RST ? seen : seen & ~SEEN_RST) | p->tcp;

	WRITE(f->last_seen, now);
	if (next != seen)
		WRITE(f->seen, next);
	__sync_fetch_and_add(&f->packets, 1);
	__sync_fetch_and_add(&f->bytes, p->len);
}

/* One lookup for an established packet, or MISS. */
static __always_inline int established(struct __sk_buff *skb, const struct packet *p, __u32 slot, struct port *port,
				       struct flow *f, __u64 now)
{
	__u64 born = READ(f->born);
	__u32 peer_slot = READ(f->peer_slot);
	struct port *peer;

	if (READ(f->state) != FLOW_LIVE || READ(f->epoch) != port->epoch || READ(f->own_slot) != slot || p->syn ||
	    !same_key(&f->key, &p->key))
		return MISS;
	peer = port_at(peer_slot);
	if (!peer || READ(f->peer_epoch) != peer->epoch || maybe_expired(p, f, now))
		return MISS;
	if (!dst_mac_ok(skb, port, peer))
		return drop(skb, port->eni, STAGE_ROUTE, DROP_DST_MAC);
	touch(f, p, now);
	/* Killed or recycled meanwhile: the full walk decides. */
	if (READ(f->state) != FLOW_LIVE || READ(f->born) != born)
		return MISS;
	return forward(skb, p->len, slot, port, peer_slot, peer);
}

static __noinline int first_packet(struct __sk_buff *skb, const struct packet *p, __u32 slot, struct port *port,
				   __u64 now)
{
	struct decision d = {};
	struct port *peer;
	struct flow *f;
	int reason;

	if (!p || !port)
		return TC_ACT_SHOT;
	f = bpf_map_lookup_elem(&flows, &p->key);
	if (decide(p, port, f, now, &d))
		return drop_rule(skb, port->eni, d.stage << 8 | d.reason, 0);
	peer = port_at(d.peer_slot);
	if (!peer || !dst_mac_ok(skb, port, peer))
		return drop(skb, port->eni, STAGE_ROUTE, DROP_DST_MAC);
	reason = f ? renew(p, slot, &d, f, now) : create(p, slot, &d, now);
	if (reason)
		return drop_rule(skb, port->eni, STAGE_FLOW << 8 | reason, 0);
	return forward(skb, p->len, slot, port, d.peer_slot, peer);
}

static __always_inline int ipv4(struct __sk_buff *skb, __u32 slot, struct port *port)
{
	__u64 now = bpf_ktime_get_coarse_ns();
	struct packet p = {};
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
	if (p.fragment && frag_recall(&p, now))
		return drop(skb, port->eni, STAGE_PARSE, DROP_FRAGMENT);
	if (p.first)
		frag_remember(&p, now);
	if (p.key.proto == IPPROTO_ICMP && p.icmp_type == ICMP_REDIRECT)
		return drop(skb, port->eni, STAGE_PARSE, DROP_REDIRECT);
	if (is_icmp_error(&p))
		return related(skb, &p, slot, port);
	f = bpf_map_lookup_elem(&flows, &p.key);
	if (f) {
		int verdict = established(skb, &p, slot, port, f, now);

		if (verdict != MISS)
			return verdict;
	}
	return first_packet(skb, &p, slot, port, now);
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
		return drop(skb, port->eni, STAGE_ROUTE, DROP_BROADCAST);
	if (mac_multicast(eth->h_dest))
		return drop(skb, port->eni, STAGE_ROUTE, DROP_MULTICAST);
	return ipv4(skb, slot, port);
}

char _license[] SEC("license") = "Dual BSD/GPL";
