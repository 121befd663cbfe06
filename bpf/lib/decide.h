/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The full walk of a packet that no valid flow entry answers: source check,
 * route, destination, the sender's groups, the network ACLs where it crosses a
 * subnet's edge, the receiver's groups. It decides and writes nothing.
 */
#pragma once

#include "acl.h"
#include "flow.h"
#include "scratch.h"

static __always_inline int refuse(struct decision *d, enum drop_stage stage, enum drop_reason reason)
{
	d->stage = stage;
	d->reason = reason;
	return -1;
}

/* One side's groups. `forth` is the list for the packet's own direction,
 * `back` for the other. Returns allowed; sets *rule and, for a new flow,
 * whether this side tracks it. */
struct side {
	__u32 forth, back;
	__be32 remote;
	const struct membership *member;
	__u32 cut;
	__u32 kept;    /* a known flow that this side tracks */
	__u32 reverse; /* the packet is a reply of the known flow */
	__u32 rule;
	__u32 tracked;
};

/* What the packet asks of a list; the reverse question is that of the flow's
 * first packet, asked when a reply is judged again. */
static __always_inline void ask(struct question *q, const struct packet *p, const struct side *s, int reverse)
{
	q->list = reverse ? s->back : s->forth;
	map4(&q->remote, s->remote);
	q->service = service_of(p);
	if (!reverse)
		return;
	q->service = (__u32)p->key.proto << 16;
	if (p->key.proto == IPPROTO_ICMP)
		q->service |= (__u32)icmp_pair(p->icmp_type) << 8 | p->icmp_code;
	else
		q->service |= bpf_ntohs(p->key.sport);
}

static __always_inline int open_both(const struct packet *p, __u32 flags)
{
	return (p->key.proto == IPPROTO_TCP && (flags & LIST_OPEN_TCP)) ||
	       (p->key.proto == IPPROTO_UDP && (flags & LIST_OPEN_UDP));
}

static __noinline int judge(const struct packet *p, struct side *s)
{
	struct question q = {};
	struct answer a = {};
	int back;

	if (!p || !s)
		return 0;
	if (s->kept && !s->cut)
		return 1;
	/* Replies of a tracked flow stand or fall with its first packet. */
	back = s->kept && s->reverse;
	ask(&q, p, s, back);
	classify(&q, s->member, &a);
	s->rule = a.rule;
	if (!s->kept)
		s->tracked = !(a.any && open_both(p, list_flags(s->back)));
	return a.allowed;
}

struct ends {
	struct endpoint *src, *dst; /* src is 0 unless it is the sender's own address */
	struct port *peer;
};

/* locate finds the source's and the destination's endpoints and ports. Not
 * inlined, like known: the deepest chain of calls has 512 bytes of stack. */
static __noinline int locate(const struct packet *p, struct port *port, __u32 table, struct decision *d,
			     struct ends *e)
{
	__u32 target;

	if (!p || !port || !d || !e)
		return -1;
	e->src = endpoint_of(port->vpc, p->key.saddr);
	if (e->src && e->src->eni != port->eni)
		e->src = 0;
	if (!e->src && (port->flags & PORT_SRC_DST_CHECK))
		return refuse(d, STAGE_SPOOF, DROP_ANTI_SPOOF);
	d->src_known = e->src != 0;

	if (!in_subnet(port, p->key.daddr)) {
		target = route_to(table, p->key.daddr);
		if (target == ROUTE_BLACKHOLE)
			return refuse(d, STAGE_ROUTE, DROP_BLACKHOLE);
		if (target != ROUTE_LOCAL)
			return refuse(d, STAGE_ROUTE, DROP_NO_ROUTE);
	}
	e->dst = endpoint_of(port->vpc, p->key.daddr);
	if (!e->dst)
		return refuse(d, STAGE_ROUTE, DROP_NO_ENDPOINT);
	/* Read once: the element may be recycled for another VPC's address under
	 * us, which is why the port is asked for its VPC as well. */
	d->peer_eni = READ(e->dst->eni);
	d->peer_slot = READ(e->dst->slot);
	if (d->peer_eni == port->eni)
		return refuse(d, STAGE_ROUTE, DROP_NO_ENDPOINT);
	e->peer = port_at(d->peer_slot);
	if (!e->peer)
		return refuse(d, STAGE_ROUTE, DROP_PEER_DOWN);
	d->peer_epoch = READ(e->peer->epoch);
	if (READ(e->peer->eni) != d->peer_eni || e->peer->vpc != port->vpc || !(e->peer->flags & PORT_READY))
		return refuse(d, STAGE_ROUTE, DROP_PEER_DOWN);
	return 0;
}

/* How often to look whether another CPU has written an entry: that takes well
 * below a microsecond, and longer where the CPU is interrupted. */
#define BUILDING_LOOKS 20000

struct building {
	struct flow *f;
	__u32 state;
	__u32 pad;
};

static long building_look(__u64 n, struct building *b)
{
	b->state = READ(b->f->state);
	return b->state != FLOW_BUILDING;
}

#define KNOWN 1
#define TRACKS (FLOW_TRACK_OWN | FLOW_TRACK_PEER) /* beside it: sides that have forgotten the flow */

/* known: the entry still speaks for this packet's flow, and for which sides. What
 * another CPU is writing is waited for: without it a reply would be taken for a
 * new flow. */
__noinline int known(const struct packet *p, struct flow *f, __u32 peer_eni)
{
	struct building b = { .f = f };
	struct flow *rev;
	int result;

	if (!p || !f)
		return 0;
	b.state = READ(f->state);
	if (b.state == FLOW_BUILDING)
		bpf_loop(BUILDING_LOOKS, building_look, &b, 0);
	if (b.state != FLOW_LIVE || p->syn || f->peer_eni != peer_eni || !same_key(&f->key, &p->key))
		return 0;
	rev = partner(f);
	if (pair_expired(f, rev, p->now, LONGEST))
		return 0;
	result = KNOWN;
	if (f->flags & FLOW_TRACK_OWN && pair_expired(f, rev, p->now, OF_OWN))
		result |= FLOW_TRACK_OWN;
	if (f->flags & FLOW_TRACK_PEER && pair_expired(f, rev, p->now, OF_PEER))
		result |= FLOW_TRACK_PEER;
	return result;
}

/* What would be tracked begins with a packet that can begin a flow; a reply
 * that answers nothing never does. */
static __always_inline int begins_flow(const struct packet *p, __u32 tracked)
{
	if (p->key.proto == IPPROTO_TCP)
		return p->syn || !tracked;
	if (p->key.proto != IPPROTO_ICMP || p->fragment)
		return 1;
	switch (p->icmp_type) {
	case ICMP_ECHOREPLY:
	case ICMP_TIMESTAMPREPLY:
	case ICMP_INFO_REPLY:
	case ICMP_ADDRESSREPLY:
		return 0;
	}
	return 1;
}

/* edge asks the ACLs of both subnets. They know nothing of flows: each packet
 * is judged for its own direction, also where groups would keep its flow. */
__noinline int edge(const struct packet *p, __u32 list_out, __u32 list_in, struct decision *d)
{
	if (!p || !d || !d->crosses)
		return 0;
	if (!acl(p, list_out, p->key.daddr, &d->acl_out)) {
		d->rule = d->acl_out;
		return refuse(d, STAGE_NACL_OUT, DROP_NETWORK_ACL);
	}
	if (!acl(p, list_in, p->key.saddr, &d->acl_in)) {
		d->rule = d->acl_in;
		return refuse(d, STAGE_NACL_IN, DROP_NETWORK_ACL);
	}
	return 0;
}

/* flow_of looks the packet's own half up. Linux 6.1 takes no key from the
 * argument of a function, and the copy must not lie on the deepest stack. */
static __noinline struct flow *flow_of(const struct packet *p)
{
	struct flow_key key = p->key;

	return bpf_map_lookup_elem(&flows, &key);
}

/* What a walk reads besides the packet. */
struct stand {
	struct ends e;
	const struct policy *own, *peer;
};

/* begin_decision reads the epochs, then the generation, then everything else. */
static __always_inline int begin_decision(const struct packet *p, struct port *port, struct flow *f, struct decision *d,
					  struct stand *s)
{
	d->stage = 0;
	d->reason = 0;
	d->rule = 0;
	d->ended = 0;
	d->acl_out = 0;
	d->acl_in = 0;
	d->born = f ? READ(f->born) : 0;
	d->epoch = READ(port->epoch);
	d->generation = generation();
	s->own = policy_of(port, d->generation);
	if (!s->own)
		return refuse(d, STAGE_PORT, DROP_NOT_READY);
	if (locate(p, port, s->own->table, d, &s->e) || !s->e.peer)
		return -1;
	/* The peer's epoch was read after the generation: it must not be younger. */
	s->peer = policy_of(s->e.peer, d->generation);
	if (!s->peer)
		return refuse(d, STAGE_ROUTE, DROP_PEER_DOWN);
	d->crosses = crosses(port, s->e.peer);
	d->acl = s->own->acl;
	d->peer_acl = s->peer->acl;
	return 0;
}

static __always_inline int walk(const struct packet *p, struct port *port, struct flow *f, struct decision *d,
				const struct packet *on_wire, struct stand *at)
{
	__u32 anew, begun = 0; /* sides to which the flow is new; that track it from now on */
	struct side s = {};
	int live;

	if (begin_decision(p, port, f, d, at) || !at->own || !at->peer || !at->e.dst || !at->e.peer)
		return -1;
	live = known(p, f, d->peer_eni);
	d->fresh = !live;
	d->begins = !live || !f || !READ(f->packets);
	anew = live ? live & TRACKS : TRACKS;
	d->flags = live && f ? f->flags & ~(FLOW_CUT_OWN | FLOW_CUT_PEER | anew) : 0;

	/* The sender's groups. */
	s.forth = at->own->egress;
	s.back = at->own->ingress;
	s.remote = p->key.daddr;
	s.member = membership_of(at->e.dst, d->generation);
	s.cut = (port->flags & PORT_CUT) || (f && f->flags & FLOW_CUT_OWN);
	s.kept = d->flags & FLOW_TRACK_OWN;
	s.reverse = d->flags & FLOW_REVERSE;
	s.rule = live && f ? f->own_rule : 0;
	if (!judge(p, &s)) {
		d->ended = live && f && f->flags & FLOW_CUT_OWN;
		return refuse(d, STAGE_EGRESS, DROP_SECURITY_GROUP);
	}
	d->own_rule = s.rule;
	begun |= -s.tracked & anew & FLOW_TRACK_OWN;

	if (edge(on_wire, at->own->acl_out, at->peer->acl_in, d))
		return -1;

	/* The receiver's. */
	s.forth = at->peer->ingress;
	s.back = at->peer->egress;
	s.remote = p->key.saddr;
	s.member = at->e.src ? membership_of(at->e.src, d->generation) : 0;
	s.cut = (at->e.peer->flags & PORT_CUT) || (f && f->flags & FLOW_CUT_PEER);
	s.kept = d->flags & FLOW_TRACK_PEER;
	s.rule = live && f ? f->peer_rule : 0;
	if (!judge(p, &s)) {
		d->ended = live && f && f->flags & FLOW_CUT_PEER;
		return refuse(d, STAGE_INGRESS, DROP_SECURITY_GROUP);
	}
	d->peer_rule = s.rule;
	begun |= -s.tracked & anew & FLOW_TRACK_PEER;
	d->flags |= begun;
	return (live && !begun) || begins_flow(p, begun) ? 0 : refuse(d, STAGE_FLOW, DROP_STRAY);
}

static __always_inline int recycled(const struct endpoint *e, __u32 vpc, __be32 v4)
{
	return e && (READ(e->key.vpc) != vpc || READ(e->key.addr.w[3]) != v4);
}

/* decide_once judges a packet. Where it stands for another, as the answer to what
 * an ICMP error quotes stands for the error, ACLs are asked about that one. Once
 * the generation has moved on, what was read may be half of the next one. */
__noinline int decide_once(const struct packet *p, struct port *port, struct flow *f, struct decision *d,
			   const struct packet *on_wire)
{
	struct stand at = {};
	int refused;

	if (!p || !port || !d || !on_wire)
		return -1;
	refused = walk(p, port, f, d, on_wire, &at);
	d->torn = generation() != d->generation || recycled(at.e.src, port->vpc, p->key.saddr) ||
		  recycled(at.e.dst, port->vpc, p->key.daddr);
	return refused;
}

/* Changes are milliseconds apart and a decision takes one microsecond. */
#define DECISIONS 4

static __always_inline int decide(const struct packet *p, struct port *port, struct flow *f, struct decision *d,
				  const struct packet *on_wire)
{
	int i, refused = -1;

	for (i = 0; i < DECISIONS; i++) {
		refused = decide_once(p, port, f, d, on_wire);
		if (!d->torn)
			return refused;
	}
	return refuse(d, STAGE_PORT, DROP_NOT_READY);
}
