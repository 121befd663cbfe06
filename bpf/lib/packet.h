/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* One bounds-checked parser. What it does not understand is dropped by name. */
#pragma once

#include <linux/icmp.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "maps.h"
#include "reasons.h"

#define FRAG_OFFSET 0x1fff
#define FRAG_MORE 0x2000

/* What the stages need to know of an IPv4 packet. */
struct packet {
	struct flow_key key;
	__u16 l4;	  /* offset of layer 4 from the frame's start */
	__u16 header;	  /* bytes of IP's and layer 4's headers */
	__u32 len;	  /* of the IP packet, bytes; for GSO, of all segments */
	__u8 tcp;	  /* enum flow_seen, of this packet */
	__u8 syn;	  /* a TCP SYN without ACK: asks for a new flow */
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 fragment;	  /* a non-first one: has no layer 4 of its own */
	__u8 first;	  /* the first of several */
	__u16 frag_id;
	__u32 seq, ack;	  /* TCP's, host order */
	__u64 now;	  /* ns, coarse */
};

static __always_inline void *frame(struct __sk_buff *skb) { return (void *)(long)skb->data; }
static __always_inline void *frame_end(struct __sk_buff *skb) { return (void *)(long)skb->data_end; }

/* linear: the first n bytes, or fewer if the frame is shorter, can be read
 * directly. A sender decides how much of its frame is linear; 14 bytes happens. */
static __always_inline void linear(struct __sk_buff *skb, __u32 n)
{
	if (n > skb->len)
		n = skb->len;
	if (frame(skb) + n > frame_end(skb))
		bpf_skb_pull_data(skb, n);
}

static __always_inline int mac_equal(const __u8 *a, const __u8 *b)
{
	return *(const __u16 *)a == *(const __u16 *)b &&
	       *(const __u16 *)(a + 2) == *(const __u16 *)(b + 2) &&
	       *(const __u16 *)(a + 4) == *(const __u16 *)(b + 4);
}

static __always_inline int mac_multicast(const __u8 *a) { return a[0] & 1; }

static __always_inline int mac_broadcast(const __u8 *a)
{
	return (*(const __u16 *)a & *(const __u16 *)(a + 2) & *(const __u16 *)(a + 4)) == 0xffff;
}

static __always_inline void map4(struct addr *a, __be32 v4)
{
	a->w[0] = 0;
	a->w[1] = 0;
	a->w[2] = bpf_htonl(0xffff);
	a->w[3] = v4;
}

/* parse_l4 fills ports, or id and type, of a packet that has its layer 4. */
static __always_inline int parse_l4(struct __sk_buff *skb, struct packet *p, __u32 room)
{
	void *l4 = frame(skb) + p->l4;

	if (p->key.proto == IPPROTO_TCP) {
		struct tcphdr *tcp = l4;

		if (room < sizeof(*tcp) || l4 + sizeof(*tcp) > frame_end(skb) || tcp->doff < 5 || tcp->doff * 4 > room)
			return DROP_MALFORMED;
		/* Neither a beginning nor an end. */
		if (tcp->syn && (tcp->fin || tcp->rst))
			return DROP_MALFORMED;
		p->header += tcp->doff * 4;
		p->key.sport = tcp->source;
		p->key.dport = tcp->dest;
		p->seq = bpf_ntohl(tcp->seq);
		p->ack = bpf_ntohl(tcp->ack_seq);
		p->tcp = SEEN_ANY | SEEN_SEQ | (tcp->syn ? SEEN_SYN : 0) | (tcp->ack ? SEEN_ACK : 0) |
			 (tcp->fin ? SEEN_FIN : 0) | (tcp->rst ? SEEN_RST : 0);
		p->syn = tcp->syn && !tcp->ack;
		return 0;
	}
	p->tcp = SEEN_ANY;
	if (p->key.proto == IPPROTO_UDP) {
		struct udphdr *udp = l4;

		if (room < sizeof(*udp) || l4 + sizeof(*udp) > frame_end(skb))
			return DROP_MALFORMED;
		if (bpf_ntohs(udp->len) < sizeof(*udp))
			return DROP_MALFORMED;
		p->header += sizeof(*udp);
		p->key.sport = udp->source;
		p->key.dport = udp->dest;
	} else if (p->key.proto == IPPROTO_ICMP) {
		struct icmphdr *icmp = l4;

		if (room < sizeof(*icmp) || l4 + sizeof(*icmp) > frame_end(skb))
			return DROP_MALFORMED;
		p->icmp_type = icmp->type;
		p->icmp_code = icmp->code;
		p->key.dport = icmp->type | icmp->code << 8;
		if (icmp->type == ICMP_ECHO || icmp->type == ICMP_ECHOREPLY ||
		    (icmp->type >= ICMP_TIMESTAMP && icmp->type <= ICMP_ADDRESSREPLY))
			p->key.sport = icmp->un.echo.id;
	}
	return 0;
}

/* parse reads an IPv4 packet; 0 or a drop reason. */
static __always_inline int parse(struct __sk_buff *skb, struct packet *p)
{
	struct iphdr *ip;
	__u32 ihl, total;
	__u16 off;

	linear(skb, ETH_HLEN + sizeof(*ip));
	ip = frame(skb) + ETH_HLEN;
	if ((void *)(ip + 1) > frame_end(skb))
		return DROP_MALFORMED;
	ihl = ip->ihl * 4;
	total = bpf_ntohs(ip->tot_len);
	/* A GSO packet above 64 KiB says 0. */
	if (!total && skb->gso_segs)
		total = skb->len - ETH_HLEN;
	if (ip->version != 4 || ihl < sizeof(*ip) || total < ihl || total > skb->len - ETH_HLEN)
		return DROP_MALFORMED;

	p->key.saddr = ip->saddr;
	p->key.daddr = ip->daddr;
	p->key.proto = ip->protocol;
	p->key.dir = FLOW_OUT;
	p->l4 = ETH_HLEN + ihl;
	p->header = ihl;
	p->len = total;
	off = bpf_ntohs(ip->frag_off);
	p->frag_id = ip->id;
	p->fragment = (off & FRAG_OFFSET) != 0;
	p->first = !p->fragment && (off & FRAG_MORE);
	if (p->fragment) {
		p->tcp = SEEN_ANY;
		/* Offset 1 would overwrite the first's ports or flags. */
		return (off & FRAG_OFFSET) == 1 ? DROP_FRAGMENT : 0;
	}
	linear(skb, p->l4 + (p->key.proto == IPPROTO_TCP ? sizeof(struct tcphdr) : sizeof(struct udphdr)));
	/* A first fragment must hold the whole header, or filters can be split. */
	return parse_l4(skb, p, total - ihl);
}
