/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * snoop.h: which groups of multicast a VIF has joined, as its guest tells routers (IGMP: RFC 1112, 2236, 3376; MLD: RFC 2710, 3810), and who gets a copy of what goes
 * to a group (RFC 4541). Several CPUs may read and write a VIF's row at once. Whatever is in doubt makes the VIF one that gets everything.
 */
#ifndef CABLE_SNOOP_H
#define CABLE_SNOOP_H

#include "lookup.h"
#include "parse.h"
#include "service.h"

#define GROUP_NS (CB_GROUP_SECONDS * 1000000000ULL)
/* A place that is being written. */
#define GROUP_BUSY 1
/* How often is tried what another CPU may be in the way of. */
#define GROUP_TRIES 4

/* What a packet says of groups. */
enum group_speech {
	SPEECH_NONE,
	SPEECH_QUERY,
	SPEECH_REPORT, /* or that one is left; a part of what cannot be read is such, too */
};

/* Of the packet in work, which is not to one receiver. */
static __always_inline enum group_speech speech_of(struct __sk_buff *ctx, const struct pkt *p)
{
	__u8 type = 0;

	if (p->flags & PKT_LINK) {
		if (p->icmp_type == ICMP6_MLD_QUERY)
			return SPEECH_QUERY;
		return p->icmp_type == ICMP6_MLD_REPORT || p->icmp_type == ICMP6_MLD_DONE ||
				       p->icmp_type == ICMP6_MLD2_REPORT
			       ? SPEECH_REPORT
			       : SPEECH_NONE;
	}
	if (p->family != CB_FAMILY_V4 || p->key.protocol != IPPROTO_IGMP)
		return SPEECH_NONE;
	if (p->flags & PKT_LATER_FRAGMENT || bpf_skb_load_bytes(ctx, p->l4_off, &type, 1))
		return SPEECH_REPORT;
	if (type == IGMP_QUERY)
		return SPEECH_QUERY;
	return type == IGMP_REPORT_1 || type == IGMP_REPORT_2 || type == IGMP_REPORT_3 || type == IGMP_LEAVE
		       ? SPEECH_REPORT
		       : SPEECH_NONE;
}

/* A group whose packets go to its members alone: not one of the link (224.0.0.0/24; ff02::/16 and narrower), which nobody has to tell that he has joined. */
static __always_inline int is_joinable(const struct cb_addr *addr)
{
	__u32 v4 = bpf_ntohl(v4_of(addr));

	if (is_v4_mapped(addr))
		return v4 >> 28 == 0xe && v4 >> 8 != 0xe00000;
	return is_multicast6(addr) && (addr->b[1] & 0xf) > 2;
}

/* The row of VIF @vif, if what is learned of it there is of the one who has the number now; else NULL. */
static __always_inline struct cb_joined *joined_row(__u32 vif, const struct cb_vif *row)
{
	struct cb_joined *joined = bpf_map_lookup_elem(&cb_joined_1, &vif);

	if (!joined || !row || !same_words(joined->port_id, row->port_id))
		return NULL;
	return joined;
}

/* --- what a guest says --- */

static __always_inline void give_all(struct cb_joined *joined, __u64 now)
{
	joined->all_until_ns = now + GROUP_NS;
}

/* Notes that place @n is in use. Returns 0: others were in the way. */
static __always_inline int note_used(struct cb_joined *joined, __u32 n)
{
	__u64 seen;

	for (int i = 0; i < GROUP_TRIES; i++) {
		seen = joined->used;
		if (seen >> n & 1 || __sync_val_compare_and_swap(&joined->used, seen, seen | 1ULL << n) == seen)
			return 1;
	}
	return 0;
}

/* The time of a report, or of leaving, that the packet in work says now. Its lowest bit is not the time's. */
static __always_inline __u64 group_end(__u64 now)
{
	return (now + GROUP_NS) & ~(__u64)CB_GROUP_LEFT;
}

/*
 * Does a place of @joined that has @until count? Whose group was left is asked once more, and it ends when there is no answer: @left_ns. What was not left ends when it is out of date and
 * its guest has answered since. One that answers nothing keeps it: a firewall of its own may drop the questions.
 */
static __always_inline int counts(const struct cb_joined *joined, const struct cb_addr *addr, __u64 until,
				  __u64 left_ns, __u64 now)
{
	__u64 said = until - GROUP_NS;

	if (until <= GROUP_BUSY)
		return 0;
	if (until & CB_GROUP_LEFT)
		return until > now && said >= left_ns;
	return until > now || joined->answered_s[is_v4_mapped(addr) ? 0 : 1] * 1000000000ULL <= said;
}

/* Takes a place for @addr, if it is free. Returns 0: it is not, or others were in the way. */
static __always_inline int take_place(const struct cb_joined *joined, struct cb_group *group,
				      const struct cb_addr *addr, __u64 left_ns, __u64 now)
{
	__u64 seen = group->until_ns;

	if (seen == GROUP_BUSY || counts(joined, &group->addr, seen, left_ns, now) ||
	    __sync_val_compare_and_swap(&group->until_ns, seen, GROUP_BUSY) != seen)
		return 0;
	group->addr = *addr;
	barrier();
	group->until_ns = group_end(now);
	return 1;
}

/* The VIF of @joined has said of @addr what its place says with @end. Returns 0: it is not known to be in it. */
static __always_inline int mark_group(struct cb_joined *joined, const struct cb_addr *addr, __u64 left_ns, __u64 end,
				      __u64 now)
{
	struct cb_group *group;
	__u64 seen;

	for (__u32 n = 0; n < CB_VIF_GROUPS; n++) {
		group = &joined->group[n];
		seen = group->until_ns;
		if (!same_address(&group->addr, addr) || !counts(joined, addr, seen, left_ns, now))
			continue;
		/* Who leaves again has left when he first did. */
		if (end & CB_GROUP_LEFT && seen & CB_GROUP_LEFT)
			return 1;
		return __sync_val_compare_and_swap(&group->until_ns, seen, end) == seen;
	}
	return 0;
}

static __always_inline __u64 left_before(__u32 vif)
{
	struct cb_asked *asked = bpf_map_lookup_elem(&cb_asked_2, &vif);

	return asked ? asked->left_ns : 0;
}

/*
 * The VIF that the packet in work is from has joined the group `joins`. Two loops, since what the first had found would have the verifier look at the second once for each case.
 * Several CPUs that come with one group may each take a place: both count, and time out.
 */
GLOBAL int join_group(struct __sk_buff *ctx __attribute__((unused)), __u64 now)
{
	struct cb_joined *joined;
	struct work *w = work();
	__u64 left_ns;

	if (!w)
		return 0;
	joined = joined_row(w->p.in_vif, vif_row(w->p.in_vif));
	left_ns = left_before(w->p.in_vif);
	if (!joined || !is_joinable(&w->joins) || mark_group(joined, &w->joins, left_ns, group_end(now), now))
		return 0;
	for (__u32 n = 0; n < CB_VIF_GROUPS; n++) {
		if (!take_place(joined, &joined->group[n], &w->joins, left_ns, now))
			continue;
		if (!note_used(joined, n))
			break;
		return 0;
	}
	give_all(joined, now);
	return 0;
}

/* The VIF that the packet in work is from has left the group `joins`. Others behind it may be in it: it is asked. */
GLOBAL int leave_group(struct __sk_buff *ctx __attribute__((unused)), __u64 now)
{
	struct cb_joined *joined;
	struct work *w = work();

	if (!w)
		return 0;
	joined = joined_row(w->p.in_vif, vif_row(w->p.in_vif));
	if (joined)
		mark_group(joined, &w->joins, left_before(w->p.in_vif), group_end(now) | CB_GROUP_LEFT, now);
	return 0;
}

/* The VIF that the packet in work is from has reported something, as those do that were asked. */
static __always_inline void note_answer(struct work *w, __u64 now)
{
	struct cb_joined *joined = joined_row(w->p.in_vif, vif_row(w->p.in_vif));

	if (joined)
		joined->answered_s[w->p.family == CB_FAMILY_V4 ? 0 : 1] = now / 1000000000;
}

/* A report of version 3, or of MLDv2, that is being read. */
struct group_report {
	struct __sk_buff *ctx;
	struct work *w;
	__u64 now;
	__u32 at; /* where the next record is */
	__u32 left; /* records to come */
};

static __always_inline __u32 address_bytes(const struct pkt *p)
{
	return p->family == CB_FAMILY_V4 ? 4 : sizeof(struct cb_addr);
}

/* Reads the group at @off of the packet in work. Returns 0 or -1: it ends before that. */
static __always_inline int read_group(struct __sk_buff *ctx, struct work *w, __u32 off)
{
	__u32 v4_be;

	if (off + address_bytes(&w->p) > w->p.ip_end)
		return -1;
	if (w->p.family != CB_FAMILY_V4)
		return bpf_skb_load_bytes(ctx, off, &w->joins, sizeof(w->joins)) ? -1 : 0;
	if (bpf_skb_load_bytes(ctx, off, &v4_be, sizeof(v4_be)))
		return -1;
	set_v4(&w->joins, v4_be);
	return 0;
}

/* Does a record mean that the group is wanted? From some sources is from all, and without some from others. */
static __always_inline int wants(const struct group_record *record)
{
	if (record->type == GROUP_IS_EXCLUDE || record->type == GROUP_TO_EXCLUDE)
		return 1;
	return (record->type == GROUP_IS_INCLUDE || record->type == GROUP_TO_INCLUDE || record->type == GROUP_ALLOW) &&
	       record->sources_be;
}

/* Called by bpf_loop: one record. Returns 1 at the end, also where the packet ends before it. */
static long read_record(__u32 index __attribute__((unused)), void *data)
{
	struct group_report *report = data;
	struct group_record record = {};

	if (!report->left || bpf_skb_load_bytes(report->ctx, report->at, &record, sizeof(record)) ||
	    read_group(report->ctx, report->w, report->at + sizeof(record)))
		return 1;
	if (record.type == GROUP_IS_INCLUDE || record.type == GROUP_IS_EXCLUDE)
		note_answer(report->w, report->now);
	if (wants(&record))
		join_group(report->ctx, report->now);
	else if (record.type == GROUP_TO_INCLUDE)
		leave_group(report->ctx, report->now);
	report->at +=
		sizeof(record) + address_bytes(&report->w->p) * (1 + bpf_ntohs(record.sources_be)) + record.words * 4;
	report->left--;
	return 0;
}

/* Reads the report in work, of version 3 or MLDv2. Returns 0 or -1: not all of it could be read. */
static __noinline int read_records(struct __sk_buff *ctx, struct work *w, __u64 now)
{
	struct group_report report = {.ctx = ctx, .w = w, .now = now, .at = w->p.l4_off + GROUP_REPORT_HEADER};
	__u16 count_be = 0;

	if (report.at > w->p.ip_end ||
	    bpf_skb_load_bytes(ctx, w->p.l4_off + GROUP_REPORT_COUNT_OFF, &count_be, sizeof(count_be)))
		return -1;
	report.left = bpf_ntohs(count_be);
	bpf_loop(CB_GROUP_RECORDS, read_record, &report, 0);
	return report.left ? -1 : 0;
}

/* Reads the report in work. Returns 0 or -1: not all of it could be read. */
static __always_inline int read_report(struct __sk_buff *ctx, struct work *w, __u64 now)
{
	int is_v4 = w->p.family == CB_FAMILY_V4;
	__u8 type = w->p.icmp_type;
	int is_whole;

	if (w->p.flags & (PKT_FIRST_FRAGMENT | PKT_LATER_FRAGMENT) ||
	    (is_v4 && bpf_skb_load_bytes(ctx, w->p.l4_off, &type, 1)))
		return -1;
	if (type == (is_v4 ? IGMP_REPORT_3 : ICMP6_MLD2_REPORT))
		return read_records(ctx, w, now);
	is_whole = !read_group(ctx, w, w->p.l4_off + (is_v4 ? IGMP_GROUP_OFF : MLD_GROUP_OFF));
	if (type == (is_v4 ? IGMP_LEAVE : ICMP6_MLD_DONE))
		return is_whole ? leave_group(ctx, now) : 0;
	if (!is_whole)
		return -1;
	note_answer(w, now);
	return join_group(ctx, now);
}

static __always_inline int is_snooped(__u16 net)
{
	struct cb_net *row = net_row(net);

	return row && row->flags & CB_NET_F_SNOOPED;
}

/*
 * Learns what the packet in work, of a VIF that may send from its source, says of groups: what its guest has joined, and that it is a router. Returns 0, or a reason to drop.
 */
GLOBAL int learn_groups(struct __sk_buff *ctx)
{
	const __u64 report_ns = 1000000000ULL / CB_REPORT_RATE, query_ns = 1000000000ULL / CB_QUERY_RATE;
	__u64 now = bpf_ktime_get_ns();
	struct cb_joined *joined;
	enum group_speech speech;
	struct work *w = work();
	int is_pim;

	if (!w || !w->p.in_vif || !is_snooped(w->p.key.net))
		return CB_REASON_NONE;
	joined = joined_row(w->p.in_vif, vif_row(w->p.in_vif));
	if (!joined)
		return CB_REASON_NONE;
	is_pim = w->p.key.protocol == IPPROTO_PIM;
	speech = is_pim ? SPEECH_NONE : speech_of(ctx, &w->p);
	if (speech == SPEECH_QUERY && !take_tokens(&joined->queries_ns, query_ns, CB_QUERY_BURST * query_ns))
		return CB_REASON_RATE_QUERY;
	if (cfg_trace)
		return CB_REASON_NONE;
	if (speech == SPEECH_QUERY || is_pim) {
		joined->router_until_ns = now + GROUP_NS;
	} else if (speech == SPEECH_REPORT) {
		if (!take_tokens(&joined->reports_ns, report_ns, CB_REPORT_BURST * report_ns) ||
		    read_report(ctx, w, now))
			give_all(joined, now);
	}
	return CB_REASON_NONE;
}

/* --- who gets a copy --- */

/* Which VIFs of network @net get a copy of the packet in work. */
static __always_inline void note_receivers(struct __sk_buff *ctx, struct work *w, const struct cb_net *net)
{
	w->receivers = RECEIVERS_ALL;
	if (!(net->flags & CB_NET_F_SNOOPED) || !w->p.family)
		return;
	if (speech_of(ctx, &w->p) == SPEECH_REPORT)
		w->receivers = RECEIVERS_ROUTERS;
	else if (is_joinable(&w->p.dst))
		w->receivers = RECEIVERS_MEMBERS;
	w->flooded_ns = bpf_ktime_get_ns();
}

/* Does what is learned of VIF @vif count now? */
static __always_inline int is_known(__u32 vif, const struct cb_vif *row, __u64 now)
{
	struct cb_asked *asked = bpf_map_lookup_elem(&cb_asked_2, &vif);

	return asked && same_words(asked->port_id, row->port_id) && asked->from_ns && asked->from_ns <= now &&
	       now < asked->until_ns;
}

static __always_inline int has_joined(const struct cb_joined *joined, const struct cb_addr *addr, __u64 left_ns,
				      __u64 now)
{
	const struct cb_group *group;

	for (__u32 n = 0; n < CB_VIF_GROUPS; n++) {
		if (!(joined->used >> n))
			return 0;
		group = &joined->group[n];
		if (same_address(&group->addr, addr) && counts(joined, addr, group->until_ns, left_ns, now))
			return 1;
	}
	return 0;
}

/* Does VIF @vif get a copy of the packet in work, of which not all do? */
GLOBAL int gets_copy(struct __sk_buff *ctx __attribute__((unused)), __u32 vif)
{
	struct cb_vif *row = vif_row(vif);
	struct cb_joined *joined;
	struct work *w = work();
	__u64 now;

	if (!w || !row)
		return 0;
	now = w->flooded_ns;
	joined = joined_row(vif, row);
	if (joined && joined->router_until_ns > now)
		return 1;
	if (w->receivers == RECEIVERS_ROUTERS)
		return 0;
	if (!joined || joined->all_until_ns > now || !is_known(vif, row, now))
		return 1;
	return has_joined(joined, &w->p.dst, left_before(vif), now);
}

#endif /* CABLE_SNOOP_H */
