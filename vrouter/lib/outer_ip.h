/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* outer_ip.h: what IP and UDP headers around a packet have in common, whatever is between them and it. */
#ifndef CABLE_OUTER_IP_H
#define CABLE_OUTER_IP_H

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include "address.h"
#include "config.h"
#include "frame.h"
#include "wire.h"

#define TUNNEL_TTL 64
#define SOURCE_PORT_MIN 0xc000 /* RFC 7348, 4.1: from the dynamic range */
#define IP_MAX_BYTES 65535
#define IPV6_VERSION 0x60
#define IP_VERSION_AND_IHL 0x45 /* no options */
#define ECN_MASK 3 /* RFC 3168, in the TOS byte */
#define ECN_ECT0 2
#define ECN_CE 3
#define AF_INET 2
#define AF_INET6 10
#ifndef BPF_F_ADJ_ROOM_DECAP_L3_IPV6
#define BPF_F_ADJ_ROOM_DECAP_L3_IPV4 (1ULL << 7)
#define BPF_F_ADJ_ROOM_DECAP_L3_IPV6 (1ULL << 8)
#endif

/* As they stand behind a link header: at any address. */
struct outer_ip4 {
	struct iphdr h;
} __attribute__((packed));

struct outer_ip6 {
	struct ipv6_header h;
} __attribute__((packed));

/* This host's underlay IPv6 address. */
static __always_inline void own_address6(__u32 *word)
{
	word[0] = cfg_underlay6[0];
	word[1] = cfg_underlay6[1];
	word[2] = cfg_underlay6[2];
	word[3] = cfg_underlay6[3];
}

/* Of an IPv4 header without options; 0 where its checksum is in it and right. */
static __always_inline __u16 header_checksum(const void *header)
{
	const __u16 *half = header;
	__u32 sum = 0;

#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += half[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return ~((sum & 0xffff) + (sum >> 16));
}

/* The TOS byte of an IPv4 header, the traffic class of an IPv6 header. */
static __always_inline __u8 tos_of(const __u8 *ip)
{
	return ip[0] >> 4 == 6 ? (__u8)(ip[0] << 4 | ip[1] >> 4) : ip[1];
}

/* RFC 6040, 4.1: the outer header has the inner's ECN field, but ECT(0) for CE: only what happens in the tunnel is told there. */
static __always_inline __u8 outer_tos(__u8 inner_tos)
{
	__u8 ecn = inner_tos & ECN_MASK;

	return ecn == ECN_CE ? ECN_ECT0 : ecn;
}

/* The source port of a flow with this hash: tells flows apart to those who spread them over ways. */
static __always_inline __u16 outer_source_port(__u32 hash)
{
	return SOURCE_PORT_MIN | ((hash ^ hash >> 16) & (0xffff - SOURCE_PORT_MIN));
}

/* The header of a packet of @total bytes with UDP in it, from this host to @remote_be. All but its TOS is zero before. */
static __always_inline void fill_outer_ip4(struct outer_ip4 *ip, __u32 total, __u32 remote_be)
{
	*(__u8 *)ip = IP_VERSION_AND_IHL;
	ip->h.tot_len = bpf_htons(total);
	ip->h.frag_off = bpf_htons(IP_FLAG_DF);
	ip->h.ttl = TUNNEL_TTL;
	ip->h.protocol = IPPROTO_UDP;
	ip->h.saddr = bpf_htonl(cfg_underlay);
	ip->h.daddr = remote_be;
	ip->h.check = header_checksum(ip);
}

/* The same over IPv6; @bytes: of the datagram. The flow label tells flows apart as the source port does (RFC 6438). */
static __always_inline void fill_outer_ip6(struct outer_ip6 *ip, __u32 bytes, __u8 tos, __u32 hash)
{
	__u32 own[4];

	ip->h.version_class = IPV6_VERSION;
	ip->h.flow[0] = tos << 4 | (hash >> 16 & 0xf);
	ip->h.flow[1] = hash >> 8;
	ip->h.flow[2] = hash;
	ip->h.payload_be = bpf_htons(bytes);
	ip->h.next = IPPROTO_UDP;
	ip->h.hop_limit = TUNNEL_TTL;
	/* verifier: addresses in the header are not aligned on the stack. */
	own_address6(own);
	__builtin_memcpy(&ip->h.src, own, sizeof(own));
}

/* Sends what has its outer headers to a neighbour in the underlay, whose MAC the kernel finds. */
static __always_inline int to_neighbour(__u32 ifindex, const struct cb_addr *nexthop)
{
	struct bpf_redir_neigh neighbour = {.nh_family = over_ipv6() ? AF_INET6 : AF_INET};

	if (over_ipv6())
		__builtin_memcpy(neighbour.ipv6_nh, nexthop, sizeof(*nexthop));
	else
		neighbour.ipv4_nh = v4_of(nexthop);
	return bpf_redirect_neigh(ifindex, &neighbour, sizeof(neighbour), 0);
}

/* Is it a whole datagram for this host's underlay address, whose header the host's stack would not look into? */
static __always_inline int is_datagram4(const struct outer_ip4 *ip)
{
	return ip->h.protocol == IPPROTO_UDP && ip->h.daddr == bpf_htonl(cfg_underlay) &&
	       *(__u8 *)ip == IP_VERSION_AND_IHL && !(ip->h.frag_off & bpf_htons(IP_FLAG_MF | IP_OFFSET_MASK));
}

static __always_inline int is_datagram6(const struct outer_ip6 *ip)
{
	__u32 own[4], to[4];

	own_address6(own);
	__builtin_memcpy(to, &ip->h.dst, sizeof(to));
	return ip->h.next == IPPROTO_UDP && same_words(to, own) && (ip->h.version_class & 0xf0) == IPV6_VERSION;
}

static __always_inline int is_for_host(const struct __sk_buff *ctx, __u16 ethertype)
{
	return ctx->protocol == bpf_htons(ethertype) && !ctx->vlan_present && ctx->pkt_type == PACKET_HOST;
}

/*
 * RFC 6040, 4.2: a congestion mark of the underlay is one for the guest. IPv4 brings its header's checksum along (RFC 1624), which leaves the sum of
 * the bytes as it was; IPv6 has none, so the kernel is told of what changed. Returns 0 or a negative errno.
 */
static __always_inline int mark_congestion(struct __sk_buff *ctx)
{
	__u8 *ip = need(ctx, ETH_HLEN, sizeof(struct iphdr));
	struct iphdr *ip4 = (void *)ip;
	__u8 byte;
	__u32 sum;

	if (!ip)
		return -1;
	if (*ip >> 4 == 6) {
		byte = ip[1] | ECN_CE << 4;
		return bpf_skb_store_bytes(ctx, ETH_HLEN + 1, &byte, 1, BPF_F_RECOMPUTE_CSUM);
	}
	sum = (__u16)~ip4->check + bpf_htons(ECN_CE - (ip4->tos & ECN_MASK));
	ip4->tos |= ECN_CE;
	ip4->check = ~((sum & 0xffff) + (sum >> 16));
	return 0;
}

#endif /* CABLE_OUTER_IP_H */
