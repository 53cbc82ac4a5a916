/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * mirror.h: copies of what a VIF sends and receives, for those who watch it. The packet itself is neither changed nor held up: a copy over the mirror's limit, or one that
 * cannot be made, is counted and that is all. A copy to a VIF of this host is sent to its device at once; others go into cablem0, and what is left to do for them is
 * done where they come out. Copies never pass the programs of VIFs, so none is ever copied again.
 */
#ifndef CABLE_MIRROR_H
#define CABLE_MIRROR_H

#include "meter.h"

/* Mark of a copy in cablem0: the place of its mirror, whether it has its outer headers already, and some bits of the mirror's number. */
#define COPY_PLACE_SHIFT 14
#define COPY_WRAPPED 0x10000
#define COPY_NUMBER_SHIFT 17

_Static_assert(CB_MAX_VIF * 2 <= 1 << COPY_PLACE_SHIFT, "a VIF and a direction fit the mark");
_Static_assert(CB_VIF_MIRRORS <= 4, "a place fits the mark");

/* What a mirror's terms ask of a packet. */
struct seen {
	struct cb_addr src __attribute__((aligned(8)));
	struct cb_addr dst __attribute__((aligned(8)));
	__u16 sport; /* host byte order; with `ports` */
	__u16 dport;
	__u8 protocol;
	__u8 ports; /* it has ports */
	__u8 later; /* a later fragment: its ports are not known */
	__u8 state; /* SEEN_* */
};

#define SEEN_IP 1
#define SEEN_OTHER 2 /* no IP packet, or none that is whole */

static __always_inline struct cb_mirror *lookup_mirror(const struct cb_mirror_key *key)
{
	return bpf_map_lookup_elem(&cb_mirror_1, key);
}

static __always_inline struct cb_mirrored *lookup_mirrored(__u32 number)
{
	struct cb_mirrored_key key = {.number = number};

	return bpf_map_lookup_elem(&cb_mirrored_1, &key);
}

static __always_inline __u32 mark_of_copy(const struct cb_mirror_key *key, const struct cb_mirror *m)
{
	return (key->vif * 2 + key->direction) | key->place << COPY_PLACE_SHIFT | m->number << COPY_NUMBER_SHIFT;
}

/* --- what a mirror is told to copy --- */

/* verifier: comparisons as numbers, since it follows each branch. 1: they are equal. */
static __always_inline __u64 is_equal(__u32 a, __u32 b)
{
	return ((__u64)(a ^ b) - 1) >> 63;
}

/* 1: @a is @b or more. */
static __always_inline __u64 is_least(__u32 a, __u32 b)
{
	return 1 - (((__u64)a - b) >> 63);
}

static __always_inline void see_ports(struct __sk_buff *ctx, struct seen *s, __u32 off)
{
	__u64 has = is_equal(s->protocol, IPPROTO_TCP) | is_equal(s->protocol, IPPROTO_UDP) |
		    is_equal(s->protocol, IPPROTO_SCTP);
	__u16 ports[2];

	if (bpf_skb_load_bytes(ctx, off, ports, sizeof(ports)))
		return;
	s->sport = bpf_ntohs(ports[0]);
	s->dport = bpf_ntohs(ports[1]);
	s->ports = has;
}

static __always_inline void see_ipv4(struct __sk_buff *ctx, struct seen *s)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(ctx, ETH_HLEN, &ip, sizeof(ip)) || ip.version != 4)
		return;
	set_v4(&s->src, ip.saddr);
	set_v4(&s->dst, ip.daddr);
	s->protocol = ip.protocol;
	s->later = !!(ip.frag_off & bpf_htons(IP_OFFSET_MASK));
	s->state = SEEN_IP;
	see_ports(ctx, s, ETH_HLEN + ip.ihl * 4);
}

#define SEEN_EXTENSIONS 4 /* extension headers that are passed over */
/* Their numbers, as bits: all are below 64. */
#define EXTENSIONS (1ULL << IPV6_HOP_BY_HOP | 1ULL << IPV6_ROUTING | 1ULL << IPV6_FRAGMENT | 1ULL << IPV6_DESTINATION)

static __always_inline void see_ipv6(struct __sk_buff *ctx, struct seen *s)
{
	__u32 off = ETH_HLEN + sizeof(struct ipv6_header);
	struct ipv6_header ip;
	__u8 head[4];

	if (bpf_skb_load_bytes(ctx, ETH_HLEN, &ip, sizeof(ip)) || ip.version_class >> 4 != 6)
		return;
	s->src = ip.src;
	s->dst = ip.dst;
	s->protocol = ip.next;
	s->state = SEEN_IP;
	for (int n = 0; n < SEEN_EXTENSIONS; n++) {
		__u64 is_fragment = is_equal(s->protocol, IPV6_FRAGMENT);

		if (s->protocol > 63 || !(EXTENSIONS >> s->protocol & 1) ||
		    bpf_skb_load_bytes(ctx, off, head, sizeof(head)))
			break;
		s->protocol = head[0];
		s->later |= is_fragment * (head[2] | (head[3] & 0xf8));
		off += 8 + (1 - is_fragment) * head[1] * 8;
	}
	see_ports(ctx, s, off);
}

/* Reads the headers of a packet that a guest sent, however broken: copies alone are read, and nothing is changed. */
static __noinline int see(struct __sk_buff *ctx, struct seen *s)
{
	__u16 type_be = 0;

	s->state = SEEN_OTHER;
	bpf_skb_load_bytes(ctx, offsetof(struct ethhdr, h_proto), &type_be, sizeof(type_be));
	if (type_be == bpf_htons(ETH_P_IP))
		see_ipv4(ctx, s);
	else if (type_be == bpf_htons(ETH_P_IPV6))
		see_ipv6(ctx, s);
	return 0;
}

static __always_inline int is_under(const struct cb_addr *addr, const struct cb_mirror_term *term)
{
	const __u64 *a = (const void *)addr, *b = (const void *)&term->addr, *mask = (const void *)&term->mask;

	return !(((a[0] ^ b[0]) & mask[0]) | ((a[1] ^ b[1]) & mask[1]));
}

/* A later fragment is taken for one with the ports: its first may have had them. */
static __always_inline int matches(const struct seen *s, const struct cb_addr *other, const struct cb_mirror_term *term)
{
	__u64 source = is_least(s->sport, term->first_port) & is_least(term->last_port, s->sport);
	__u64 destination = is_least(s->dport, term->first_port) & is_least(term->last_port, s->dport);

	if (!is_under(other, term) || (term->flags & CB_TERM_F_PROTOCOL && s->protocol != term->protocol))
		return 0;
	if (!(term->flags & CB_TERM_F_PORT) || s->later)
		return 1;
	return s->ports & (source | destination);
}

struct matching {
	const struct cb_mirror *m;
	struct seen seen;
	struct cb_addr other __attribute__((aligned(8))); /* address of the end that is not the VIF */
	__u32 found;
};

/* Called by bpf_loop: the term numbered @index. Returns 1 when one has matched. */
static long match_one(__u32 index, void *data)
{
	struct matching *match = data;

	if (index >= CB_MIRROR_TERMS)
		return 1;
	match->found = matches(&match->seen, &match->other, &match->m->term[index]);
	return match->found;
}

/* Is the packet one that the mirror copies? */
static __noinline int is_wanted(struct __sk_buff *ctx, const struct cb_mirror *m, __u32 direction)
{
	struct matching match = {.m = m};

	if (!m->terms)
		return 1;
	see(ctx, &match.seen);
	if (match.seen.state != SEEN_IP)
		return 0;
	match.other = direction == CB_DIR_EGRESS ? match.seen.dst : match.seen.src;
	bpf_loop(m->terms, match_one, &match, 0);
	return match.found;
}

/* --- copies --- */

/* A copy into cablem0. Returns 0, or another number: it is lost. */
static __always_inline int clone_aside(struct __sk_buff *ctx, __u32 mark)
{
	__u32 was = ctx->mark;
	int err;

	if (!cfg_mirror_ifindex)
		return -1;
	ctx->mark = mark;
	err = bpf_clone_redirect(ctx, cfg_mirror_ifindex, 0);
	ctx->mark = was;
	return err;
}

/* The VIF @vif of this host, if a copy may go there; else NULL. */
static __always_inline struct cb_vif *watcher(__u32 vif)
{
	struct cb_vif *row = vif_row(vif);

	return row && row->ifindex && row->flags & CB_VIF_F_ADMIN_UP ? row : NULL;
}

static __always_inline int clone_to_watcher(struct __sk_buff *ctx, __u32 vif, __u32 mark)
{
	struct cb_vif *row = watcher(vif);
	int err;

	/* A tag within a frame that was known without one: the watcher's device would take it for its own, and the frame for one of its VLAN. */
	if (!row || ctx->vlan_present)
		return -1;
	/* What the device would not take is cut to fit, beside. */
	if (ctx->len > row->mtu_bytes + ETH_HLEN && !ctx->gso_size)
		return clone_aside(ctx, mark);
	err = clone_to_vif(ctx, row);
	if (!err)
		count_tx(ctx, vif);
	return err;
}

static __always_inline void count_one(__u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

/* Makes the copy for one mirror. Returns 0, or why there is none. */
static __always_inline __u32 copy_for(struct __sk_buff *ctx, const struct cb_mirror *m, struct cb_mirrored *row,
				      const struct cb_mirror_key *key)
{
	__u64 packets, bytes, now = bpf_ktime_get_ns();
	__u32 mark = mark_of_copy(key, m);
	int err;

	if (m->byte_cost && is_empty(&row->byte_ns, m->byte_burst_ns, now)) {
		count_one(&row->over);
		return CB_REASON_MIRROR_RATE;
	}
	measure(ctx, &packets, &bytes);
	if (m->byte_cost)
		pay(&row->byte_ns, (bytes * m->byte_cost) >> COST_SHIFT, now);
	err = m->kind == CB_MIRROR_VIF ? clone_to_watcher(ctx, m->id, mark) : clone_aside(ctx, mark);
	if (err) {
		count_one(&row->lost);
		return CB_REASON_MIRROR_LOST;
	}
	__sync_fetch_and_add(&row->packets, packets);
	__sync_fetch_and_add(&row->bytes, bytes);
	return CB_REASON_NONE;
}

/* The copy for the mirror at a place of VIF @vif and @direction, if it wants one. Returns 0: there is no mirror. */
GLOBAL int copy_at(struct __sk_buff *ctx, __u32 vif, __u32 direction, __u32 place)
{
	struct cb_mirror_key key = {.vif = vif, .direction = direction & 1, .place = place};
	struct cb_mirror *m = lookup_mirror(&key);
	struct cb_mirrored *row;
	__u32 reason;

	if (!m)
		return 0;
	if (!is_wanted(ctx, m, key.direction))
		return 1;
	note_step(CB_STEP_MIRROR, m->number, key.direction, vif, NULL);
	row = lookup_mirrored(m->number);
	if (cfg_trace || !row)
		return 1;
	reason = copy_for(ctx, m, row, &key);
	if (reason)
		count_drop(vif, reason);
	return 1;
}

/* Copies what VIF @vif sends (@direction CB_DIR_EGRESS) or receives, for each of its mirrors. The packet stays as it is; packet pointers are void then. */
GLOBAL int mirror(struct __sk_buff *ctx, __u32 vif, __u32 direction)
{
	for (__u32 place = 0; place < CB_VIF_MIRRORS; place++)
		if (!copy_at(ctx, vif, direction, place))
			break;
	return 0;
}

#endif /* CABLE_MIRROR_H */
