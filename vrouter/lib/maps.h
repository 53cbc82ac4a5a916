/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* maps.h: the maps of cable_abi.h, with their types and sizes. Keys, values and writers are described there. */
#ifndef CABLE_MAPS_H
#define CABLE_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "../include/cable_abi.h"

/* Only the agent writes these; entries are allocated as they come, so an idle host pays nothing for the sizes. */
#define CB_AGENT_MAP(name, kind, entries, key_type, value_type)           \
	struct {                                                          \
		__uint(type, kind);                                       \
		__uint(max_entries, entries);                             \
		__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG); \
		__type(key, key_type);                                    \
		__type(value, value_type);                                \
	} name SEC(".maps")

/* An array; @flags: BPF_F_RDONLY_PROG where only the agent writes. */
#define CB_ARRAY(name, entries, flags, value_type) \
	struct {                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);  \
		__uint(max_entries, entries);      \
		__uint(map_flags, flags);          \
		__type(key, __u32);                \
		__type(value, value_type);         \
	} name SEC(".maps")

CB_AGENT_MAP(cb_in_1, BPF_MAP_TYPE_HASH, CB_MAX_IN, struct cb_in_key, struct cb_in);
CB_AGENT_MAP(cb_source_2, BPF_MAP_TYPE_LPM_TRIE, CB_MAX_SOURCE, struct cb_source_key, struct cb_source);
CB_AGENT_MAP(cb_ep_2, BPF_MAP_TYPE_HASH, CB_MAX_ENDPOINT, struct cb_ep_key, struct cb_endpoint);
CB_AGENT_MAP(cb_mac_2, BPF_MAP_TYPE_HASH, CB_MAX_ENDPOINT, struct cb_mac_key, struct cb_endpoint);
CB_AGENT_MAP(cb_route_2, BPF_MAP_TYPE_LPM_TRIE, CB_MAX_ROUTE, struct cb_route_key, struct cb_route);
CB_AGENT_MAP(cb_next_1, BPF_MAP_TYPE_HASH, CB_MAX_NEXT, struct cb_next_key, struct cb_next);
CB_AGENT_MAP(cb_exit_1, BPF_MAP_TYPE_LPM_TRIE, CB_MAX_EXIT, struct cb_exit_key, struct cb_route);
CB_AGENT_MAP(cb_steer_1, BPF_MAP_TYPE_HASH, CB_MAX_STEER, struct cb_steer_key, struct cb_steers);
CB_AGENT_MAP(cb_class_1, BPF_MAP_TYPE_LPM_TRIE, CB_MAX_CLASS, struct cb_class_key, struct cb_class);
CB_AGENT_MAP(cb_rule_1, BPF_MAP_TYPE_LPM_TRIE, CB_MAX_RULE, struct cb_rule_key, struct cb_rule);
CB_AGENT_MAP(cb_flood_2, BPF_MAP_TYPE_HASH, CB_MAX_FLOOD, struct cb_flood_key, struct cb_flood);
CB_AGENT_MAP(cb_pair_1, BPF_MAP_TYPE_HASH, CB_MAX_PAIR, struct cb_pair_key, struct cb_pair);
CB_AGENT_MAP(cb_announce_1, BPF_MAP_TYPE_HASH, CB_MAX_FLOOD, struct cb_announce_key, struct cb_announce);
CB_AGENT_MAP(cb_peer_2, BPF_MAP_TYPE_HASH, CB_MAX_PEER, struct cb_peer_key, struct cb_peer);
CB_AGENT_MAP(cb_nat_1, BPF_MAP_TYPE_HASH, CB_MAX_NAT, struct cb_nat_key, struct cb_nat);
CB_AGENT_MAP(cb_snat_1, BPF_MAP_TYPE_HASH, CB_MAX_SNAT, struct cb_snat_key, struct cb_snat);
CB_AGENT_MAP(cb_lease_1, BPF_MAP_TYPE_HASH, CB_MAX_LEASE, struct cb_lease_key, struct cb_lease);
CB_AGENT_MAP(cb_block_1, BPF_MAP_TYPE_HASH, CB_MAX_BLOCK, struct cb_block_key, struct cb_block);
CB_AGENT_MAP(cb_forward_1, BPF_MAP_TYPE_LPM_TRIE, CB_MAX_FORWARD, struct cb_forward_key, struct cb_forward);
CB_AGENT_MAP(cb_hop_1, BPF_MAP_TYPE_HASH, CB_MAX_TUNNEL, struct cb_hop_key, struct cb_hop);
CB_AGENT_MAP(cb_svc_1, BPF_MAP_TYPE_HASH, CB_MAX_SVC, struct cb_svc_key, struct cb_svc);
CB_AGENT_MAP(cb_maglev_1, BPF_MAP_TYPE_HASH, CB_MAX_MAGLEV, struct cb_maglev_key, struct cb_maglev);
CB_AGENT_MAP(cb_member_1, BPF_MAP_TYPE_HASH, CB_MAX_MEMBER, struct cb_member_key, struct cb_member);
CB_AGENT_MAP(cb_service_1, BPF_MAP_TYPE_HASH, CB_MAX_SERVICE, struct cb_service_key, struct cb_service);
CB_AGENT_MAP(cb_backend_1, BPF_MAP_TYPE_HASH, CB_MAX_BACKEND, struct cb_backend_key, struct cb_backends);
CB_AGENT_MAP(cb_limit_1, BPF_MAP_TYPE_HASH, CB_MAX_LIMIT, struct cb_limit_key, struct cb_limit);
CB_AGENT_MAP(cb_mirror_1, BPF_MAP_TYPE_HASH, CB_MAX_MIRROR, struct cb_mirror_key, struct cb_mirror);

CB_ARRAY(cb_vif_2, CB_MAX_VIF, BPF_F_RDONLY_PROG, struct cb_vif);
CB_ARRAY(cb_net_1, CB_MAX_NET, BPF_F_RDONLY_PROG, struct cb_net);
CB_ARRAY(cb_tunnel_1, CB_MAX_TUNNEL, BPF_F_RDONLY_PROG, struct cb_tunnel);
CB_ARRAY(cb_meter_1, CB_MAX_METER, BPF_F_RDONLY_PROG, struct cb_meter);
/* Not read by any program; here it is pinned with the entries that it tells of. */
CB_ARRAY(cb_prog_2, 1, BPF_F_RDONLY_PROG, struct cb_prog);

CB_ARRAY(cb_beacon_1, 1, BPF_F_RDONLY_PROG, struct cb_beacon);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CB_MAX_HEARD);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct cb_heard_key);
	__type(value, struct cb_heard);
} cb_heard_1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CB_MAX_ANNOUNCED);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct cb_announced_key);
	__type(value, struct cb_announced);
} cb_announced_1 SEC(".maps");

/* Keys by the agent, values by the programs. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CB_MAX_NEIGHBOUR);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct cb_neigh_key);
	__type(value, struct cb_neigh);
} cb_neigh_1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CB_MAX_MIRROR);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct cb_mirrored_key);
	__type(value, struct cb_mirrored);
} cb_mirrored_1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CB_MAX_LIMIT);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct cb_limited_key);
	__type(value, struct cb_limited);
} cb_limited_1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CB_MAX_BLOCK);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct cb_held_key);
	__type(value, struct cb_held);
} cb_held_1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CB_MAX_NEIGHBOUR);
	__type(key, struct cb_near_key);
	__type(value, struct cb_neigh);
} cb_near_1 SEC(".maps");

/* A client that is forgotten goes to any endpoint. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CB_MAX_STICKY);
	__type(key, struct cb_sticky_key);
	__type(value, struct cb_sticky);
} cb_sticky_1 SEC(".maps");

/* Preallocated: a burst of new flows must not wait for memory. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CB_MAX_TUPLE);
	__type(key, struct cb_tuple_key);
	__type(value, struct cb_tuple);
} cb_tuple_1 SEC(".maps");

/* That it can be mapped into memory makes its rows begin at a page: each direction has a cache line of its own. */
CB_ARRAY(cb_flow_2, CB_MAX_FLOW, BPF_F_MMAPABLE, struct cb_flow);
CB_ARRAY(cb_gauge_1, 1, 0, struct cb_gauge);
CB_ARRAY(cb_use_1, CB_MAX_USE, 0, struct cb_use);
CB_ARRAY(cb_asked_2, CB_MAX_VIF, BPF_F_RDONLY_PROG, struct cb_asked);
CB_ARRAY(cb_joined_1, CB_MAX_VIF, 0, struct cb_joined);
CB_ARRAY(cb_bucket_2, CB_MAX_METER, 0, struct cb_bucket);
CB_ARRAY(cb_frag_2, CB_MAX_VIF *CB_VIF_FRAGMENTS, 0, struct cb_frag);
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CB_MAX_ORPHAN);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct cb_orphan_key);
	__type(value, struct cb_orphan);
} cb_orphan_1 SEC(".maps");

/* Nothing has to be deleted: what does not count any more gives way. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CB_MAX_LEARN);
	__type(key, struct cb_learn_key);
	__type(value, struct cb_learn);
} cb_learn_1 SEC(".maps");

CB_ARRAY(cb_drop_1, CB_MAX_VIF *CB_REASON_MAX, 0, struct cb_drop);
CB_ARRAY(cb_trace_3, 1, 0, struct cb_trace);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CB_MAX_VIF);
	__type(key, __u32);
	__type(value, struct cb_count);
} cb_count_1 SEC(".maps");

#endif /* CABLE_MAPS_H */
