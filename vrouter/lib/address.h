/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* address.h: MAC and IP addresses: copying, comparing, IPv4 as 128 bits. */
#ifndef CABLE_ADDRESS_H
#define CABLE_ADDRESS_H

#include <bpf/bpf_endian.h>
#include "../include/cable_abi.h"

/* By half-words: in some structs on the stack a MAC is aligned to two bytes only. */
static __always_inline void copy_mac(void *to, const void *from)
{
	__u16 *half = to;
	const __u16 *source = from;

	half[0] = source[0];
	half[1] = source[1];
	half[2] = source[2];
}

/* From a packet into the work record: both may be read and written at any address. */
static __always_inline void take_mac(__u8 *to, const void *from)
{
	*(__u32 *)to = *(const __u32 *)from;
	*(__u16 *)(to + 4) = *(const __u16 *)(from + 4);
}

static __always_inline int same_mac(const void *a, const void *b)
{
	return !((*(const __u32 *)a ^ *(const __u32 *)b) | (*(const __u16 *)(a + 4) ^ *(const __u16 *)(b + 4)));
}

/* Broadcast or multicast. */
static __always_inline int is_group_mac(const __u8 *mac)
{
	return mac[0] & 1;
}

/* ::ffff:a.b.c.d */
static __always_inline void set_v4(struct cb_addr *addr, __u32 v4_be)
{
	__u32 *word = (__u32 *)addr->b;

	word[0] = 0;
	word[1] = 0;
	word[2] = bpf_htonl(0xffff);
	word[3] = v4_be;
}

static __always_inline __u32 v4_of(const struct cb_addr *addr)
{
	return *(const __u32 *)&addr->b[12];
}

static __always_inline int is_v4_mapped(const struct cb_addr *addr)
{
	const __u32 *word = (const __u32 *)addr->b;

	return !(word[0] | word[1]) && word[2] == bpf_htonl(0xffff);
}

/* From a packet into the work record: both may be read at any address. */
static __always_inline void take_addr(struct cb_addr *to, const void *from)
{
	__u32 *word = (__u32 *)to;
	const __u32 *source = from;

	word[0] = source[0];
	word[1] = source[1];
	word[2] = source[2];
	word[3] = source[3];
}

static __always_inline int same_words(const void *a, const void *b)
{
	const __u32 *x = a, *y = b;

	return !((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]));
}

/* fe80::/10 */
static __always_inline int is_link_local(const struct cb_addr *addr)
{
	return addr->b[0] == 0xfe && (addr->b[1] & 0xc0) == 0x80;
}

/* ff00::/8 */
static __always_inline int is_multicast6(const struct cb_addr *addr)
{
	return addr->b[0] == 0xff;
}

static __always_inline int same_address(const struct cb_addr *a, const struct cb_addr *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	return !((x[0] ^ y[0]) | (x[1] ^ y[1]));
}

/* :: */
static __always_inline int is_unspecified(const struct cb_addr *addr)
{
	const __u64 *x = (const __u64 *)addr;

	return !(x[0] | x[1]);
}

#endif /* CABLE_ADDRESS_H */
