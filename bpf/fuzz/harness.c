//go:build ignore

// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * from_eni.c in user space, compiled with sanitizers. Requests come from stdin,
 * each with its number of bytes; answers go to stdout. The structs below are
 * the protocol, in this machine's byte order and without padding; harness_test.go
 * has the same. Whatever ends this process names the request on stderr.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sanitizer/asan_interface.h>

#include "../from_eni.c"

#include "tables.h"
#include "frames.h"

enum op { OP_CLEAR = 1, OP_PUT, OP_DELETE, OP_FRAME, OP_QUESTION, OP_FRAGMENT, OP_FLUSH };

/* Followed by the map's name, filled up with 0 to 16 bytes, key and value. */
struct request {
	__u32 op, bytes;
};

/* Followed by the frame's bytes. */
struct frame_request {
	__u64 now;
	__u32 len, linear, ifindex, gso_size, gso_segs, vlan, pull_fails;
	__u32 whole; /* 1: run the program, too; 2: and show the frame that it leaves */
};

struct frame_answer {
	__u32 eni, saddr, daddr;
	__u16 sport, dport;
	__u8 proto, dir;
	__u16 l4, header, frag_id;
	__u32 len;
	__u8 tcp, syn, icmp_type, icmp_code, fragment, first, error, quotes;
	__u32 service;
	__u32 quoted_eni, quoted_saddr, quoted_daddr;
	__u16 quoted_sport, quoted_dport;
	__u8 quoted_proto, reason, pad[2]; /* reason: of parse */
	__u32 seq, ack;
	__u32 verdict, sent_to, redirects, drops;
	__u32 drop_eni, drop_stage, drop_reason;
	__u32 cb[2];
	__u32 left; /* bytes of the frame, which follow */
};

struct question_request {
	__u32 list, addr[4], service, member; /* member: somebody has the address */
	__u32 groups[MAX_GROUPS];
};

struct question_answer {
	__u32 returned, allowed, rule, any, flags;
};

struct fragment_request {
	__u64 now;
	__u32 recall, slot, eni, saddr, daddr;
	__u16 frag_id, sport, dport;
	__u8 icmp_type, icmp_code, proto, pad[3];
};

struct fragment_answer {
	__u32 failed;
	__u16 sport, dport;
	__u8 icmp_type, icmp_code, pad[2];
};

#define LOADED(m) { #m, { &m, sizeof(*m.type) / sizeof(int), sizeof(*m.max_entries) / sizeof(int), sizeof(*m.key), sizeof(*m.value) } }

/* What user space writes. */
static const struct { const char *name; struct shim_map map; } loaded[] = {
	LOADED(ports), LOADED(usage), LOADED(endpoints), LOADED(routes), LOADED(lists), LOADED(rule_words),
	LOADED(addr_chunks), LOADED(service_chunks), LOADED(members), LOADED(bitmaps), LOADED(frags), LOADED(denied),
	LOADED(publics), LOADED(edge_filter),
};

static unsigned char input[MAX_FRAME + 4096];
static unsigned long served;

static void say_where(void) { fprintf(stderr, "harness: this was request %lu\n", served); }

static void change(__u32 op, __u32 bytes)
{
	const struct shim_map *m = 0;
	unsigned i;

	for (i = 0; i < sizeof(loaded) / sizeof(loaded[0]); i++)
		if (!strncmp((char *)input, loaded[i].name, 16))
			m = &loaded[i].map;
	if (!m || bytes != 16 + m->key_size + (op == OP_PUT ? m->value_size : 0))
		give_up("Go and C disagree about a map");
	if (op == OP_PUT ? shim_update(m, input + 16, input + 16 + m->key_size, 0) : shim_delete(m, input + 16))
		give_up("a map refused a change");
}

#include "answers.h"

int main(void)
{
	struct request r;

	make_arenas();
	__sanitizer_set_death_callback(say_where);
	setvbuf(stdout, 0, _IOFBF, 1 << 16);
	for (; fread(&r, sizeof(r), 1, stdin) == 1; served++) {
		if (r.bytes > sizeof(input) || fread(input, 1, r.bytes, stdin) != r.bytes)
			give_up("a request without its end");
		switch (r.op) {
		case OP_CLEAR:
			forget();
			break;
		case OP_PUT:
		case OP_DELETE:
			change(r.op, r.bytes);
			break;
		case OP_FRAME:
			answer_frame(r.bytes);
			break;
		case OP_QUESTION:
			answer_question();
			break;
		case OP_FRAGMENT:
			answer_fragment();
			break;
		case OP_FLUSH:
			fflush(stdout);
			break;
		default:
			give_up("a request of no kind");
		}
	}
	return fflush(stdout);
}
