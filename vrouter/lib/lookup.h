/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* lookup.h: one function for each question that the agent's maps answer. All return NULL for "no entry". */
#ifndef CABLE_LOOKUP_H
#define CABLE_LOOKUP_H

#include "address.h"
#include "work.h"

/* Whose frames with VLAN tag @vlan (0: none) come in by device @ifindex. */
static __always_inline struct cb_in *lookup_in(__u32 ifindex, __u16 vlan)
{
	struct cb_in_key key = {.ifindex = ifindex, .vlan = vlan};

	return bpf_map_lookup_elem(&cb_in_1, &key);
}

/* The row of VIF @vif, whoever has it. */
static __always_inline struct cb_vif *vif_row(__u32 vif)
{
	return bpf_map_lookup_elem(&cb_vif_2, &vif);
}

static __always_inline struct cb_net *net_row(__u32 net)
{
	return bpf_map_lookup_elem(&cb_net_1, &net);
}

static __always_inline struct cb_tunnel *tunnel_row(__u32 tunnel)
{
	return bpf_map_lookup_elem(&cb_tunnel_1, &tunnel);
}

/* What is counted of the flow table as a whole. */
static __always_inline struct cb_gauge *gauge_row(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&cb_gauge_1, &zero);
}

/* Who has @addr in network @net. */
static __always_inline struct cb_endpoint *lookup_endpoint(__u16 net, const struct cb_addr *addr)
{
	struct cb_ep_key key = {.net = net, .addr = *addr};

	return bpf_map_lookup_elem(&cb_ep_2, &key);
}

/* Who has @mac in network @net. */
static __always_inline struct cb_endpoint *lookup_mac(__u16 net, const __u8 *mac)
{
	struct cb_mac_key key = {.net = net};

	__builtin_memcpy(key.mac, mac, 6);
	return bpf_map_lookup_elem(&cb_mac_2, &key);
}

/* The entry by which VIF @vif may send from @mac with @addr. */
static __always_inline struct cb_source *lookup_source(__u32 vif, const __u8 *mac, const struct cb_addr *addr)
{
	struct cb_source_key key = {.prefixlen = 64 + 128, .vif = vif, .addr = *addr};

	__builtin_memcpy(key.mac, mac, 6);
	return bpf_map_lookup_elem(&cb_source_2, &key);
}

/* May VIF @vif send from @mac with @addr? */
static __noinline int source_allowed(__u32 vif, const __u8 *mac, const struct cb_addr *addr)
{
	return lookup_source(vif, mac, addr) != NULL;
}

/* CB_SOURCE_F_* of that entry; 0 without one. */
static __always_inline __u32 source_flags(__u32 vif, const __u8 *mac, const struct cb_addr *addr)
{
	struct cb_source *source = lookup_source(vif, mac, addr);

	return source ? source->flags : 0;
}

static __always_inline struct cb_route *lookup_route(__u32 vrf, const struct cb_addr *addr)
{
	struct cb_route_key key = {.prefixlen = 32 + 128, .vrf = vrf, .addr = *addr};

	return bpf_map_lookup_elem(&cb_route_2, &key);
}

/* By which route of router @vrf what comes from @addr leaves. */
static __always_inline struct cb_route *lookup_exit(__u32 vrf, const struct cb_addr *addr)
{
	struct cb_exit_key key = {.prefixlen = 32 + 128, .vrf = vrf, .addr = *addr};

	return bpf_map_lookup_elem(&cb_exit_1, &key);
}

/* The network into which host @remote may send with @wire_id. */
static __always_inline struct cb_peer *lookup_peer(__u32 wire_id, const struct cb_addr *remote)
{
	struct cb_peer_key key = {.wire_id = wire_id};

	take_addr(&key.remote, remote);
	return bpf_map_lookup_elem(&cb_peer_2, &key);
}

/* How to send to host @remote, encapsulated here. */
static __always_inline struct cb_hop *lookup_hop(const struct cb_addr *remote)
{
	struct cb_hop_key key = {.addr = *remote};

	return bpf_map_lookup_elem(&cb_hop_1, &key);
}

/* Who @addr is on external network @net, known or asked for. The agent's come first: nobody can crowd those out. */
static __always_inline struct cb_neigh *lookup_neighbour(__u16 net, const struct cb_addr *addr)
{
	struct cb_neigh_key key = {.net = net, .addr = *addr};
	struct cb_neigh *neighbour = bpf_map_lookup_elem(&cb_neigh_1, &key);

	return neighbour ? neighbour : bpf_map_lookup_elem(&cb_near_1, &key);
}

static __always_inline struct cb_flood *lookup_flood(__u16 net, __u8 list, __u32 chunk)
{
	struct cb_flood_key key = {.net = net, .list = list, .chunk = chunk};

	return bpf_map_lookup_elem(&cb_flood_2, &key);
}

static __always_inline struct cb_announce *lookup_announce(__u16 net, __u32 chunk)
{
	struct cb_announce_key key = {.net = net, .chunk = chunk};

	return bpf_map_lookup_elem(&cb_announce_1, &key);
}

/*
 * The blocks of ports that a sender has of the address of router @vrf: VIF @vif, or, with 0, the guest elsewhere that sends from @addr by the transit network @net.
 */
static __always_inline struct cb_lease *lookup_lease(__u32 vrf, __u32 vif, __u16 net, const struct cb_addr *addr)
{
	struct cb_lease_key key = {.vrf = vrf, .vif = vif};

	if (!vif) {
		key.net = net;
		key.addr = *addr;
	}
	return bpf_map_lookup_elem(&cb_lease_1, &key);
}

static __always_inline __u16 block_of(__u16 port_be)
{
	return bpf_ntohs(port_be) / CB_BLOCK_PORTS;
}

/* Who has the block of port @port_be of @addr, which is a router's in external network @net; NULL: no other host. */
static __always_inline struct cb_block *lookup_block(__u16 net, const struct cb_addr *addr, __u16 port_be)
{
	struct cb_block_key key = {.net = net, .block = block_of(port_be), .addr = *addr};

	return bpf_map_lookup_elem(&cb_block_1, &key);
}

static __always_inline struct cb_held *lookup_held(const struct cb_addr *addr, __u16 block)
{
	struct cb_held_key key = {.block = block, .addr = *addr};

	return bpf_map_lookup_elem(&cb_held_1, &key);
}

/* Has network @net VIFs of this host, to which broadcast goes? */
static __always_inline int has_flood_list(__u16 net)
{
	struct cb_net *row = net_row(net);

	return row && row->flood_chunks;
}

/* Is DHCP on in some subnet of network @net? */
static __always_inline int has_dhcp(__u16 net)
{
	struct cb_net *row = net_row(net);

	return row && row->flags & CB_NET_F_DHCP;
}

/* Epochs of rows, as they are now; of nobody's, 0. */
static __always_inline __u32 vif_epoch(__u32 vif)
{
	struct cb_vif *row = vif_row(vif);

	return row ? *(volatile __u32 *)&row->epoch : 0;
}

static __always_inline __u32 net_epoch(__u32 net)
{
	struct cb_net *row = net_row(net);

	return row ? *(volatile __u32 *)&row->epoch : 0;
}

#endif /* CABLE_LOOKUP_H */
