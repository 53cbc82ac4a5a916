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

/*
 * Judges a connection from the view of its first packet, whichever direction @key is of. @key_policy: of the local VIF that
 * packets with @key come from; @other_policy: of the one they go to; 0 where that end is not on this host or has none.
 */
static __always_inline __u32 judge(const struct cb_flow_key *key, int is_reply, __u32 key_policy, __u32 other_policy)
{
	const struct cb_addr *first_src = is_reply ? &key->dst : &key->src;
	const struct cb_addr *first_dst = is_reply ? &key->src : &key->dst;
	__u32 sender = is_reply ? other_policy : key_policy;
	__u32 receiver = is_reply ? key_policy : other_policy;
	__u32 dport_be = is_reply ? key->sport_be : key->dport_be;

	if (!policy_allows(sender, CB_DIR_EGRESS, first_dst, key->protocol, dport_be))
		return CB_REASON_POLICY_EGRESS;
	if (!policy_allows(receiver, CB_DIR_INGRESS, first_src, key->protocol, dport_be))
		return CB_REASON_POLICY_INGRESS;
	return CB_REASON_NONE;
}

#endif /* CABLE_POLICY_H */
