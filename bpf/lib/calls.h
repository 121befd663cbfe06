/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What user space hands to the programs that it calls, and gets back. */
#pragma once

#include "types.h"

#define CUT_RULES 16 /* of one pass over the clock; 0 is none */

/* Argument and result of looking at some places of the clock for flows that a
 * rule let in. */
struct cut_args {
	__u32 from;   /* the first place */
	__u32 count;  /* of places */
	__u32 cut;    /* result: pairs that will be judged again */
	__u32 busy;   /* result: pairs that somebody is just writing: look again */
	__u32 rule[CUT_RULES];
};

/* Argument and result of taking pairs over that another layout of the maps had. */
struct adopt_args {
	__u32 count;   /* pairs that lie in `adoptions` */
	__u32 most;    /* pairs that the table shall have in the end */
	__u32 adopted; /* result */
	__u32 known;   /* result: were there */
	__u32 refused; /* result: found no room */
	__u32 nobodys; /* result: their interface has no port here */
};

/* Argument and result of one sweep. */
struct sweep_args {
	__u32 budget;  /* slots to look at */
	__u32 killed;
	__u32 deleted;
	__u32 used;    /* slots that are still in use, of those looked at */
};
