/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * flow.h: the flow table: one record a flow, with a way for each direction, and two tuples that lead to it.
 *
 * Life of a record: FREE -> BUSY (taken by one swap, filled, its tuples put in) -> LIVE -> BUSY (only who swaps it takes the tuples out and
 * lowers the counts) -> FREE, and it rests before it is taken again: no packet that has found it meanwhile can follow another flow by
 * it. A tuple is put in only where there is none, so a tuple is always that of the record that it leads to.
 */
#ifndef CABLE_FLOW_H
#define CABLE_FLOW_H

#include "tell.h"

#define FLOW_REST_NS (200 * MILLISECOND)

/* Records that are looked at for a free one. */
#define FLOW_STEPS 64

/* Flows that everybody may hold, of those that are kept back for it: an eighth of the table. */
#define FLOW_FLOOR 64
#define FLOW_RESERVE(flows) ((flows) / 8)

/* --- shares --- */

static __always_inline struct cb_use *use_row(__u32 row)
{
	return bpf_map_lookup_elem(&cb_use_1, &row);
}

static __always_inline void count_use(__u32 row, __u32 side, int by)
{
	struct cb_use *use = use_row(row);

	if (use)
		__sync_fetch_and_add(side ? &use->flows[1] : &use->flows[0], by);
}

static __always_inline void count_flows(int by)
{
	struct cb_gauge *gauge = gauge_row();

	if (gauge)
		__sync_fetch_and_add(&gauge->flows, (__s64)by);
}

/* Rows to which an end of a flow with @flags is counted, that of @owner and that of @project; CB_MAX_USE: none. */
struct use_rows {
	__u32 owner;
	__u32 project;
};

static __always_inline struct use_rows use_rows_of(__u32 flags, __u32 side, __u32 owner, __u32 project)
{
	struct use_rows rows = {.owner = owner, .project = CB_USE_PROJECT + project};

	if (!owner || flags & (side ? CB_FLOW_F_RECEIVED_FREE : CB_FLOW_F_BEGUN_FREE))
		rows.owner = rows.project = CB_MAX_USE;
	else if (!side && flags & CB_FLOW_F_LET_IN) {
		rows.owner = CB_USE_LET_IN;
		rows.project = CB_MAX_USE;
	}
	return rows;
}

/* Counts flow @number, which is BUSY, for its owners; @by: 1 or -1. */
GLOBAL int count_owners(__u32 number, int by)
{
	struct cb_flow *flow = flow_row(number);
	struct use_rows rows;

	if (!flow)
		return 0;
	for (__u32 side = 0; side < 2; side++) {
		rows = use_rows_of(flow->flags, side, flow->owner[side], flow->project[side]);
		count_use(rows.owner, side, by);
		count_use(rows.project, side, by);
	}
	count_flows(by);
	return 0;
}

static __always_inline int holds_share(__u32 row, __u32 side, __u64 most)
{
	struct cb_use *use = use_row(row);

	return !use || (side ? use->flows[1] : use->flows[0]) >= (most > FLOW_FLOOR ? most : FLOW_FLOOR);
}

/*
 * Who answers for the flow of the packet in work, as the one who begins (@side 0) or receives it (1): a VIF here, 0: nobody. Of what only passes this host, from others to an
 * uplink or back, that is CB_USE_PASSING, for the end that is not outside.
 */
static __always_inline __u32 owner_of(const struct work *w, __u32 side)
{
	if (w->p.in_vif || w->way.out_vif)
		return side ? w->way.out_vif : w->p.in_vif;
	return side == !!(w->p.flags & PKT_OUTSIDE) ? CB_USE_PASSING : 0;
}

/* The project of owner_of(). */
static __always_inline __u32 owning_project(const struct work *w, __u32 side)
{
	struct cb_net *net;

	if (owner_of(w, side) != CB_USE_PASSING)
		return side ? w->to.project : w->sender.project;
	net = net_row(side ? w->way.out_net : w->p.key.net);
	return net ? net->project : 0;
}

/* The address of @vif of the version of IP of the packet in work. */
static __always_inline const struct cb_addr *first_address(const struct work *w, const struct cb_vif *vif)
{
	return w->p.family == CB_FAMILY_V6 ? &vif->addr6 : &vif->addr;
}

/* The VIF by which this host has let in the packet in work from outside, which others have sent; NULL: it came otherwise. */
static __always_inline struct cb_vif *entrance_of(const struct work *w)
{
	struct cb_vif *vif = vif_row(w->p.in_vif);

	if (!vif || !(vif->flags & CB_VIF_F_NODE) || same_address(first_address(w, vif), &w->p.key.src))
		return NULL;
	return vif;
}

static __always_inline int is_node(__u32 number)
{
	struct cb_vif *vif = number ? vif_row(number) : NULL;

	return vif && vif->flags & CB_VIF_F_NODE;
}

/*
 * The flags of the flow of the packet in work that say for which end nothing is counted. By the VIF of the host itself everybody's flows pass: what a guest sends outside is the guest's, what comes
 * to a guest from there too, or none could reach the host, nor the host a guest, once somebody has filled its share. What was let in from outside for who is elsewhere is nobody's here: that has
 * a share of its own.
 */
GLOBAL int free_ends(struct __sk_buff *ctx __attribute__((unused)))
{
	int from_node, to_node, flags = 0;
	struct work *w = work();

	if (!w)
		return 0;
	from_node = w->p.in_vif && w->sender.flags & CB_VIF_F_NODE;
	to_node = is_node(w->way.out_vif);
	if (from_node && w->way.out_vif && !to_node)
		flags = CB_FLOW_F_BEGUN_FREE;
	else if (from_node && entrance_of(w))
		flags = CB_FLOW_F_LET_IN;
	if (to_node && w->p.in_vif && (!from_node || flags))
		flags |= CB_FLOW_F_RECEIVED_FREE;
	return flags;
}

/*
 * Has one who answers for the flow of the packet in work its share of the table? A project may hold as many as are free, a VIF half of that; so a greedy one leaves room for others,
 * whoever they are, and nobody has to set a limit. What only passes is its project's alone.
 */
GLOBAL int share_is_full(struct __sk_buff *ctx)
{
	__u64 usable = cfg_flows - FLOW_RESERVE(cfg_flows), free;
	struct cb_gauge *gauge = gauge_row();
	__u32 owner, flags = free_ends(ctx);
	struct work *w = work();
	struct use_rows rows;

	if (!gauge || !w)
		return 0;
	free = gauge->flows < usable ? usable - gauge->flows : 0;
	for (__u32 side = 0; side < 2; side++) {
		owner = owner_of(w, side);
		rows = use_rows_of(flags, side, owner, owning_project(w, side));
		if ((rows.project < CB_MAX_USE && holds_share(rows.project, side, free)) ||
		    (rows.owner < CB_MAX_USE && owner != CB_USE_PASSING && holds_share(rows.owner, side, free / 2)))
			return 1;
	}
	return 0;
}

/* --- the end of a flow --- */

/* Makes the LIVE record BUSY. Returns whether it was this call that did: then the record is the caller's until set_life(). */
static __always_inline int take_busy(struct cb_flow *flow)
{
	__u64 life = flow->life;

	return (life & 3) == CB_LIFE_LIVE &&
	       __sync_val_compare_and_swap(&flow->life, life, (life & ~3ULL) | CB_LIFE_BUSY) == life;
}

/* Makes the LIVE record of flow @number BUSY and takes its tuples and counts out. Returns whether it was this call that did. */
static __noinline int take_apart(__u32 number)
{
	struct cb_flow *flow = flow_row(number);

	if (!flow || !take_busy(flow))
		return 0;
	flow->way[0].stamp = 0;
	flow->way[1].stamp = 0;
	flow->way[0].check = 0;
	flow->way[1].check = 0;
	bpf_map_delete_elem(&cb_tuple_1, &flow->tuple[0]);
	bpf_map_delete_elem(&cb_tuple_1, &flow->tuple[1]);
	count_owners(number, -1);
	if (flow->flags & CB_FLOW_F_TOLD || flow_told(flow))
		tell_flow(number, CB_TOLD_END);
	return 1;
}

static __always_inline void set_life(struct cb_flow *flow, enum cb_life life)
{
	__u64 busy = flow->life;

	barrier();
	__sync_val_compare_and_swap(&flow->life, busy, (busy & ~3ULL) | life);
}

/* Ends flow @number, unless somebody else does. Returns 1 if it was this call that did. */
GLOBAL int end_flow(__u32 number)
{
	struct cb_flow *flow = flow_row(number);

	if (cfg_trace || !flow || !take_apart(number))
		return 0;
	flow->at_ns = bpf_ktime_get_ns();
	set_life(flow, CB_LIFE_FREE);
	return 1;
}

/* --- the beginning of a flow --- */

/*
 * Takes a free record: it is BUSY then. Returns its number; 0: none was found. The next behind the last that this CPU took is near at hand; where that is taken
 * many are, so the search goes on anywhere.
 */
GLOBAL int take_record(__u64 now_ns)
{
	struct work *w = work();
	struct cb_flow *flow;
	__u64 life;

	if (!w)
		return 0;
	w->cursor++;
	for (int n = 0; n < FLOW_STEPS; n++) {
		if (!w->cursor || w->cursor >= cfg_flows)
			w->cursor = 1;
		flow = flow_row(w->cursor);
		if (!flow)
			return 0;
		life = flow->life;
		if ((life & 3) == CB_LIFE_FREE && (!life || flow->at_ns + FLOW_REST_NS <= now_ns) &&
		    __sync_val_compare_and_swap(&flow->life, life, ((life & ~3ULL) + 4) | CB_LIFE_BUSY) == life)
			return w->cursor;
		w->cursor = bpf_get_prandom_u32() % cfg_flows;
	}
	return 0;
}

/* The tuple of answers to the packet in work, or to what it becomes, which enter this host in network @net. */
static __always_inline void make_answer(struct work *w, __u16 net)
{
	const struct cb_tuple_key *to = w->p.flags & PKT_TRANSLATED ? &w->nat.to : &w->p.key;

	w->answer.src = to->dst;
	w->answer.dst = to->src;
	w->answer.sport_be = to->dport_be;
	w->answer.dport_be = to->sport_be;
	w->answer.net = net;
	w->answer.protocol = to->protocol;
	w->answer.pad = 0;
}

/* Is the packet's key before its answer's? Whichever direction is first makes the same order of it. */
static __always_inline int key_is_first(const struct work *w)
{
	const __u64 *key = (const __u64 *)&w->p.key, *answer = (const __u64 *)&w->answer;

	for (int n = 0; n < 5; n++)
		if (key[n] != answer[n])
			return key[n] < answer[n];
	return 1;
}

/* Are @a and @b alike? */
static __always_inline int same_tuple(const struct cb_tuple_key *a, const struct cb_tuple_key *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	for (int n = 0; n < 5; n++)
		if (x[n] != y[n])
			return 0;
	return 1;
}

/* From somebody to himself: no two directions could be told apart. */
static __always_inline int is_own_answer(const struct work *w)
{
	return same_tuple(&w->p.key, &w->answer);
}

static __always_inline int put_tuple(const struct cb_tuple_key *key, __u32 flow, __u32 direction)
{
	struct cb_tuple tuple = {.flow = flow, .direction = direction};

	return bpf_map_update_elem(&cb_tuple_1, key, &tuple, BPF_NOEXIST);
}

/*
 * Puts in both tuples of the record @flow, always in the same order, so that two CPUs that make the two directions at once meet at the first.
 * Returns 0, or a negative errno: then neither is in.
 */
GLOBAL int put_tuples(struct __sk_buff *ctx __attribute__((unused)), __u32 flow)
{
	struct work *w = work();
	int err;

	if (!w)
		return -1;
	if (key_is_first(w)) {
		err = put_tuple(&w->p.key, flow, 0);
		if (err)
			return err;
		err = put_tuple(&w->answer, flow, 1);
		if (err)
			bpf_map_delete_elem(&cb_tuple_1, &w->p.key);
		return err;
	}
	err = put_tuple(&w->answer, flow, 1);
	if (err)
		return err;
	err = put_tuple(&w->p.key, flow, 0);
	if (err)
		bpf_map_delete_elem(&cb_tuple_1, &w->answer);
	return err;
}

/* The state of a flow whose first packet seen is @p. */
static __always_inline __u8 first_state(const struct pkt *p)
{
	return p->key.protocol == IPPROTO_TCP && !(p->flags & PKT_OPENING) ? CB_FLOW_PICKED_UP : CB_FLOW_NEW;
}

/* Writes the decision under construction into @way: at the end, in one store, what makes it hold. */
static __always_inline void put_way(const struct work *w, struct cb_way *way)
{
	const struct cb_way *from = &w->way;
	__u64 word;

	way->stamp = 0;
	barrier();
	way->out_net = from->out_net;
	way->tunnel = from->tunnel;
	way->mtu_bytes = from->mtu_bytes;
	way->deliver = from->deliver;
	way->flags = (way->flags & CB_WAY_F_FIN) | from->flags;
	__builtin_memcpy(way->in_smac, w->p.smac, 6);
	__builtin_memcpy(way->in_dmac, w->p.dmac, 6);
	__builtin_memcpy(way->out_dmac, from->out_dmac, 6);
	__builtin_memcpy(way->out_smac, from->out_smac, 6);
	barrier();
	/* What was read under an odd epoch is not remembered; nor that a MAC is nobody's. */
	word = (__u64)w->p.in_vif << 32 | (__u64)from->out_vif << 48;
	if (!w->unsettled && from->deliver)
		word |= w->stamp;
	*(volatile __u64 *)way = word;
}

/* Fills the record @flow, which is BUSY, with the flow whose first packet is in work. */
static __always_inline void fill_record(struct __sk_buff *ctx, struct work *w, struct cb_flow *flow)
{
	__u8 state = first_state(&w->p);
	__u64 timeout = flow_timeout_ns(w->p.key.protocol, state);

	__builtin_memset(flow, 0, offsetof(struct cb_flow, life));
	flow->tuple[0] = w->p.key;
	flow->tuple[1] = w->answer;
	flow->at_ns = w->p.now_ns;
	flow->owner[0] = owner_of(w, 0);
	flow->owner[1] = owner_of(w, 1);
	flow->project[0] = owning_project(w, 0);
	flow->project[1] = owning_project(w, 1);
	flow->member = w->member;
	flow->served = w->served;
	flow->held = 0;
	flow->flags = free_ends(ctx);
	flow->rule = w->rule;
	set_state(&flow->way[0], state, w->p.now_ns, timeout);
	set_state(&flow->way[1], state, w->p.now_ns, timeout);
	flow->way[0].check = w->p.check;
	flow->way[1].check = tuple_check(&w->answer);
	/* Answers come from where it goes. */
	flow->way[1].in_vif = w->way.out_vif;
	flow->way[1].out_vif = w->p.in_vif;
	put_way(w, &flow->way[0]);
}

/* Network in which answers to the packet in work enter this host. */
static __always_inline __u16 answer_net(const struct work *w)
{
	/* Who is here answers in his own network, whatever way others have. */
	if (w->p.flags & PKT_TRANSLATED && w->nat.answer_net && !w->way.out_vif)
		return w->nat.answer_net;
	return w->way.out_vif || w->way.deliver == CB_DELIVER_UPLINK ? w->way.out_net : w->p.key.net;
}

/* The flow that the answers' tuple leads to, 0: none, and in @direction which of its directions that is. */
static __always_inline __u32 flow_of_answer(struct work *w, __u32 *direction)
{
	struct cb_tuple *tuple = bpf_map_lookup_elem(&cb_tuple_1, &w->answer);
	__u64 word;

	if (!tuple)
		return 0;
	word = *(volatile __u64 *)tuple;
	*direction = (word >> 32) & 1;
	return word;
}

/* Are @a and @b alike but for the network? */
static __always_inline int differ_by_net(const struct cb_tuple_key *a, const struct cb_tuple_key *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3] && a->sport_be == b->sport_be &&
	       a->dport_be == b->dport_be && a->protocol == b->protocol && a->net != b->net;
}

/*
 * The packet in work, resolved, leads to no flow by its own tuple. It may be the answer of one whose other end has moved to or from this host since:
 * then answers enter in another network than was foreseen. The flow's tuple is made anew, and `flow` and `direction` set. Returns whether
 * it was so.
 */
GLOBAL int find_moved(struct __sk_buff *ctx __attribute__((unused)))
{
	struct work *w = work();
	struct cb_flow *flow;
	struct cb_way *way;
	__u32 number, direction = 0;
	__u64 life;

	if (!w)
		return 0;
	make_answer(w, answer_net(w));
	number = flow_of_answer(w, &direction);
	flow = flow_row(number);
	if (!number || !flow)
		return 0;
	/* Of the packet. */
	direction ^= 1;
	way = way_of(flow, direction);
	/* Nobody has collected it yet: it must not be in the way of a new one. */
	if (way_expired(way, w->p.now_ns)) {
		end_flow(number);
		return 0;
	}
	if (cfg_trace) {
		w->flow = number;
		w->direction = direction;
		return differ_by_net(direction ? &flow->tuple[1] : &flow->tuple[0], &w->p.key);
	}
	life = flow->life;
	if (!differ_by_net(direction ? &flow->tuple[1] : &flow->tuple[0], &w->p.key) || (life & 3) != CB_LIFE_LIVE ||
	    __sync_val_compare_and_swap(&flow->life, life, (life & ~3ULL) | CB_LIFE_BUSY) != life)
		return 0;
	if (put_tuple(&w->p.key, number, direction)) {
		set_life(flow, CB_LIFE_LIVE);
		return 0;
	}
	way->stamp = 0;
	if (direction) {
		bpf_map_delete_elem(&cb_tuple_1, &flow->tuple[1]);
		flow->tuple[1] = w->p.key;
	} else {
		bpf_map_delete_elem(&cb_tuple_1, &flow->tuple[0]);
		flow->tuple[0] = w->p.key;
	}
	way->in_vif = w->p.in_vif;
	way->check = w->p.check;
	set_life(flow, CB_LIFE_LIVE);
	w->flow = number;
	w->direction = direction;
	return 1;
}

/*
 * Is the flow over whose @direction has the answers' tuple of the new one in work? Its time is, and nobody has collected it; or it has left with a floating
 * IP that is the sender's now.
 */
static __always_inline int is_stale(const struct work *w, const struct cb_flow *flow, __u32 direction)
{
	const struct cb_tuple_key *key = direction ? &flow->tuple[0] : &flow->tuple[1];

	if (way_expired(&flow->way[0], w->p.now_ns))
		return 1;
	if (!w->nat.floats || w->nat.leased)
		return 0;
	return key->net != w->p.key.net || !same_address(&key->src, &w->p.key.src);
}

/*
 * Somebody's tuple is where one of the new flow has to be. An opening packet, which its own rules allow, ends that flow; any other follows it:
 * another CPU has just made it. What is left over gives way to all. Returns 1: try again; 0: `flow` and `direction` are set, or there is none.
 */
static __noinline int make_way(struct work *w)
{
	__u32 direction = 0, other;
	struct cb_flow *flow;

	find_flow(w);
	other = flow_of_answer(w, &direction);
	flow = flow_row(other);
	if (!(w->p.flags & PKT_OPENING) && (w->flow || !other || !flow || !is_stale(w, flow, direction)))
		return 0;
	if (other)
		end_flow(other);
	if (w->flow)
		end_flow(w->flow);
	w->flow = 0;
	w->direction = 0;
	return 1;
}

/*
 * The record for a new flow, BUSY, in @number. Of a flow that the packet opens anew it is the same: else who opens and closes in turn would have a great
 * many records rest, which are counted to nobody. Returns 0, or a reason to drop.
 */
static __noinline int take_for_flow(struct __sk_buff *ctx, struct work *w, __u32 *number)
{
	struct cb_flow *flow = flow_row(w->replaced);

	*number = w->replaced;
	if (w->replaced && flow && take_apart(w->replaced)) {
		__sync_fetch_and_add(&flow->life, 4);
		return CB_REASON_NONE;
	}
	if (share_is_full(ctx))
		return CB_REASON_FLOW_SHARE;
	*number = take_record(w->p.now_ns);
	return *number ? CB_REASON_NONE : CB_REASON_FLOW_TABLE;
}

#endif /* CABLE_FLOW_H */
