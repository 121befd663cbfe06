/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* One function per question; each calls the programs' own and copies out. */
#pragma once

static void forget(void)
{
	struct table *t;

	for (t = tables; t < tables + MAX_TABLES; t++)
		clear(t);
	kernel.random = 1;
}

static void arrive_as_asked(const struct frame_request *r, __u32 bytes)
{
	kernel.now = r->now;
	kernel.pull_fails = r->pull_fails;
	arrive(input + sizeof(*r), bytes - sizeof(*r), r->len, r->linear);
	kernel.skb.ifindex = r->ifindex;
	kernel.skb.gso_size = r->gso_size;
	kernel.skb.gso_segs = r->gso_segs;
	kernel.skb.vlan_present = r->vlan;
}

static void copy_packet(struct frame_answer *a, const struct packet *p)
{
	a->eni = p->key.eni;
	a->saddr = p->key.saddr;
	a->daddr = p->key.daddr;
	a->sport = p->key.sport;
	a->dport = p->key.dport;
	a->proto = p->key.proto;
	a->dir = p->key.dir;
	a->l4 = p->l4;
	a->header = p->header;
	a->frag_id = p->frag_id;
	a->len = p->len;
	a->tcp = p->tcp;
	a->seq = p->seq;
	a->ack = p->ack;
	a->syn = p->syn;
	a->icmp_type = p->icmp_type;
	a->icmp_code = p->icmp_code;
	a->fragment = p->fragment;
	a->first = p->first;
	a->error = is_icmp_error(p);
	a->service = service_of(p);
}

static void copy_quote(struct frame_answer *a, const struct packet *p)
{
	struct packet q = {};

	if (!a->error || quoted_reply(&kernel.skb, p, &q))
		return;
	a->quotes = 1;
	a->quoted_eni = q.key.eni;
	a->quoted_saddr = q.key.saddr;
	a->quoted_daddr = q.key.daddr;
	a->quoted_sport = q.key.sport;
	a->quoted_dport = q.key.dport;
	a->quoted_proto = q.key.proto;
}

/* What was counted since the last time, by its one counter. */
static void copy_drops(struct frame_answer *a)
{
	struct table *t = table_of(SHIM_MAP(&drops));
	struct drop_key key;
	struct element *e;
	__u32 i;

	for (i = 0; t->used && i < BUCKETS; i++)
		for (e = t->bucket[i]; e; e = e->next) {
			memcpy(&key, e->key, sizeof(key));
			a->drops += ((struct drop_count *)e->value)->packets;
			a->drop_eni = key.eni;
			a->drop_stage = key.stage;
			a->drop_reason = key.reason;
		}
	clear(t);
}

static void answer_frame(__u32 bytes)
{
	struct frame_answer a = {};
	struct frame_request r;
	struct packet p = {};

	memcpy(&r, input, sizeof(r));
	arrive_as_asked(&r, bytes);
	p.key.eni = r.ifindex - PORT_BASE;
	a.reason = parse(&kernel.skb, &p);
	if (!a.reason) {
		copy_packet(&a, &p);
		copy_quote(&a, &p);
	}
	if (r.whole) {
		arrive_as_asked(&r, bytes);
		a.verdict = vpc_from_eni(&kernel.skb);
		a.sent_to = kernel.sent_to;
		a.redirects = kernel.redirects;
		copy_drops(&a);
		memcpy(a.cb, kernel.skb.cb, sizeof(a.cb));
		a.left = r.whole > 1 ? kernel.bytes : 0;
	}
	fwrite(&a, sizeof(a), 1, stdout);
	fwrite(kernel.whole, 1, a.left, stdout);
}

static void answer_question(void)
{
	struct membership *member = 0, one = {};
	struct question_request r;
	struct question_answer out;
	struct question q = {};
	struct answer a;

	memcpy(&r, input, sizeof(r));
	q.list = r.list;
	memcpy(q.remote.w, r.addr, sizeof(r.addr));
	q.service = r.service;
	memcpy(one.groups, r.groups, sizeof(r.groups));
	if (r.member)
		member = &one;
	memset(&a, 0xff, sizeof(a)); /* what is not written must not look right */
	out.returned = classify(&q, member, &a);
	out.allowed = a.allowed;
	out.rule = a.rule;
	out.any = a.any;
	out.flags = a.flags;
	fwrite(&out, sizeof(out), 1, stdout);
}

static void answer_fragment(void)
{
	struct fragment_answer a = {};
	struct fragment_request r;
	struct packet p = {};

	memcpy(&r, input, sizeof(r));
	p.now = r.now;
	p.key.eni = r.eni;
	p.key.saddr = r.saddr;
	p.key.daddr = r.daddr;
	p.key.proto = r.proto;
	p.frag_id = r.frag_id;
	if (r.recall) {
		p.fragment = 1;
		a.failed = frag_recall(&p, r.slot) != 0;
		a.sport = p.key.sport;
		a.dport = p.key.dport;
		a.icmp_type = p.icmp_type;
		a.icmp_code = p.icmp_code;
	} else {
		p.first = 1;
		p.key.sport = r.sport;
		p.key.dport = r.dport;
		p.icmp_type = r.icmp_type;
		p.icmp_code = r.icmp_code;
		frag_remember(&p, r.slot);
	}
	fwrite(&a, sizeof(a), 1, stdout);
}
