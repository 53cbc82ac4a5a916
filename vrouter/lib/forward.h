/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * forward.h: an IP packet between guests. Its flow decides (one look-up); where there is none, or it no longer holds, the
 * packet is decided afresh and the flow written.
 *
 *	network of a tuple: that in which its packets enter this host
 *	                           first packet          answer
 *	same network               its network           its network
 *	routed, both here          sender's network      receiver's network
 *	routed, sender's host      sender's network      sender's network (the other host routes the answer into it)
 *	routed, receiver's host    receiver's network    receiver's network
 *
 * Seen from either, the other's is the receiver's network if the receiver is here, else its own.
 */
#ifndef CABLE_FORWARD_H
#define CABLE_FORWARD_H

#include "begin.h"
#include "deliver.h"
#include "flood.h"
#include "icmp6.h"
#include "orphan.h"
#include "policy.h"
#include "resolve.h"
#include "service.h"
#include "snoop.h"

/* The first fragment in work is accepted: others may follow, and those that waited for it do. Returns 0; -1: the packet is lost. */
static __always_inline int begin_fragments(struct __sk_buff *ctx)
{
	if (cfg_trace)
		return 0;
	remember_first_fragment(ctx);
	return release_orphans(ctx);
}

static __always_inline void count_packet(struct __sk_buff *ctx, const struct pkt *p, struct cb_tally *tally)
{
	if (cfg_trace)
		return;
	tally->packets++;
	tally->bytes += ctx->len;
	if (p->key.protocol == IPPROTO_TCP)
		track_tcp(p, tally);
}

/* A drop of a packet that was decided, counted for VIF @vif. */
static __always_inline int drop_told(struct __sk_buff *ctx, __u32 vif, __u32 reason)
{
	tell_drop(ctx, reason);
	return drop(ctx, vif, reason);
}

/* A drop by policy is that end's whose rules decided. */
static __always_inline int drop_denied(struct __sk_buff *ctx, const struct work *w, __u32 reason)
{
	return drop_told(ctx, w->ask.at_sender ? w->p.in_vif : w->way.out_vif, reason);
}

/* The sender's row, read after its epoch. */
static __always_inline void note_sender_anew(struct work *w)
{
	note_sender(w, w->p.in_vif ? vif_row(w->p.in_vif) : NULL);
}

/* An IP packet to everybody or to a group: no flow, so only the rules of its own direction count. */
SEC("tc")
int group(struct __sk_buff *ctx)
{
	struct work *w = take_over(CB_STAGE_GROUP);
	struct pkt *p;
	__u32 reason;

	if (!w)
		return drop_stray(ctx);
	p = &w->p;
	note_sender_anew(w);
	reason = check_source(w);
	if (!reason && p->flags & PKT_NEEDS_FLOW)
		reason = CB_REASON_INVALID_STATE;
	/* Whatever the rules say: they are about who receives it. */
	if (!reason && (p->key.protocol == IPPROTO_IGMP || p->key.protocol == IPPROTO_PIM))
		reason = learn_groups(ctx);
	w->ask.is_reply = 0;
	if (!reason)
		reason = ask(ctx, w, asked_of_sender(w), asked_nothing());
	if (reason)
		return drop(ctx, p->in_vif, reason);
	if (p->flags & PKT_FIRST_FRAGMENT && begin_fragments(ctx))
		return drop(ctx, p->in_vif, CB_REASON_REDIRECT);
	return to_all(ctx, w, 0);
}

/* Sends the router's answer to a packet that came by its transit network to the guest that sent that, on another host. */
static __always_inline int answer_by_tunnel(struct __sk_buff *ctx, const struct work *w)
{
	struct cb_endpoint *ep = lookup_mac(w->p.key.net, w->p.dmac);
	struct cb_route *route = ep && ep->vrf ? lookup_route(ep->vrf, &w->p.src) : NULL;
	__u8 *eth = at(ctx, 0, ETH_HLEN);

	ep = route && route->kind == CB_ROUTE_CONNECTED ? lookup_endpoint(route->net, &w->p.src) : NULL;
	if (!ep || ep->kind != CB_ENDPOINT_REMOTE || !eth)
		return drop(ctx, 0, CB_REASON_NO_ENDPOINT);
	copy_mac(eth, ep->mac);
	copy_mac(eth + ETH_ALEN, route->mac);
	return to_overlay(ctx, &w->p, route->net, ep->tunnel);
}

/* A packet to a router's own address: echo requests that the sender's rules allow are answered. */
static __noinline int forward_to_gateway(struct __sk_buff *ctx, struct work *w)
{
	const struct pkt *p = &w->p;
	__u32 reason;

	if (!is_echo(p) || p->flags & (PKT_FIRST_FRAGMENT | PKT_LATER_FRAGMENT))
		return drop(ctx, p->in_vif, CB_REASON_NO_ENDPOINT);
	w->ask.is_reply = 0;
	reason = ask(ctx, w, asked_of_sender(w), asked_nothing());
	if (reason)
		return drop(ctx, p->in_vif, reason);
	reason = p->family == CB_FAMILY_V6 ? make_echo_reply6(ctx, w) : make_echo_reply(ctx, w);
	if (reason)
		return drop(ctx, p->in_vif, reason);
	return p->in_vif || p->flags & PKT_OUTSIDE ? turn_back(ctx, w) : answer_by_tunnel(ctx, w);
}

/*
 * The record of the flow that the packet in work belongs to, or NULL: none, or it is over, or the packet must be judged by its own: then `replaced`
 * or `beside` says what becomes of the flow.
 */
static __always_inline struct cb_flow *flow_of_packet(struct work *w)
{
	struct cb_flow *flow = flow_row(w->flow);
	struct cb_way *way;

	w->replaced = 0;
	w->beside = 0;
	if (!w->flow || !flow)
		goto none;
	way = way_of(flow, w->direction);
	if (way->check != w->p.check)
		goto none;
	if (way_expired(way, w->p.now_ns)) {
		end_flow(w->flow);
		goto none;
	}
	if (!opens_anew(w, way))
		return flow;
	if (is_closing(way))
		w->replaced = w->flow;
	else
		w->beside = 1;
none:
	w->flow = 0;
	w->direction = 0;
	return NULL;
}

/* Writes the decision under construction, and what the packet itself does to its flow. Returns 0, or a reason to drop. */
static __noinline int record(struct __sk_buff *ctx, struct work *w)
{
	struct cb_flow *flow;
	struct cb_way *way;
	__u32 reason;

	if (cfg_trace)
		return w->flow ? CB_REASON_NONE : refuses_flow(ctx, w);
	if (!w->flow) {
		reason = begin_flow(ctx);
		if (reason)
			return reason;
	}
	flow = flow_row(w->flow);
	if (!flow)
		return CB_REASON_FLOW_TABLE;
	way = way_of(flow, w->direction);
	if (needs_update(w, way)) {
		reason = update_flow(w, flow);
		if (reason)
			return reason;
	}
	put_way(w, way);
	if (flow->rule != w->rule)
		flow->rule = w->rule;
	count_packet(ctx, &w->p, tally_of(flow, w->direction));
	if (w->p.flags & PKT_FIRST_FRAGMENT && begin_fragments(ctx))
		return CB_REASON_REDIRECT;
	return CB_REASON_NONE;
}

/* Was a packet refused only because there is no room, or place, to remember it? */
static __always_inline int may_go_unrecorded(__u32 reason)
{
	return reason == CB_REASON_FLOW_SHARE || reason == CB_REASON_FLOW_TABLE || reason == CB_REASON_NAT_PORTS;
}

/* Does the packet in work come whence its direction of @flow does? Whence answers come to what went to a MAC that nobody is known to have, nobody knows. */
static __always_inline int comes_whence(const struct work *w, struct cb_flow *flow)
{
	return way_of(flow, w->direction)->in_vif == w->p.in_vif || (w->direction && !way_of(flow, 0)->deliver);
}

/* Ends the flow @flow of the packet in work. Not for a packet that comes from elsewhere than the flow's, and not while a row is being written. */
static __always_inline void end_for_packet(struct work *w, struct cb_flow *flow)
{
	if (flow && !(w->p.flags & PKT_RELATED) && !w->unsettled && comes_whence(w, flow))
		end_flow(w->flow);
}

/* Has the flow got a translation whose rows this host is still to get, or has just lost? See turn_flow(). */
static __always_inline int is_held(const struct work *w, const struct cb_flow *flow)
{
	return flow && flow->held && (__s32)((__u32)(w->p.now_ns >> CB_HELD_SHIFT) - flow->held) < 0;
}

/* The rules have refused the packet in work, of the flow @flow. The flow ends: what they say now holds for all of it. */
static __always_inline void end_denied(struct work *w, struct cb_flow *flow)
{
	if (!is_stateless(w))
		end_for_packet(w, flow);
}

/* A port cannot be chosen for a packet that makes no flow, and is no longer known for a connection that is begun in its middle. */
static __always_inline int lacks_flow(const struct work *w)
{
	return w->nat.chooses && (w->beside || (w->p.key.protocol == IPPROTO_TCP && !(w->p.flags & PKT_OPENING)));
}

/*
 * Decides the packet in work, whose flow is not in the table or no longer holds. A packet of a flow is judged as the flow's
 * first packet was, so an answer is never taken for a connection of its own. TCP in the middle of a connection that is not
 * in the table (the host is new to the guest) is taken up where the rules of the packet's own direction
 * allow it: they would allow a new connection just the same. An ICMP error counts only from where the answers of its flow come
 * from: any guest can quote a packet that it did not receive.
 */
SEC("tc")
int decide(struct __sk_buff *ctx)
{
	struct work *w = take_over(CB_STAGE_DECIDE);
	struct cb_flow *flow;
	__u32 reason;
	struct pkt *p;
	int is_traced;

	if (!w)
		return drop_stray(ctx);
	p = &w->p;
	start_decision(w);
	note_sender_anew(w);
	reason = check_source(w);
	note_step(CB_STEP_SOURCE, reason, w->sender.flags & CB_VIF_F_ANTISPOOF, 0, NULL);
	if (!reason && p->flags & PKT_RELATED && p->icmp_type == ICMP_REDIRECT && w->sender.flags & CB_VIF_F_ANTISPOOF)
		reason = CB_REASON_ICMP_REDIRECT;
	if (reason)
		return drop_told(ctx, p->in_vif, reason);
	flow = flow_of_packet(w);
	if (flow && has_left(ctx)) {
		w->replaced = w->flow;
		w->flow = 0;
		flow = NULL;
	}
	note_translation(w, flow);
	is_traced = !flow && note_traced(w);
	resolve(ctx);
	if (w->to.kind == RESOLVED_DROP) {
		if (w->to.reason == CB_REASON_NAT_GONE && !is_held(w, flow))
			end_for_packet(w, flow);
		if (w->to.reason == CB_REASON_NO_MEMBER)
			return refuse_for(ctx, w, CB_REASON_NO_MEMBER, 0);
		return drop_told(ctx, p->in_vif, w->to.reason);
	}
	if (w->to.kind == RESOLVED_GATEWAY)
		return forward_to_gateway(ctx, w);
	if (w->to.kind == RESOLVED_FORWARD)
		goto known;
	if (w->to.kind == RESOLVED_SEEK)
		return GO_ON(ctx, w, CB_STAGE_SEEK);
	if (p->flags & PKT_TRANSLATED)
		w->way.flags |= CB_WAY_F_REWRITE | (w->nat.leased ? CB_WAY_F_BLOCK : 0);
	else if (!flow && !(p->flags & (PKT_OPENING | PKT_RELATED)) && find_moved(ctx))
		flow = flow_row(w->flow);
	if (p->flags & PKT_RELATED && flow && way_of(flow, w->direction)->in_vif != p->in_vif)
		flow = NULL;
	if (p->flags & PKT_TRANSLATED)
		note_translated(w);
	if (flow)
		note_step(CB_STEP_FLOW, w->flow, w->direction, 0, NULL);
	else if (traces_answer())
		w->direction = 1;
	else if (p->flags & PKT_NEEDS_FLOW && (p->flags & PKT_RELATED || !is_stateless(w)))
		return drop_told(ctx, p->in_vif, CB_REASON_INVALID_STATE);
	/* A sight of the middle of what passes elsewhere: nothing to remember. */
	if (!flow && p->flags & PKT_NEEDS_FLOW && !traces_answer())
		w->beside = 1;
	if (!flow && !is_traced && (lacks_flow(w) || lacks_member(w)))
		return drop_told(ctx, p->in_vif, CB_REASON_INVALID_STATE);
	if (w->served && !w->direction && may_leave(w, flow ? flow->way[0].state : CB_FLOW_NEW))
		w->way.flags |= CB_WAY_F_SERVED;
	w->ask.is_reply = w->direction;
	w->rule = 0;
	reason = reaches_itself(w) ? CB_REASON_NONE : ask(ctx, w, asked_of_sender(w), asked_of_receiver(w));
	if (reason) {
		end_denied(w, flow);
		return drop_denied(ctx, w, reason);
	}
	if (w->to.kind == RESOLVED_ASK)
		return GO_ON(ctx, w, CB_STAGE_ASK);
	if (!(p->flags & PKT_RELATED) && !w->beside)
		reason = record(ctx, w);
	if (reason && !(may_go_unrecorded(reason) && is_stateless(w) && !w->nat.chooses))
		return drop_told(ctx, p->in_vif, reason);
	/* A flow to a MAC that nobody is known to have is decided for each packet. */
	if (!w->way.deliver)
		return p->flags & PKT_TRANSLATED ? GO_ON(ctx, w, CB_STAGE_TRANSLATE) : to_all(ctx, w, w->direction);
known:
	return deliver(ctx, w, &w->way);
}

/* For the program that rewrites the packet in work: what it becomes, and its way. */
static __noinline void take_translation(struct work *w, const struct cb_flow *flow, const struct cb_way *way)
{
	note_translation(w, flow);
	w->way = *way;
	if (w->p.flags & PKT_TRANSLATED)
		note_translated(w);
}

/* The flow of the unicast IP packet in work; NULL: it is of none that is known. */
static __always_inline struct cb_flow *begin_forward(struct work *w)
{
	w->p.now_ns = bpf_ktime_get_coarse_ns();
	w->p.check = tuple_check(&w->p.key);
	return find_flow(w);
}

/* Forwards the packet in work, of @flow. */
static __always_inline int follow(struct __sk_buff *ctx, struct work *w, struct cb_flow *flow)
{
	struct pkt *p = &w->p;
	struct cb_way *way;
	__u32 reason;

	if (!flow)
		return GO_ON(ctx, w, CB_STAGE_DECIDE);
	way = way_of(flow, w->direction);
	if (!way_holds(w, way))
		return GO_ON(ctx, w, CB_STAGE_DECIDE);
	note_step(CB_STEP_FLOW, w->flow, w->direction, 1, NULL);
	if (needs_update(w, way)) {
		if (way->flags & (CB_WAY_F_NEIGHBOUR | CB_WAY_F_LEARNED | CB_WAY_F_SERVED))
			return GO_ON(ctx, w, CB_STAGE_DECIDE);
		reason = update_flow(w, flow);
		if (reason)
			return drop(ctx, p->in_vif, reason);
	}
	count_packet(ctx, p, tally_of(flow, w->direction));
	if (p->flags & PKT_FIRST_FRAGMENT && begin_fragments(ctx))
		return drop(ctx, p->in_vif, CB_REASON_REDIRECT);
	if (cfg_trace || way->flags & CB_WAY_F_REWRITE)
		take_translation(w, flow, way);
	return deliver(ctx, w, way);
}

/* Forwards the unicast IP packet in work. */
static __always_inline int forward(struct __sk_buff *ctx, struct work *w)
{
	return follow(ctx, w, begin_forward(w));
}

#endif /* CABLE_FORWARD_H */
