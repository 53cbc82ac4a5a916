/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* parse.h: a frame's headers, read once into the work record. */
#ifndef CABLE_PARSE_H
#define CABLE_PARSE_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include "wire.h"
#include "work.h"

#define IP_FLAG_MF 0x2000
#define IP_OFFSET_MASK 0x1fff

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

/* A pointer to @len bytes at @off, or NULL where they are not in the linear part. */
static __always_inline void *at(struct __sk_buff *ctx, __u32 off, __u32 len)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;

	if (data + off + len > end)
		return NULL;
	return data + off;
}

/*
 * The same, after making them linear if need be: packets from taps and GSO packets may hold only some of their headers in the
 * linear part. Invalidates other packet pointers. NULL: the packet is shorter.
 */
static __always_inline void *need(struct __sk_buff *ctx, __u32 off, __u32 len)
{
	void *here = at(ctx, off, len);

	if (here)
		return here;
	if (off + len > ctx->len || bpf_skb_pull_data(ctx, off + len))
		return NULL;
	return at(ctx, off, len);
}

/* Reads MACs and ethertype. A VLAN tag makes the ethertype 802.1Q: no network here is tagged. */
static __always_inline __u32 parse_ethernet(struct __sk_buff *ctx, struct pkt *p)
{
	struct ethhdr *eth;

	eth = need(ctx, 0, ETH_HLEN);
	if (!eth)
		return CB_REASON_MALFORMED;
	take_mac(p->dmac, eth->h_dest);
	take_mac(p->smac, eth->h_source);
	p->ethertype_be = ctx->vlan_present ? bpf_htons(ETH_P_8021Q) : *(__u16 *)(eth->h_source + ETH_ALEN);
	return CB_REASON_NONE;
}

/* The ICMP type that a reply of type @type answers; -1: it is no reply. */
static __always_inline int icmp_query_of(__u8 type)
{
	switch (type) {
	case ICMP_ECHOREPLY:
		return ICMP_ECHO;
	case ICMP_TIMESTAMPREPLY:
		return ICMP_TIMESTAMP;
	case ICMP_INFO_REPLY:
		return ICMP_INFO_REQUEST;
	case ICMP_ADDRESSREPLY:
		return ICMP_ADDRESS;
	default:
		return -1;
	}
}

static __always_inline int icmp_is_query(__u8 type)
{
	return type == ICMP_ECHO || type == ICMP_TIMESTAMP || type == ICMP_INFO_REQUEST || type == ICMP_ADDRESS;
}

static __always_inline int icmp_is_error(__u8 type)
{
	return type == ICMP_DEST_UNREACH || type == ICMP_SOURCE_QUENCH || type == ICMP_REDIRECT ||
	       type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETERPROB;
}

/*
 * The ports of an ICMP message in the flow table: a query is (identifier, type and code), its answer the reverse; any other
 * message is (0, type and code). So the destination port of a flow's first packet is what policy rules match on.
 */
static __always_inline void icmp_ports(const struct icmp_header *icmp, __u16 *sport_be, __u16 *dport_be)
{
	int query = icmp_query_of(icmp->type);

	if (query >= 0) {
		*sport_be = bpf_htons(query << 8);
		*dport_be = icmp->id_be;
		return;
	}
	*sport_be = icmp_is_query(icmp->type) ? icmp->id_be : 0;
	*dport_be = bpf_htons((__u16)(icmp->type << 8 | icmp->code));
}

static __always_inline int has_ports(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
	       protocol == IPPROTO_UDPLITE || protocol == IPPROTO_DCCP;
}

static __always_inline int is_parsed(__u8 protocol)
{
	return protocol == IPPROTO_ICMP || has_ports(protocol);
}

/* Makes the key of an ICMP error that of an answer to the packet it quotes: the error travels as the answer would. */
GLOBAL int parse_icmp_quote(struct __sk_buff *ctx)
{
	__u16 sport_be = 0, dport_be = 0;
	struct work *w = work();
	struct iphdr *ip;
	struct pkt *p;
	__u32 off;

	if (!w)
		return CB_REASON_MALFORMED;
	p = &w->p;
	off = (p->l4_off & 0x7f) + sizeof(struct icmp_header);
	ip = need(ctx, off, sizeof(*ip));
	if (!ip || ip->version != 4 || ip->ihl < 5)
		return CB_REASON_MALFORMED;
	/* The error must go to who sent the quoted packet. A quoted later fragment has no ports to go by. */
	if (ip->saddr != p->daddr_be || ip->frag_off & bpf_htons(IP_OFFSET_MASK))
		return CB_REASON_INVALID_STATE;
	set_v4(&p->key.src, ip->daddr);
	set_v4(&p->key.dst, ip->saddr);
	p->key.protocol = ip->protocol;
	off += ip->ihl * 4;
	if (p->key.protocol == IPPROTO_ICMP) {
		struct icmp_header *icmp;

		icmp = need(ctx, off, sizeof(*icmp));
		if (!icmp)
			return CB_REASON_MALFORMED;
		icmp_ports(icmp, &sport_be, &dport_be);
	} else if (has_ports(p->key.protocol)) {
		__u16 *ports;

		ports = need(ctx, off, 4);
		if (!ports)
			return CB_REASON_MALFORMED;
		sport_be = ports[0];
		dport_be = ports[1];
	}
	p->key.sport_be = dport_be;
	p->key.dport_be = sport_be;
	p->flags |= PKT_RELATED | PKT_NEEDS_FLOW;
	return CB_REASON_NONE;
}

static __always_inline __u32 parse_icmp(struct __sk_buff *ctx, struct pkt *p, __u32 off)
{
	struct icmp_header *icmp;

	icmp = need(ctx, off, sizeof(*icmp));
	if (!icmp)
		return CB_REASON_MALFORMED;
	p->icmp_type = icmp->type;
	if (icmp_is_error(icmp->type))
		return parse_icmp_quote(ctx);
	icmp_ports(icmp, &p->key.sport_be, &p->key.dport_be);
	p->flags |= icmp_query_of(icmp->type) >= 0 ? PKT_NEEDS_FLOW : PKT_OPENING;
	return CB_REASON_NONE;
}

static __always_inline __u32 parse_tcp(struct __sk_buff *ctx, struct pkt *p, __u32 off)
{
	__u8 flags;
	__u8 *tcp;

	tcp = need(ctx, off, TCP_HEADER_MIN);
	if (!tcp)
		return CB_REASON_MALFORMED;
	p->key.sport_be = *(__u16 *)tcp;
	p->key.dport_be = *(__u16 *)(tcp + 2);
	flags = tcp[TCP_FLAGS_OFF] & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK);
	p->tcp_flags = flags;
	if (flags == TCP_SYN)
		p->flags |= PKT_OPENING;
	else if (flags & (TCP_SYN | TCP_RST))
		p->flags |= PKT_NEEDS_FLOW;
	/* SYN with FIN or RST, and a segment without ACK, belong to no connection. */
	if ((flags & TCP_SYN && flags & (TCP_FIN | TCP_RST)) || !(flags & (TCP_SYN | TCP_RST | TCP_ACK)))
		return CB_REASON_INVALID_STATE;
	return CB_REASON_NONE;
}

static __always_inline __u32 parse_ports(struct __sk_buff *ctx, struct pkt *p, __u32 off)
{
	__u16 *ports;

	ports = need(ctx, off, sizeof(struct udphdr));
	if (!ports)
		return CB_REASON_MALFORMED;
	p->key.sport_be = ports[0];
	p->key.dport_be = ports[1];
	return CB_REASON_NONE;
}

static __always_inline void frag_key(const struct pkt *p, struct cb_frag_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->zone = p->key.zone;
	key->id = p->frag_id;
	key->src = p->key.src;
	key->dst = p->key.dst;
	key->protocol = p->key.protocol;
}

/* Gives a later fragment the ports of its first. */
static __noinline __u32 parse_later_fragment(struct pkt *p)
{
	struct cb_frag_key key;
	struct cb_frag *first;

	frag_key(p, &key);
	first = bpf_map_lookup_elem(&cb_frag_1, &key);
	if (!first)
		return CB_REASON_FRAGMENT;
	p->key.sport_be = first->sport_be;
	p->key.dport_be = first->dport_be;
	return CB_REASON_NONE;
}

/* Remembers an accepted first fragment for those that follow. */
static __noinline void remember_first_fragment(struct pkt *p)
{
	struct cb_frag_key key;
	struct cb_frag first = {.sport_be = p->key.sport_be, .dport_be = p->key.dport_be};

	frag_key(p, &key);
	bpf_map_update_elem(&cb_frag_1, &key, &first, BPF_ANY);
}

/* Reads the transport header. @room: bytes that the IP header says there are for it and the rest. */
static __always_inline __u32 parse_l4(struct __sk_buff *ctx, struct pkt *p, __u32 room)
{
	__u32 off = p->l4_off & 0x7f; /* verifier: at most 14 + 60 */

	if (p->flags & PKT_LATER_FRAGMENT)
		return parse_later_fragment(p);
	if (room < (p->key.protocol == IPPROTO_TCP ? TCP_HEADER_MIN : 8) && is_parsed(p->key.protocol))
		return CB_REASON_MALFORMED;
	if (p->key.protocol == IPPROTO_TCP)
		return parse_tcp(ctx, p, off);
	if (p->key.protocol == IPPROTO_ICMP)
		return parse_icmp(ctx, p, off);
	if (has_ports(p->key.protocol))
		return parse_ports(ctx, p, off);
	return CB_REASON_NONE;
}

/* Reads the IPv4 header and what follows it. Expects ethertype IPv4, key.zone set and the rest of the key zero. */
static __always_inline __u32 parse_ipv4(struct __sk_buff *ctx, struct pkt *p)
{
	__u32 total, ihl, saddr_be, daddr_be;
	struct iphdr *ip;
	__u16 frag;

	ip = need(ctx, ETH_HLEN, sizeof(*ip));
	if (!ip || ip->version != 4 || ip->ihl < 5)
		return CB_REASON_MALFORMED;
	ihl = ip->ihl * 4;
	total = bpf_ntohs(ip->tot_len);
	/* A GSO packet above 64 KiB has total length 0. */
	if (!total && ctx->gso_size)
		total = ctx->len - ETH_HLEN;
	if (total > ctx->len - ETH_HLEN || total < ihl)
		return CB_REASON_MALFORMED;
	saddr_be = ip->saddr;
	daddr_be = ip->daddr;
	p->saddr_be = saddr_be;
	p->daddr_be = daddr_be;
	set_v4(&p->key.src, saddr_be);
	set_v4(&p->key.dst, daddr_be);
	p->key.protocol = ip->protocol;
	p->l4_off = ETH_HLEN + ihl;
	frag = bpf_ntohs(ip->frag_off);
	if (frag & (IP_FLAG_MF | IP_OFFSET_MASK)) {
		p->frag_id = ip->id;
		p->flags |= frag & IP_OFFSET_MASK ? PKT_LATER_FRAGMENT : PKT_FIRST_FRAGMENT;
	}
	return parse_l4(ctx, p, total - ihl);
}

#endif /* CABLE_PARSE_H */
