/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* policy.h: whether a policy allows a connection. Two LPM look-ups, whatever the number of rules or members. */
#ifndef CABLE_POLICY_H
#define CABLE_POLICY_H

#include "lookup.h"
#include "step.h"

/* CB_DIR_*, with the family of the packet: what policy_allows() is told in one argument. */
static __always_inline __u32 direction_of(__u32 direction, const struct pkt *p)
{
	return direction | p->family << 8;
}

/*
 * Does @policy allow a connection in @direction (see direction_of()) with @remote? @dport_be: the destination port of the connection's first
 * packet, or ICMP type << 8 | code, of ICMPv6 too. Notes in the work record which rule.
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
	struct work *w = work();
	struct cb_class *class;
	struct cb_rule *rule;

	if (policy == CB_POLICY_NONE)
		return 1;
	if (policy == CB_POLICY_NOTHING)
		return 0;
	class = bpf_map_lookup_elem(&cb_class_1, &class_key);
	if (class)
		rule_key.class_id = class->class_id;
	rule = bpf_map_lookup_elem(&cb_rule_1, &rule_key);
	if (rule)
		note_step(CB_STEP_ALLOWED, rule->rule, direction & 0xff, policy, remote);
	else
		note_step(CB_STEP_DENIED, protocol << 16 | bpf_ntohs(dport_be), direction & 0xff, policy, remote);
	/* What network policies allow by default is said by no rule. */
	if (rule && rule->rule && w)
		w->rule = rule->rule;
	if (!rule && w)
		w->denied = rule_key.class_id;
	return rule != NULL;
}

/*
 * What an end that is asked about a packet sees of it: the sender as it was, the receiver as it is then. Of one to a Service both see the endpoint.
 */
static __always_inline const struct cb_tuple_key *view_of(const struct work *w, int is_sender)
{
	if (w->served)
		return w->direction ? &w->p.key : &w->nat.to;
	return is_sender || !(w->p.flags & PKT_TRANSLATED) ? &w->p.key : &w->nat.to;
}

/*
 * The other end, as an end sees it that is asked, with its @view. Of a Service the client counts that it has come from, and not the host's address that hides it: a host is let in where
 * those are not for whom it asks.
 */
static __always_inline const struct cb_addr *remote_of(const struct work *w, const struct cb_tuple_key *view,
						       int is_sender)
{
	if (w->served)
		return is_sender ? &w->nat.to.dst : &w->p.key.src;
	return is_sender ? &view->dst : &view->src;
}

/* What a policy is asked for as destination port when the packet in work is judged by its own. */
static __always_inline __u32 own_dport_be(const struct pkt *p, const struct cb_tuple_key *view)
{
	int is_icmp_answer =
		p->flags & PKT_NEEDS_FLOW && (p->key.protocol == IPPROTO_ICMP || p->key.protocol == IPPROTO_ICMPV6);

	return is_icmp_answer ? bpf_htons(p->icmp_type << 8) : view->dport_be;
}

/* One end of the packet in work: the VIF that it comes from, or the one that it goes to. */
struct end {
	struct asked asked;
	int is_sender;
};

static __always_inline struct end end_of(const struct work *w, int is_sender)
{
	return (struct end){.asked = is_sender ? w->ask.from : w->ask.to, .is_sender = is_sender};
}

/* Does @policy of @end allow the packet in work? @by_connection: it is asked about the connection that the packet belongs to, and not about the packet. Returns the direction that it denies, else -1. */
static __always_inline int refused_by(const struct work *w, const struct end *end, __u32 policy, int by_connection)
{
	const struct cb_tuple_key *view = view_of(w, end->is_sender);
	const struct pkt *p = &w->p;
	int is_reply = w->ask.is_reply && by_connection;
	__u32 direction = end->is_sender != is_reply ? CB_DIR_EGRESS : CB_DIR_INGRESS;
	__u32 dport_be = is_reply ? view->sport_be : by_connection ? view->dport_be : own_dport_be(p, view);
	const struct cb_addr *remote = remote_of(w, view, end->is_sender);

	return policy_allows(policy, direction_of(direction, p), remote, p->key.protocol, dport_be) ? -1 : direction;
}

/*
 * Do the rules of @end allow the packet in work? Returns 0, or the reason to drop it. Of a stateless policy only an ICMP error is judged by its connection: it has no rule of its own. A NetworkPolicy lets
 * answers pass whatever the security groups are.
 */
static __always_inline __u32 judge_end(const struct work *w, const struct end *end)
{
	int by_connection = !(end->asked.flags & CB_VIF_F_STATELESS) || w->p.flags & PKT_RELATED;
	int refused = refused_by(w, end, end->asked.policy, by_connection);

	if (refused >= 0)
		return refused == CB_DIR_EGRESS ? CB_REASON_POLICY_EGRESS : CB_REASON_POLICY_INGRESS;
	if (!end->asked.network_policies)
		return CB_REASON_NONE;
	refused = refused_by(w, end, end->asked.network_policies, 1);
	if (refused < 0)
		return CB_REASON_NONE;
	if (w->denied & CB_CLASS_PRIVATE)
		return CB_REASON_PRIVATE_SUBNET;
	return refused == CB_DIR_EGRESS ? CB_REASON_NETWORK_POLICY_EGRESS : CB_REASON_NETWORK_POLICY_INGRESS;
}

/* Judges the packet in work by what is asked of it: first the end where the connection began. Returns 0, or a reason to drop. */
GLOBAL int judge(struct __sk_buff *ctx __attribute__((unused)))
{
	struct work *w = work();
	struct end end;
	__u32 reason;

	if (!w)
		return CB_REASON_POLICY_EGRESS;
	end = end_of(w, !w->ask.is_reply);
	reason = judge_end(w, &end);
	if (!reason) {
		end = end_of(w, !end.is_sender);
		reason = judge_end(w, &end);
	}
	w->ask.at_sender = end.is_sender;
	return reason;
}

/* What an end is asked that is not on this host. */
static __always_inline struct asked asked_nothing(void)
{
	return (struct asked){.policy = CB_POLICY_NONE};
}

static __always_inline struct asked asked_of_sender(const struct work *w)
{
	return (struct asked){w->sender.policy, w->sender.network_policies, w->sender.flags};
}

static __always_inline struct asked asked_of_receiver(const struct work *w)
{
	return (struct asked){w->to.policy, w->to.network_policies, w->to.flags};
}

static __always_inline struct asked asked_of_vif(const struct cb_vif *vif)
{
	return (struct asked){vif->policy, vif->network_policies, vif->flags};
}

/* Asks the rules about the packet in work, which goes @from an end @to another. */
static __always_inline __u32 ask(struct __sk_buff *ctx, struct work *w, struct asked from, struct asked to)
{
	w->rule = 0;
	w->ask.from = from;
	w->ask.to = to;
	return judge(ctx);
}

/* Is the end without rules, not on this host, or stateless? */
static __always_inline int forgets(struct asked end)
{
	return !end.network_policies && (end.policy == CB_POLICY_NONE || end.flags & CB_VIF_F_STATELESS);
}

/* Do the ends of the packet in work that are here remember nothing of what was before? */
static __always_inline int is_stateless(const struct work *w)
{
	return (w->sender.flags | w->to.flags) & CB_VIF_F_STATELESS && forgets(asked_of_sender(w)) &&
	       forgets(asked_of_receiver(w));
}

#endif /* CABLE_POLICY_H */
