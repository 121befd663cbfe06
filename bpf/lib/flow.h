/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The flow table's life. Elements change only through their pointer, appear
 * only by NOEXIST, and are deleted only here: after they have been DEAD for
 * longer than any program runs. Pairs live in a clock (flow_slots); each new
 * flow moves the hand a little, so room is made without user space.
 */
#pragma once

#include "port.h"

/* Tests shorten the table's second, so that a day of flows passes in one. */
volatile const __u64 flow_second = 1000000000; /* ns */

#define SECOND flow_second
#define TCP_IDLE (432000 * SECOND)   /* established; AWS's default */
#define TCP_HALF_OPEN (60 * SECOND)  /* longer than a SYN's retries */
#define TCP_CLOSING (10 * SECOND)
#define UDP_SINGLE (30 * SECOND)  /* AWS's defaults, and the least of both */
#define UDP_STREAM (180 * SECOND)
#define ICMP_IDLE (30 * SECOND)
#define OTHER_IDLE (600 * SECOND)
#define QUARANTINE (2 * SECOND)	     /* DEAD before deletion */
/* When room is short, closed flows go sooner. A program runs for microseconds;
 * `born` notices the element that was recycled under one that was held up. */
#define TCP_CLOSING_TIGHT (SECOND / 2)
#define TCP_HALF_OPEN_TIGHT (10 * SECOND)
#define QUARANTINE_TIGHT (SECOND / 5)
/* Below this no flow is ever expired, but closing ones. */
#define IDLE_MIN UDP_SINGLE

volatile const __u32 flow_slot_mask = 524287; /* number of slots - 1, a power of two - 1 */
volatile const __u32 flow_pairs = 131072;     /* pairs the table holds */
volatile const __u32 flow_allowance = 32768;  /* pairs one interface may open */
volatile const __u32 flow_half_open = 4096;   /* of those, TCP that nobody has answered yet */

#define READ(x) (*(volatile typeof(x) *)&(x))
#define WRITE(x, v) (*(volatile typeof(x) *)&(x) = (v))

static __always_inline int swap_state(__u32 *state, __u32 from, __u32 to)
{
	return __sync_val_compare_and_swap(state, from, to) == from;
}

/* seq_begin takes a place that readers may copy meanwhile; false: another has it. */
static __always_inline int seq_begin(__u32 *seq)
{
	__u32 was = READ(*seq);

	return !(was & 1) && swap_state(seq, was, was + 1);
}

static __always_inline void seq_end(__u32 *seq) { __sync_fetch_and_add(seq, 1); }

static __always_inline int same_key(const struct flow_key *a, const struct flow_key *b)
{
	return !((a->eni ^ b->eni) | (a->saddr ^ b->saddr) | (a->daddr ^ b->daddr) | (a->sport ^ b->sport) |
		 (a->dport ^ b->dport) | (a->proto ^ b->proto));
}

/* The type that answers an ICMP request, and back; a key never pairs with
 * itself, so both sides may ping each other with one id. The code, in the upper
 * byte, stays: rules tell codes apart. */
static __always_inline __be16 icmp_pair(__be16 message)
{
	switch (message & 0xff) {
	case ICMP_ECHO:
		return (message & 0xff00) | ICMP_ECHOREPLY;
	case ICMP_ECHOREPLY:
		return message | ICMP_ECHO;
	case ICMP_TIMESTAMP:
	case ICMP_INFO_REQUEST:
	case ICMP_ADDRESS:
		return message + 1;
	case ICMP_TIMESTAMPREPLY:
	case ICMP_INFO_REPLY:
	case ICMP_ADDRESSREPLY:
		return message - 1;
	}
	return message;
}

static __always_inline int is_edge(__u32 eni) { return (eni & EDGE_ENI) != 0; }

/* other_half: the key of the replies to k, sent by peer. Behind a gateway an
 * interface is known by its public address, before it by its private one. */
static __always_inline void other_half(const struct flow_key *k, __u32 peer, __be32 nat, struct flow_key *out)
{
	out->eni = peer;
	out->saddr = nat && is_edge(k->eni) ? nat : k->daddr;
	out->daddr = nat && !is_edge(k->eni) ? nat : k->saddr;
	out->proto = k->proto;
	out->dir = FLOW_OUT;
	out->pad = 0;
	if (k->proto == IPPROTO_ICMP) {
		out->sport = k->sport;
		out->dport = icmp_pair(k->dport);
	} else {
		out->sport = k->dport;
		out->dport = k->sport;
	}
}

/* What the other half of k's has for its nat, if k's is this. */
static __always_inline __be32 nat_back(const struct flow_key *k, __be32 nat)
{
	return !nat ? 0 : is_edge(k->eni) ? k->daddr : k->saddr;
}

/* partner: the other half, as long as it takes this one for its own. The same
 * tuple may serve another pair meanwhile, which is no business of ours. */
static __always_inline struct flow *partner(const struct flow *f)
{
	struct flow_key key;
	struct flow *rev;

	other_half(&f->key, f->peer_eni, f->nat, &key);
	rev = bpf_map_lookup_elem(&flows, &key);
	return rev && rev != f && rev->peer_eni == f->key.eni && rev->nat == nat_back(&f->key, f->nat) ? rev : 0;
}

/* Whose word counts where the two sides of a flow forget it at different times. */
enum patience {
	LONGEST = 0,  /* while one side remembers, the entry lives */
	SHORTEST = 1, /* once one has forgotten, a packet is judged again */
	OF_OWN = 2,
	OF_PEER = 3,
	HURRIED = 4,  /* added: room is short */
};

/* How long a side remembers an established flow: 0 for one that does not track
 * it. A slot may have another owner meanwhile; such flows are abandoned, which is
 * sooner than any of this. */
static __always_inline __u64 side_limit(const struct flow *f, __u32 slot, __u32 tracks, int stream)
{
	struct port *p = f->flags & tracks ? port_at(slot) : 0;

	if (!(f->flags & tracks))
		return 0;
	if (f->key.proto == IPPROTO_TCP)
		return p && p->tcp_idle ? p->tcp_idle * SECOND : TCP_IDLE;
	if (stream)
		return p && p->udp_stream ? p->udp_stream * SECOND : UDP_STREAM;
	return p && p->udp_idle ? p->udp_idle * SECOND : UDP_SINGLE;
}

static __always_inline __u64 idle_limit(const struct flow *f, int stream, __u32 whose)
{
	__u64 own = side_limit(f, f->own_slot, FLOW_TRACK_OWN, stream);
	__u64 peer = side_limit(f, f->peer_slot, FLOW_TRACK_PEER, stream);

	if (!own && !peer)
		return f->key.proto == IPPROTO_TCP ? TCP_IDLE : stream ? UDP_STREAM : UDP_SINGLE;
	if (!own || (peer && whose == OF_PEER))
		return peer;
	if (!peer || whose == OF_OWN)
		return own;
	return (own < peer) == (whose == SHORTEST) ? own : peer;
}

/* timeout_of says after how long without a packet the pair is over. UDP is a
 * stream once it had more than one request and more than one answer. */
static __always_inline __u64 timeout_of(const struct flow *f, const struct flow *rev, __u32 patience)
{
	__u32 whose = patience & ~HURRIED, tight = patience & HURRIED;
	__u32 a = f->seen, b = rev ? rev->seen : 0;

	switch (f->key.proto) {
	case IPPROTO_TCP:
		if (((a | b) & SEEN_RST) || (a & b & SEEN_FIN))
			return tight ? TCP_CLOSING_TIGHT : TCP_CLOSING;
		if (!a || !b)
			return tight ? TCP_HALF_OPEN_TIGHT : TCP_HALF_OPEN;
		return idle_limit(f, 0, whose);
	case IPPROTO_UDP:
		return idle_limit(f, f->packets > 1 && rev && rev->packets > 1, whose);
	case IPPROTO_ICMP:
		return ICMP_IDLE;
	}
	return OTHER_IDLE;
}

__noinline __u64 pair_timeout(const struct flow *f, const struct flow *rev, __u32 patience)
{
	return f ? timeout_of(f, rev, patience) : 0;
}

/* last_of: liveness of a pair is one, whichever side kept talking. */
static __always_inline __u64 last_of(struct flow *f, struct flow *rev)
{
	__u64 last = READ(f->last_seen), other = rev ? READ(rev->last_seen) : 0;

	return other > last ? other : last;
}

static __always_inline int pair_expired(struct flow *f, struct flow *rev, __u64 now, __u32 patience)
{
	return last_of(f, rev) + pair_timeout(f, rev, patience) < now;
}

/* settle: the pair is no longer half open. The mark says whose account has it,
 * and whoever takes the mark away settles that one. */
static __always_inline void settle(struct flow_slot *s)
{
	__u32 eni = READ(s->half_open);
	struct flow_usage *u;

	if (!eni || !swap_state(&s->half_open, eni, 0))
		return;
	u = bpf_map_lookup_elem(&usage, &eni);
	if (u)
		__sync_fetch_and_add(&u->half_open, -1);
}

/* charge opens the account of a pair at the place of the half that opens it. */
static __always_inline void charge(struct flow_slot *s, struct flow_usage *u, __u32 payer, __u8 proto)
{
	s->owner = payer;
	__sync_fetch_and_add(&u->flows, 1);
	if (proto == IPPROTO_TCP && swap_state(&s->half_open, 0, payer))
		__sync_fetch_and_add(&u->half_open, 1);
}

/* give_back closes it. Places change only with their half: while that is being
 * built, or deleted. */
static __always_inline void give_back(struct flow_slot *s)
{
	__u32 eni = s->owner;
	struct flow_usage *u;

	settle(s);
	if (!eni)
		return;
	s->owner = 0;
	u = bpf_map_lookup_elem(&usage, &eni);
	if (u)
		__sync_fetch_and_add(&u->flows, -1);
}

/* vacate frees a place. */
static __always_inline void vacate(struct flow_slot *s)
{
	struct host_state *m = host_state();

	give_back(s);
	if (m)
		__sync_fetch_and_add(&m->live, -1);
	WRITE(s->state, SLOT_FREE);
}

enum reclaim_result {
	RECLAIM_FREE,	 /* nothing was there */
	RECLAIM_KEPT,
	RECLAIM_KILLED,	 /* is DEAD now, can be deleted later */
	RECLAIM_DELETED, /* is free now */
};

static __always_inline int lives_at(__u32 slot, __u32 eni)
{
	struct port *p = port_at(slot);

	return p && p->eni == eni;
}

/* abandoned: an interface of the pair has left its port. It may come back soon;
 * waiting for a timeout of days would only hold the place. */
static __always_inline int abandoned(struct flow *f)
{
	return !lives_at(f->own_slot, f->key.eni) || !lives_at(f->peer_slot, f->peer_eni);
}

__noinline int unused(struct flow *f, struct flow *rev, __u64 now, int tight)
{
	__u64 last;

	if (!f)
		return 1;
	last = last_of(f, rev);
	if (last + timeout_of(f, rev, tight ? LONGEST | HURRIED : LONGEST) < now)
		return 1;
	return abandoned(f) && last + (tight ? TCP_HALF_OPEN_TIGHT : TCP_HALF_OPEN) < now;
}

/* die marks one half; the time comes first, for whoever sees it DEAD. */
static __always_inline int die(struct flow *f, __u64 now)
{
	WRITE(f->dead_at, now);
	return swap_state(&f->state, FLOW_LIVE, FLOW_DEAD);
}

/* kill turns an idle pair DEAD; it looks again after, because a packet may
 * have come between. */
static __always_inline int kill(struct flow *f, struct flow *rev, __u64 now, int tight)
{
	if (!die(f, now))
		return RECLAIM_KEPT;
	if (!unused(f, rev, now, tight)) {
		swap_state(&f->state, FLOW_DEAD, FLOW_LIVE);
		return RECLAIM_KEPT;
	}
	if (rev)
		die(rev, now);
	return RECLAIM_KILLED;
}

/* bury deletes a half that has been DEAD long enough. */
static __always_inline int bury(struct flow_slot *s, struct flow *f)
{
	if (!swap_state(&f->state, FLOW_DEAD, FLOW_GONE))
		return RECLAIM_KEPT;
	bpf_map_delete_elem(&flows, &s->key);
	return RECLAIM_DELETED;
}

static __always_inline int rested(struct flow *f, __u64 now, int tight)
{
	return READ(f->state) == FLOW_DEAD && f->dead_at + (tight ? QUARANTINE_TIGHT : QUARANTINE) <= now;
}

static __always_inline int examine(struct flow_slot *s, __u32 index, __u64 now, int tight)
{
	struct flow *f = bpf_map_lookup_elem(&flows, &s->key), *rev;

	if (!f || f->slot != index)
		return RECLAIM_DELETED;
	rev = partner(f);
	if (READ(f->state) == FLOW_LIVE)
		return unused(f, rev, now, tight) ? kill(f, rev, now, tight) : RECLAIM_KEPT;
	if (!rested(f, now, tight))
		return RECLAIM_KEPT;
	/* The other half may have been left LIVE by a lost race: it dies first. */
	if (rev && READ(rev->state) == FLOW_LIVE && unused(f, rev, now, tight) && die(rev, now))
		return RECLAIM_KILLED;
	if (rev && READ(rev->state) != FLOW_GONE && !rested(rev, now, tight))
		return RECLAIM_KEPT;
	return bury(s, f);
}

/* Whose flows are short of room: nobody's, everyone's, or one interface's. */
#define ROOMY 0
#define EVERYONE 0xffffffff

/* reclaim looks at one place of the clock. Who has used up its own share hurries
 * its own flows only. */
static __always_inline int reclaim(__u32 index, __u64 now, __u32 tight)
{
	struct flow_slot *s = bpf_map_lookup_elem(&flow_slots, &index);
	int result;

	if (!s)
		return RECLAIM_KEPT;
	if (!swap_state(&s->state, SLOT_USED, SLOT_BUSY))
		return READ(s->state) == SLOT_FREE ? RECLAIM_FREE : RECLAIM_KEPT;
	result = examine(s, index, now, tight == EVERYONE || (tight && s->owner == tight));
	if (result == RECLAIM_KILLED)
		settle(s);
	if (result == RECLAIM_DELETED)
		vacate(s);
	else
		WRITE(s->state, SLOT_USED);
	return result;
}
