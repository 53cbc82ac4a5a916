/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* icmp.h: what a router says for itself: echo replies, "fragmentation needed" and "time exceeded" (RFC 792, RFC 1191). */
#ifndef CABLE_ICMP_H
#define CABLE_ICMP_H

#include <linux/udp.h>
#include "lookup.h"
#include "stage.h"
#include "turn.h"

#define ROUTER_TTL 64
/* Of errors: what comes from a guest and is routed has less, so that a host can tell its router's from a guest's (RFC 5082). */
#define ERROR_TTL 255
#define ICMP_QUOTE_OFF (ETH_HLEN + sizeof(struct iphdr) + sizeof(struct icmp_header))

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline void swap_macs(struct ethhdr *eth)
{
	__u8 mac[8] __attribute__((aligned(4)));

	copy_mac(mac, eth->h_dest);
	copy_mac(eth->h_dest, eth->h_source);
	copy_mac(eth->h_source, mac);
}

/* Bytes of the transport header; of a TCP header without its data offset at hand, the least. */
static __always_inline __u32 l4_header_len(struct __sk_buff *ctx, const struct pkt *p)
{
	__u32 off = p->l4_off & 0xff;
	__u8 *tcp;

	if (p->key.protocol != IPPROTO_TCP)
		return sizeof(struct udphdr);
	tcp = at(ctx, off, TCP_HEADER_MIN);
	return tcp ? (tcp[12] >> 4) * 4 : TCP_HEADER_MIN;
}

/* An echo request, of either family. */
static __always_inline int is_echo(const struct pkt *p)
{
	return (p->key.protocol == IPPROTO_ICMP && p->icmp_type == ICMP_ECHO) ||
	       (p->key.protocol == IPPROTO_ICMPV6 && p->icmp_type == ICMP6_ECHO);
}

/* Makes the answer to an echo request for a gateway address of it, in place. Returns 0, or a reason to drop. */
static __noinline int make_echo_reply(struct __sk_buff *ctx, const struct work *w)
{
	const struct pkt *p = &w->p;
	__u32 off = p->l4_off & 0xff;
	struct icmp_header *icmp;
	struct ethhdr *eth;
	struct iphdr *ip;
	__u32 sum;

	eth = at(ctx, 0, ETH_HLEN + sizeof(*ip));
	icmp = at(ctx, off, sizeof(*icmp));
	if (!eth || !icmp)
		return CB_REASON_MALFORMED;
	ip = (void *)(eth + 1);
	swap_macs(eth);
	ip->saddr = v4_of(&p->dst);
	ip->daddr = v4_of(&p->src);
	/* RFC 1624: only the TTL's byte changed. */
	sum = (__u16)~ip->check + (__u16)~bpf_htons(ip->ttl << 8) + bpf_htons(ROUTER_TTL << 8);
	ip->ttl = ROUTER_TTL;
	ip->check = fold(sum);
	sum = (__u16)~icmp->checksum + (__u16)~bpf_htons(ICMP_ECHO << 8) + bpf_htons(ICMP_ECHOREPLY << 8);
	icmp->type = ICMP_ECHOREPLY;
	icmp->checksum = fold(sum);
	return CB_REASON_NONE;
}

/* Writes the headers of an ICMP error in front of the quoted IP header and @quoted bytes in all. */
static __always_inline int write_error(struct __sk_buff *ctx, __u32 source_be, __u8 type, __u8 code, __u32 mtu_bytes,
				       const __u32 quoted)
{
	struct icmp_header *icmp;
	struct ethhdr *eth;
	struct iphdr *ip;

	eth = need(ctx, 0, ICMP_QUOTE_OFF + quoted);
	if (!eth)
		return -1;
	ip = (void *)(eth + 1);
	icmp = (void *)(ip + 1);
	swap_macs(eth);
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = 5;
	ip->tot_len = bpf_htons(sizeof(*ip) + sizeof(*icmp) + quoted);
	ip->ttl = ERROR_TTL;
	ip->protocol = IPPROTO_ICMP;
	ip->saddr = source_be;
	ip->daddr = ((struct iphdr *)(icmp + 1))->saddr;
	ip->check = fold(bpf_csum_diff(NULL, 0, (__be32 *)ip, sizeof(*ip), 0));
	__builtin_memset(icmp, 0, sizeof(*icmp));
	icmp->type = type;
	icmp->code = code;
	icmp->mtu_be = bpf_htons(mtu_bytes);
	icmp->checksum = fold(bpf_csum_diff(NULL, 0, (__be32 *)icmp, sizeof(*icmp) + quoted, 0));
	return 0;
}

/*
 * Turns the sender's packet into an ICMP error about it. Returns 0;
 * -1 where none may be sent (RFC 1122 section 3.2.2: about an error or a later fragment), or cannot.
 */
static __noinline int make_error(struct __sk_buff *ctx, const struct pkt *p, __u32 source_be, __u32 code_type,
				 __u32 mtu_bytes)
{
	const __u32 tcp_quote = sizeof(struct iphdr) + TCP_HEADER_MIN, other_quote = sizeof(struct iphdr) + 8;
	/* A packet whose checksum is still to be completed cannot be cut before its checksum field: 20 bytes of TCP. */
	int tcp = p->key.protocol == IPPROTO_TCP;
	__u8 type = code_type >> 8, code = code_type;

	if (p->flags & (PKT_RELATED | PKT_LATER_FRAGMENT) || p->l4_off != ETH_HLEN + sizeof(struct iphdr))
		return -1;
	if (bpf_skb_change_tail(ctx, ETH_HLEN + (tcp ? tcp_quote : other_quote), 0))
		return -1;
	if (bpf_skb_adjust_room(ctx, ICMP_QUOTE_OFF - ETH_HLEN, BPF_ADJ_ROOM_MAC, 0))
		return -1;
	if (tcp)
		return write_error(ctx, source_be, type, code, mtu_bytes, sizeof(struct iphdr) + TCP_HEADER_MIN);
	return write_error(ctx, source_be, type, code, mtu_bytes, sizeof(struct iphdr) + 8);
}

#endif /* CABLE_ICMP_H */
