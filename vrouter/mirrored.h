/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * mirrored.h: what becomes of copies for mirrors where they come out of cablem1: each is cut to what the way takes, is given its outer headers, and is sent. A GSO
 * packet stays one until a device sends it. Nothing is ever said to whom they are copied from.
 */
#ifndef CABLE_MIRRORED_H
#define CABLE_MIRRORED_H

#include "lib/encap.h"
#include "lib/mirror.h"
#include "lib/outer.h"
#include "lib/stage.h"

#define GRE_HAS_KEY 0x2000
#define GRE_HAS_SEQUENCE 0x1000
#define GRE_ETHERNET 0x6558 /* an Ethernet frame */
#define GRE_ERSPAN 0x88be /* the same behind a header of ERSPAN type II */
#define ERSPAN_TYPE_2 (1u << 28)
#define ERSPAN_CUT (1u << 10)
#define ERSPAN_SESSION_MASK 0x3ff

/* What stands before a frame that goes to a collector. */
struct gre_outer {
	struct ethhdr eth;
	struct iphdr ip;
	__u16 flags_be;
	__u16 protocol_be;
	__u32 word_be; /* the key, or the sequence number */
} __attribute__((packed));

/* And after that (ERSPAN type II): version, VLAN, priority, whether it was cut, session; the index, which is not used. */
struct erspan_header {
	__u32 word_be;
	__u32 index_be;
};

/* A copy that comes out, and its mirror. */
struct copy {
	struct cb_mirror *m;
	struct cb_mirrored *row;
	struct cb_mirror_key key;
	__u32 is_cut;
};

static __always_inline int lose(struct __sk_buff *ctx, const struct copy *c)
{
	count_one(&c->row->lost);
	return drop(ctx, c->key.vif, CB_REASON_MIRROR_LOST);
}

/* Bytes of the frame, or of each that a GSO packet will become. */
static __always_inline __u32 frame_bytes(struct __sk_buff *ctx)
{
	__u32 size = ctx->gso_size;

	return size ? segment_headers(ctx) + size : ctx->len;
}

/* Cuts the copy to @bytes; of a GSO packet whose segments are larger only the first part is left. Returns 0 or -1. */
static __always_inline int cut_copy(struct __sk_buff *ctx, struct copy *c, __u32 bytes)
{
	if (frame_bytes(ctx) <= bytes)
		return 0;
	c->is_cut = 1;
	count_one(&c->row->cut);
	return bpf_skb_change_tail(ctx, ctx->len < bytes ? ctx->len : bytes, 0) ? -1 : 0;
}

static __always_inline int copy_to_watcher(struct __sk_buff *ctx, struct copy *c)
{
	struct cb_vif *row = watcher(c->m->id);

	if (!row || cut_copy(ctx, c, row->mtu_bytes + ETH_HLEN))
		return lose(ctx, c);
	return put_out(ctx, row, c->m->id, CB_DELIVER_VIF, CB_REASON_NONE);
}

/* In VXLAN, by the overlay device; see take_copy(). */
static __always_inline int copy_to_peer(struct __sk_buff *ctx, struct copy *c)
{
	struct cb_tunnel *way = tunnel_row(c->m->id);
	__u32 mtu_bytes = 0;

	if (!cfg_overlay_ifindex || !way || bpf_check_mtu(ctx, cfg_overlay_ifindex, &mtu_bytes, 0, 0) < 0)
		return lose(ctx, c);
	if (cut_copy(ctx, c, mtu_bytes + ETH_HLEN) || set_tunnel(ctx, c->m->wire_id, &way->remote))
		return lose(ctx, c);
	count_tx(ctx, 0);
	trace(ctx, cfg_overlay_ifindex, CB_DELIVER_OVERLAY, c->m->wire_id, c->m->id, CB_REASON_NONE);
	return bpf_redirect(cfg_overlay_ifindex, 0);
}

/*
 * How the kernel's routes lead to the collector, for an IP packet of @bytes (0: of any size). Returns what such a packet may have at the most, 0: there is no way. The
 * neighbour need not be known yet.
 */
static __always_inline __u32 find_way(struct __sk_buff *ctx, const struct cb_mirror *m, __u32 bytes,
				      struct bpf_fib_lookup *way)
{
	long err;

	__builtin_memset(way, 0, sizeof(*way));
	way->family = AF_INET;
	way->l4_protocol = IPPROTO_GRE;
	way->ifindex = cfg_mirror_end_ifindex;
	way->ipv4_src = bpf_htonl(cfg_underlay);
	way->ipv4_dst = v4_of(&m->remote);
	way->tot_len = bytes > IP_MAX_BYTES ? IP_MAX_BYTES : bytes;
	err = bpf_fib_lookup(ctx, way, sizeof(*way), 0);
	if (err == BPF_FIB_LKUP_RET_FRAG_NEEDED) {
		bytes = way->mtu_result;
		way->tot_len = bytes;
		err = bpf_fib_lookup(ctx, way, sizeof(*way), 0);
	}
	return err == BPF_FIB_LKUP_RET_SUCCESS || err == BPF_FIB_LKUP_RET_NO_NEIGH ? bytes : 0;
}

/* Sends what has its outer headers; the kernel finds the neighbour's MAC, and asks for it if need be. */
static __always_inline int send_wrapped(struct __sk_buff *ctx, const struct copy *c, const struct bpf_fib_lookup *way)
{
	struct bpf_redir_neigh neighbour = {.nh_family = AF_INET, .ipv4_nh = way->ipv4_dst};

	count_tx(ctx, 0);
	trace(ctx, way->ifindex, CB_DELIVER_COLLECTOR, c->m->wire_id, bpf_ntohl(v4_of(&c->m->remote)), CB_REASON_NONE);
	return bpf_redirect_neigh(way->ifindex, &neighbour, sizeof(neighbour), 0);
}

/* What stands before a frame, and the beginning of that. */
struct wrapping {
	struct gre_outer gre;
	struct erspan_header erspan;
} __attribute__((packed));

static __always_inline void write_wrapping(struct wrapping *o, const struct copy *c, __u32 total)
{
	struct gre_outer *gre = &o->gre;

	gre->eth.h_proto = bpf_htons(ETH_P_IP);
	*(__u8 *)&gre->ip = IP_VERSION_AND_IHL;
	gre->ip.tot_len = bpf_htons(total);
	gre->ip.frag_off = bpf_htons(IP_FLAG_DF);
	gre->ip.ttl = TUNNEL_TTL;
	gre->ip.protocol = IPPROTO_GRE;
	gre->ip.saddr = bpf_htonl(cfg_underlay);
	gre->ip.daddr = v4_of(&c->m->remote);
	gre->ip.check = header_checksum(&gre->ip);
	if (c->m->kind != CB_MIRROR_ERSPAN) {
		gre->flags_be = bpf_htons(GRE_HAS_KEY);
		gre->protocol_be = bpf_htons(GRE_ETHERNET);
		gre->word_be = bpf_htonl(c->m->wire_id);
		return;
	}
	gre->flags_be = bpf_htons(GRE_HAS_SEQUENCE);
	gre->protocol_be = bpf_htons(GRE_ERSPAN);
	gre->word_be = bpf_htonl(__sync_fetch_and_add(&c->row->sequence[c->key.direction & 1], 1));
	o->erspan.word_be =
		bpf_htonl(ERSPAN_TYPE_2 | (c->is_cut ? ERSPAN_CUT : 0) | (c->m->wire_id & ERSPAN_SESSION_MASK));
}

/* Of @m: bytes before the frame, with an Ethernet header. */
static __always_inline __u32 outer_bytes(const struct cb_mirror *m)
{
	return sizeof(struct gre_outer) + (m->kind == CB_MIRROR_ERSPAN ? sizeof(struct erspan_header) : 0);
}

/*
 * Puts the outer headers before an IP packet, which may be a GSO packet: the kernel knows then that it is in a tunnel. Segments of TCP that do not fit become
 * smaller. OUTER_REFUSED: it is as it was: no IP packet, in a tunnel already as the kernel sees it, or GSO of another kind.
 */
static __noinline enum outer_result wrap_ip(struct __sk_buff *ctx, struct copy *c, __u32 fits)
{
	__u64 flags = BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_GRE | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN) |
		      BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_NO_CSUM_RESET;
	__u32 outer = outer_bytes(c->m), total = ctx->len + outer - ETH_HLEN;
	struct wrapping o = {};
	struct ethhdr eth;

	if (total > IP_MAX_BYTES || bpf_skb_load_bytes(ctx, 0, &eth, sizeof(eth)))
		return OUTER_REFUSED;
	if (fits)
		flags |= BPF_F_ADJ_ROOM_FIXED_GSO;
	/* verifier: sizes that it knows. */
	if (c->m->kind == CB_MIRROR_ERSPAN) {
		if (bpf_skb_adjust_room(ctx, sizeof(o), BPF_ADJ_ROOM_MAC, flags))
			return OUTER_REFUSED;
		write_wrapping(&o, c, total);
		return bpf_skb_store_bytes(ctx, 0, &o, sizeof(o), 0) ||
				       bpf_skb_store_bytes(ctx, sizeof(o), &eth, sizeof(eth), 0)
			       ? OUTER_BROKEN
			       : OUTER_DONE;
	}
	if (bpf_skb_adjust_room(ctx, sizeof(o.gre), BPF_ADJ_ROOM_MAC, flags))
		return OUTER_REFUSED;
	write_wrapping(&o, c, total);
	return bpf_skb_store_bytes(ctx, 0, &o, sizeof(o.gre), 0) ||
			       bpf_skb_store_bytes(ctx, sizeof(o.gre), &eth, sizeof(eth), 0)
		       ? OUTER_BROKEN
		       : OUTER_DONE;
}

/* The same for any frame that is no GSO packet; the kernel takes it for what it was. Returns 0 or -1. */
static __noinline int wrap_frame(struct __sk_buff *ctx, struct copy *c)
{
	__u32 total = ctx->len + outer_bytes(c->m) - ETH_HLEN;
	struct wrapping o = {};

	write_wrapping(&o, c, total);
	if (c->m->kind == CB_MIRROR_ERSPAN)
		return bpf_skb_change_head(ctx, sizeof(o), 0) || bpf_skb_store_bytes(ctx, 0, &o, sizeof(o), 0);
	return bpf_skb_change_head(ctx, sizeof(o.gre), 0) || bpf_skb_store_bytes(ctx, 0, &o, sizeof(o.gre), 0);
}

/* A GSO packet that cannot be wrapped is sent the other way through the pair, where the kernel segments it, and comes out of cablem0. */
static __always_inline int segment(struct __sk_buff *ctx, const struct copy *c, __u32 mark)
{
	if (ctx->ifindex != cfg_mirror_end_ifindex)
		return lose(ctx, c);
	ctx->mark = mark;
	trace(ctx, cfg_mirror_end_ifindex, CB_DELIVER_COLLECTOR, c->m->wire_id, 0, CB_REASON_NONE);
	return bpf_redirect(cfg_mirror_end_ifindex, 0);
}

static __always_inline int copy_to_collector(struct __sk_buff *ctx, struct copy *c, __u32 mark)
{
	__u32 outer = outer_bytes(c->m) - ETH_HLEN, frame = frame_bytes(ctx), most;
	__u16 type_be = ctx->protocol;
	struct bpf_fib_lookup way;
	enum outer_result result;

	if (mark & COPY_WRAPPED)
		outer = 0;
	most = find_way(ctx, c->m, mark & COPY_WRAPPED ? frame - ETH_HLEN : frame + outer, &way);
	if (!cfg_underlay || most <= outer + ETH_HLEN)
		return lose(ctx, c);
	if (mark & COPY_WRAPPED)
		return send_wrapped(ctx, c, &way);
	if (!ctx->gso_size && cut_copy(ctx, c, most - outer))
		return lose(ctx, c);
	result = wrap_ip(ctx, c, frame <= most - outer);
	if (result == OUTER_DONE)
		return send_wrapped(ctx, c, &way);
	if (result == OUTER_REFUSED && ctx->gso_size)
		return segment(ctx, c, mark);
	if (result == OUTER_BROKEN || wrap_frame(ctx, c))
		return lose(ctx, c);
	if (type_be == bpf_htons(ETH_P_IP))
		return send_wrapped(ctx, c, &way);
	/* The kernel still takes it for what the frame is, and would look for a neighbour of that family: it is received anew. */
	ctx->mark = mark | COPY_WRAPPED;
	trace(ctx, ctx->ifindex, CB_DELIVER_COLLECTOR, c->m->wire_id, bpf_ntohl(v4_of(&c->m->remote)), CB_REASON_NONE);
	return bpf_redirect(ctx->ifindex, BPF_F_INGRESS);
}

/* A copy on its way to where its mirror leads. What nobody sent there goes nowhere, nor does what is for a mirror that is gone. */
SEC("tc")
int mirrored(struct __sk_buff *ctx)
{
	__u32 mark = ctx->mark, place = mark & ((1 << COPY_PLACE_SHIFT) - 1);
	struct copy c = {.key = {.vif = place / 2,
				 .direction = place & 1,
				 .place = mark >> COPY_PLACE_SHIFT & (CB_VIF_MIRRORS - 1)}};

	if (!take_over(CB_STAGE_MIRRORED))
		return drop_stray(ctx);
	ctx->mark = 0;
	c.m = lookup_mirror(&c.key);
	if (!c.m || (mark_of_copy(&c.key, c.m) ^ mark) & ~COPY_WRAPPED)
		return drop(ctx, 0, CB_REASON_NOT_PROGRAMMED);
	c.row = lookup_mirrored(c.m->number);
	if (!c.row)
		return drop(ctx, 0, CB_REASON_NOT_PROGRAMMED);
	/* A tag within a frame that was known without one. */
	if (ctx->vlan_present)
		return lose(ctx, &c);
	if (c.m->kind == CB_MIRROR_VIF)
		return copy_to_watcher(ctx, &c);
	if (c.m->kind == CB_MIRROR_HOST)
		return copy_to_peer(ctx, &c);
	if (c.m->kind == CB_MIRROR_GRE || c.m->kind == CB_MIRROR_ERSPAN)
		return copy_to_collector(ctx, &c, mark);
	return lose(ctx, &c);
}

#endif /* CABLE_MIRRORED_H */
