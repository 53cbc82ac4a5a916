/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * learn.h: who has an address that several ports may have, an allowed address pair: whoever said so last, by ARP or neighbour discovery. Only ports that have the pair are
 * heard: of this host by cb_source_2, of others by cb_pair_1. What was heard counts as long as that is so.
 */
#ifndef CABLE_LEARN_H
#define CABLE_LEARN_H

#include "encap.h"
#include "lookup.h"

static __always_inline struct cb_learn *lookup_learned(__u16 net, const struct cb_addr *addr)
{
	struct cb_learn_key key = {.net = net, .addr = *addr};

	return bpf_map_lookup_elem(&cb_learn_1, &key);
}

/* May VIF @vif, or the host of @tunnel, say that @mac has @addr? */
static __noinline int may_claim(__u32 vif_and_tunnel, __u16 net, const __u8 *mac, const struct cb_addr *addr)
{
	struct cb_pair_key key = {.net = net, .tunnel = vif_and_tunnel >> 16, .addr = *addr};
	__u16 vif = vif_and_tunnel;
	struct cb_vif *row = vif_row(vif);

	if (vif)
		return row && row->net == net && source_flags(vif, mac, addr) & CB_SOURCE_F_PAIR;
	__builtin_memcpy(key.mac, mac, 6);
	return bpf_map_lookup_elem(&cb_pair_1, &key) != NULL;
}

static __always_inline __u32 place_of(__u16 vif, __u16 tunnel)
{
	return vif | (__u32)tunnel << 16;
}

/*
 * Makes @ep, the entry of @addr in network @net of kind CB_ENDPOINT_SHARED, that of who has the address: whoever was heard last, else the only one who may. Returns 0;
 * -1: nobody is known.
 */
static __noinline int find_holder(__u16 net, const struct cb_addr *addr, struct cb_endpoint *ep)
{
	struct cb_learn *heard = lookup_learned(net, addr);

	if (heard && heard->learned_ns && may_claim(place_of(heard->vif, heard->tunnel), net, heard->mac, addr)) {
		ep->vif = heard->vif;
		ep->tunnel = heard->tunnel;
		__builtin_memcpy(ep->mac, heard->mac, 6);
	}
	ep->kind = ep->vif ? CB_ENDPOINT_VIF : CB_ENDPOINT_REMOTE;
	return ep->vif || ep->tunnel ? 0 : -1;
}

/* The tunnel by which the packet came from another host. */
static __noinline __u32 tunnel_of(struct __sk_buff *ctx)
{
	struct cb_addr remote;
	struct cb_peer *peer;
	__u32 vni;

	if (get_tunnel(ctx, &vni, &remote))
		return 0;
	peer = lookup_peer(vni, &remote);
	return peer ? peer->tunnel : 0;
}

/* Values of `claim`. */
#define CLAIM_REPEATED 1
#define CLAIM_NEWS 2 /* another has had the address, or nobody */

static __always_inline int is_news(const struct cb_learn *heard, const struct cb_learn *before)
{
	return !before || !before->learned_ns || before->vif != heard->vif || before->tunnel != heard->tunnel ||
	       !same_mac(before->mac, heard->mac);
}

/*
 * The sender of the ARP packet or ND message in work says that it has @addr. Sets `claim` where that counts. Returns 0, or a reason to drop: the address is an
 * allowed address pair's, and not of this sender.
 */
static __noinline int hear(struct __sk_buff *ctx, struct work *w, const struct cb_addr *addr)
{
	struct cb_learn_key key = {.net = w->p.key.net, .addr = *addr};
	struct cb_endpoint *ep = lookup_endpoint(w->p.key.net, addr);
	struct cb_learn heard = {.learned_ns = bpf_ktime_get_ns(), .vif = w->p.in_vif};

	if (!ep || ep->kind != CB_ENDPOINT_SHARED)
		return CB_REASON_NONE;
	if (!w->p.in_vif)
		heard.tunnel = tunnel_of(ctx);
	if (!may_claim(place_of(heard.vif, heard.tunnel), w->p.key.net, w->p.smac, addr))
		return CB_REASON_FOREIGN_VIP;
	/* What a trace asks its guest has asked before, or would ask again. */
	w->claim = CLAIM_REPEATED;
	if (cfg_trace)
		return CB_REASON_NONE;
	__builtin_memcpy(heard.mac, w->p.smac, 6);
	w->claim = is_news(&heard, lookup_learned(w->p.key.net, addr)) ? CLAIM_NEWS : CLAIM_REPEATED;
	bpf_map_update_elem(&cb_learn_1, &key, &heard, BPF_ANY);
	return CB_REASON_NONE;
}

#endif /* CABLE_LEARN_H */
