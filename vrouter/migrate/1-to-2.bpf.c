// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * 1-to-2.bpf.c: the step from the flow table of the first layouts to the second. The agent loads it with the pinned maps of both, and runs it before and
 * after the programs of the second are in force. Nothing of it is in the way of packets.
 */
#include "../include/old/flow_1.h"
#include "../lib/adopt.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, OLD_MAX_FLOW);
	__type(key, struct old_flow_key);
	__type(value, struct old_flow);
} cb_flow_1 SEC(".maps");

/* VNI -> network number, while the step runs. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CB_MAX_NET);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u32);
} step_net SEC(".maps");

/* What a run is told, and what it says. */
struct step {
	__u64 since_ns; /* takes only flows that had a packet since; 0: all */
	__u32 made;
	__u32 present; /* were there already, or are over */
	__u32 refused; /* of networks or devices that are not there any more, or for which there is no room */
	__u32 pad;
};

/* At once so many: the run is one system call, which holds its CPU. */
#define STEP_MOST 8192

struct walk {
	struct step *step;
	__u64 now;
};

static long note_net(__u32 net, void *data __attribute__((unused)))
{
	struct cb_net *row = net_row(net);
	__u32 vni;

	if (!row)
		return 1;
	vni = row->wire_id;
	if (row->wire == CB_WIRE_VXLAN)
		bpf_map_update_elem(&step_net, &vni, &net, BPF_ANY);
	return 0;
}

/* Number of the network with @vni; 0: none. */
static __always_inline __u16 net_of(__u32 vni)
{
	__u32 *net = bpf_map_lookup_elem(&step_net, &vni);

	return net ? *net : 0;
}

/* VIF of a device; 0: none. */
static __always_inline __u32 vif_of(__u32 ifindex)
{
	struct cb_in *in = ifindex ? lookup_in(ifindex, 0) : NULL;

	return in ? in->vif : 0;
}

static __always_inline void old_peer_key(const struct old_flow_key *key, __u32 zone, struct old_flow_key *peer)
{
	__builtin_memset(peer, 0, sizeof(*peer));
	peer->zone = zone;
	peer->src = key->dst;
	peer->dst = key->src;
	peer->sport_be = key->dport_be;
	peer->dport_be = key->sport_be;
	peer->protocol = key->protocol;
}

static __always_inline void tuple_of(const struct old_flow_key *key, __u16 net, struct cb_tuple_key *tuple)
{
	tuple->src = key->src;
	tuple->dst = key->dst;
	tuple->sport_be = key->sport_be;
	tuple->dport_be = key->dport_be;
	tuple->net = net;
	tuple->protocol = key->protocol;
	tuple->pad = 0;
}

/* Where the flow under construction is: too much for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct adopted);
} step_flow SEC(".maps");

/*
 * Takes over the flow of one entry. That of the answers is passed over where the other is there: one of both is enough, and it knows the rest. Returns what
 * adopt_flow() says, or -1.
 */
static __noinline int take_entry(const struct old_flow_key *key, const struct old_flow *entry, __u64 now)
{
	__u32 zero = 0, reply = entry->flags & OLD_FLOW_F_REPLY;
	struct adopted *flow = bpf_map_lookup_elem(&step_flow, &zero);
	__u16 net = net_of(key->zone), answer_net = net_of(entry->peer_zone);
	struct old_flow_key peer_key;
	struct old_flow *peer;

	if (!flow || !net || !answer_net)
		return -1;
	old_peer_key(key, entry->peer_zone, &peer_key);
	peer = bpf_map_lookup_elem(&cb_flow_1, &peer_key);
	if (reply && peer)
		return 0;
	__builtin_memset(flow, 0, sizeof(*flow));
	flow->expires_ns = entry->seen_ns + flow_timeout_ns(key->protocol, entry->state);
	flow->state = entry->state;
	if (reply) {
		tuple_of(key, net, &flow->tuple[1]);
		tuple_of(&peer_key, answer_net, &flow->tuple[0]);
		flow->vif[1] = vif_of(entry->in_ifindex);
		flow->vif[0] = vif_of(entry->out_ifindex);
		flow->tally[1].packets = entry->packets;
		flow->tally[1].bytes = entry->bytes;
		flow->fin[1] = !!(entry->flags & OLD_FLOW_F_FIN);
		return adopt_flow(flow, now);
	}
	tuple_of(key, net, &flow->tuple[0]);
	tuple_of(&peer_key, answer_net, &flow->tuple[1]);
	flow->vif[0] = vif_of(entry->in_ifindex);
	flow->vif[1] = vif_of(entry->out_ifindex);
	flow->tally[0].packets = entry->packets;
	flow->tally[0].bytes = entry->bytes;
	flow->fin[0] = !!(entry->flags & OLD_FLOW_F_FIN);
	if (peer) {
		flow->tally[1].packets = peer->packets;
		flow->tally[1].bytes = peer->bytes;
		flow->fin[1] = !!(peer->flags & OLD_FLOW_F_FIN);
	}
	return adopt_flow(flow, now);
}

/* Called for each entry. Returns 1 to stop. */
static long step_one(void *map __attribute__((unused)), struct old_flow_key *key, struct old_flow *entry,
		     struct walk *walk)
{
	int taken;

	if (entry->seen_ns < walk->step->since_ns)
		return 0;
	taken = take_entry(key, entry, walk->now);
	if (taken > 0)
		walk->step->made++;
	else if (taken == 0)
		walk->step->present++;
	else
		walk->step->refused++;
	return walk->step->made >= STEP_MOST;
}

/* Returns 0. Made as many as it may at once: the agent runs it again. */
SEC("syscall")
int import_flows(struct step *ctx)
{
	struct step step = {.since_ns = ctx->since_ns};
	struct walk walk = {.step = &step, .now = bpf_ktime_get_ns()};

	bpf_loop(CB_MAX_NET, note_net, NULL, 0);
	bpf_for_each_map_elem(&cb_flow_1, step_one, &walk, 0);
	ctx->made = step.made;
	ctx->present = step.present;
	ctx->refused = step.refused;
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
