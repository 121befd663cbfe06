/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Packets of a known flow, and which of them may end it. A reset counts only
 * where the receiver would believe it: at the sequence number that he
 * acknowledged last, or right behind what its sender sent last (RFC 5961, and a
 * connection that is aborted with data under way). Any other shortens nothing,
 * so who guesses at a connection from outside cannot make us forget it.
 */
#pragma once

#include "flow.h"

/* How far packets of one flow overtake each other between two CPUs, in bytes: a
 * large GSO packet or two. */
#define OVERTAKE (128 << 10)

/* The number after the packet's last. */
static __always_inline __u32 seq_end_of(const struct packet *p)
{
	return p->seq + (p->len - p->header) + ((p->tcp & SEEN_SYN) != 0) + ((p->tcp & SEEN_FIN) != 0);
}

/* Before the other side has acknowledged anything there is nothing to compare:
 * a refused SYN. */
__noinline int believable_reset(const struct packet *p, const struct flow *f)
{
	struct flow *rev;

	if (!p || !f)
		return 0;
	if (p->seq == f->next)
		return 1;
	rev = partner(f);
	return rev && (p->seq == rev->ack || !(rev->seen & SEEN_ACK));
}

/* reset closes the other side as well: it will not be believed once more. */
__noinline int reset(const struct flow *f)
{
	struct flow *rev = f ? partner(f) : 0;

	if (rev)
		WRITE(rev->seen, rev->seen | SEEN_RST);
	return 0;
}

/* catch_up: what the receiver has acknowledged was sent, however far we are
 * behind. */
__noinline int catch_up(struct flow *f)
{
	struct flow *rev;

	if (!f)
		return 0;
	rev = partner(f);
	if (rev && (__s32)(rev->ack - f->next) > 0)
		WRITE(f->next, rev->ack);
	return 0;
}

/* answered: the first packet of the replies' half. */
__noinline int answered(const struct flow *f)
{
	struct flow_slot *s;
	struct flow *rev;
	__u32 place;

	if (!f)
		return 0;
	rev = partner(f);
	if (!rev)
		return 0;
	place = rev->slot;
	s = bpf_map_lookup_elem(&flow_slots, &place);
	if (s && same_key(&s->key, &rev->key))
		settle(s);
	return 0;
}

/* sequence notes where the sender's side is and returns what the packet says of
 * the connection's state. */
static __always_inline __u32 sequence(struct flow *f, const struct packet *p, __u32 seen)
{
	__u32 end = seq_end_of(p), says = p->tcp & ~SEEN_SEQ;

	if (says & SEEN_RST) {
		if (!believable_reset(p, f))
			return seen;
		reset(f);
		return says;
	}
	if (seen && p->seq - f->next + OVERTAKE > 2 * OVERTAKE) {
		catch_up(f);
		return says & ~SEEN_FIN;
	}
	if (!seen || (__s32)(end - f->next) > 0)
		WRITE(f->next, end);
	if (says & SEEN_ACK)
		WRITE(f->ack, p->ack);
	return says;
}

/* touch counts a packet of a known flow. A side that has said its last word does
 * not keep the flow alive; only a new connection makes it speak again. */
static __always_inline void touch(struct flow *f, const struct packet *p)
{
	__u32 seen = f->seen, says = p->tcp, next;

	if (says & SEEN_SEQ)
		says = sequence(f, p, seen);
	next = seen | says;
	if (!(seen & (SEEN_FIN | SEEN_RST)))
		WRITE(f->last_seen, p->now);
	if (next != seen) {
		WRITE(f->seen, next);
		if (!seen)
			answered(f);
	}
	__sync_fetch_and_add(&f->packets, 1);
	__sync_fetch_and_add(&f->bytes, p->len);
}
