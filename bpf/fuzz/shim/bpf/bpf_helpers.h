/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What libbpf's header of this name gives the programs, for user space: the
 * macros that declare maps and functions, and the calls into the kernel, which
 * kernel.h answers. What is not here a program does not use yet.
 */
#pragma once

#include <linux/types.h>

/* A map's declaration carries its sizes as types; SHIM_MAP reads them back. */
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define SHIM_MAP(m)                                                                                          \
	(&(struct shim_map){ (m), sizeof(*(m)->type) / sizeof(int), sizeof(*(m)->max_entries) / sizeof(int), \
			     sizeof(*(m)->key), sizeof(*(m)->value) })

struct shim_map {
	const void *id;
	__u32 type, max_entries, key_size, value_size;
};

#define SEC(name) __attribute__((unused))
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#undef __noinline
#define __noinline __attribute__((noinline))

/* The programs' one line of BPF assembly is within()'s, which tells the
 * verifier again that x is below n. Here that is put to the test. */
void shim_claim(int holds, const char *claim);
#define asm shim_claim((x) < (n), "x is below n"); if (0) __asm__

void *shim_lookup(const struct shim_map *m, const void *key);
long shim_update(const struct shim_map *m, const void *key, const void *value, __u64 flags);
long shim_delete(const struct shim_map *m, const void *key);
#define bpf_map_lookup_elem(m, key) shim_lookup(SHIM_MAP(m), key)
#define bpf_map_update_elem(m, key, value, flags) shim_update(SHIM_MAP(m), key, value, flags)
#define bpf_map_delete_elem(m, key) shim_delete(SHIM_MAP(m), key)

struct __sk_buff;
long bpf_skb_pull_data(struct __sk_buff *skb, __u32 n);
long bpf_skb_load_bytes(const struct __sk_buff *skb, __u32 offset, void *to, __u32 n);
long bpf_skb_store_bytes(struct __sk_buff *skb, __u32 offset, const void *from, __u32 n, __u64 flags);
long bpf_l3_csum_replace(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 size);
long bpf_l4_csum_replace(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 flags);
long bpf_skb_change_type(struct __sk_buff *skb, __u32 type);
long bpf_redirect(__u32 ifindex, __u64 flags);
long bpf_redirect_peer(__u32 ifindex, __u64 flags);
long bpf_loop(__u32 n, void *callback, void *context, __u64 flags);
__u64 bpf_ktime_get_ns(void);
__u64 bpf_ktime_get_coarse_ns(void);
__u32 bpf_get_prandom_u32(void);
