/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * outer.h: VXLAN over IPv4 (RFC 7348), put on and taken off by the vrouter itself. What it does not do goes by the overlay
 * device, which does everything: each function here may say no, and has then changed nothing.
 */
#ifndef CABLE_OUTER_H
#define CABLE_OUTER_H

#include <linux/if_packet.h>
#include "encap.h"
#include "icmp.h"
#include "lookup.h"

#define VXLAN_PORT 4789
#define VXLAN_HAS_VNI 0x08000000 /* flags; every other bit is zero */
#define VXLAN_VNI_SHIFT 8
#define SOURCE_PORT_MIN 0xc000 /* RFC 7348, 4.1: from the dynamic range */
#define IP_FLAG_DF 0x4000
#define IP_MAX_BYTES 65535
#define IP_VERSION_AND_IHL 0x45 /* no options */
#define ECN_MASK 3 /* RFC 3168, in the TOS byte */
#define ECN_ECT0 2
#define ECN_CE 3
#define AF_INET 2
#ifndef BPF_F_ADJ_ROOM_DECAP_L3_IPV6
#define BPF_F_ADJ_ROOM_DECAP_L3_IPV6 (1ULL << 8)
#endif

/* What stands before the inner packet. */
struct outer {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	__u32 vxlan_flags_be;
	__u32 vxlan_vni_be;
	struct ethhdr inner;
} __attribute__((packed));

#define OUTER_BYTES (sizeof(struct outer) - ETH_HLEN) /* that a packet grows by */

enum outer_result { OUTER_DONE, OUTER_REFUSED, OUTER_BROKEN };

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

/* Does the packet, or each segment that a GSO packet will become, fit into @mtu_bytes of the underlay? */
static __always_inline int fits_underlay(struct __sk_buff *ctx, const struct pkt *p, __u32 mtu_bytes)
{
	if (ctx->len + OUTER_BYTES <= mtu_bytes + ETH_HLEN)
		return 1;
	return ctx->gso_size && ctx->gso_size + p->l4_off + l4_header_len(ctx, p) + OUTER_BYTES <= mtu_bytes + ETH_HLEN;
}

/*
 * Puts the outer headers on an IPv4 or IPv6 packet. The device segments a GSO packet afterwards, and writes lengths and checksum of each
 * outer header then. OUTER_REFUSED: more than IPv4 can say, a kind of GSO that the kernel does not do in a tunnel, or a packet that is
 * in one already as the kernel sees it. OUTER_BROKEN: it is no packet any more.
 */
static __noinline enum outer_result push_outer(struct __sk_buff *ctx, __u32 vni, __u32 remote_be)
{
	/* FIXED_GSO: the guest's segments stay as large as they are; that they fit was looked at. */
	__u64 flags = BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN) |
		      BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET;
	__u32 total = ctx->len + OUTER_BYTES - ETH_HLEN, hash;
	struct outer o = {};
	__u8 *frame;

	frame = need(ctx, 0, ETH_HLEN + sizeof(struct iphdr));
	if (!frame || total > IP_MAX_BYTES)
		return OUTER_REFUSED;
	o.ip.tos = outer_tos(tos_of(frame + ETH_HLEN));
	__builtin_memcpy(&o.inner, frame, ETH_HLEN);
	hash = bpf_get_hash_recalc(ctx);
	if (bpf_skb_adjust_room(ctx, OUTER_BYTES, BPF_ADJ_ROOM_MAC, flags))
		return OUTER_REFUSED;
	/* The neighbour's and the device's MAC are written when the packet is sent. */
	o.eth.h_proto = bpf_htons(ETH_P_IP);
	*(__u8 *)&o.ip = IP_VERSION_AND_IHL;
	o.ip.tot_len = bpf_htons(total);
	o.ip.frag_off = bpf_htons(IP_FLAG_DF);
	o.ip.ttl = TUNNEL_TTL;
	o.ip.protocol = IPPROTO_UDP;
	o.ip.saddr = bpf_htonl(cfg_underlay);
	o.ip.daddr = remote_be;
	o.ip.check = header_checksum(&o.ip);
	o.udp.source = bpf_htons(SOURCE_PORT_MIN | ((hash ^ hash >> 16) & (0xffff - SOURCE_PORT_MIN)));
	o.udp.dest = bpf_htons(VXLAN_PORT);
	o.udp.len = bpf_htons(total - sizeof(struct iphdr));
	o.vxlan_flags_be = bpf_htonl(VXLAN_HAS_VNI);
	o.vxlan_vni_be = bpf_htonl(vni << VXLAN_VNI_SHIFT);
	return bpf_skb_store_bytes(ctx, 0, &o, sizeof(o), 0) ? OUTER_BROKEN : OUTER_DONE;
}

/*
 * Reads the outer headers of a packet that an uplink received. True: VXLAN to this host's underlay address, and nothing in
 * it that the host's own stack would look at. Reads a copy: packets of the host are not to be made linear, or their own, for this.
 */
static __always_inline int read_outer(struct __sk_buff *ctx, struct outer *o)
{
	__u32 total;

	if (ctx->protocol != bpf_htons(ETH_P_IP) || ctx->vlan_present || ctx->pkt_type != PACKET_HOST ||
	    bpf_skb_load_bytes(ctx, 0, o, sizeof(*o)))
		return 0;
	if (o->ip.protocol != IPPROTO_UDP || o->udp.dest != bpf_htons(VXLAN_PORT) ||
	    o->ip.daddr != bpf_htonl(cfg_underlay) || *(__u8 *)&o->ip != IP_VERSION_AND_IHL ||
	    o->ip.frag_off & bpf_htons(IP_FLAG_MF | IP_OFFSET_MASK))
		return 0;
	total = bpf_ntohs(o->ip.tot_len);
	return total + ETH_HLEN == ctx->len && bpf_ntohs(o->udp.len) + sizeof(struct iphdr) == total &&
	       !header_checksum(&o->ip) && o->vxlan_flags_be == bpf_htonl(VXLAN_HAS_VNI) &&
	       !(o->vxlan_vni_be & bpf_htonl((1 << VXLAN_VNI_SHIFT) - 1));
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

/* Takes the outer headers off. OUTER_REFUSED: the kernel will not do it to such a packet. OUTER_BROKEN: as above. */
static __noinline enum outer_result pop_outer(struct __sk_buff *ctx, const struct outer *o)
{
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET;
	struct ethhdr inner = o->inner;

	/* What is left is IPv6 to the kernel, too. */
	if (inner.h_proto == bpf_htons(ETH_P_IPV6))
		flags |= BPF_F_ADJ_ROOM_DECAP_L3_IPV6;
	if (bpf_skb_adjust_room(ctx, -(__s32)OUTER_BYTES, BPF_ADJ_ROOM_MAC, flags))
		return OUTER_REFUSED;
	if (bpf_skb_store_bytes(ctx, 0, &inner, ETH_HLEN, 0))
		return OUTER_BROKEN;
	/* What the NIC verified first was the outer UDP header's checksum (zero counts as one): that one is gone. */
	bpf_csum_level(ctx, BPF_CSUM_LEVEL_DEC);
	if ((o->ip.tos & ECN_MASK) == ECN_CE && mark_congestion(ctx))
		return OUTER_BROKEN;
	return OUTER_DONE;
}

#endif /* CABLE_OUTER_H */
