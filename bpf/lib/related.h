/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * ICMP errors belong to the flow whose packet they quote, whatever the groups'
 * rules say of ICMP; network ACLs judge them like any packet. One that quotes no
 * live flow of its sender is dropped.
 */
#pragma once

#include "decide.h"
#include "forward.h"

struct quote {
	struct iphdr ip;
	__be16 l4[4];
};

static __always_inline int is_icmp_error(const struct packet *p)
{
	return p->key.proto == IPPROTO_ICMP && !p->fragment &&
	       (p->icmp_type == ICMP_DEST_UNREACH || p->icmp_type == ICMP_TIME_EXCEEDED ||
		p->icmp_type == ICMP_PARAMETERPROB || p->icmp_type == ICMP_SOURCE_QUENCH);
}

/* quoted_reply: the key under which the sender of the error would answer the
 * packet that it quotes. */
static __always_inline int quoted_reply(struct __sk_buff *skb, const struct packet *p, struct flow_key *key)
{
	struct flow_key asked = {};
	struct quote q;

	if (bpf_skb_load_bytes(skb, p->l4 + sizeof(struct icmphdr), &q.ip, sizeof(q.ip)))
		return -1;
	if (q.ip.version != 4 || q.ip.ihl < 5 || (q.ip.frag_off & bpf_htons(FRAG_OFFSET)))
		return -1;
	if (bpf_skb_load_bytes(skb, p->l4 + sizeof(struct icmphdr) + q.ip.ihl * 4, q.l4, sizeof(q.l4)))
		return -1;
	/* The error goes to the sender of what it quotes. */
	if (q.ip.saddr != p->key.daddr)
		return -1;
	asked.saddr = q.ip.saddr;
	asked.daddr = q.ip.daddr;
	asked.proto = q.ip.protocol;
	if (q.ip.protocol == IPPROTO_TCP || q.ip.protocol == IPPROTO_UDP) {
		asked.sport = q.l4[0];
		asked.dport = q.l4[1];
	} else if (q.ip.protocol == IPPROTO_ICMP) {
		asked.sport = q.l4[2];
		asked.dport = bpf_ntohs(q.l4[0]) >> 8 | (bpf_ntohs(q.l4[0]) & 0xff) << 8;
	}
	other_half(&asked, p->key.eni, key);
	return 0;
}

__noinline int related(struct __sk_buff *skb, const struct packet *p, __u32 slot, struct port *port)
{
	struct decision d = {};
	struct endpoint *src, *dst;
	struct flow_key key;
	struct port *peer;
	__u32 peer_slot;
	struct flow *f;

	if (!p || !port)
		return TC_ACT_SHOT;
	src = endpoint_of(port->vpc, p->key.saddr);
	if ((!src || src->eni != port->eni) && (port->flags & PORT_SRC_DST_CHECK))
		return drop(skb, port->eni, STAGE_SPOOF, DROP_ANTI_SPOOF);
	if (quoted_reply(skb, p, &key))
		return drop(skb, port->eni, STAGE_FLOW, DROP_STRAY);
	f = bpf_map_lookup_elem(&flows, &key);
	if (!f || READ(f->state) != FLOW_LIVE)
		return drop(skb, port->eni, STAGE_FLOW, DROP_STRAY);
	peer_slot = READ(f->peer_slot);
	peer = port_at(peer_slot);
	/* The address may have moved since the flow was last judged. */
	dst = endpoint_of(port->vpc, p->key.daddr);
	if (!peer || peer->eni != f->peer_eni || !(peer->flags & PORT_READY) || !dst || dst->eni != peer->eni)
		return drop(skb, port->eni, STAGE_ROUTE, DROP_PEER_DOWN);
	if (!dst_mac_ok(skb, port, peer))
		return drop(skb, port->eni, STAGE_ROUTE, DROP_DST_MAC);
	if (edge(p, port, peer, &d))
		return drop_rule(skb, port->eni, d.stage << 8 | d.reason, d.rule);
	return forward(skb, p->len, slot, port, peer_slot, peer);
}
