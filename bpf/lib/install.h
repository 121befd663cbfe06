/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Write a decision into the flow table: a new pair, or a known one in place. */
#pragma once

#include "build.h"
#include "claim.h"
#include "decide.h"
#include "sequence.h"

#define E_EXIST (-17)
#define FIRST_SEEN_UNIT 30

static __always_inline __u32 swap_track(__u32 flags)
{
	return (flags & FLOW_TRACK_OWN ? FLOW_TRACK_PEER : 0) | (flags & FLOW_TRACK_PEER ? FLOW_TRACK_OWN : 0);
}

/* The half for the packet's own direction. */
static __always_inline void fill(struct flow *f, const struct packet *p, __u32 own_slot, const struct decision *d)
{
	f->peer_slot = d->peer_slot;
	f->peer_eni = d->peer_eni;
	f->peer_epoch = d->peer_epoch;
	f->own_slot = own_slot;
	f->own_rule = d->own_rule;
	f->peer_rule = d->peer_rule;
	f->acl_out = d->acl_out;
	f->acl_in = d->acl_in;
	f->nat = d->nat;
	f->out = d->out;
	f->flags = d->flags;
	if (!d->fresh)
		return;
	f->last_seen = p->now;
	f->seen = p->tcp & ~SEEN_SEQ;
	f->next = seq_end_of(p);
	f->ack = p->ack;
	f->packets = 1;
	f->bytes = p->len;
	f->first_seen = p->now >> FIRST_SEEN_UNIT;
}

/* The half for the replies. It can be used at once within a subnet and if the
 * source is the sender's own address; else its first packet is judged on its
 * own: the ACLs for its direction have not been asked, or it may be routed
 * elsewhere. */
static __always_inline void fill_reverse(struct flow *f, const struct packet *p, __u32 own_slot,
					 const struct decision *d)
{
	f->peer_slot = own_slot;
	f->peer_eni = p->key.eni;
	f->peer_epoch = d->epoch;
	f->own_slot = d->peer_slot;
	f->own_rule = d->peer_rule;
	f->peer_rule = d->own_rule;
	f->acl_out = 0;
	f->acl_in = 0;
	f->nat = nat_back(&p->key, d->nat);
	f->out = 0; /* it crosses subnets, so its first packet finds the way */
	f->flags = FLOW_REVERSE | swap_track(d->flags);
	f->last_seen = p->now;
	f->seen = 0;
	f->next = 0;
	f->ack = 0;
	f->packets = 0;
	f->bytes = 0;
	f->first_seen = p->now >> FIRST_SEEN_UNIT;
}

static __always_inline __u32 reverse_epoch(const struct decision *d)
{
	return d->src_known && !d->crosses ? d->peer_epoch : 0;
}

/* spoken_for: the replies' half serves a live pair of the interface that has
 * the source's address. Who only forwards or imitates that address must not turn
 * the answers to its owner away. */
__noinline int spoken_for(const struct packet *p, const struct decision *d, struct flow *rev)
{
	struct flow *owner;

	if (!p || !d || !rev || d->src_known || READ(rev->state) != FLOW_LIVE || rev->peer_eni == p->key.eni)
		return 0;
	owner = partner(rev);
	return owner && READ(owner->state) == FLOW_LIVE && !pair_expired(owner, rev, p->now, LONGEST);
}

/* crossing: both sides have sent a SYN and neither an answer. Each half was
 * judged for itself and stays its sender's. */
static __always_inline int crossing(const struct packet *p, const struct decision *d, const struct flow *rev)
{
	return p->syn && rev->nat == nat_back(&p->key, d->nat) && READ(rev->state) == FLOW_LIVE && rev->peer_eni == p->key.eni && !(rev->flags & FLOW_REVERSE) &&
	       rev->seen == (SEEN_ANY | SEEN_SYN);
}

/* payer: who has a pair on its account that this half opens. The world has no
 * account: who is visited pays, so that nobody's visitors shut out a neighbour's. */
static __always_inline __u32 payer(__u32 eni, __u32 peer_eni) { return is_edge(eni) ? peer_eni : eni; }

/* room: 0, or why this interface may not open a flow. Where it has used its
 * share, its old flows are looked through first. */
__noinline int room(const struct packet *p, struct flow_usage *u, const struct bill *b)
{
	struct host_state *m = host_state();
	int why;

	if (!p || !u || !b || !m)
		return DROP_ALLOWANCE;
	why = over(m, u, b);
	if (!why || u->full == p->now || !far_walk(m, p->now))
		return why;
	make_room(p->now, hurried(m, u, b->payer), STEPS_OVER);
	why = over(m, u, b);
	if (why)
		WRITE(u->full, p->now);
	return why;
}

/* put_half makes a new half of what lies in scratch, in a place of its own: 0,
 * E_EXIST, or another error. The place and who pays are written before the half
 * appears. */
__noinline int put_half(struct flow_usage *u, __u32 tight)
{
	struct scratch *own = scratch();
	struct flow_slot *s;
	__u32 place;
	long err;

	if (!own)
		return -1;
	place = claim(own->half.last_seen, tight);
	s = bpf_map_lookup_elem(&flow_slots, &place);
	if (!s)
		return -1;
	s->key = own->half.key;
	s->owner = 0;
	s->half_open = 0;
	if (u)
		charge(s, u, payer(own->half.key.eni, own->half.peer_eni), own->half.key.proto);
	own->half.slot = place;
	own->half.state = FLOW_LIVE;
	own->half.born = bpf_ktime_get_ns();
	err = bpf_map_update_elem(&flows, &own->half.key, &own->half, BPF_NOEXIST);
	if (err)
		vacate(s);
	else
		WRITE(s->state, SLOT_USED);
	return err;
}

/* release: this half no longer opens a pair. */
static __always_inline void release(struct flow *f)
{
	__u32 place = f->slot;
	struct flow_slot *s = bpf_map_lookup_elem(&flow_slots, &place);

	if (s && same_key(&s->key, &f->key))
		give_back(s);
}

/* put_reverse writes the replies' half; -1 when there is no room for it, 1 when
 * it is another's, or an old one that is just being deleted and would take the
 * new content along. */
__noinline int put_reverse(const struct packet *p, __u32 slot_own, const struct decision *d)
{
	struct scratch *own = scratch();
	struct flow_key key;
	struct flow *rev;
	int err;

	if (!p || !d || !own)
		return -1;
	other_half(&p->key, d->peer_eni, d->nat, &key);
	rev = bpf_map_lookup_elem(&flows, &key);
	if (!rev) {
		__builtin_memset(&own->half, 0, sizeof(own->half));
		own->half.key = key;
		fill_reverse(&own->half, p, slot_own, d);
		own->half.epoch = reverse_epoch(d);
		err = put_half(0, ROOMY);
		return err && err != E_EXIST ? -1 : 0;
	}
	if (crossing(p, d, rev))
		return 0;
	if (spoken_for(p, d, rev))
		return 1;
	if (begin(rev, &key)) {
		release(rev);
		fill_reverse(rev, p, slot_own, d);
		finish(rev, reverse_epoch(d));
		return 0;
	}
	return READ(rev->state) == FLOW_GONE;
}

__noinline int put_forward(const struct packet *p, __u32 slot_own, const struct decision *d, struct flow_usage *u)
{
	struct host_state *m = host_state();
	struct scratch *own = scratch();

	if (!p || !d || !u || !m || !own)
		return -1;
	__builtin_memset(&own->half, 0, sizeof(own->half));
	own->half.key = p->key;
	fill(&own->half, p, slot_own, d);
	own->half.epoch = d->epoch;
	return put_half(u, hurried(m, u, payer(p->key.eni, d->peer_eni)));
}

/* without_replies: a half alone would answer for as long as it is used. The next
 * packet builds the pair. */
static __always_inline int without_replies(struct flow *f, const struct packet *p, int err)
{
	if (f)
		die(f, p->now);
	return err < 0 ? DROP_TABLE_FULL : 0;
}

/* create writes a new pair, or nothing; 0 or a drop reason. */
__noinline int create(const struct packet *p, __u32 slot_own, const struct decision *d)
{
	struct bill b = { .flows = 1, .half_open = p && p->key.proto == IPPROTO_TCP };
	struct flow_usage *u;
	__u32 eni;
	int err;

	if (!p || !d)
		return DROP_TABLE_FULL;
	eni = payer(p->key.eni, d->peer_eni);
	u = bpf_map_lookup_elem(&usage, &eni);
	if (!u)
		return DROP_ALLOWANCE;
	b.payer = eni;
	err = room(p, u, &b);
	if (err)
		return err;
	err = put_forward(p, slot_own, d, u);
	if (err && err != E_EXIST && make_room(p->now, EVERYONE, STEPS_FULL))
		err = put_forward(p, slot_own, d, u);
	if (err) /* another CPU is creating the same flow: its entry serves */
		return err == E_EXIST ? 0 : DROP_TABLE_FULL;
	err = put_reverse(p, slot_own, d);
	if (err < 0 && make_room(p->now, EVERYONE, STEPS_FULL))
		err = put_reverse(p, slot_own, d);
	return err ? without_replies(flow_of(p), p, err) : 0;
}

/* take_over opens the account of a pair that a known half opens anew. */
static __always_inline void take_over(const struct packet *p, struct flow *f, struct flow_usage *u, __u32 eni)
{
	__u32 place = f->slot;
	struct flow_slot *s = bpf_map_lookup_elem(&flow_slots, &place);

	if (!s || !same_key(&s->key, &p->key))
		return;
	give_back(s);
	charge(s, u, eni, p->key.proto);
}

/* price of opening a known pair anew: nothing that this half has already. */
static __always_inline void price(const struct packet *p, struct flow *f, struct bill *b)
{
	__u32 place = f->slot;
	struct flow_slot *s = bpf_map_lookup_elem(&flow_slots, &place);

	b->flows = s && !s->owner;
	b->half_open = p->key.proto == IPPROTO_TCP && s && !s->half_open;
}

/* renew writes a decision over an entry that exists; a new flow on an old
 * tuple renews the other half too. */
__noinline int renew(const struct packet *p, __u32 slot_own, const struct decision *d, struct flow *f)
{
	struct flow_usage *u;
	struct bill b = {};
	__u32 eni;
	int err;

	if (!p || !d || !f)
		return 0;
	eni = payer(p->key.eni, d->peer_eni);
	u = bpf_map_lookup_elem(&usage, &eni);
	if (!u)
		return DROP_ALLOWANCE;
	if (d->fresh) {
		b.payer = eni;
		price(p, f, &b);
		err = room(p, u, &b);
		if (err)
			return err;
	}
	if (READ(f->born) != d->born || !begin(f, &p->key))
		return 0; /* built, cut or deleted by another meanwhile: the verdict serves */
	fill(f, p, slot_own, d);
	if (d->fresh)
		take_over(p, f, u, eni);
	else
		touch(f, p);
	finish(f, d->epoch);
	if (!d->fresh)
		return 0;
	err = put_reverse(p, slot_own, d);
	return err ? without_replies(f, p, err) : 0;
}

/* end forgets a flow that was cut, once nobody lets its packets pass: allowed
 * again, it begins again. */
__noinline int end(struct flow *f, __u64 now)
{
	struct flow *rev;

	if (!f)
		return 0;
	rev = partner(f);
	die(f, now);
	if (rev)
		die(rev, now);
	return 0;
}
