/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Where a packet goes: whether its sender may use that source, what its route
 * table says, and whose port is there. A gateway knows neither sender nor routes:
 * who comes from the world goes where a public address leads.
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

struct ends {
	struct endpoint *src;	/* 0 unless it is the sender's own address */
	struct endpoint *dst;	/* of the next interface; 0 for the world */
	struct port *peer;
	__u32 vpc;		/* dst's key */
	__be32 at;
	__u32 addressed;	/* dst has the packet's destination, and does not only forward it */
};

/* No packet has such a source: an interface without source check is no excuse. */
static __always_inline int impossible(__be32 v4)
{
	__u32 a = bpf_ntohl(v4);

	return a >> 24 == 0 || a >> 24 == 127 || a >> 28 >= 0xe;
}

/* What no internet gateway leads to or from: besides these, private, shared and
 * link-local addresses. */
static __always_inline int never_public(__be32 v4)
{
	__u32 a = bpf_ntohl(v4);

	return impossible(v4) || a >> 24 == 10 || a >> 22 == (100 << 2 | 1) || a >> 16 == (169 << 8 | 254) ||
	       a >> 20 == (172 << 4 | 1) || a >> 16 == (192 << 8 | 168);
}

static __always_inline int not_public(__be32 v4)
{
	struct filter_key key = { .prefixlen = 32, .addr = v4 };
	__u32 *verdict = bpf_map_lookup_elem(&edge_filter, &key);

	return verdict ? *verdict != FILTER_ALLOW : never_public(v4);
}

/* at_port: the packet ends at this slot, if it is still that interface's. */
static __noinline int at_port(__u32 vpc, __u32 slot, __u32 eni, struct decision *d, struct ends *e)
{
	if (!d || !e)
		return -1;
	e->peer = port_at(slot);
	if (!e->peer)
		return refuse(d, STAGE_ROUTE, DROP_PEER_DOWN);
	d->peer_slot = slot;
	d->peer_eni = eni;
	d->peer_epoch = READ(e->peer->epoch);
	if (READ(e->peer->eni) != eni || e->peer->vpc != vpc || !(e->peer->flags & PORT_READY))
		return refuse(d, STAGE_ROUTE, DROP_PEER_DOWN);
	return 0;
}

/* at_endpoint: it goes to who has this address. Each field is read once: the
 * element may be recycled, for another VPC's address as well, which is why the
 * port is asked for its VPC, and the key once more when all has been read. */
static __always_inline int at_endpoint(__u32 vpc, __be32 addr, struct decision *d, struct ends *e)
{
	e->vpc = vpc;
	e->at = addr;
	e->dst = endpoint_of(vpc, addr);
	if (!e->dst)
		return refuse(d, STAGE_ROUTE, DROP_NO_ENDPOINT);
	return at_port(vpc, READ(e->dst->slot), READ(e->dst->eni), d, e);
}

/* leave: out of the VPC, under the public address of the source. */
static __always_inline int leave(const struct packet *p, struct port *port, struct decision *d, struct ends *e)
{
	d->nat = e->src ? READ(e->src->public) : 0;
	if (!d->nat)
		return refuse(d, STAGE_ROUTE, DROP_NO_PUBLIC_ADDRESS);
	if (not_public(p->key.daddr))
		return refuse(d, STAGE_ROUTE, DROP_NOT_PUBLIC);
	if (!port->edge)
		return refuse(d, STAGE_ROUTE, DROP_NO_ROUTE);
	return at_port(port->vpc, port->edge - 1, EDGE_ENI | port->vpc, d, e);
}

/* enter: from the world to whom a public address of this VPC belongs. */
static __noinline int enter(const struct packet *p, struct port *port, struct decision *d, struct ends *e)
{
	struct public_address *a;
	__be32 addr;

	if (!p || !port || !d || !e)
		return -1;
	addr = p->key.daddr;
	d->src_known = 0;
	if (not_public(p->key.saddr))
		return refuse(d, STAGE_SPOOF, DROP_NOT_PUBLIC);
	a = bpf_map_lookup_elem(&publics, &addr);
	if (!a || a->vpc != port->vpc)
		return refuse(d, STAGE_ROUTE, DROP_NO_ENDPOINT);
	d->nat = READ(a->private);
	if (READ(a->addr) != addr || at_endpoint(port->vpc, d->nat, d, e))
		return refuse(d, STAGE_ROUTE, DROP_NO_ENDPOINT);
	if (READ(e->dst->public) != addr)
		return refuse(d, STAGE_ROUTE, DROP_NO_ENDPOINT);
	return 0;
}

/* of_ours: what has this source is in the VPC, or in one that it is joined with,
 * as the receiver's own routes tell; who comes from the world with it pretends. */
static __noinline int of_ours(const struct packet *p, struct port *port, __u32 table)
{
	struct route *r;

	if (!p || !port)
		return 1;
	if (endpoint_of(port->vpc, p->key.saddr))
		return 1;
	r = route_to(table, p->key.saddr);
	return r && (r->target == ROUTE_LOCAL || r->target == ROUTE_PEER);
}

/* through: to an interface that the route names, which forwards what is not its
 * own. */
static __always_inline int through(const struct packet *p, struct port *port, __be32 via, struct decision *d,
				   struct ends *e)
{
	if (at_endpoint(port->vpc, via, d, e))
		return -1;
	e->addressed = via == p->key.daddr;
	if (!e->addressed && e->peer && e->peer->flags & PORT_SRC_DST_CHECK)
		return refuse(d, STAGE_ROUTE, DROP_SOURCE_DEST_CHECK);
	return d->peer_eni == port->eni ? refuse(d, STAGE_ROUTE, DROP_NO_ENDPOINT) : 0;
}

static __always_inline int local(const struct packet *p, struct port *port, struct decision *d, struct ends *e)
{
	e->addressed = 1;
	if (at_endpoint(port->vpc, p->key.daddr, d, e))
		return -1;
	return d->peer_eni == port->eni ? refuse(d, STAGE_ROUTE, DROP_NO_ENDPOINT) : 0;
}

/* routed follows the table of the sender's subnet. */
static __noinline int routed(const struct packet *p, struct port *port, __u32 table, struct decision *d,
			     struct ends *e)
{
	struct route *r;
	__u32 peer;
	__be32 via;

	if (!p || !port || !d || !e)
		return -1;
	r = route_to(table, p->key.daddr);
	if (!r)
		return refuse(d, STAGE_ROUTE, DROP_NO_ROUTE);
	switch (READ(r->target)) {
	case ROUTE_LOCAL:
		return local(p, port, d, e);
	case ROUTE_BLACKHOLE:
		return refuse(d, STAGE_ROUTE, DROP_BLACKHOLE);
	case ROUTE_INTERNET:
		return leave(p, port, d, e);
	case ROUTE_INTERFACE:
		via = READ(r->via);
		return through(p, port, via, d, e);
	case ROUTE_PEER:
		peer = READ(r->peer);
		d->out = READ(r->out);
		if (!d->out)
			return refuse(d, STAGE_ROUTE, DROP_NO_ENDPOINT);
		e->addressed = 1;
		return at_endpoint(peer, p->key.daddr, d, e);
	}
	return refuse(d, STAGE_ROUTE, DROP_NO_ROUTE);
}

/* locate finds the source's and the destination's endpoints and ports. Not
 * inlined, like known: the deepest chain of calls has 512 bytes of stack. */
static __noinline int locate(const struct packet *p, struct port *port, __u32 table, struct decision *d,
			     struct ends *e)
{
	if (!p || !port || !d || !e)
		return -1;
	e->src = endpoint_of(port->vpc, p->key.saddr);
	if (e->src && e->src->eni != port->eni)
		e->src = 0;
	if (!e->src && (port->flags & PORT_SRC_DST_CHECK || impossible(p->key.saddr) || p->key.saddr == p->key.daddr))
		return refuse(d, STAGE_SPOOF, DROP_ANTI_SPOOF);
	d->src_known = e->src != 0;
	if (!in_subnet(port, p->key.daddr))
		return routed(p, port, table, d, e);
	return local(p, port, d, e);
}

static __always_inline int replaced(const struct endpoint *e, __u32 vpc, __be32 v4)
{
	return e && (READ(e->key.vpc) != vpc || READ(e->key.addr.w[3]) != v4);
}

/* recycled: an element that was read belongs to another address by now. */
static __always_inline int recycled(const struct packet *p, const struct port *port, const struct ends *e)
{
	return replaced(e->src, port->vpc, p->key.saddr) || replaced(e->dst, e->vpc, e->at);
}
