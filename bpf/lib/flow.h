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

volatile const __u32 flow_slot_mask = 262143; /* number of slots - 1, a power of two - 1 */
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

/* other_half: the key of the replies to k, sent by peer. */
static __always_inline void other_half(const struct flow_key *k, __u32 peer, struct flow_key *out)
{
	out->eni = peer;
	out->saddr = k->daddr;
	out->daddr = k->saddr;
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

/* The shorter of what the two sides say, in ns; a side that does not track the
 * flow has no say. */
static __always_inline __u64 shorter(__u32 own, __u32 peer, __u64 otherwise)
{
	__u64 a = own ? own * SECOND : otherwise, b = peer ? peer * SECOND : otherwise;

	return a < b ? a : b;
}

/* idle_limit of an established flow. A slot may have another owner meanwhile:
 * such flows are abandoned, which is sooner than any of this. */
static __always_inline __u64 idle_limit(const struct flow *f, int stream)
{
	struct port *own = f->flags & FLOW_TRACK_OWN ? port_at(f->own_slot) : 0;
	struct port *peer = f->flags & FLOW_TRACK_PEER ? port_at(f->peer_slot) : 0;

	if (f->key.proto == IPPROTO_TCP)
		return shorter(own ? own->tcp_idle : 0, peer ? peer->tcp_idle : 0, TCP_IDLE);
	if (stream)
		return shorter(own ? own->udp_stream : 0, peer ? peer->udp_stream : 0, UDP_STREAM);
	return shorter(own ? own->udp_idle : 0, peer ? peer->udp_idle : 0, UDP_SINGLE);
}

/* pair_timeout says after how long without a packet the pair is over. UDP is a
 * stream once it had more than one request and more than one answer. */
__noinline __u64 pair_timeout(const struct flow *f, const struct flow *rev, int tight)
{
	__u32 a, b;

	if (!f)
		return 0;
	a = f->seen;
	b = rev ? rev->seen : 0;
	switch (f->key.proto) {
	case IPPROTO_TCP:
		if (((a | b) & SEEN_RST) || (a & b & SEEN_FIN))
			return tight ? TCP_CLOSING_TIGHT : TCP_CLOSING;
		if (!a || !b)
			return tight ? TCP_HALF_OPEN_TIGHT : TCP_HALF_OPEN;
		return idle_limit(f, 0);
	case IPPROTO_UDP:
		return idle_limit(f, f->packets > 1 && rev && rev->packets > 1);
	case IPPROTO_ICMP:
		return ICMP_IDLE;
	}
	return OTHER_IDLE;
}

/* last_of: liveness of a pair is one, whichever side kept talking. */
static __always_inline __u64 last_of(struct flow *f, struct flow *rev)
{
	__u64 last = READ(f->last_seen), other = rev ? READ(rev->last_seen) : 0;

	return other > last ? other : last;
}

static __always_inline int pair_expired(struct flow *f, struct flow *rev, __u64 now, int tight)
{
	return last_of(f, rev) + pair_timeout(f, rev, tight) < now;
}

/* settle: the pair is no longer half open. Whoever clears the mark counts it. */
static __always_inline void settle(struct flow_slot *s)
{
	struct flow_usage *u;

	if (!swap_state(&s->half_open, 1, 0))
		return;
	u = bpf_map_lookup_elem(&usage, &s->owner);
	if (u)
		__sync_fetch_and_add(&u->half_open, -1);
}

static __always_inline void give_back(struct flow_slot *s)
{
	struct flow_usage *u = bpf_map_lookup_elem(&usage, &s->owner);
	struct host_state *m = host_state();

	settle(s);
	if (u)
		__sync_fetch_and_add(&u->flows, -1);
	if (m)
		__sync_fetch_and_add(&m->live, -1);
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

static __always_inline int unused(struct flow *f, struct flow *rev, __u64 now, int tight)
{
	if (pair_expired(f, rev, now, tight))
		return 1;
	return abandoned(f) && last_of(f, rev) + (tight ? TCP_HALF_OPEN_TIGHT : TCP_HALF_OPEN) < now;
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

/* bury deletes a pair whose halves have both been DEAD long enough. */
static __always_inline int bury(struct flow_slot *s, struct flow_key *rev_key, struct flow *f, struct flow *rev)
{
	if (!swap_state(&f->state, FLOW_DEAD, FLOW_GONE))
		return RECLAIM_KEPT;
	if (rev && !swap_state(&rev->state, FLOW_DEAD, FLOW_GONE)) {
		swap_state(&f->state, FLOW_GONE, FLOW_DEAD);
		return RECLAIM_KEPT;
	}
	bpf_map_delete_elem(&flows, &s->key);
	if (rev)
		bpf_map_delete_elem(&flows, rev_key);
	return RECLAIM_DELETED;
}

static __always_inline int examine(struct flow_slot *s, __u64 now, int tight)
{
	struct flow *f = bpf_map_lookup_elem(&flows, &s->key), *rev;
	struct flow_key rev_key;

	if (!f)
		return RECLAIM_DELETED;
	other_half(&s->key, f->peer_eni, &rev_key);
	rev = bpf_map_lookup_elem(&flows, &rev_key);
	if (rev == f || f->flags & FLOW_ORPHAN)
		rev = 0;
	if (READ(f->state) == FLOW_LIVE)
		return unused(f, rev, now, tight) ? kill(f, rev, now, tight) : RECLAIM_KEPT;
	if (READ(f->state) != FLOW_DEAD || f->dead_at + (tight ? QUARANTINE_TIGHT : QUARANTINE) > now)
		return RECLAIM_KEPT;
	/* The other half may have been left LIVE by a lost race: it dies first. */
	if (rev && READ(rev->state) == FLOW_LIVE && unused(f, rev, now, tight) && die(rev, now))
		return RECLAIM_KILLED;
	if (rev && (READ(rev->state) != FLOW_DEAD || rev->dead_at + (tight ? QUARANTINE_TIGHT : QUARANTINE) > now))
		return RECLAIM_KEPT;
	return bury(s, &rev_key, f, rev);
}

/* Whose flows are short of room: nobody's, everyone's, or one interface's. */
#define ROOMY 0
#define EVERYONE 0xffffffff

/* reclaim looks at one place of the clock. Who has used up its own share hurries
 * its own flows only. */
__noinline int reclaim(__u32 index, __u64 now, __u32 tight)
{
	struct flow_slot *s = bpf_map_lookup_elem(&flow_slots, &index);
	int result;

	if (!s)
		return RECLAIM_KEPT;
	if (!swap_state(&s->state, SLOT_USED, SLOT_BUSY))
		return READ(s->state) == SLOT_FREE ? RECLAIM_FREE : RECLAIM_KEPT;
	result = examine(s, now, tight == EVERYONE || (tight && s->owner == tight));
	if (result == RECLAIM_KILLED)
		settle(s);
	if (result == RECLAIM_DELETED)
		give_back(s);
	WRITE(s->state, result == RECLAIM_DELETED ? SLOT_FREE : SLOT_USED);
	return result;
}
