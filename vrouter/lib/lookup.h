/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* lookup.h: one function for each question that the agent's maps answer. All return NULL for "no entry". */
#ifndef CABLE_LOOKUP_H
#define CABLE_LOOKUP_H

#include "parse.h"

static __always_inline struct cb_vif *lookup_vif(__u32 ifindex)
{
	struct cb_vif_key key = {.ifindex = ifindex};

	return bpf_map_lookup_elem(&cb_vif_1, &key);
}

/* Who has @addr in network @vni. */
static __always_inline struct cb_endpoint *lookup_endpoint(__u32 vni, const struct cb_addr *addr)
{
	struct cb_ep_key key = {.vni = vni, .addr = *addr};

	return bpf_map_lookup_elem(&cb_ep_1, &key);
}

/* Who has @mac in network @vni. */
static __always_inline struct cb_endpoint *lookup_mac(__u32 vni, const __u8 *mac)
{
	struct cb_mac_key key = {.vni = vni};

	__builtin_memcpy(key.mac, mac, 6);
	return bpf_map_lookup_elem(&cb_mac_1, &key);
}

/* May VIF @ifindex send from @mac with @addr? */
static __noinline int source_allowed(__u32 ifindex, const __u8 *mac, const struct cb_addr *addr)
{
	struct cb_source_key key = {.prefixlen = 96 + 128, .ifindex = ifindex, .addr = *addr};

	__builtin_memcpy(key.mac, mac, 6);
	return bpf_map_lookup_elem(&cb_source_1, &key) != NULL;
}

static __always_inline struct cb_route *lookup_route(__u32 vrf, const struct cb_addr *addr)
{
	struct cb_route_key key = {.prefixlen = 32 + 128, .vrf = vrf, .addr = *addr};

	return bpf_map_lookup_elem(&cb_route_1, &key);
}

static __always_inline int is_peer(__u32 v4_be)
{
	struct cb_peer_key key;

	set_v4(&key.addr, v4_be);
	return bpf_map_lookup_elem(&cb_peer_1, &key) != NULL;
}

/* Is what this host tunnels here taken on the uplink? */
static __always_inline int is_taken_from(__u32 v4_be)
{
	struct cb_peer_key key;
	struct cb_peer *peer;

	set_v4(&key.addr, v4_be);
	peer = bpf_map_lookup_elem(&cb_peer_1, &key);
	return peer && peer->flags & CB_PEER_F_UPLINK;
}

/* How to send to host @remote, encapsulated here. */
static __always_inline struct cb_hop *lookup_hop(const struct cb_addr *remote)
{
	struct cb_hop_key key = {.addr = *remote};

	return bpf_map_lookup_elem(&cb_hop_1, &key);
}

static __always_inline struct cb_flood *lookup_flood(__u32 vni, __u32 chunk)
{
	struct cb_flood_key key = {.vni = vni, .chunk = chunk};

	return bpf_map_lookup_elem(&cb_flood_1, &key);
}

/* The generation of decisions. */
static __always_inline __u32 current_epoch(void)
{
	__u32 zero = 0;
	struct cb_conf *conf = bpf_map_lookup_elem(&cb_conf_1, &zero);

	return conf ? conf->epoch : 0;
}

#endif /* CABLE_LOOKUP_H */
