/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The full walk of a packet that no valid flow entry answers: where it goes
 * (locate.h), the sender's groups, the network ACLs where it crosses a
 * subnet's edge, the receiver's groups. It decides and writes nothing.
 */
#pragma once

#include "locate.h"

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
__noinline int known(const struct packet *p, struct flow *f, __u32 peer_eni, __be32 nat)
{
	struct building b = { .f = f };
	struct flow *rev;
	int result;

	if (!p || !f)
		return 0;
	b.state = READ(f->state);
	if (b.state == FLOW_BUILDING)
		bpf_loop(BUILDING_LOOKS, building_look, &b, 0);
	if (b.state != FLOW_LIVE || p->syn || f->peer_eni != peer_eni || f->nat != nat ||
	    !same_key(&f->key, &p->key))
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

/* The world has no network ACL. */
#define NO_LIST 0xffffffff

/* blamed: at whose counters a refusal is found. What an interface does not let in
 * from the world is its own; the gateway has what never got that far. */
static __always_inline __u32 blamed(const struct port *port, const struct decision *d)
{
	if (!is_gateway(port) || d->stage == STAGE_ROUTE || d->stage == STAGE_SPOOF || d->stage == STAGE_PORT)
		return port->eni;
	return d->peer_eni;
}

/* edge asks the ACLs of both subnets. They know nothing of flows: each packet
 * is judged for its own direction, also where groups would keep its flow. */
__noinline int edge(const struct packet *p, __u32 list_out, __u32 list_in, struct decision *d)
{
	if (!p || !d || !d->crosses)
		return 0;
	if (list_out != NO_LIST && !acl(p, list_out, p->key.daddr, &d->acl_out)) {
		d->rule = d->acl_out;
		return refuse(d, STAGE_NACL_OUT, DROP_NETWORK_ACL);
	}
	if (list_in != NO_LIST && !acl(p, list_in, p->key.saddr, &d->acl_in)) {
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
	d->own_rule = 0;
	d->peer_rule = 0;
	d->nat = 0;
	d->out = 0;
	d->born = f ? READ(f->born) : 0;
	d->epoch = READ(port->epoch);
	d->generation = generation();
	s->own = policy_of(port, d->generation);
	if (!s->own)
		return refuse(d, STAGE_PORT, DROP_NOT_READY);
	if (is_gateway(port) ? enter(p, port, d, &s->e) : locate(p, port, s->own->table, d, &s->e))
		return -1;
	if (!s->e.peer)
		return -1;
	/* The peer's epoch was read after the generation: it must not be younger. */
	s->peer = policy_of(s->e.peer, d->generation);
	if (!s->peer)
		return refuse(d, STAGE_ROUTE, DROP_PEER_DOWN);
	if (is_gateway(port) && of_ours(p, port, s->peer->table))
		return refuse(d, STAGE_SPOOF, DROP_ANTI_SPOOF);
	d->crosses = crosses(port, s->e.peer);
	d->acl = s->own->acl;
	d->peer_acl = s->peer->acl;
	return 0;
}

/* What a walk learns of the flow before it asks groups. */
struct past {
	struct flow *f; /* 0: it is no live one */
	__u32 anew;	/* sides to which it is new */
};

/* sender asks the sender's groups; the world has none. */
static __always_inline int sender(const struct packet *p, struct port *port, struct decision *d, struct stand *at,
				  const struct past *was)
{
	struct flow *f = was->f;
	struct side s = {};

	if (is_gateway(port))
		return 0;
	s.forth = at->own->egress;
	s.back = at->own->ingress;
	s.remote = p->key.daddr;
	s.member = at->e.dst && at->e.addressed ? membership_of(at->e.dst, d->generation) : 0;
	s.cut = (port->flags & PORT_CUT) || (f && f->flags & FLOW_CUT_OWN);
	s.kept = d->flags & FLOW_TRACK_OWN;
	s.reverse = d->flags & FLOW_REVERSE;
	s.rule = f ? f->own_rule : 0;
	if (!judge(p, &s)) {
		d->ended = f && f->flags & FLOW_CUT_OWN;
		return refuse(d, STAGE_EGRESS, DROP_SECURITY_GROUP);
	}
	d->own_rule = s.rule;
	return -s.tracked & was->anew & FLOW_TRACK_OWN;
}

/* receiver asks the receiver's. */
static __always_inline int receiver(const struct packet *p, struct decision *d, struct stand *at,
				    const struct past *was)
{
	struct flow *f = was->f;
	struct side s = {};

	if (is_gateway(at->e.peer))
		return 0;
	s.forth = at->peer->ingress;
	s.back = at->peer->egress;
	s.remote = p->key.saddr;
	s.member = at->e.src ? membership_of(at->e.src, d->generation) : 0;
	s.cut = (at->e.peer->flags & PORT_CUT) || (f && f->flags & FLOW_CUT_PEER);
	s.kept = d->flags & FLOW_TRACK_PEER;
	s.reverse = d->flags & FLOW_REVERSE;
	s.rule = f ? f->peer_rule : 0;
	if (!judge(p, &s)) {
		d->ended = f && f->flags & FLOW_CUT_PEER;
		return refuse(d, STAGE_INGRESS, DROP_SECURITY_GROUP);
	}
	d->peer_rule = s.rule;
	return -s.tracked & was->anew & FLOW_TRACK_PEER;
}

static __always_inline int walk(const struct packet *p, struct port *port, struct flow *f, struct decision *d,
				const struct packet *on_wire, struct stand *at)
{
	struct past was = {};
	int live, own, peer;

	if (begin_decision(p, port, f, d, at) || !at->own || !at->peer || !at->e.peer)
		return -1;
	live = known(p, f, d->peer_eni, d->nat);
	was.f = live ? f : 0;
	was.anew = live ? live & TRACKS : TRACKS;
	d->fresh = !live;
	d->begins = !live || !f || !READ(f->packets);
	d->flags = was.f ? f->flags & ~(FLOW_CUT_OWN | FLOW_CUT_PEER | was.anew) : 0;
	own = sender(p, port, d, at, &was);
	if (own < 0)
		return -1;
	if (edge(on_wire, is_gateway(port) ? NO_LIST : at->own->acl_out,
		 is_gateway(at->e.peer) ? NO_LIST : at->peer->acl_in, d))
		return -1;
	peer = receiver(p, d, at, &was);
	if (peer < 0)
		return -1;
	d->flags |= own | peer;
	return (live && !(own | peer)) || begins_flow(p, own | peer) ? 0 : refuse(d, STAGE_FLOW, DROP_STRAY);
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
	d->torn = generation() != d->generation || recycled(p, port, &at.e);
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
