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

CB_AGENT_MAP(cb_vif_1, BPF_MAP_TYPE_HASH, CB_MAX_VIF, struct cb_vif_key, struct cb_vif);
CB_AGENT_MAP(cb_slot_1, BPF_MAP_TYPE_HASH, CB_MAX_VIF, struct cb_slot_key, struct cb_slot);
CB_AGENT_MAP(cb_source_1, BPF_MAP_TYPE_LPM_TRIE, CB_MAX_SOURCE, struct cb_source_key, struct cb_source);
CB_AGENT_MAP(cb_ep_1, BPF_MAP_TYPE_HASH, CB_MAX_ENDPOINT, struct cb_ep_key, struct cb_endpoint);
CB_AGENT_MAP(cb_mac_1, BPF_MAP_TYPE_HASH, CB_MAX_ENDPOINT, struct cb_mac_key, struct cb_endpoint);
CB_AGENT_MAP(cb_route_1, BPF_MAP_TYPE_LPM_TRIE, CB_MAX_ROUTE, struct cb_route_key, struct cb_route);
CB_AGENT_MAP(cb_class_1, BPF_MAP_TYPE_LPM_TRIE, CB_MAX_CLASS, struct cb_class_key, struct cb_class);
CB_AGENT_MAP(cb_rule_1, BPF_MAP_TYPE_LPM_TRIE, CB_MAX_RULE, struct cb_rule_key, struct cb_rule);
CB_AGENT_MAP(cb_flood_1, BPF_MAP_TYPE_HASH, CB_MAX_FLOOD, struct cb_flood_key, struct cb_flood);
CB_AGENT_MAP(cb_peer_1, BPF_MAP_TYPE_HASH, CB_MAX_PEER, struct cb_peer_key, struct cb_peer);
CB_AGENT_MAP(cb_hop_1, BPF_MAP_TYPE_HASH, CB_MAX_PEER, struct cb_hop_key, struct cb_hop);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__type(key, __u32);
	__type(value, struct cb_conf);
} cb_conf_1 SEC(".maps");

/* Not read by any program; here it is pinned with the entries that it tells of. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__type(key, __u32);
	__type(value, struct cb_prog);
} cb_prog_1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CB_MAX_FLOW);
	__type(key, struct cb_flow_key);
	__type(value, struct cb_flow);
} cb_flow_1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CB_MAX_FRAGMENT);
	__type(key, struct cb_frag_key);
	__type(value, struct cb_frag);
} cb_frag_1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CB_SERVICE_SLOT_MAX + 1);
	__type(key, __u32);
	__type(value, struct cb_bucket);
} cb_bucket_1 SEC(".maps");

/* Entries are made by the agent, one a VIF and CB_STAT_OVERLAY; counted by the vrouter. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, CB_MAX_VIF + 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct cb_stat_key);
	__type(value, struct cb_stat);
} cb_stat_1 SEC(".maps");

#endif /* CABLE_MAPS_H */
