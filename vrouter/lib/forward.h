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

/* A DHCP client that has no address yet, in a network without DHCP of its own: it asks whoever serves there. */
static __always_inline int asks_link_for_address(const struct pkt *p)
{
	return !p->saddr_be && p->daddr_be == bpf_htonl(INADDR_BROADCAST) && p->key.protocol == IPPROTO_UDP &&
	       p->key.sport_be == bpf_htons(68) && p->key.dport_be == bpf_htons(67);
}

/* May the VIF send from these addresses? */
static __always_inline __u32 check_source(const struct work *w)
{
	struct cb_addr src;

	if (!(w->sender.flags & CB_VIF_F_ANTISPOOF))
		return CB_REASON_NONE;
	set_v4(&src, w->p.saddr_be);
	if (source_allowed(w->p.in_ifindex, w->p.smac, &src))
		return CB_REASON_NONE;
	if (!same_mac(w->sender.mac, w->p.smac))
		return CB_REASON_SPOOFED_MAC;
	return asks_link_for_address(&w->p) ? CB_REASON_NONE : CB_REASON_SPOOFED_IP;
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

/* An IPv4 packet to everybody: no flow, so only the rules of its own direction count. */
SEC("tc")
int group(struct __sk_buff *ctx)
{
	struct work *w = take_over(CB_STAGE_GROUP);
	struct pkt *p;
	__u32 reason;

	if (!w)
		return drop_stray(ctx);
	p = &w->p;
	reason = check_source(w);
	if (!reason && p->flags & PKT_NEEDS_FLOW)
		reason = CB_REASON_INVALID_STATE;
	if (!reason)
		reason = ask(ctx, w, 0, w->sender.policy, 0);
	if (reason)
		return drop(ctx, p->in_ifindex, reason);
	if (p->flags & PKT_FIRST_FRAGMENT)
		remember_first_fragment(p);
	return to_all(ctx, w, 0);
}

/* A packet to a router's own address: echo requests that the sender's rules allow are answered. */
static __noinline int forward_to_gateway(struct __sk_buff *ctx, const struct work *w)
{
	const struct pkt *p = &w->p;

	if (p->key.protocol != IPPROTO_ICMP || p->icmp_type != ICMP_ECHO ||
	    p->flags & (PKT_FIRST_FRAGMENT | PKT_LATER_FRAGMENT))
		return drop(ctx, p->in_ifindex, CB_REASON_NO_ENDPOINT);
	if (!policy_allows(w->sender.policy, CB_DIR_EGRESS, &p->key.dst, p->key.protocol, p->key.dport_be))
		return drop(ctx, p->in_ifindex, CB_REASON_POLICY_EGRESS);
	return answer_echo(ctx, w);
}

/*
 * Writes the decision under construction, and what the packet itself does to its flow. @old: the entry that it replaces, or NULL.
 * @is_new: the packet is the flow's first.
 */
static __noinline void record(struct __sk_buff *ctx, struct work *w, struct cb_flow *old, int is_new)
{
	struct cb_flow *entry;

	count_packet(ctx, &w->entry);
	write_flow(w, old, is_new);
	if (flow_needs_update(&w->entry, &w->p)) {
		entry = old ? old : bpf_map_lookup_elem(&cb_flow_1, &w->p.key);
		if (entry)
			update_flow(&w->p, entry);
	}
	if (w->p.flags & PKT_FIRST_FRAGMENT)
		remember_first_fragment(&w->p);
}

/*
 * Decides the packet in work, whose flow is not in the table or no longer holds. A packet of a flow is judged as the flow's
 * first packet was, so an answer is never taken for a connection of its own. TCP in the middle of a connection that is not
 * in the table (it was evicted, or the host is new to the guest) is taken up where the rules of the packet's own direction
 * allow it: they would allow a new connection just the same. An ICMP error counts only from where the answers of its flow come
 * from: any guest can quote a packet that it did not receive.
 */
SEC("tc")
int decide(struct __sk_buff *ctx)
{
	struct cb_flow *flow, *old = NULL;
	struct work *w = take_over(CB_STAGE_DECIDE);
	__u32 reason;
	struct pkt *p;
	int known;

	if (!w)
		return drop_stray(ctx);
	p = &w->p;
	reason = check_source(w);
	if (reason)
		return drop(ctx, p->in_ifindex, reason);
	if (!(p->flags & PKT_UNKNOWN))
		old = find_flow(p);
	flow = start_decision(w);
	start_entry(flow, p, old);
	resolve(ctx);
	if (w->to.kind == RESOLVED_DROP)
		return drop(ctx, p->in_ifindex, w->to.reason);
	if (w->to.kind == RESOLVED_GATEWAY)
		return forward_to_gateway(ctx, w);
	flow->peer_zone = flow->out_ifindex ? flow->out_vni : p->key.zone;
	if (p->flags & PKT_RELATED)
		known = old && old->in_ifindex == p->in_ifindex;
	else
		known = old || (!(p->flags & PKT_OPENING) && restore_flow(p, flow));
	if (!known && p->flags & PKT_NEEDS_FLOW)
		return drop(ctx, p->in_ifindex, CB_REASON_INVALID_STATE);
	if (!old || !judgement_stands(old, flow))
		reason = ask(ctx, w, flow->flags & CB_FLOW_F_REPLY, w->sender.policy, w->to.policy);
	if (reason) {
		if (known && !(p->flags & PKT_RELATED))
			delete_flow(&p->key, old ? old->peer_zone : flow->peer_zone);
		return drop_denied(ctx, p, flow, reason);
	}
	if (!(p->flags & PKT_RELATED))
		record(ctx, w, old, !known);
	/* A flow to a MAC that nobody is known to have is decided for each packet. */
	if (!flow->deliver)
		return to_all(ctx, w, flow->flags & CB_FLOW_F_REPLY);
	return deliver(ctx, w, flow);
}

/* Forwards the unicast IPv4 packet in work. @vif: the sender; NULL: from the overlay. */
static __always_inline int forward(struct __sk_buff *ctx, struct work *w, const struct cb_vif *vif)
{
	struct pkt *p = &w->p;
	struct cb_flow *flow;

	p->now_ns = bpf_ktime_get_coarse_ns();
	flow = find_flow(p);
	if (!flow || !flow_holds(flow, p)) {
		note_sender(w, vif);
		return GO_ON(ctx, w, CB_STAGE_DECIDE);
	}
	count_packet(ctx, flow);
	if (flow_needs_update(flow, p))
		update_flow(p, flow);
	if (p->flags & PKT_FIRST_FRAGMENT)
		remember_first_fragment(p);
	return deliver(ctx, w, flow);
}

#endif /* CABLE_FORWARD_H */
