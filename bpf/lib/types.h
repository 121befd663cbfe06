/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The layout of everything that programs and user space share.
 *
 * Indices (eni, vpc, subnet, table, group, list) are host order and never
 * reused. A slot is host-local and dense; it is reused, which is why every
 * cached decision also carries the epoch of the slot. Addresses and ports are
 * network order. "Port" is a bridge port, as in the kernel; TCP's and UDP's
 * ports are called sport and dport.
 */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lists.h"

/* Host-unique ifindexes: a port's is PORT_BASE + slot. */
#define PORT_BASE 0x01000000
#define MAX_PORTS 16384

/* An address as 128 bits; IPv4 is mapped (::ffff:a.b.c.d). */
struct addr {
	__be32 w[4];
};

enum port_flags {
	PORT_READY = 1,		 /* packets may pass; without it the port is closed */
	PORT_SRC_DST_CHECK = 2,	 /* only own addresses as source and destination */
	PORT_TAP = 4,		 /* the device is a tap: redirect, not redirect_peer */
	PORT_CUT = 8,		 /* tracked flows obey changed rules as well */
	PORT_EDGE = 16,		 /* the VPC's internet gateway: the world is behind it */
	PORT_NAT = 32,		 /* a NAT gateway: it tracks connections itself */
};

/* Indices of gateways: this, and their VPC's. Interfaces never get that far. */
#define EDGE_ENI 0x80000000

/*
 * What a change of policy replaces is there twice. The older one is written,
 * with the generation after the present one; then one word, the generation in
 * force, makes all that was written so the policy of the host at once: no packet
 * meets a part of a change. 0 is in force for ever; nobody reads what is younger
 * than the generation in force.
 */
struct policy {
	__u64 since;
	__u32 egress;		/* rule list ids; 0 is the empty list, which refuses */
	__u32 ingress;
	__u32 acl_out;		/* the subnet's network ACL, list ids as well */
	__u32 acl_in;
	__u32 acl;		/* whose rules are counted */
	__u32 table;
};

/* One attached interface, by slot. Hot fields first. */
struct port {
	__u32 epoch;		/* counts every change of policy, route or place; never 0 when used */
	__u32 eni;		/* 0: the slot is free */
	__u32 flags;		/* enum port_flags */
	__u32 subnet;
	__u8 mac[6];
	__u8 router_mac[6];
	__u32 mtu;		/* bytes, without the Ethernet header */
	__u32 vpc;
	__be32 router;
	__be32 net;		/* the subnet's prefix */
	__be32 mask;
	__u32 tcp_idle;		/* seconds after which its groups forget an idle flow; 0: the default */
	__u32 udp_idle;
	__u32 udp_stream;
	__u32 edge;		/* 1 + the slot of the VPC's internet gateway; 0: there is none */
	__u32 version;		/* digest of what else its verdicts rest on; programs ignore it */
	__u32 uncounted;	/* 1: its policy was written and no epoch has counted that; likewise */
	struct policy policy[2];
};

/* Counters of one port, per CPU; packets and bytes of IP as the interface saw them. */
struct port_stats {
	__u64 tx_packets, tx_bytes, rx_packets, rx_bytes;
};

/* Pairs that one interface has opened and not yet given back. The account is
 * the interface's and not its slot's: it follows it from port to port. */
struct flow_usage {
	__s32 flows;
	__s32 half_open; /* those of them that are TCP and that nobody has answered */
	__u64 full;	 /* ns, coarse: when it last looked for room and found none */
};

struct endpoint_key {
	__u32 vpc;
	struct addr addr;
};

#define MAX_GROUPS 16

struct membership {
	__u64 since;
	__u32 groups[MAX_GROUPS]; /* 0 is no group */
};

/* Who has an address. An element may be recycled for another address under a
 * program that holds its pointer: it repeats its key, which is compared when
 * everything has been read. */
struct endpoint {
	struct endpoint_key key;
	__u32 eni;
	__u32 slot;
	__u32 subnet;
	__u8 mac[6];
	__u16 pad;
	__be32 public; /* stands for it at the internet gateway; 0: nothing does */
	__u32 pad2;
	struct membership member[2];
};

enum public_flags {
	PUBLIC_DIRECT = 1, /* the world knows it: its packets need nothing of the host's kernel */
};

/* Whose a public address is. The element repeats its key, as an endpoint does. VPC
 * 0 is the host itself. */
struct public_address {
	__be32 addr;
	__u32 vpc;
	__be32 private;
	__u32 flags;   /* enum public_flags */
	__u32 segment; /* ifindex of the uplink on which ARP for it is answered; 0: on none */
};

struct filter_key {
	__u32 prefixlen; /* 0..32 */
	__be32 addr;
};

enum filter_verdict {
	FILTER_REFUSE = 1, /* the gateway does not lead there, nor from there */
	FILTER_ALLOW = 2,
};

struct route_key {
	__u32 prefixlen; /* bits of table and address: 32..160 */
	__be32 table;
	struct addr addr;
};

enum route_target {
	ROUTE_LOCAL = 1,
	ROUTE_BLACKHOLE = 2,
	ROUTE_INTERNET = 3,  /* through the VPC's internet gateway */
	ROUTE_INTERFACE = 4, /* to one interface of the VPC, whatever the destination */
	ROUTE_PEER = 5,	     /* to an interface of another VPC, and nowhere beyond */
};

/* The element repeats its key, for a program that holds one which was recycled. */
struct route {
	__u32 target;	/* enum route_target */
	__be32 table;
	__be32 net, mask;
	__be32 via;	/* INTERFACE: its address */
	__u32 peer;	/* PEER: the VPC */
	__u32 out;	/* PEER: 1 + the slot of the link to it */
};

enum hit_kind {
	HIT_GROUP = 1, /* a rule of a security group; owner is the VPC */
	HIT_ACL_OUT = 2, /* a network ACL's; owner is the ACL */
	HIT_ACL_IN = 3,
};

/* A rule, as its verdicts are counted. */
struct hit_key {
	__u32 owner;
	__u32 rule;
	__u32 kind; /* enum hit_kind */
};

struct hit_count {
	__u64 verdicts; /* packets that began a flow, or were refused by name */
	__u64 last;	/* ns, coarse */
};

/* "This tuple leaves this interface." ICMP: sport = id, dport = type | code << 8. */
struct flow_key {
	__u32 eni;
	__be32 saddr, daddr;
	__be16 sport, dport;
	__u8 proto;
	__u8 dir;
	__u16 pad;
};

enum flow_dir {
	FLOW_OUT = 1,
};

/* LIVE -> DEAD -> GONE, and DEAD -> BUILDING -> LIVE, each by compare and swap. */
enum flow_state {
	FLOW_LIVE = 1,
	FLOW_DEAD = 2,	   /* a miss; may be rebuilt in place */
	FLOW_BUILDING = 3, /* one CPU is writing it */
	FLOW_GONE = 4,	   /* about to be deleted; nobody touches it again */
};

enum flow_flags {
	FLOW_REVERSE = 1,    /* the replies of the pair */
	FLOW_TRACK_OWN = 2,  /* the sender's groups track it */
	FLOW_TRACK_PEER = 4, /* the receiver's groups track it */
	FLOW_CUT_OWN = 16,   /* the rule is gone and shall not be outlived: ask the groups again */
	FLOW_CUT_PEER = 32,
};

enum flow_seen {
	SEEN_SYN = 1,
	SEEN_ACK = 2,
	SEEN_FIN = 4,
	SEEN_RST = 8,
	SEEN_ANY = 16,
	SEEN_SEQ = 32, /* the packet has sequence numbers */
};

/* One half of a pair. An element may be recycled for another tuple under a
 * program that holds its pointer. Two fields notice that: `key` repeats the
 * tuple, and comes first because elements are filled in ascending order;
 * `born` names this life and is read before and after the others. */
struct flow {
	struct flow_key key;
	__u32 state;
	__u32 epoch;	  /* the sender's port's, 0 while fields are written */
	__u32 peer_epoch; /* the receiver's port's */
	__u32 peer_slot;
	__u32 own_slot;	  /* epochs of different slots say nothing of each other */
	__u64 born;	  /* ns, CLOCK_MONOTONIC */
	__u64 last_seen;  /* ns, coarse */
	__u64 packets;
	__u64 bytes;
	__u32 seen;	  /* enum flow_seen */
	__u32 flags;	  /* enum flow_flags */
	__u64 dead_at;	  /* ns, coarse */
	__u32 first_seen; /* coarse, in units of 2^30 ns */
	__be32 nat;	  /* at a gateway: the public source of what leaves, the private destination of what enters */
	__u32 peer_eni;
	__u32 own_rule, peer_rule; /* ids of the rules that let it through */
	__u32 slot;	  /* in flow_slots, its own */
	__u32 out;	  /* 1 + the slot of the link to the receiver's VPC; 0: it is the sender's */
	__u16 acl_out, acl_in; /* rule numbers of the ACLs of this direction; 0: none was asked */
	__u32 next;	  /* TCP: the sequence number after the last that was sent */
	__u32 ack;	  /* TCP: the last acknowledgement that was sent */
};

enum slot_state {
	SLOT_FREE = 0,
	SLOT_USED = 1,
	SLOT_BUSY = 2, /* one CPU is looking at it */
};

/* A place in the clock that reclaims flows. Each half has its own, from before it
 * appears until it is deleted, so none is ever without, whoever its partner is. */
struct flow_slot {
	__u32 state;
	__u32 owner; /* the interface whose usage counts the pair that this half opened; 0: none did */
	__u32 half_open; /* who counts it as such; 0: nobody */
	struct flow_key key;
};

/* State of the whole host. */
struct host_state {
	__u64 hand;	     /* the clock's */
	__u64 live;	     /* halves in the table */
	__u64 walked;	     /* ns, coarse: the tick in which interfaces above their share had the clock walked */
	__u64 walks;	     /* how often in that tick */
	__u64 drops_uncounted; /* the drop table was full */
	__u64 hits_uncounted;  /* the table of rule hits was full */
};

struct drop_key {
	__u32 eni;
	__u32 rule;
	__u8 stage;
	__u8 reason;
	__u16 pad;
};

struct drop_count {
	__u64 packets, bytes;
};

/* Small tables of one port, one place for each hash: a tenant that fills its
 * own evicts nobody else's. Odd `seq`: one CPU is writing the place. */
#define FRAGS_PER_PORT 64
#define DENIED_PER_PORT 64

/* The ports of a packet that comes in fragments. */
struct frag {
	__u32 seq;
	__u32 eni;
	__be32 saddr, daddr;
	__be16 id;
	__u8 proto;
	__u8 pad;
	__be16 sport, dport;
	__u8 icmp_type, icmp_code;
	__u16 pad2;
	__u32 pad3;
	__u64 seen; /* ns, coarse */
};

struct frag_table {
	struct frag at[FRAGS_PER_PORT];
};

/* A tuple that was refused, while both ports keep their epochs. */
struct denied {
	__u32 seq;
	struct flow_key key;
	__u32 epoch, peer_epoch;
	__u32 peer_slot;
	__u32 rule;
	__u8 stage, reason;
	__u16 pad;
};

struct denied_table {
	struct denied at[DENIED_PER_PORT];
};
