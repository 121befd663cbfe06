/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Arithmetic instead of branches, of which the verifier would walk both ways. */
#pragma once

#include <linux/types.h>

/* 1 if x is 0. */
static __always_inline __u64 is_zero(__u32 x) { return ((__u64)x - 1) >> 63; }
