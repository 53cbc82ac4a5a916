/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * outer.h: VXLAN (RFC 7348) over the family that this host has in the underlay, put on and taken off by the vrouter itself. What it does not do goes by the overlay
 * device, which does everything: each function here may say no, and has then changed nothing.
 */
#ifndef CABLE_OUTER_H
#define CABLE_OUTER_H

#include "encap.h"
#include "icmp.h"
#include "lookup.h"

#define VXLAN_PORT 4789
#define VXLAN_HAS_VNI 0x08000000 /* flags; every other bit is zero */
#define VXLAN_VNI_SHIFT 8
/* What follows the outer IP header, and the inner frame's. */
struct vxlan_headers {
	struct udphdr udp;
	__u32 flags_be;
	__u32 vni_be;
	struct ethhdr inner;
} __attribute__((packed));

/* What stands before the inner packet. */
struct outer {
	struct ethhdr eth;
	struct outer_ip4 ip;
	struct vxlan_headers vxlan;
} __attribute__((packed));

struct outer6 {
	struct ethhdr eth;
	struct outer_ip6 ip;
	struct vxlan_headers vxlan;
} __attribute__((packed));

/* What the outer headers of a packet that came say. */
struct tunnelled {
	struct cb_addr from;
	__u32 vni;
	struct ethhdr inner;
	__u8 tos;
};

/* Bytes before the inner packet. */
static __always_inline __u32 outer_len(void)
{
	return over_ipv6() ? sizeof(struct outer6) : sizeof(struct outer);
}

/* Bytes that a packet grows by. */
static __always_inline __u32 outer_growth(void)
{
	return outer_len() - ETH_HLEN;
}

enum outer_result { OUTER_DONE, OUTER_REFUSED, OUTER_BROKEN };

/* Does the packet, or each segment that a GSO packet will become, fit into @mtu_bytes of the underlay? */
static __always_inline int fits_underlay(struct __sk_buff *ctx, const struct pkt *p, __u32 mtu_bytes)
{
	if (ctx->len + outer_growth() <= mtu_bytes + ETH_HLEN)
		return 1;
	return ctx->gso_size &&
	       ctx->gso_size + p->l4_off + l4_header_len(ctx, p) + outer_growth() <= mtu_bytes + ETH_HLEN;
}

/* FIXED_GSO: the guest's segments stay as large as they are; that they fit was looked at. */
#define PUSH_FLAGS                                                                                       \
	(BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN) | BPF_F_ADJ_ROOM_ENCAP_L2_ETH | \
	 BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET)

/* All but the inner frame's header. @bytes: of the datagram. Its checksum is zero: RFC 7348, and for IPv6 RFC 6935. */
static __always_inline void fill_vxlan(struct vxlan_headers *v, __u32 vni, __u32 bytes, __u32 hash)
{
	v->udp.source = bpf_htons(outer_source_port(hash));
	v->udp.dest = bpf_htons(VXLAN_PORT);
	v->udp.len = bpf_htons(bytes);
	v->flags_be = bpf_htonl(VXLAN_HAS_VNI);
	v->vni_be = bpf_htonl(vni << VXLAN_VNI_SHIFT);
}

/*
 * Puts the outer headers on an IPv4 or IPv6 packet. The device segments a GSO packet afterwards, and writes lengths and checksum of each
 * outer header then. OUTER_REFUSED: more than IP can say, a kind of GSO that the kernel does not do in a tunnel, or a packet that is
 * in one already as the kernel sees it. OUTER_BROKEN: it is no packet any more.
 */
static __noinline enum outer_result push_outer4(struct __sk_buff *ctx, __u32 vni, __u32 remote_be)
{
	__u32 total = ctx->len + sizeof(struct outer) - 2 * ETH_HLEN, hash;
	struct outer o = {};
	__u8 *frame;

	frame = need(ctx, 0, ETH_HLEN + sizeof(struct iphdr));
	if (!frame || total > IP_MAX_BYTES)
		return OUTER_REFUSED;
	o.ip.h.tos = outer_tos(tos_of(frame + ETH_HLEN));
	__builtin_memcpy(&o.vxlan.inner, frame, ETH_HLEN);
	hash = bpf_get_hash_recalc(ctx);
	if (bpf_skb_adjust_room(ctx, sizeof(o) - ETH_HLEN, BPF_ADJ_ROOM_MAC, PUSH_FLAGS | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4))
		return OUTER_REFUSED;
	/* The neighbour's and the device's MAC are written when the packet is sent. */
	o.eth.h_proto = bpf_htons(ETH_P_IP);
	fill_outer_ip4(&o.ip, total, remote_be);
	fill_vxlan(&o.vxlan, vni, total - sizeof(struct iphdr), hash);
	return bpf_skb_store_bytes(ctx, 0, &o, sizeof(o), 0) ? OUTER_BROKEN : OUTER_DONE;
}

/* The same over IPv6. */
static __noinline enum outer_result push_outer6(struct __sk_buff *ctx, __u32 vni, const struct cb_addr *remote)
{
	__u32 bytes = ctx->len + sizeof(struct outer6) - 2 * ETH_HLEN - sizeof(struct ipv6_header), hash;
	struct outer6 o = {};
	__u8 *frame, tos;

	frame = need(ctx, 0, ETH_HLEN + sizeof(struct iphdr));
	if (!frame || bytes > IP_MAX_BYTES)
		return OUTER_REFUSED;
	tos = outer_tos(tos_of(frame + ETH_HLEN));
	__builtin_memcpy(&o.vxlan.inner, frame, ETH_HLEN);
	__builtin_memcpy(&o.ip.h.dst, remote, sizeof(*remote));
	hash = bpf_get_hash_recalc(ctx);
	if (bpf_skb_adjust_room(ctx, sizeof(o) - ETH_HLEN, BPF_ADJ_ROOM_MAC, PUSH_FLAGS | BPF_F_ADJ_ROOM_ENCAP_L3_IPV6))
		return OUTER_REFUSED;
	o.eth.h_proto = bpf_htons(ETH_P_IPV6);
	fill_outer_ip6(&o.ip, bytes, tos, hash);
	fill_vxlan(&o.vxlan, vni, bytes, hash);
	return bpf_skb_store_bytes(ctx, 0, &o, sizeof(o), 0) ? OUTER_BROKEN : OUTER_DONE;
}

static __always_inline enum outer_result push_outer(struct __sk_buff *ctx, __u32 vni, const struct cb_addr *remote)
{
	return over_ipv6() ? push_outer6(ctx, vni, remote) : push_outer4(ctx, vni, v4_of(remote));
}

/* Reads what is behind the outer IP header; @bytes: of the datagram, as that says. */
static __always_inline int read_vxlan(const struct vxlan_headers *v, __u32 bytes, struct tunnelled *t)
{
	t->vni = bpf_ntohl(v->vni_be) >> VXLAN_VNI_SHIFT;
	t->inner = v->inner;
	return v->udp.dest == bpf_htons(VXLAN_PORT) && bpf_ntohs(v->udp.len) == bytes &&
	       v->flags_be == bpf_htonl(VXLAN_HAS_VNI) && !(v->vni_be & bpf_htonl((1 << VXLAN_VNI_SHIFT) - 1));
}

/*
 * Reads the outer headers of a packet that an uplink received. True: VXLAN to this host's underlay address, and nothing in
 * it that the host's own stack would look at. Reads a copy: packets of the host are not to be made linear, or their own, for this.
 */
static __noinline int read_outer4(struct __sk_buff *ctx, struct tunnelled *t)
{
	struct outer o;
	__u32 total;

	if (!is_for_host(ctx, ETH_P_IP) || bpf_skb_load_bytes(ctx, 0, &o, sizeof(o)))
		return 0;
	if (!is_datagram4(&o.ip))
		return 0;
	total = bpf_ntohs(o.ip.h.tot_len);
	set_v4(&t->from, o.ip.h.saddr);
	t->tos = o.ip.h.tos;
	return total + ETH_HLEN == ctx->len && !header_checksum(&o.ip) &&
	       read_vxlan(&o.vxlan, total - sizeof(struct iphdr), t);
}

/* The same over IPv6. A checksum that is not zero is to be verified (RFC 6935): by the kernel, so the device has the packet. */
static __noinline int read_outer6(struct __sk_buff *ctx, struct tunnelled *t)
{
	struct outer6 o;
	__u32 bytes;

	if (!is_for_host(ctx, ETH_P_IPV6) || bpf_skb_load_bytes(ctx, 0, &o, sizeof(o)))
		return 0;
	if (!is_datagram6(&o.ip) || o.vxlan.udp.check)
		return 0;
	bytes = bpf_ntohs(o.ip.h.payload_be);
	__builtin_memcpy(&t->from, &o.ip.h.src, sizeof(t->from));
	t->tos = tos_of((const __u8 *)&o.ip);
	return bytes + ETH_HLEN + sizeof(struct ipv6_header) == ctx->len && read_vxlan(&o.vxlan, bytes, t);
}

static __always_inline int read_outer(struct __sk_buff *ctx, struct tunnelled *t)
{
	return over_ipv6() ? read_outer6(ctx, t) : read_outer4(ctx, t);
}

/* Takes the outer headers off. OUTER_REFUSED: the kernel will not do it to such a packet. OUTER_BROKEN: as above. */
static __noinline enum outer_result pop_outer(struct __sk_buff *ctx, const struct tunnelled *t)
{
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET;
	struct ethhdr inner = t->inner;

	/* To the kernel, too, it is of the inner family then. */
	if (!over_ipv6() && inner.h_proto == bpf_htons(ETH_P_IPV6))
		flags |= BPF_F_ADJ_ROOM_DECAP_L3_IPV6;
	if (over_ipv6() && inner.h_proto == bpf_htons(ETH_P_IP))
		flags |= BPF_F_ADJ_ROOM_DECAP_L3_IPV4;
	if (bpf_skb_adjust_room(ctx, -(__s32)outer_growth(), BPF_ADJ_ROOM_MAC, flags))
		return OUTER_REFUSED;
	if (bpf_skb_store_bytes(ctx, 0, &inner, ETH_HLEN, 0))
		return OUTER_BROKEN;
	/* What the NIC verified first was the outer UDP header's checksum (zero counts as one): that one is gone. */
	bpf_csum_level(ctx, BPF_CSUM_LEVEL_DEC);
	if ((t->tos & ECN_MASK) == ECN_CE && mark_congestion(ctx))
		return OUTER_BROKEN;
	return OUTER_DONE;
}

#endif /* CABLE_OUTER_H */
