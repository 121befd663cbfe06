/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Write a decision into the flow table: a new pair, or a known one in place. */
#pragma once

#include "claim.h"
#include "decide.h"

#define E_EXIST (-17)

static __always_inline __u32 swap_track(__u32 flags)
{
	return (flags & FLOW_TRACK_OWN ? FLOW_TRACK_PEER : 0) | (flags & FLOW_TRACK_PEER ? FLOW_TRACK_OWN : 0);
}

/* The half for the packet's own direction. */
static __always_inline void fill(struct flow *f, const struct packet *p, __u32 own_slot, const struct decision *d,
				 __u64 now)
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
	f->last_seen = now;
	if (!d->fresh)
		return;
	f->seen = p->tcp;
	f->packets = 1;
	f->bytes = p->len;
	f->first_seen = now;
}

/* The half for the replies. It can be used at once within a subnet and if the
 * source is the sender's own address; else its first packet is judged on its
 * own: the ACLs for its direction have not been asked, or it may be routed
 * elsewhere. */
static __always_inline void fill_reverse(struct flow *f, const struct packet *p, __u32 own_slot,
					 const struct decision *d, __u64 now)
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
	f->last_seen = now;
	f->seen = 0;
	f->packets = 0;
	f->bytes = 0;
	f->first_seen = now;
}

static __always_inline __u32 reverse_epoch(const struct decision *d)
{
	return d->src_known && !d->crosses ? d->peer_epoch : 0;
}

/* begin and finish bracket a change in place, by one CPU at a time. An element
 * that was recycled for another tuple is left as it was. */
static __always_inline int begin(struct flow *f, const struct flow_key *key)
{
	__u32 was = READ(f->state);

	if ((was != FLOW_LIVE && was != FLOW_DEAD) || !swap_state(&f->state, was, FLOW_BUILDING))
		return 0;
	if (!same_key(&f->key, key)) {
		swap_state(&f->state, FLOW_BUILDING, was);
		return 0;
	}
	WRITE(f->epoch, 0);
	WRITE(f->born, bpf_ktime_get_ns());
	return 1;
}

static __always_inline void finish(struct flow *f, __u32 epoch)
{
	WRITE(f->epoch, epoch);
	swap_state(&f->state, FLOW_BUILDING, FLOW_LIVE);
}

/* flow_of looks the packet's own half up. Linux 6.1 takes no key from the
 * argument of a function, and the copy must not lie on the deepest stack. */
static __noinline struct flow *flow_of(const struct packet *p)
{
	struct flow_key key = p->key;

	return bpf_map_lookup_elem(&flows, &key);
}

/* put_reverse writes the replies' half; -1 when there is no room for it, 1 when
 * an old one is just being deleted and would take the new content along. */
__noinline int put_reverse(const struct packet *p, __u32 slot_own, const struct decision *d, __u64 now,
				  __u32 place)
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
		fill_reverse(&value, p, slot_own, d, now);
		value.state = FLOW_LIVE;
		value.epoch = reverse_epoch(d);
		value.born = bpf_ktime_get_ns();
		value.slot = place;
		err = bpf_map_update_elem(&flows, &key, &value, BPF_NOEXIST);
		return err && err != E_EXIST ? -1 : 0;
	}
	if (begin(rev, &key)) {
		fill_reverse(rev, p, slot_own, d, now);
		rev->slot = place;
		finish(rev, reverse_epoch(d));
		return 0;
	}
	return READ(rev->state) == FLOW_GONE;
}

__noinline int put_forward(const struct packet *p, __u32 slot_own, const struct decision *d, __u64 now,
				  __u32 place)
{
	struct flow value = {};

	if (!p || !d)
		return -1;
	value.key = p->key;
	fill(&value, p, slot_own, d, now);
	value.state = FLOW_LIVE;
	value.epoch = d->epoch;
	value.born = bpf_ktime_get_ns();
	value.slot = place;
	return bpf_map_update_elem(&flows, &value.key, &value, BPF_NOEXIST);
}

/* create writes a new pair, or nothing; 0 or a drop reason. */
__noinline int create(const struct packet *p, __u32 slot_own, const struct decision *d, __u64 now)
{
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
	place = claim(now, is_tight(m, u));
	s = bpf_map_lookup_elem(&flow_slots, &place);
	if (!s)
		return DROP_TABLE_FULL;
	if (u->flows >= allowance(m))
		make_room(now);
	if (u->flows >= allowance(m)) {
		WRITE(s->state, SLOT_FREE);
		return DROP_ALLOWANCE;
	}
	err = put_forward(p, slot_own, d, now, place);
	if (err && err != E_EXIST && make_room(now))
		err = put_forward(p, slot_own, d, now, place);
	if (err) {
		/* Another CPU is creating the same flow: its entry serves. */
		WRITE(s->state, SLOT_FREE);
		return err == E_EXIST ? 0 : DROP_TABLE_FULL;
	}
	s->key = p->key;
	s->owner = p->key.eni;
	__sync_fetch_and_add(&u->flows, 1);
	__sync_fetch_and_add(&m->live, 1);
	err = put_reverse(p, slot_own, d, now, place);
	if (err < 0 && make_room(now))
		err = put_reverse(p, slot_own, d, now, place);
	if (err) {
		/* A half without replies would answer for as long as it is used: the
		 * next packet builds the pair. */
		f = flow_of(p);
		if (f)
			die(f, now);
	}
	WRITE(s->state, SLOT_USED);
	return err < 0 ? DROP_TABLE_FULL : 0;
}

/* orphan gives the half of a former receiver a place of its own in the clock:
 * from now on its pair's place leads to the new one. True if nothing is left
 * that the clock cannot find. It counts for nobody's allowance. */
static __always_inline int orphan(const struct flow_key *k, struct flow *f, __u64 now)
{
	struct host_state *m = host_state();
	struct flow_slot *s;
	struct flow_key key;
	struct flow *rev;
	__u32 place;

	other_half(k, f->peer_eni, &key);
	rev = bpf_map_lookup_elem(&flows, &key);
	if (!rev || !m)
		return !rev;
	die(rev, now);
	place = claim(now, 0);
	s = bpf_map_lookup_elem(&flow_slots, &place);
	if (!s)
		return 0;
	rev->flags |= FLOW_ORPHAN;
	s->key = key;
	s->owner = 0;
	__sync_fetch_and_add(&m->live, 1);
	WRITE(s->state, SLOT_USED);
	return 1;
}

/* renew writes a decision over an entry that exists; a new flow on an old
 * tuple renews the other half too. */
__noinline int renew(const struct packet *p, __u32 slot_own, const struct decision *d, struct flow *f,
			    __u64 now)
{
	int err;

	if (!p || !d || !f)
		return 0;
	if (!begin(f, &p->key))
		return 0; /* being built or deleted by another: the verdict serves */
	if (f->peer_eni != d->peer_eni && !orphan(&p->key, f, now)) {
		swap_state(&f->state, FLOW_BUILDING, FLOW_DEAD);
		return DROP_TABLE_FULL;
	}
	fill(f, p, slot_own, d, now);
	if (!d->fresh)
		touch(f, p, now);
	finish(f, d->epoch);
	if (!d->fresh)
		return 0;
	err = put_reverse(p, slot_own, d, now, f->slot);
	if (err)
		die(f, now);
	return err < 0 ? DROP_TABLE_FULL : 0;
}
