/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* policy.h: whether a policy allows a connection. Two LPM look-ups, whatever the number of rules or members. */
#ifndef CABLE_POLICY_H
#define CABLE_POLICY_H

#include "lookup.h"

/* CB_DIR_*, with the family of the packet: what policy_allows() is told in one argument. */
static __always_inline __u32 direction_of(__u32 direction, const struct pkt *p)
{
	return direction | p->family << 8;
}

/*
 * Does @policy allow a connection in @direction (see direction_of()) with @remote? @dport_be: the destination port of the connection's first
 * packet, or ICMP type << 8 | code, of ICMPv6 too.
 */
static __noinline int policy_allows(__u32 policy, __u32 direction, const struct cb_addr *remote, __u32 protocol,
				    __u32 dport_be)
{
	struct cb_class_key class_key = {.prefixlen = 32 + 128, .policy = policy, .addr = *remote};
	struct cb_rule_key rule_key = {
		.prefixlen = 112, /* up to and with port_be */
		.policy = policy,
		.direction = direction & 0xff,
		.family = direction >> 8,
		.protocol = protocol,
		.port_be = dport_be,
	};
	struct cb_class *class;

	if (policy == CB_POLICY_NONE)
		return 1;
	if (policy == CB_POLICY_NOTHING)
		return 0;
	class = bpf_map_lookup_elem(&cb_class_1, &class_key);
	if (class)
		rule_key.class_id = class->class_id;
	return bpf_map_lookup_elem(&cb_rule_1, &rule_key) != NULL;
}

/* Judges the packet in work by what is asked of it. Returns 0, or a reason to drop. */
GLOBAL int judge(struct __sk_buff *ctx __attribute__((unused)))
{
	const struct cb_addr *first_src, *first_dst;
	struct work *w = work();
	__u32 sender, receiver, dport_be;

	if (!w)
		return CB_REASON_POLICY_EGRESS;
	first_src = w->ask.is_reply ? &w->p.key.dst : &w->p.key.src;
	first_dst = w->ask.is_reply ? &w->p.key.src : &w->p.key.dst;
	sender = w->ask.is_reply ? w->ask.to : w->ask.from;
	receiver = w->ask.is_reply ? w->ask.from : w->ask.to;
	dport_be = w->ask.is_reply ? w->p.key.sport_be : w->p.key.dport_be;
	if (!policy_allows(sender, direction_of(CB_DIR_EGRESS, &w->p), first_dst, w->p.key.protocol, dport_be))
		return CB_REASON_POLICY_EGRESS;
	if (!policy_allows(receiver, direction_of(CB_DIR_INGRESS, &w->p), first_src, w->p.key.protocol, dport_be))
		return CB_REASON_POLICY_INGRESS;
	return CB_REASON_NONE;
}

/* Asks the rules about the packet in work. @from, @to: policies, as in struct question. */
static __always_inline __u32 ask(struct __sk_buff *ctx, struct work *w, int is_reply, __u32 from, __u32 to)
{
	w->ask.is_reply = is_reply;
	w->ask.from = from;
	w->ask.to = to;
	return judge(ctx);
}

#endif /* CABLE_POLICY_H */
