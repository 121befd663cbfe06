/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Write a decision into the flow table: a new pair, or a known one in place. */
#pragma once

#include "build.h"
#include "claim.h"
#include "decide.h"
#include "sequence.h"

#define E_EXIST (-17)

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
	f->flags = d->flags;
	f->last_seen = p->now;
	if (!d->fresh)
		return;
	f->seen = p->tcp & ~SEEN_SEQ;
	f->next = seq_end_of(p);
	f->ack = p->ack;
	f->packets = 1;
	f->bytes = p->len;
	f->first_seen = p->now;
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
	f->flags = FLOW_REVERSE | swap_track(d->flags);
	f->last_seen = p->now;
	f->seen = 0;
	f->next = 0;
	f->ack = 0;
	f->packets = 0;
	f->bytes = 0;
	f->first_seen = p->now;
}

static __always_inline __u32 reverse_epoch(const struct decision *d)
{
	return d->src_known && !d->crosses ? d->peer_epoch : 0;
}

/* spoken_for: the replies' half serves a live pair of the interface that has
 * the source's address. Who only forwards or imitates that address must not turn
 * the answers to its owner away. */
static __always_inline int spoken_for(const struct packet *p, const struct decision *d, struct flow *rev)
{
	struct flow_key key;
	struct flow *owner;

	if (d->src_known || READ(rev->state) != FLOW_LIVE || rev->peer_eni == p->key.eni)
		return 0;
	other_half(&rev->key, rev->peer_eni, &key);
	owner = bpf_map_lookup_elem(&flows, &key);
	return owner && READ(owner->state) == FLOW_LIVE && !pair_expired(owner, rev, p->now, 0);
}

/* put_reverse writes the replies' half; -1 when there is no room for it, 1 when
 * it is another's, or an old one that is just being deleted and would take the
 * new content along. */
__noinline int put_reverse(const struct packet *p, __u32 slot_own, const struct decision *d, __u32 place)
{
	struct flow_key key;
	struct flow *rev, value = {};
	long err;

	if (!p || !d)
		return -1;
	other_half(&p->key, d->peer_eni, &key);
	rev = bpf_map_lookup_elem(&flows, &key);
	if (!rev) {
		value.key = key;
		fill_reverse(&value, p, slot_own, d);
		value.state = FLOW_LIVE;
		value.epoch = reverse_epoch(d);
		value.born = bpf_ktime_get_ns();
		value.slot = place;
		err = bpf_map_update_elem(&flows, &key, &value, BPF_NOEXIST);
		return err && err != E_EXIST ? -1 : 0;
	}
	if (spoken_for(p, d, rev))
		return 1;
	if (begin(rev, &key)) {
		fill_reverse(rev, p, slot_own, d);
		rev->slot = place;
		finish(rev, reverse_epoch(d));
		return 0;
	}
	return READ(rev->state) == FLOW_GONE;
}

__noinline int put_forward(const struct packet *p, __u32 slot_own, const struct decision *d, __u32 place)
{
	struct flow value = {};

	if (!p || !d)
		return -1;
	value.key = p->key;
	fill(&value, p, slot_own, d);
	value.state = FLOW_LIVE;
	value.epoch = d->epoch;
	value.born = bpf_ktime_get_ns();
	value.slot = place;
	return bpf_map_update_elem(&flows, &value.key, &value, BPF_NOEXIST);
}

/* room: 0, or why this interface may not open a flow. Where it has used its
 * share, its old flows are looked through first. */
__noinline int room(const struct packet *p, struct flow_usage *u, const struct bill *b)
{
	struct host_state *m = host_state();
	int why;

	if (!p || !u || !b || !m)
		return DROP_ALLOWANCE;
	why = over(m, u, b);
	if (!why || u->full == p->now)
		return why;
	make_room(p->now, hurried(m, u, p->key.eni), STEPS_OVER);
	why = over(m, u, b);
	if (why)
		WRITE(u->full, p->now);
	return why;
}

/* open_account writes who pays for the pair into its place. */
static __always_inline void open_account(struct flow_slot *s, const struct packet *p, struct flow_usage *u)
{
	s->key = p->key;
	s->owner = p->key.eni;
	__sync_fetch_and_add(&u->flows, 1);
	s->half_open = p->key.proto == IPPROTO_TCP;
	if (s->half_open)
		__sync_fetch_and_add(&u->half_open, 1);
}

/* create writes a new pair, or nothing; 0 or a drop reason. */
__noinline int create(const struct packet *p, __u32 slot_own, const struct decision *d)
{
	struct bill b = { .flows = 1, .half_open = p && p->key.proto == IPPROTO_TCP };
	struct host_state *m = host_state();
	struct flow_usage *u;
	struct flow_slot *s;
	__u32 place, eni;
	struct flow *f;
	long err;

	if (!p || !d || !m)
		return DROP_TABLE_FULL;
	eni = p->key.eni;
	u = bpf_map_lookup_elem(&usage, &eni);
	if (!u)
		return DROP_ALLOWANCE;
	err = room(p, u, &b);
	if (err)
		return err;
	place = claim(p->now, hurried(m, u, eni));
	s = bpf_map_lookup_elem(&flow_slots, &place);
	if (!s)
		return DROP_TABLE_FULL;
	err = put_forward(p, slot_own, d, place);
	if (err && err != E_EXIST && make_room(p->now, EVERYONE, STEPS_FULL))
		err = put_forward(p, slot_own, d, place);
	if (err) {
		/* Another CPU is creating the same flow: its entry serves. */
		WRITE(s->state, SLOT_FREE);
		return err == E_EXIST ? 0 : DROP_TABLE_FULL;
	}
	open_account(s, p, u);
	__sync_fetch_and_add(&m->live, 1);
	err = put_reverse(p, slot_own, d, place);
	if (err < 0 && make_room(p->now, EVERYONE, STEPS_FULL))
		err = put_reverse(p, slot_own, d, place);
	if (err) {
		/* A half without replies would answer for as long as it is used: the
		 * next packet builds the pair. */
		f = flow_of(p);
		if (f)
			die(f, p->now);
	}
	WRITE(s->state, SLOT_USED);
	return err < 0 ? DROP_TABLE_FULL : 0;
}

/* orphan gives the half of a former receiver a place of its own in the clock:
 * from now on its pair's place leads to the new one. True if nothing is left
 * that the clock cannot find. It counts for nobody's allowance. */
static __always_inline int orphan(const struct packet *p, struct flow *f)
{
	struct host_state *m = host_state();
	struct flow_slot *s;
	struct flow_key key;
	struct flow *rev;
	__u32 place;

	other_half(&p->key, f->peer_eni, &key);
	rev = bpf_map_lookup_elem(&flows, &key);
	if (!rev || !m)
		return !rev;
	die(rev, p->now);
	place = claim(p->now, ROOMY);
	s = bpf_map_lookup_elem(&flow_slots, &place);
	if (!s)
		return 0;
	rev->flags |= FLOW_ORPHAN;
	s->key = key;
	s->owner = 0;
	s->half_open = 0;
	__sync_fetch_and_add(&m->live, 1);
	WRITE(s->state, SLOT_USED);
	return 1;
}

/* price of opening a known pair anew: nothing that its account has already. */
static __always_inline void price(const struct packet *p, struct flow *f, struct bill *b)
{
	__u32 place = f->slot;
	struct flow_slot *s = bpf_map_lookup_elem(&flow_slots, &place);

	b->flows = s && s->owner != p->key.eni;
	b->half_open = p->key.proto == IPPROTO_TCP && s && !(s->half_open && !b->flows);
}

/* take_over moves a pair's account to the interface that opens it anew. Its
 * place stays while one of its halves is being built. */
__noinline int take_over(const struct packet *p, __u32 place, struct flow_usage *u)
{
	struct flow_slot *s = bpf_map_lookup_elem(&flow_slots, &place);
	struct flow_usage *before;

	if (!p || !s || !u)
		return 0;
	settle(s);
	if (s->owner != p->key.eni) {
		before = bpf_map_lookup_elem(&usage, &s->owner);
		if (before)
			__sync_fetch_and_add(&before->flows, -1);
		__sync_fetch_and_add(&u->flows, 1);
		s->owner = p->key.eni;
	}
	if (p->key.proto == IPPROTO_TCP && swap_state(&s->half_open, 0, 1))
		__sync_fetch_and_add(&u->half_open, 1);
	return 0;
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
	eni = p->key.eni;
	u = bpf_map_lookup_elem(&usage, &eni);
	if (!u)
		return DROP_ALLOWANCE;
	if (d->fresh) {
		price(p, f, &b);
		err = room(p, u, &b);
		if (err)
			return err;
	}
	if (READ(f->born) != d->born || !begin(f, &p->key))
		return 0; /* built, cut or deleted by another meanwhile: the verdict serves */
	if (f->peer_eni != d->peer_eni && !orphan(p, f)) {
		swap_state(&f->state, FLOW_BUILDING, FLOW_DEAD);
		return DROP_TABLE_FULL;
	}
	fill(f, p, slot_own, d);
	if (d->fresh)
		take_over(p, f->slot, u);
	else
		touch(f, p);
	finish(f, d->epoch);
	if (!d->fresh)
		return 0;
	err = put_reverse(p, slot_own, d, f->slot);
	if (err)
		die(f, p->now);
	return err < 0 ? DROP_TABLE_FULL : 0;
}
