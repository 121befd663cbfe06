/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The kernel's packets and its calls about them. A frame is whole in `whole`;
 * its linear part lies in one of two arenas below 4 GiB, where a __sk_buff's
 * 32-bit pointers reach, and all around it is poisoned. A pull or a store moves
 * it to the other arena, so a pointer from before is caught as well.
 */
#pragma once

#define ARENA 16384
#define ARENAS 0x10000000UL
#define MAX_FRAME (1 << 18)
#define ALIGNED 66 /* like the kernel's: IP's header is aligned to 4 bytes */

static struct {
	unsigned char whole[MAX_FRAME];
	__u32 bytes;	     /* of whole that were given; the others are 0 */
	__u32 arena;	     /* which holds the linear part */
	__u32 pull_fails;    /* the kernel has no memory */
	__u32 sent_to;	     /* ifindex of the last redirection */
	__u32 redirects;
	__u64 now;
	__u32 random;
	struct __sk_buff skb;
} kernel;

static void make_arenas(void)
{
	void *at = mmap((void *)ARENAS, 2 * ARENA, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (at != (void *)ARENAS)
		give_up("no memory below 4 GiB");
	ASAN_POISON_MEMORY_REGION(at, 2 * ARENA);
}

/* show makes the first n bytes readable, at a new place. */
static void show(__u32 n)
{
	unsigned char *old = (void *)(ARENAS + kernel.arena * ARENA), *at;

	ASAN_POISON_MEMORY_REGION(old, ARENA);
	kernel.arena ^= 1;
	at = (void *)(ARENAS + kernel.arena * ARENA + ALIGNED);
	ASAN_UNPOISON_MEMORY_REGION(at, n);
	memcpy(at, kernel.whole, n);
	kernel.skb.data = (long)at;
	kernel.skb.data_end = (long)(at + n);
}

static __u32 shown(void) { return kernel.skb.data_end - kernel.skb.data; }

/* A frame of len bytes, of which the first n_bytes are given. */
static void arrive(const unsigned char *bytes, __u32 n_bytes, __u32 len, __u32 linear)
{
	if (n_bytes > len || len > MAX_FRAME || linear > len || linear > ARENA / 2)
		give_up("a frame that cannot be");
	memcpy(kernel.whole, bytes, n_bytes);
	if (kernel.bytes > n_bytes)
		memset(kernel.whole + n_bytes, 0, kernel.bytes - n_bytes);
	kernel.bytes = n_bytes;
	memset(&kernel.skb, 0, sizeof(kernel.skb));
	kernel.skb.len = len;
	kernel.redirects = 0;
	kernel.sent_to = 0;
	show(linear);
}

long bpf_skb_pull_data(struct __sk_buff *skb, __u32 n)
{
	if (n > skb->len || (kernel.pull_fails && n > shown()))
		return -ENOMEM;
	show(n > shown() ? n : shown());
	return 0;
}

long bpf_skb_load_bytes(const struct __sk_buff *skb, __u32 offset, void *to, __u32 n)
{
	if ((__u64)offset + n > skb->len) {
		memset(to, 0, n);
		return -EFAULT;
	}
	memcpy(to, kernel.whole + offset, n);
	return 0;
}

long bpf_skb_store_bytes(struct __sk_buff *skb, __u32 offset, const void *from, __u32 n, __u64 flags)
{
	if ((__u64)offset + n > skb->len || bpf_skb_pull_data(skb, offset + n))
		return -EFAULT;
	memcpy(kernel.whole + offset, from, n);
	if (kernel.bytes < offset + n)
		kernel.bytes = offset + n;
	show(shown());
	return 0;
}

/* resummed is a checksum after a field of 2 or 4 bytes has changed under it
 * (RFC 1624, equation 3); the kernel's way, so 0 and 0xffff come out as there. */
static __u16 resummed(__u16 sum, __u32 from, __u32 to)
{
	__u64 wide = (__u16)~sum;

	wide += (__u16)~from + (__u64)(__u16)(~from >> 16) + (__u16)to + (to >> 16);
	while (wide >> 16)
		wide = (wide & 0xffff) + (wide >> 16);
	return ~wide;
}

/* replace changes the checksum at an offset; mangled: 0 says that there is none. */
static long replace(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 size, int mangled)
{
	__u16 sum;

	if ((size != 2 && size != 4) || (size == 2 && (from | to) >> 16))
		return -EINVAL;
	if (offset > 0xffff || offset & 1 || bpf_skb_load_bytes(skb, offset, &sum, sizeof(sum)))
		return -EFAULT;
	if (mangled && !sum)
		return bpf_skb_pull_data(skb, offset + sizeof(sum)) ? -EFAULT : 0;
	/* A field of two bytes has no upper half, whose complement would count. */
	sum = resummed(sum, size == 2 ? from | 0xffff0000 : from, to);
	if (mangled && !sum)
		sum = 0xffff;
	return bpf_skb_store_bytes(skb, offset, &sum, sizeof(sum), 0);
}

long bpf_l3_csum_replace(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 size)
{
	return replace(skb, offset, from, to, size, 0);
}

/* Of a packet whose checksum no device has still to compute, the pseudo header's
 * fields are as any other. */
long bpf_l4_csum_replace(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 flags)
{
	__u64 known = BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0 | BPF_F_HDR_FIELD_MASK;

	if (flags & ~known)
		return -EINVAL;
	return replace(skb, offset, from, to, flags & BPF_F_HDR_FIELD_MASK, (flags & BPF_F_MARK_MANGLED_0) != 0);
}

long bpf_skb_change_type(struct __sk_buff *skb, __u32 type)
{
	skb->pkt_type = type;
	return 0;
}

long bpf_redirect(__u32 ifindex, __u64 flags)
{
	kernel.sent_to = ifindex;
	kernel.redirects++;
	return TC_ACT_REDIRECT;
}

long bpf_redirect_peer(__u32 ifindex, __u64 flags) { return bpf_redirect(ifindex, flags); }

long bpf_loop(__u32 n, void *callback, void *context, __u64 flags)
{
	long (*step)(__u64, void *) = callback;
	__u32 i;

	for (i = 0; i < n; i++)
		if (step(i, context))
			return i + 1;
	return n;
}

__u64 bpf_ktime_get_ns(void) { return kernel.now; }
__u64 bpf_ktime_get_coarse_ns(void) { return kernel.now; }
__u32 bpf_get_prandom_u32(void) { return kernel.random = kernel.random * 1664525 + 1013904223; }
