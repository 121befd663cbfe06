/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Every drop has one value here. The name people see is the part behind
 * DROP_, in lower case; the stage is the part behind STAGE_. The Go names are
 * generated from this file, and a test compares them.
 */
#pragma once

enum drop_stage {
	STAGE_PORT = 1,	  /* the interface's own port */
	STAGE_PARSE = 2,  /* headers */
	STAGE_SPOOF = 3,  /* who the sender claims to be */
	STAGE_ARP = 4,
	STAGE_ROUTE = 5,  /* where it should go */
	STAGE_EGRESS = 6, /* the sender's security groups */
	STAGE_INGRESS = 7, /* the receiver's security groups */
	STAGE_FLOW = 8,	  /* the flow table */
	STAGE_NACL_OUT = 9, /* the network ACL of the sender's subnet */
	STAGE_NACL_IN = 10, /* the network ACL of the receiver's subnet */
};

enum drop_reason {
	DROP_NOT_READY = 1,	  /* the port has no configuration, or is being changed */
	DROP_VLAN = 2,		  /* a tagged frame */
	DROP_ETHERTYPE = 3,	  /* neither IPv4 nor ARP */
	DROP_IPV6 = 4,		  /* IPv6 is not carried */
	DROP_MALFORMED = 5,	  /* lengths or header fields contradict each other */
	DROP_FRAGMENT = 6,	  /* a fragment whose first has not been seen, or an overlap */
	DROP_ANTI_SPOOF = 7,	  /* source MAC or address is not the interface's */
	DROP_ARP_SPOOF = 8,	  /* ARP sender fields are not the interface's */
	DROP_ARP_UNKNOWN = 9,	  /* nobody in the subnet has the address */
	DROP_ARP_IGNORED = 10,	  /* announcements and replies: nobody needs them */
	DROP_BROADCAST = 11,
	DROP_MULTICAST = 12,
	DROP_DST_MAC = 13,	  /* neither the router's nor the destination's */
	DROP_NO_ROUTE = 14,
	DROP_BLACKHOLE = 15,
	DROP_NO_ENDPOINT = 16,	  /* routed locally, but nobody has the address */
	DROP_PEER_DOWN = 17,	  /* the destination's port is not ready */
	DROP_SERVICE = 18,	  /* the router does not offer that */
	DROP_SECURITY_GROUP = 19, /* no rule allows it */
	DROP_STRAY = 20,	  /* no flow, and tracking would need one */
	DROP_TABLE_FULL = 21,
	DROP_ALLOWANCE = 22,	  /* the interface has used its share of the flow table */
	DROP_TOO_BIG = 23,	  /* longer than the MTU */
	DROP_REDIRECT = 24,	  /* ICMP redirects are never believed */
	DROP_NETWORK_ACL = 25,	  /* the rule that is counted with it, or none allows it */
	DROP_ROGUE_DHCP = 26,	  /* a workload answers DHCP, which only the VPC may */
	DROP_HALF_OPEN = 27,	  /* the interface has too many TCP connections that nobody answers */
	DROP_NO_PUBLIC_ADDRESS = 28, /* the internet gateway passes only who has one */
	DROP_NOT_PUBLIC = 29,	  /* the world has no such address, or the host itself has it */
	DROP_SOURCE_DEST_CHECK = 30, /* routed to an interface that takes its own traffic only */
};
