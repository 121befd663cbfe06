/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The layout of rule lists, which programs and user space share. */
#pragma once

#include <linux/types.h>

/*
 * A rule list as bit vectors: bit n is rule n in the order of evaluation. Two
 * axes, the remote address and the service, are cut into segments; each says
 * which rules match there. A list is immutable once a port names it.
 *
 * `bits` is the vector itself in a list of one word, else its number in
 * `bitmaps`; 0 is the empty one in both.
 */
#define MAX_WORDS 16
#define WORD_RULES 64
#define INLINE_SEGMENTS 32 /* of a list's head: segments, or the starts of chunks */
#define CHUNK_SEGMENTS 128

/* From this address on, host order; to the next segment's start. */
struct addr_segment {
	__u64 hi, lo;
	__u64 bits;
};

/* What the rules of one word say. */
struct rule_word {
	__u64 any;  /* bits of rules for the whole world */
	__u64 deny; /* bits of rules that refuse */
	__u32 id[WORD_RULES];
};

enum list_flags {
	LIST_OPEN_TCP = 1, /* everyone, all TCP ports: replies need no tracking */
	LIST_OPEN_UDP = 2,
	LIST_GROUPS = 4,   /* some rule names a group */
};

/* The head of a list; most lists are nothing but their head. */
struct list {
	__u32 flags;	      /* enum list_flags */
	__u32 words;
	__u32 addr_chunks;    /* 0: the segments are here */
	__u32 service_chunks;
	__u32 rules;	      /* bits in use */
	__u32 pad;
	__u8 name[16];	      /* digest of its rules; programs ignore it */
	struct rule_word first; /* of bits 0 to 63 */
	struct addr_segment addrs[INLINE_SEGMENTS];
	__u32 services[INLINE_SEGMENTS]; /* starts: protocol, then port or ICMP type and code */
	__u64 service_bits[INLINE_SEGMENTS];
};

/* A part of a list: chunk of an axis, or word of rules. */
struct list_key {
	__u32 list;
	__u32 part;
};

struct addr_chunk {
	struct addr_segment addrs[CHUNK_SEGMENTS];
};

struct service_chunk {
	__u32 services[CHUNK_SEGMENTS];
	__u64 bits[CHUNK_SEGMENTS];
};

struct member_key {
	__u32 list;
	__u32 group;
};

struct member {
	__u64 bits;
};

struct bitmap {
	__u64 w[MAX_WORDS];
};
