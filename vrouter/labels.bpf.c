// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * labels.bpf.c: IP packets of VPNs as MPLS in UDP (RFC 7510), to other hosts and to a provider's routers, and back. `to_lsp` is on what leaves by cablep0, where the networks of VPNs have their uplink;
 * `from_lsp` on what devices of the underlay receive: it gives the packet to cablep0, as if that had received a frame. They have no map of the vrouter's, and are there only where a VPN is.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "lib/outer_ip.h"

CB_CONFIG(__u32, cfg_vpn_ifindex, "cablep0, the device of the networks of VPNs");

#define LABEL_PORT 6635
#define LABEL_SHIFT 12
#define LABEL_BOTTOM 0x100 /* S: the last of the stack */
#define LABEL_TTL_MASK 0xff
#define PIPE_TTL 255 /* RFC 3443: how far it is in the underlay does not show inside */
#define VLAN_ID_MASK 0x0fff
#define IP_VERSION_4 4
#define IP_VERSION_6 6

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CB_MAX_LSP);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct cb_lsp_key);
	__type(value, struct cb_lsp);
} cb_lsp_1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CB_MAX_LABEL);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct cb_label_key);
	__type(value, struct cb_label);
} cb_label_1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CB_LABELLED_MAX);
	__type(key, __u32);
	__type(value, struct cb_labelled);
} cb_labelled_1 SEC(".maps");

/* What stands behind the outer IP header: four bytes of link header to the kernel, which copies them to each segment. */
struct label_headers {
	struct udphdr udp;
	__u32 entry_be; /* RFC 3032, 2.1: label, class, S, TTL */
} __attribute__((packed));

struct labelled4 {
	struct ethhdr eth;
	struct outer_ip4 ip;
	struct label_headers l;
} __attribute__((packed));

struct labelled6 {
	struct ethhdr eth;
	struct outer_ip6 ip;
	struct label_headers l;
} __attribute__((packed));

static __always_inline __u32 labelled_len(void)
{
	return over_ipv6() ? sizeof(struct labelled6) : sizeof(struct labelled4);
}

static __always_inline void count(__u32 kind, __u32 frame_bytes)
{
	struct cb_labelled *row = bpf_map_lookup_elem(&cb_labelled_1, &kind);

	if (!row)
		return;
	row->packets++;
	row->bytes += frame_bytes - ETH_HLEN;
}

static __always_inline int drop_labelled(const struct __sk_buff *ctx, __u32 kind)
{
	count(kind, ctx->len);
	return TC_ACT_SHOT;
}

/* The beginning of an IP packet, as far as it is asked about. */
struct inner {
	__u8 tos;
	__u8 protocol;
	__u16 header_bytes;
};

/* Reads the IP header at @off. Returns its version; 0: there is none. */
static __always_inline __u32 read_inner(struct __sk_buff *ctx, __u32 off, struct inner *inner)
{
	__u8 ip[sizeof(struct iphdr)];

	if (bpf_skb_load_bytes(ctx, off, ip, sizeof(ip)))
		return 0;
	inner->tos = tos_of(ip);
	if (ip[0] >> 4 == IP_VERSION_6) {
		inner->protocol = ip[6];
		inner->header_bytes = sizeof(struct ipv6_header);
		return IP_VERSION_6;
	}
	inner->protocol = ip[9];
	inner->header_bytes = (ip[0] & 0xf) * 4;
	return ip[0] >> 4 == IP_VERSION_4 ? IP_VERSION_4 : 0;
}

/* --- to the underlay --- */

/* Bytes of the largest packet that the frame will become, without link header. @inner: of what is in it. */
static __always_inline __u32 packet_bytes(struct __sk_buff *ctx, const struct inner *inner)
{
	__u32 at = ETH_HLEN + inner->header_bytes, l4 = sizeof(struct udphdr);
	__u8 offset;

	if (!ctx->gso_size)
		return ctx->len - ETH_HLEN;
	if (inner->protocol == IPPROTO_TCP)
		l4 = bpf_skb_load_bytes(ctx, at + 12, &offset, 1) ? 0 : (offset >> 4) * 4;
	return ctx->gso_size + inner->header_bytes + l4;
}

static __always_inline void fill_label(struct label_headers *l, __u32 label, __u32 bytes, __u32 hash)
{
	l->udp.source = bpf_htons(outer_source_port(hash));
	l->udp.dest = bpf_htons(LABEL_PORT);
	l->udp.len = bpf_htons(bytes);
	l->entry_be = bpf_htonl(label << LABEL_SHIFT | LABEL_BOTTOM | PIPE_TTL);
}

/* FIXED_GSO: segments stay as large as they are. What is between UDP and the packet is a link header of four bytes to the kernel. */
#define LABEL_PUSH_FLAGS                                                                                   \
	(BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2(sizeof(__u32)) | BPF_F_ADJ_ROOM_FIXED_GSO | \
	 BPF_F_ADJ_ROOM_NO_CSUM_RESET)

static __noinline int push_label4(struct __sk_buff *ctx, const struct cb_lsp *lsp, __u8 tos)
{
	__u32 total = ctx->len - ETH_HLEN + sizeof(struct labelled4) - ETH_HLEN, hash;
	struct labelled4 o = {};

	if (total > IP_MAX_BYTES)
		return -1;
	hash = bpf_get_hash_recalc(ctx);
	if (bpf_skb_adjust_room(ctx, sizeof(o) - ETH_HLEN, BPF_ADJ_ROOM_MAC,
				LABEL_PUSH_FLAGS | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4))
		return -1;
	o.eth.h_proto = bpf_htons(ETH_P_IP);
	o.ip.h.tos = tos;
	fill_outer_ip4(&o.ip, total, v4_of(&lsp->remote));
	fill_label(&o.l, lsp->label, total - sizeof(struct iphdr), hash);
	return bpf_skb_store_bytes(ctx, 0, &o, sizeof(o), 0);
}

static __noinline int push_label6(struct __sk_buff *ctx, const struct cb_lsp *lsp, __u8 tos)
{
	__u32 bytes = ctx->len - ETH_HLEN + sizeof(struct label_headers), hash;
	struct labelled6 o = {};

	if (bytes > IP_MAX_BYTES)
		return -1;
	hash = bpf_get_hash_recalc(ctx);
	if (bpf_skb_adjust_room(ctx, sizeof(o) - ETH_HLEN, BPF_ADJ_ROOM_MAC,
				LABEL_PUSH_FLAGS | BPF_F_ADJ_ROOM_ENCAP_L3_IPV6))
		return -1;
	o.eth.h_proto = bpf_htons(ETH_P_IPV6);
	__builtin_memcpy(&o.ip.h.dst, &lsp->remote, sizeof(lsp->remote));
	fill_outer_ip6(&o.ip, bytes, tos, hash);
	fill_label(&o.l, lsp->label, bytes, hash);
	return bpf_skb_store_bytes(ctx, 0, &o, sizeof(o), 0);
}

/* Into another VPN of this host, as if it had come with that one's label: the addresses of the link become those there. */
static __always_inline int turn_into(struct __sk_buff *ctx, const struct cb_lsp *lsp)
{
	struct cb_label_key key = {.label = lsp->label, .remote = lsp->remote};
	struct cb_label *vpn = bpf_map_lookup_elem(&cb_label_1, &key);
	__u8 macs[2 * ETH_ALEN];

	if (!vpn)
		return drop_labelled(ctx, CB_LABELLED_NO_SENDER);
	copy_mac(macs, vpn->mac);
	copy_mac(macs + ETH_ALEN, vpn->from);
	if (bpf_skb_store_bytes(ctx, 0, macs, sizeof(macs), 0) || bpf_skb_vlan_pop(ctx) ||
	    bpf_skb_vlan_push(ctx, bpf_htons(ETH_P_8021Q), vpn->vlan))
		return drop_labelled(ctx, CB_LABELLED_REFUSED);
	count(CB_LABELLED_TAKEN, ctx->len);
	return bpf_redirect(cfg_vpn_ifindex, BPF_F_INGRESS);
}

/* A frame that the vrouter sends beyond the uplink of a VPN's network. Whatever it is, it ends here or in the underlay. */
SEC("tc")
int to_lsp(struct __sk_buff *ctx)
{
	__u16 type = bpf_ntohs(ctx->protocol);
	struct cb_lsp_key key = {};
	struct inner inner = {};
	struct cb_lsp *lsp;
	__u32 bytes;
	int err;

	if ((type != ETH_P_IP && type != ETH_P_IPV6) || !ctx->vlan_present ||
	    bpf_skb_load_bytes(ctx, 0, key.mac, sizeof(key.mac)) || is_group_mac(key.mac) ||
	    !read_inner(ctx, ETH_HLEN, &inner))
		return drop_labelled(ctx, CB_LABELLED_NOT_IP);
	key.vlan = ctx->vlan_tci & VLAN_ID_MASK;
	lsp = bpf_map_lookup_elem(&cb_lsp_1, &key);
	if (!lsp)
		return drop_labelled(ctx, CB_LABELLED_NO_LSP);
	if (ctx->ingress_ifindex == ctx->ifindex && !(lsp->flags & CB_LSP_F_BACK))
		return drop_labelled(ctx, CB_LABELLED_TRANSIT);
	if (lsp->ifindex == cfg_vpn_ifindex)
		return turn_into(ctx, lsp);
	if (packet_bytes(ctx, &inner) + labelled_len() - ETH_HLEN > lsp->mtu_bytes)
		return drop_labelled(ctx, CB_LABELLED_TOO_BIG);
	bytes = ctx->len;
	if (bpf_skb_vlan_pop(ctx))
		return drop_labelled(ctx, CB_LABELLED_REFUSED);
	err = over_ipv6() ? push_label6(ctx, lsp, outer_tos(inner.tos)) : push_label4(ctx, lsp, outer_tos(inner.tos));
	if (err)
		return drop_labelled(ctx, CB_LABELLED_REFUSED);
	count(CB_LABELLED_SENT, bytes);
	return to_neighbour(lsp->ifindex, &lsp->nexthop);
}

/* --- from the underlay --- */

/* What the outer headers say. */
struct arrived {
	struct cb_label_key key;
	__u8 tos;
	__u8 ttl;
	__u8 is_sound; /* lengths and checksums hold */
	__u8 is_bottom;
	__u16 checksum;
	__u16 datagram_bytes;
};

static __always_inline void read_label(const struct label_headers *l, __u32 bytes, struct arrived *a)
{
	__u32 entry = bpf_ntohl(l->entry_be);

	a->key.label = entry >> LABEL_SHIFT;
	a->is_bottom = !!(entry & LABEL_BOTTOM);
	a->ttl = entry & LABEL_TTL_MASK;
	a->checksum = l->udp.check;
	a->datagram_bytes = bytes;
	a->is_sound = bpf_ntohs(l->udp.len) == bytes;
}

/* Reads the outer headers of a packet that a device of the underlay received. False: it is not for this program. */
static __noinline int read_labelled4(struct __sk_buff *ctx, struct arrived *a)
{
	struct labelled4 o;
	__u32 total;

	if (!is_for_host(ctx, ETH_P_IP) || bpf_skb_load_bytes(ctx, 0, &o, sizeof(o)) || !is_datagram4(&o.ip) ||
	    o.l.udp.dest != bpf_htons(LABEL_PORT))
		return 0;
	total = bpf_ntohs(o.ip.h.tot_len);
	read_label(&o.l, total - sizeof(struct iphdr), a);
	set_v4(&a->key.remote, o.ip.h.saddr);
	a->tos = o.ip.h.tos;
	a->is_sound &= total + ETH_HLEN == ctx->len && !header_checksum(&o.ip);
	return 1;
}

static __noinline int read_labelled6(struct __sk_buff *ctx, struct arrived *a)
{
	struct cb_addr from;
	struct labelled6 o;
	__u32 bytes;

	if (!is_for_host(ctx, ETH_P_IPV6) || bpf_skb_load_bytes(ctx, 0, &o, sizeof(o)) || !is_datagram6(&o.ip) ||
	    o.l.udp.dest != bpf_htons(LABEL_PORT))
		return 0;
	bytes = bpf_ntohs(o.ip.h.payload_be);
	read_label(&o.l, bytes, a);
	__builtin_memcpy(&from, &o.ip.h.src, sizeof(from));
	a->key.remote = from;
	a->tos = tos_of((const __u8 *)&o.ip);
	/* From nobody: that is the entry of the label itself. */
	a->is_sound &= bytes + ETH_HLEN + sizeof(struct ipv6_header) == ctx->len && !is_unspecified(&from);
	return 1;
}

#define SUM_BYTES 128

struct summing {
	struct __sk_buff *ctx;
	__u32 at;
	__u32 left;
	__s64 sum;
};

/* Called by bpf_loop: adds the next part of the datagram. */
static long add_part(__u32 i __attribute__((unused)), void *data)
{
	__u32 part[SUM_BYTES / 4] = {};
	struct summing *s = data;
	__u32 bytes = s->left;

	if (!bytes)
		return 1;
	if (bytes > SUM_BYTES)
		bytes = SUM_BYTES;
	if (bpf_skb_load_bytes(s->ctx, s->at, part, bytes))
		return 1;
	s->sum = bpf_csum_diff(NULL, 0, part, sizeof(part), s->sum);
	s->at += bytes;
	s->left -= bytes;
	return 0;
}

/* Is the UDP checksum right, over IPv6? One of several packets that came as one is not computed yet: nobody knows. */
static __noinline int is_intact6(struct __sk_buff *ctx, __u32 bytes)
{
	struct summing s = {.ctx = ctx, .at = ETH_HLEN + sizeof(struct ipv6_header), .left = bytes};
	__u32 pseudo[10], sum;

	if (ctx->gso_size ||
	    bpf_skb_load_bytes(ctx, ETH_HLEN + offsetof(struct ipv6_header, src), pseudo, 2 * sizeof(struct cb_addr)))
		return 0;
	pseudo[8] = bpf_htonl(bytes);
	pseudo[9] = bpf_htonl(IPPROTO_UDP);
	s.sum = bpf_csum_diff(NULL, 0, pseudo, sizeof(pseudo), 0);
	if (s.sum < 0 || bpf_loop(IP_MAX_BYTES / SUM_BYTES + 1, add_part, &s, 0) < 0 || s.left || s.sum < 0)
		return 0;
	sum = (__u32)s.sum;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/* Why the packet is not taken; 0: it is. Asked of what is known without its sender first. */
static __always_inline __u32 refusal_of(struct __sk_buff *ctx, const struct arrived *a, const struct inner *inner)
{
	if (!a->is_sound)
		return CB_LABELLED_MALFORMED;
	if (!a->is_bottom)
		return CB_LABELLED_STACK;
	if (a->ttl <= 1)
		return CB_LABELLED_TTL;
	if ((a->tos & ECN_MASK) == ECN_CE && !(inner->tos & ECN_MASK))
		return CB_LABELLED_ECN;
	if (ctx->gso_size && inner->protocol != IPPROTO_TCP)
		return CB_LABELLED_GSO;
	return 0;
}

/* The outer headers off, a link header on. Returns 0 or a negative errno. */
static __noinline int pop_label(struct __sk_buff *ctx, const struct cb_label *vpn, __u32 version)
{
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET;
	struct ethhdr eth = {};

	/* To the kernel, too, it is of the inner family then. */
	if (!over_ipv6() && version == IP_VERSION_6)
		flags |= BPF_F_ADJ_ROOM_DECAP_L3_IPV6;
	if (over_ipv6() && version == IP_VERSION_4)
		flags |= BPF_F_ADJ_ROOM_DECAP_L3_IPV4;
	if (bpf_skb_adjust_room(ctx, -(__s32)(labelled_len() - ETH_HLEN), BPF_ADJ_ROOM_MAC, flags))
		return -1;
	copy_mac(eth.h_dest, vpn->mac);
	copy_mac(eth.h_source, vpn->from);
	eth.h_proto = bpf_htons(version == IP_VERSION_6 ? ETH_P_IPV6 : ETH_P_IP);
	if (bpf_skb_store_bytes(ctx, 0, &eth, sizeof(eth), 0))
		return -1;
	/* What the NIC verified first was the outer UDP header's checksum (zero counts as one): that one is gone. */
	bpf_csum_level(ctx, BPF_CSUM_LEVEL_DEC);
	return bpf_skb_vlan_push(ctx, bpf_htons(ETH_P_8021Q), vpn->vlan);
}

/* What a device of the underlay receives: packets with a label go on to cablep0, all else to who is next, as it came. */
SEC("tc")
int from_lsp(struct __sk_buff *ctx)
{
	struct inner inner = {};
	struct arrived a = {};
	struct cb_label *vpn;
	__u32 version, why;

	if (!(over_ipv6() ? read_labelled6(ctx, &a) : read_labelled4(ctx, &a)))
		return TC_ACT_UNSPEC;
	version = read_inner(ctx, labelled_len(), &inner);
	why = version ? refusal_of(ctx, &a, &inner) : CB_LABELLED_MALFORMED;
	if (why)
		return drop_labelled(ctx, why);
	vpn = bpf_map_lookup_elem(&cb_label_1, &a.key);
	if (!vpn) {
		__builtin_memset(&a.key.remote, 0, sizeof(a.key.remote));
		vpn = bpf_map_lookup_elem(&cb_label_1, &a.key);
		return drop_labelled(ctx, vpn ? CB_LABELLED_NO_SENDER : CB_LABELLED_NO_LABEL);
	}
	if (over_ipv6() && a.checksum && !is_intact6(ctx, a.datagram_bytes))
		return drop_labelled(ctx, CB_LABELLED_CHECKSUM);
	if (pop_label(ctx, vpn, version) || ((a.tos & ECN_MASK) == ECN_CE && mark_congestion(ctx)))
		return drop_labelled(ctx, CB_LABELLED_REFUSED);
	count(CB_LABELLED_TAKEN, ctx->len);
	return bpf_redirect(cfg_vpn_ifindex, BPF_F_INGRESS);
}

char _license[] SEC("license") = "Dual BSD/GPL";
