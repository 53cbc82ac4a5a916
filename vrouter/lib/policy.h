/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* policy.h: whether a policy allows a connection. Two LPM look-ups, whatever the number of rules or members. */
#ifndef CABLE_POLICY_H
#define CABLE_POLICY_H

#include "lookup.h"

/*
 * Does @policy allow a connection in @direction with @remote? @dport_be: the destination port of the connection's first
 * packet, or ICMP type << 8 | code. Policy 0 allows everything.
 */
static __noinline int policy_allows(__u32 policy, __u32 direction, const struct cb_addr *remote, __u32 protocol,
				    __u32 dport_be)
{
	struct cb_class_key class_key = {.prefixlen = 32 + 128, .policy = policy, .addr = *remote};
	struct cb_rule_key rule_key = {
		.prefixlen = 112, /* up to and with port_be */
		.policy = policy,
		.direction = direction,
		.family = CB_FAMILY_V4,
		.protocol = protocol,
		.port_be = dport_be,
	};
	struct cb_class *class;

	if (!policy)
		return 1;
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
	if (!policy_allows(sender, CB_DIR_EGRESS, first_dst, w->p.key.protocol, dport_be))
		return CB_REASON_POLICY_EGRESS;
	if (!policy_allows(receiver, CB_DIR_INGRESS, first_src, w->p.key.protocol, dport_be))
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
