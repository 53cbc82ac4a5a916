/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * nat.h: what a packet's addresses and ports become at a router's gateway: floating IPs, source translation, port forwarding. A flow keeps its
 * translation; when it is decided anew, what the rows say now must still allow it.
 *
 *	in:  its destination is an address of ours in an external network
 *	out: it is routed into the router's external network, and its source is not of it
 *
 * A packet to another of our external addresses is both (hairpin).
 */
#ifndef CABLE_NAT_H
#define CABLE_NAT_H

#include "begin.h"
#include "lookup.h"

static __always_inline void resolved_drop(struct work *w, __u32 reason)
{
	w->to.kind = RESOLVED_DROP;
	w->to.reason = reason;
}

static __always_inline int is_external(__u32 net)
{
	struct cb_net *row = net_row(net);

	return row && row->flags & CB_NET_F_EXTERNAL;
}

/* The new flow of the packet in work is translated: begins with what it is. */
static __always_inline struct cb_tuple_key *begin_translation(struct work *w)
{
	if (!(w->p.flags & PKT_TRANSLATED))
		w->nat.to = w->p.key;
	w->p.flags |= PKT_TRANSLATED;
	return &w->nat.to;
}

static __always_inline struct cb_nat *lookup_nat(__u16 net, __u16 outside, const struct cb_addr *addr)
{
	struct cb_nat_key key = {.net = net, .outside = outside, .addr = *addr};

	return bpf_map_lookup_elem(&cb_nat_1, &key);
}

static __always_inline struct cb_snat *lookup_snat(__u32 vrf)
{
	struct cb_snat_key key = {.vrf = vrf};

	return bpf_map_lookup_elem(&cb_snat_1, &key);
}

static __always_inline struct cb_forward *lookup_forward(__u16 net, __u8 protocol, const struct cb_addr *addr,
							 __u16 port_be)
{
	struct cb_forward_key key = {
		.prefixlen = 160 + 16, .net = net, .protocol = protocol, .addr = *addr, .port_be = port_be};

	return bpf_map_lookup_elem(&cb_forward_1, &key);
}

static __always_inline struct cb_member *lookup_member(__u32 member)
{
	struct cb_member_key key = {.member = member};

	return bpf_map_lookup_elem(&cb_member_1, &key);
}

/* What a port of a virtual address leads to. */
static __always_inline struct cb_svc *lookup_svc(__u16 net, const struct cb_addr *vip, __u16 port_be, __u8 protocol)
{
	struct cb_svc_key key = {.net = net, .addr = *vip, .port_be = port_be, .protocol = protocol};

	return bpf_map_lookup_elem(&cb_svc_1, &key);
}

/* The address with which @snat sends packets of the packet's family; NULL: it does not translate them. */
static __always_inline const struct cb_addr *snat_address(const struct work *w, const struct cb_snat *snat)
{
	const struct cb_addr *addr;

	if (!snat)
		return NULL;
	addr = w->p.family == CB_FAMILY_V6 ? &snat->addr6 : &snat->addr;
	return is_unspecified(addr) ? NULL : addr;
}

/* Where @port of a forwarded range leads. */
static __always_inline __u16 forwarded_port(const struct cb_forward *forward, __u16 port_be)
{
	__u16 offset = forward->flags & CB_FORWARD_F_ONE ? 0 : bpf_ntohs(port_be) - forward->first;

	return bpf_htons(forward->to_first + offset);
}

/* Notes what the packet in work, which is translated, becomes. */
static __always_inline void note_translated(const struct work *w)
{
	const struct cb_tuple_key *key = &w->p.key, *to = &w->nat.to;
	__u32 sport = key->sport_be != to->sport_be ? bpf_ntohs(to->sport_be) : 0;
	__u32 dport = key->dport_be != to->dport_be ? bpf_ntohs(to->dport_be) : 0;

	if (sport || !same_address(&key->src, &to->src))
		note_step(CB_STEP_SOURCE_BECOMES, 0, sport, 0, &to->src);
	if (dport || !same_address(&key->dst, &to->dst))
		note_step(CB_STEP_DESTINATION_BECOMES, 0, dport, 0, &to->dst);
}

/* A floating IP: to the fixed address. Is that a virtual one, a flow's destination is its member: balance() asks about that. */
static __always_inline void enter_by_nat(struct work *w, struct cb_nat *nat)
{
	struct cb_tuple_key *to = &w->nat.to;

	if (!nat)
		return resolved_drop(w, CB_REASON_NO_ENDPOINT);
	w->nat.vrf = nat->vrf;
	w->nat.meets = !w->direction;
	w->nat.met = nat->to;
	if (w->nat.known && !(w->member && w->nat.meets)) {
		if (!same_address(&to->dst, &nat->to) || to->dport_be != w->p.key.dport_be)
			resolved_drop(w, CB_REASON_NAT_GONE);
		return;
	}
	w->nat.answer_net = nat->to_net;
	if (w->nat.known)
		return;
	to = begin_translation(w);
	to->dst = nat->to;
}

/* An address inside to which the outside is routed: a virtual one is met as by a floating IP that is itself. */
static __always_inline void enter_by_own(struct work *w, struct cb_nat *nat)
{
	if (nat)
		enter_by_nat(w, nat);
	else if (w->nat.known && !same_address(&w->nat.to.dst, &w->p.key.dst))
		resolved_drop(w, CB_REASON_NAT_GONE);
}

/* Is a sender's port or identifier one of its own blocks, where router @snat has such for packets like the one in work? */
static __always_inline int takes_blocks(const struct work *w, const struct cb_snat *snat)
{
	return snat && snat->flags & CB_SNAT_F_BLOCKS && chooses_port(&w->p);
}

/* The blocks of whoever began the flow of the packet in work, which is an answer. */
static __always_inline struct cb_lease *lease_of_receiver(const struct work *w)
{
	struct cb_trace_flow *traced = cfg_trace && !w->flow ? flow_of_trace(w) : NULL;
	struct cb_flow *flow = flow_row(w->flow);

	if (traced)
		return lookup_lease(w->nat.vrf, traced->vif, traced->tuple[0].net, &traced->tuple[0].src);
	return flow ? lookup_lease(w->nat.vrf, flow->way[0].in_vif, flow->tuple[0].net, &flow->tuple[0].src) : NULL;
}

/*
 * The packet in work is of a flow that leaves with a router's address: is its port in a block of whoever began the flow? @is_answer: it is the answers' destination.
 */
GLOBAL int is_leased(struct __sk_buff *ctx __attribute__((unused)), __u32 is_answer)
{
	struct work *w = work();
	struct cb_lease *lease;
	__u16 block;

	if (!w)
		return 0;
	lease = is_answer ? lease_of_receiver(w) : lease_of_sender(w);
	if (!lease || !same_address(&lease->addr, is_answer ? &w->p.key.dst : &w->nat.to.src))
		return 0;
	block = block_of(is_answer ? w->p.key.dport_be : w->nat.to.sport_be);
	for (__u32 n = 0; n < CB_LEASE_BLOCKS; n++)
		if (n < lease->count && lease->block[n] == block)
			return 1;
	return 0;
}

/* The packet in work is an answer: is its identifier, or its port, one that senders choose? Its key has what is chosen in the destination's place. */
static __always_inline int answers_choice(const struct pkt *p)
{
	if (p->key.protocol == IPPROTO_ICMP)
		return !(p->flags & PKT_OPENING);
	return has_ports(p->key.protocol) && p->key.protocol != IPPROTO_SCTP;
}

/* An answer to the address with which router @vrf sends. */
static __always_inline void enter_by_snat(struct __sk_buff *ctx, struct work *w, __u32 vrf)
{
	struct cb_snat *snat = lookup_snat(vrf);
	const struct cb_addr *addr = snat_address(w, snat), *dst = &w->p.key.dst;

	w->nat.vrf = vrf;
	if (!addr || same_address(dst, &w->nat.to.dst))
		resolved_drop(w, CB_REASON_NAT_GONE);
	else if (snat->flags & CB_SNAT_F_BLOCKS && answers_choice(&w->p)) {
		if (!is_leased(ctx, 1))
			resolved_drop(w, CB_REASON_NAT_GONE);
	} else if (!same_address(addr, dst))
		resolved_drop(w, CB_REASON_NAT_GONE);
}

/* An address of router @vrf: where its port leads. Otherwise the router itself is meant. */
static __always_inline void enter_by_forward(struct work *w, __u32 vrf)
{
	const struct cb_tuple_key *key = &w->p.key;
	struct cb_forward *forward = NULL;
	struct cb_tuple_key *to;
	__u16 port_be;

	w->nat.vrf = vrf;
	if (has_ports(key->protocol))
		forward = lookup_forward(w->nat.outside, key->protocol, &key->dst, key->dport_be);
	if (!forward) {
		w->to.kind = RESOLVED_GATEWAY;
		if (w->nat.known)
			resolved_drop(w, CB_REASON_NAT_GONE);
		return;
	}
	port_be = forwarded_port(forward, key->dport_be);
	/* Its checksum covers all of the packet, but no addresses. */
	if (key->protocol == IPPROTO_SCTP && port_be != key->dport_be)
		return resolved_drop(w, CB_REASON_NO_ENDPOINT);
	w->nat.vrf = forward->vrf;
	if (w->nat.known) {
		to = &w->nat.to;
		if (!same_address(&to->dst, &forward->to) || to->dport_be != port_be)
			resolved_drop(w, CB_REASON_NAT_GONE);
		return;
	}
	to = begin_translation(w);
	to->dst = forward->to;
	to->dport_be = port_be;
	w->nat.answer_net = forward->to_net;
}

/*
 * The packet in work has come to router `nat.vrf` for a destination in the external network `nat.outside`: what it becomes. `to` says if it is to be
 * dropped, or for the router itself.
 */
GLOBAL int translate_in(struct __sk_buff *ctx)
{
	struct work *w = work();
	struct cb_endpoint *ep;

	if (!w)
		return -1;
	w->nat.asked |= TRANSLATED_IN;
	ep = lookup_endpoint(w->nat.outside, &w->p.key.dst);
	if (ep && ep->kind == CB_ENDPOINT_NAT) {
		w->nat.here = ep->vif;
		enter_by_nat(w, lookup_nat(w->nat.outside, 0, &w->p.key.dst));
	} else if (ep && (ep->kind == CB_ENDPOINT_ROUTER || ep->kind == CB_ENDPOINT_LEASED) && w->nat.known &&
		   w->direction)
		enter_by_snat(ctx, w, ep->vrf);
	else if (ep && ep->kind == CB_ENDPOINT_LEASED)
		/* The host that answers for the address is asked of everything else. */
		resolved_drop(w, w->nat.known ? CB_REASON_NAT_GONE : CB_REASON_NO_ENDPOINT);
	else if (ep && ep->kind == CB_ENDPOINT_ROUTER)
		enter_by_forward(w, ep->vrf);
	else if (snat_address(w, lookup_snat(w->nat.vrf)))
		/* Who hides behind an address is not reached by his own. */
		resolved_drop(w, w->nat.known ? CB_REASON_NAT_GONE : CB_REASON_NO_ROUTE);
	else
		enter_by_own(w, lookup_nat(w->nat.outside, 0, &w->p.key.dst));
	return 0;
}

/*
 * May the sender use the floating IP that its address has? Only the port that it belongs to: another might use the address too. One that no port here has is of an address that
 * ports share: who may send from that is settled by then. Notes its MAC.
 */
static __always_inline int owns_floating(struct work *w, const struct cb_nat *nat)
{
	struct cb_endpoint *ep = lookup_endpoint(w->nat.outside, &nat->to);

	if (!ep || ep->kind != CB_ENDPOINT_NAT || (ep->vif && ep->vif != w->p.in_vif))
		return 0;
	__builtin_memcpy(w->nat.mac, ep->mac, 6);
	return 1;
}

/* Do answers from the packet's source have the address that they become, by a port forwarding? */
static __always_inline int is_forwarded(const struct work *w)
{
	const struct cb_tuple_key *key = &w->p.key, *to = &w->nat.to;
	struct cb_forward *forward;

	if (!has_ports(key->protocol))
		return 0;
	forward = lookup_forward(w->nat.outside, key->protocol, &to->src, to->sport_be);
	return forward && same_address(&forward->to, &key->src) &&
	       forwarded_port(forward, to->sport_be) == key->sport_be;
}

/*
 * Does the floating IP, or the virtual address itself, with which the packet in work leaves, an answer of a member, still lead to a listener of that one's pool? Notes its MAC.
 */
GLOBAL int is_balanced(struct __sk_buff *ctx __attribute__((unused)))
{
	struct cb_endpoint *ep;
	struct cb_member *member;
	struct cb_route *route;
	struct work *w = work();
	struct cb_nat *nat;
	struct cb_svc *svc;

	if (!w || !w->member || !w->direction)
		return 0;
	ep = lookup_endpoint(w->nat.outside, &w->nat.to.src);
	nat = lookup_nat(w->nat.outside, 0, &w->nat.to.src);
	member = lookup_member(w->member);
	if ((ep && ep->kind != CB_ENDPOINT_NAT) || !nat || !member)
		return 0;
	route = lookup_route(nat->vrf, &nat->to);
	svc = route ? lookup_svc(route->net, &nat->to, w->nat.to.sport_be, w->p.key.protocol) : NULL;
	if (!svc || svc->pool != member->pool)
		return 0;
	/* The outside is routed to it: then it has the router's MAC there. */
	if (!ep)
		return 1;
	w->nat.floats = 1;
	__builtin_memcpy(w->nat.mac, ep->mac, 6);
	return 1;
}

/*
 * Is the source that the flow has still one that it may have? @nat, @address: what a new flow's would be; @leased: with a port of the sender's blocks.
 */
static __always_inline int still_leaves(struct __sk_buff *ctx, struct work *w, const struct cb_nat *nat,
					const struct cb_addr *address, int leased)
{
	const struct cb_tuple_key *key = &w->p.key, *to = &w->nat.to;

	if (nat && same_address(&nat->to, &to->src) && key->sport_be == to->sport_be)
		return 1;
	if (!w->direction && leased && is_leased(ctx, 0))
		return 1;
	if (!w->direction && !leased && address && same_address(address, &to->src))
		return 1;
	if (w->direction && (is_forwarded(w) || is_balanced(ctx)))
		return 1;
	/* Who is hidden by nothing keeps his own, also beside a floating IP; whether that is so only the gateway's host knows. */
	return !address && !w->nat.apart && same_address(&key->src, &to->src);
}

/* The packet in work leaves with a port of @lease, and, from a host that is not the gateway's, with its MAC. */
static __always_inline void note_lease(struct work *w, const struct cb_lease *lease)
{
	w->nat.leased = 1;
	if (!lease->exit)
		return;
	w->nat.floats = 1;
	__builtin_memcpy(w->nat.mac, lease->mac, 6);
}

/* The new flow of the packet in work leaves with a port of the sender's blocks. */
static __always_inline void leave_by_block(struct work *w)
{
	struct cb_lease *lease = lease_of_sender(w);

	if (!lease)
		return resolved_drop(w, CB_REASON_SNAT_NO_BLOCK);
	begin_translation(w)->src = lease->addr;
	w->nat.chooses = 1;
	note_lease(w, lease);
}

/* The packet in work leaves router `nat.vrf` for its external network `nat.outside`: what its source becomes. */
GLOBAL int translate_out(struct __sk_buff *ctx)
{
	const struct cb_addr *address;
	struct work *w = work();
	struct cb_lease *lease;
	struct cb_snat *snat;
	struct cb_nat *nat;

	if (!w)
		return -1;
	w->nat.asked |= TRANSLATED_OUT;
	nat = lookup_nat(w->p.key.net, w->nat.outside, &w->p.key.src);
	snat = lookup_snat(w->nat.vrf);
	address = snat && snat->net == w->nat.outside ? snat_address(w, snat) : NULL;
	if (nat && !owns_floating(w, nat)) {
		resolved_drop(w, CB_REASON_SPOOFED_IP);
	} else if (w->nat.known) {
		if (!still_leaves(ctx, w, nat, address, address && takes_blocks(w, snat)))
			resolved_drop(w, CB_REASON_NAT_GONE);
		w->nat.floats |= nat && same_address(&nat->to, &w->nat.to.src);
		lease = !w->direction && !w->nat.floats && takes_blocks(w, snat) ? lease_of_sender(w) : NULL;
		if (lease)
			note_lease(w, lease);
	} else if (nat) {
		begin_translation(w)->src = nat->to;
		w->nat.floats = 1;
	} else if (address && takes_blocks(w, snat)) {
		leave_by_block(w);
	} else if (snat && address) {
		begin_translation(w)->src = *address;
		w->nat.first_port = snat->first_port;
		w->nat.last_port = snat->last_port;
		w->nat.chooses = 1;
	}
	return 0;
}

/* A flow's translation counts only where the packet passes a gateway as its first one did. */
static __always_inline int is_unasked(const struct work *w)
{
	const struct cb_tuple_key *key = &w->p.key, *to = &w->nat.to;

	if (!(w->p.flags & PKT_TRANSLATED))
		return 0;
	return (!(w->nat.asked & TRANSLATED_OUT) && !same_address(&key->src, &to->src)) ||
	       (!(w->nat.asked & TRANSLATED_IN) && !same_address(&key->dst, &to->dst));
}

/* The address that the packet in work is routed to: before it has come to a gateway, its own. */
static __always_inline const struct cb_addr *destination_of(const struct work *w)
{
	return w->p.flags & PKT_TRANSLATED && w->nat.asked & TRANSLATED_IN ? &w->nat.to.dst : &w->p.key.dst;
}

#endif /* CABLE_NAT_H */
