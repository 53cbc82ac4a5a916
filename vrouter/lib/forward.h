/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * forward.h: an IPv4 packet between guests. Its flow decides (one look-up); where there is none, or it no longer holds, the
 * packet is decided afresh and the flow written.
 *
 *	zone of an entry: the network in which its packets enter this host
 *	                           forward entry          reply entry
 *	same network               its VNI                its VNI
 *	routed, both here          sender's network       receiver's network
 *	routed, sender's host      sender's network       sender's network (the other host routes the answer into it)
 *	routed, receiver's host    receiver's network     receiver's network
 *
 * Seen from either entry, the other's zone is the receiver's network if the receiver is here, else its own.
 */
#ifndef CABLE_FORWARD_H
#define CABLE_FORWARD_H

#include "deliver.h"
#include "flood.h"
#include "flow.h"
#include "policy.h"
#include "resolve.h"

/* May the VIF send from these addresses? */
static __always_inline __u32 check_source(const struct pkt *p, const struct cb_vif *vif)
{
	struct cb_addr src;

	if (!(vif->flags & CB_VIF_F_ANTISPOOF))
		return CB_REASON_NONE;
	set_v4(&src, p->saddr_be);
	if (source_allowed(p->in_ifindex, p->smac, &src))
		return CB_REASON_NONE;
	return same_mac(vif->mac, p->smac) ? CB_REASON_SPOOFED_IP : CB_REASON_SPOOFED_MAC;
}

/* The state of a flow whose first packet seen is @p. A flow picked up in its middle counts as established. */
static __always_inline __u8 first_state(const struct pkt *p)
{
	return p->key.protocol == IPPROTO_TCP && !(p->flags & PKT_OPENING) ? CB_FLOW_ESTABLISHED : CB_FLOW_NEW;
}

/* Starts the entry that replaces @old, or the first: everything but where it goes. */
static __always_inline void start_entry(struct cb_flow *flow, const struct pkt *p, const struct cb_flow *old)
{
	flow->seen_ns = old ? old->seen_ns : p->now_ns;
	flow->epoch = current_epoch();
	flow->in_ifindex = p->in_ifindex;
	flow->state = old ? old->state : first_state(p);
	flow->flags = old ? old->flags & (CB_FLOW_F_REPLY | CB_FLOW_F_FIN) : 0;
	flow->packets = old ? old->packets : 0;
	flow->bytes = old ? old->bytes : 0;
	__builtin_memcpy(flow->in_smac, p->smac, 6);
	__builtin_memcpy(flow->in_dmac, p->dmac, 6);
}

static __always_inline void count_packet(struct __sk_buff *ctx, struct cb_flow *flow)
{
	flow->packets++;
	flow->bytes += ctx->len;
}

/* A drop by policy is the receiver's where its ingress rules decided, else the sender's. */
static __always_inline int drop_denied(struct __sk_buff *ctx, const struct pkt *p, const struct cb_flow *flow,
				       __u32 reason)
{
	int at_key_end = (reason == CB_REASON_POLICY_EGRESS) == !(flow->flags & CB_FLOW_F_REPLY);

	return drop(ctx, at_key_end ? p->in_ifindex : flow->out_ifindex, reason);
}

/* A packet to everybody: no flow, so only the rules of its own direction count. */
static __noinline int forward_group(struct __sk_buff *ctx, struct pkt *p, const struct cb_vif *vif)
{
	__u32 reason = vif ? check_source(p, vif) : CB_REASON_NONE;

	if (reason)
		return drop(ctx, p->in_ifindex, reason);
	if (p->flags & PKT_NEEDS_FLOW)
		return drop(ctx, p->in_ifindex, CB_REASON_INVALID_STATE);
	reason = judge(&p->key, 0, vif ? vif->policy : 0, 0);
	if (reason)
		return drop(ctx, p->in_ifindex, reason);
	if (p->flags & PKT_FIRST_FRAGMENT)
		remember_first_fragment(p);
	return flood(ctx, p, 0);
}

/* A packet to a router's own address: echo requests that the sender's rules allow are answered. */
static __noinline int forward_to_gateway(struct __sk_buff *ctx, struct pkt *p, const struct cb_vif *vif)
{
	if (p->key.protocol != IPPROTO_ICMP || p->icmp_type != ICMP_ECHO ||
	    p->flags & (PKT_FIRST_FRAGMENT | PKT_LATER_FRAGMENT))
		return drop(ctx, p->in_ifindex, CB_REASON_NO_ENDPOINT);
	if (!policy_allows(vif->policy, CB_DIR_EGRESS, &p->key.dst, p->key.protocol, p->key.dport_be))
		return drop(ctx, p->in_ifindex, CB_REASON_POLICY_EGRESS);
	return answer_echo(ctx, p, vif);
}

/*
 * Writes the decision @flow on a packet, and what the packet itself does to its flow. @old: the entry that @flow replaces, or
 * NULL. @is_new: the packet is the flow's first.
 */
static __noinline void record(struct __sk_buff *ctx, struct pkt *p, struct cb_flow *flow, struct cb_flow *old,
			      int is_new)
{
	struct cb_flow *entry;

	count_packet(ctx, flow);
	write_flow(p, flow, old, is_new);
	if (flow_needs_update(flow, p)) {
		entry = old ? old : bpf_map_lookup_elem(&cb_flow_1, &p->key);
		if (entry)
			update_flow(p, entry);
	}
	if (p->flags & PKT_FIRST_FRAGMENT)
		remember_first_fragment(p);
}

static __noinline int deliver_decided(struct __sk_buff *ctx, const struct pkt *p, const struct cb_vif *vif,
				      const struct cb_flow *flow)
{
	return deliver(ctx, p, vif, flow);
}

/*
 * Decides a packet: @old is its flow, whose decision no longer holds, or NULL. A packet of a flow is judged as the flow's
 * first packet was, so an answer is never taken for a connection of its own. TCP in the middle of a connection that is not
 * in the table (it was evicted, or the host is new to the guest) is taken up where the rules of the packet's own direction
 * allow it: they would allow a new connection just the same. An ICMP error counts only from where the answers of its flow come
 * from: any guest can quote a packet that it did not receive.
 */
static __noinline int decide(struct __sk_buff *ctx, struct pkt *p, const struct cb_vif *vif, struct cb_flow *old)
{
	struct cb_flow *flow = scratch_flow(SCRATCH_ENTRY);
	struct resolution to = {};
	__u32 reason = vif ? check_source(p, vif) : CB_REASON_NONE;
	int known;

	if (reason || !flow)
		return drop(ctx, p->in_ifindex, reason);
	start_entry(flow, p, old);
	if (vif)
		resolve_from_vif(p, p->key.zone, flow, &to);
	else
		resolve_from_overlay(p, p->key.zone, flow, &to);
	if (to.kind == RESOLVED_DROP)
		return drop(ctx, p->in_ifindex, to.reason);
	if (to.kind == RESOLVED_GATEWAY && vif)
		return forward_to_gateway(ctx, p, vif);
	flow->peer_zone = flow->out_ifindex ? flow->out_vni : p->key.zone;
	if (p->flags & PKT_RELATED)
		known = old && old->in_ifindex == p->in_ifindex;
	else
		known = old || (!(p->flags & PKT_OPENING) && restore_flow(p, flow));
	if (!known && p->flags & PKT_NEEDS_FLOW)
		return drop(ctx, p->in_ifindex, CB_REASON_INVALID_STATE);
	if (!old || !judgement_stands(old, flow))
		reason = judge(&p->key, flow->flags & CB_FLOW_F_REPLY, vif ? vif->policy : 0, to.policy);
	if (reason) {
		if (known && !(p->flags & PKT_RELATED))
			delete_flow(&p->key, old ? old->peer_zone : flow->peer_zone);
		return drop_denied(ctx, p, flow, reason);
	}
	if (!(p->flags & PKT_RELATED))
		record(ctx, p, flow, old, !known);
	/* A flow to a MAC that nobody is known to have is decided for each packet. */
	if (!flow->deliver)
		return flood(ctx, p, flow->flags & CB_FLOW_F_REPLY);
	return deliver_decided(ctx, p, vif, flow);
}

/* Forwards a unicast IPv4 packet. @vif: the sender; NULL: from the overlay. */
static __always_inline int forward(struct __sk_buff *ctx, struct pkt *p, const struct cb_vif *vif)
{
	struct cb_flow *flow;

	p->now_ns = bpf_ktime_get_coarse_ns();
	flow = find_flow(p);
	if (!flow || !flow_holds(flow, p))
		return decide(ctx, p, vif, flow);
	count_packet(ctx, flow);
	if (flow_needs_update(flow, p))
		update_flow(p, flow);
	if (p->flags & PKT_FIRST_FRAGMENT)
		remember_first_fragment(p);
	return deliver(ctx, p, vif, flow);
}

#endif /* CABLE_FORWARD_H */
