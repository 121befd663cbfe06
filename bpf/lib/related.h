/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * ICMP errors belong to the flow whose packet they quote, whatever the groups'
 * rules say of ICMP; network ACLs judge them like any packet. One that quotes no
 * live flow of its sender is dropped.
 */
#pragma once

#include "forward.h"
#include "hits.h"

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

/* quoted_reply: the packet with which the sender of the error would answer what
 * it quotes. Not inlined: the deepest chain of calls begins in its caller. */
static __noinline int quoted_reply(struct __sk_buff *skb, const struct packet *p, struct packet *out)
{
	struct flow_key asked = {};
	struct quote q;

	if (!p || !out)
		return -1;
	if (bpf_skb_load_bytes(skb, p->l4 + sizeof(struct icmphdr), &q.ip, sizeof(q.ip)))
		return -1;
	if (q.ip.version != 4 || q.ip.ihl < 5 || (q.ip.frag_off & bpf_htons(FRAG_OFFSET)))
		return -1;
	if (p->l4 + sizeof(struct icmphdr) + q.ip.ihl * 4 + sizeof(q.l4) > ETH_HLEN + p->len)
		return -1; /* what is behind the packet's end is not quoted */
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
	__builtin_memset(out, 0, sizeof(*out));
	other_half(&asked, p->key.eni, 0, &out->key);
	if (q.ip.protocol == IPPROTO_ICMP) {
		out->icmp_type = out->key.dport & 0xff;
		out->icmp_code = out->key.dport >> 8;
	}
	out->now = p->now;
	return 0;
}

/* From the world any router may complain, also one that shows a private address:
 * what counts is the flow that it speaks of. */
static __noinline int may_complain(const struct packet *p, const struct port *port)
{
	struct endpoint *src;

	if (!p || !port)
		return 0;
	if (!(port->flags & PORT_SRC_DST_CHECK))
		return !impossible(p->key.saddr);
	src = endpoint_of(port->vpc, p->key.saddr);
	return src && src->eni == port->eni;
}

/* related passes an error if the flow that it quotes is live and its own packets
 * would pass now: an error must not outlive what it speaks of. The entry stays as
 * it is; the flow's next packet is judged for itself. */
__noinline int related(struct __sk_buff *skb, const struct packet *p, __u32 slot, struct port *port)
{
	struct scratch *own = scratch();
	struct decision *d;
	struct port *peer;
	struct flow *f;

	if (!p || !port || !own)
		return TC_ACT_SHOT;
	d = &own->d;
	if (!may_complain(p, port))
		return drop(skb, port->eni, STAGE_SPOOF, DROP_ANTI_SPOOF);
	if (quoted_reply(skb, p, &own->quoted))
		return drop(skb, port->eni, STAGE_FLOW, DROP_STRAY);
	f = flow_of(&own->quoted);
	if (!f || READ(f->state) != FLOW_LIVE)
		return drop(skb, port->eni, STAGE_FLOW, DROP_STRAY);
	if (decide(&own->quoted, port, f, d, p)) {
		count_refusal(d, p->now);
		return drop_rule(skb, blamed(port, d), d->stage << 8 | d->reason, d->rule);
	}
	if (d->fresh)
		return drop(skb, port->eni, STAGE_FLOW, DROP_STRAY);
	peer = port_at(d->peer_slot);
	if (!peer || !dst_mac_ok(skb, port, peer))
		return drop(skb, port->eni, STAGE_ROUTE, DROP_DST_MAC);
	d->begins = 1; /* ACLs are asked about each */
	count_verdicts(d, port, peer, p->now);
	if (d->nat && translate_quote(skb, p, d->nat))
		return drop(skb, port->eni, STAGE_PARSE, DROP_MALFORMED);
	return forward(skb, p, d->nat, &(struct hop){ slot, port, d->peer_slot, peer, d->out });
}
