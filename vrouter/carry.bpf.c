// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * carry.bpf.c: flows on their way to and from other hosts. The agent loads it over the pinned maps of the running programs, and runs it when a port moves. Nothing of it is in the
 * way of packets, and no packet waits for it: a record is taken, put in and ended as the vrouter does it.
 *
 * What a flow is goes over: tuples, state, time, counts, where TCP is, the member. No verdict and no way does: the first packet of each direction is decided by the rules and
 * routes of this host.
 */
#include "lib/adopt.h"
#include "lib/balance.h"
#include "lib/leave.h"

/* Rows of flows: `take_out` fills them, `put_in` reads them. */
CB_ARRAY(cb_carry_1, CB_CARRY_ROWS, 0, struct cb_carry);

/* By VIF: what of its flows the agent wants to know. */
CB_ARRAY(carry_follow, CB_MAX_VIF, BPF_F_RDONLY_PROG, __u32);

#define FOLLOW_CHANGES 1 /* those that are not as they were when they were last taken out */
#define FOLLOW_ALL 2
#define FOLLOW_LEAVES 4 /* of a router: its gateway leaves this host */
#define FOLLOW_OWN 8 /* with this address VIFs leave by this host whichever has the gateway: see is_own() */

/*
 * Addresses that routers have outside: what has one of them at its end outside is the router's, where this host is its gateway. The routers' numbers are the agent's.
 */
struct address_key {
	struct cb_addr addr;
	__u16 net; /* external */
	__u16 pad;
};

struct address {
	__u32 router;
	__u32 follow; /* FOLLOW_* */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct address_key);
	__type(value, struct address);
} carry_address SEC(".maps");

/* By flow number: what it was when it was last taken out. */
CB_ARRAY(carry_seen, CB_MAX_FLOW, 0, __u32);

struct take {
	__u64 since_ns; /* of flows whose turn it is, those that had a packet since */
	__u32 turn; /* 0 to CB_CARRY_TURNS - 1 */
	__u32 first; /* flow to begin with */
	__u32 count; /* rows filled */
	__u32 next; /* flow to go on with; 0: all were looked at */
	__u32 routers; /* ROUTERS_*: 0: none is followed */
	__u32 which; /* WHICH_*; 0: all in one walk */
};

/* Of two walks, the first and the second: who begins to follow is told first of what was answered, however many flows there are that nobody answers. */
#define WHICH_ANSWERED 1
#define WHICH_OTHERS 2 /* and what was answered meanwhile */

#define ROUTERS_CHANGES 1
#define ROUTERS_ANEW 2 /* some that were not before, or have other addresses: whose a flow is is asked anew */

/* The run that is on. verifier: numbers in a map are any numbers; what it sees counted on the stack it follows, one run of the callback after the other. */
struct taking {
	struct take take;
	__u64 now;
	__u32 router; /* of the flow that is looked at */
	__u32 pad;
};

CB_ARRAY(carry_taking, 1, 0, struct taking);

static __always_inline struct taking *taking_row(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&carry_taking, &zero);
}

static __always_inline __u32 followed(__u32 vif)
{
	__u32 *follow = vif ? bpf_map_lookup_elem(&carry_follow, &vif) : NULL;

	return follow ? *follow : 0;
}

/* What a taken flow is known by: a later one of the same record, or another state, is another. */
static __always_inline __u32 sight_of(__u64 life, __u32 state)
{
	return (__u32)(life >> 2) << 3 | (state & 7);
}

/* In the place of a state: it is no router's that is followed, and nobody else's. */
#define SIGHT_OF_NOBODY 7
_Static_assert(CB_FLOW_PICKED_UP < SIGHT_OF_NOBODY, "states and SIGHT_OF_NOBODY");

/* Connections of routers that are over sooner are not worth telling. */
#define YOUNG_NS (300 * MILLISECOND)

/* An established TCP connection has days: that it has them still is told about every two hours. Units of 34 s, longer than it takes until each has had its turn. */
#define LONG_SHIFT 35
#define LONG_TURNS 256

/*
 * Has @flow, which has the address outside of @address, a port of a block with which its VIF leaves by this host whichever has the gateway (docs/design/snat.md)? It is the gateway's
 * nowhere: it is not told, does not give way to what is told, and is not turned.
 */
static __always_inline int is_own(const struct cb_flow *flow, const struct address *address)
{
	return address->follow & FOLLOW_OWN && flow->owner[0] && flow->owner[0] != CB_USE_PASSING &&
	       flow->way[0].flags & CB_WAY_F_BLOCK;
}

/* The router by whose gateway @flow passes, as the address outside says which it has; NULL: by none's. */
static __always_inline struct address *address_of(const struct cb_flow *flow)
{
	struct address_key key = {.addr = flow->tuple[1].dst, .net = flow->tuple[1].net};
	struct address *address;

	if (flow->member)
		return NULL;
	address = bpf_map_lookup_elem(&carry_address, &key);
	if (address)
		return is_own(flow, address) ? NULL : address;
	key.addr = flow->tuple[0].dst;
	key.net = flow->tuple[0].net;
	return bpf_map_lookup_elem(&carry_address, &key);
}

/* Is it the turn of @flow, which is as it was? Time that is raised is told now and then: it is far from over. Of one that has some seconds only (set_state()) it need not be: they are over before its next turn. */
static __always_inline int has_turn(const struct taking *taking, const struct cb_flow *flow, __u32 number)
{
	return number % CB_CARRY_TURNS == taking->take.turn &&
	       (__s64)(flow->way[0].refresh_ns - FLOW_REFRESH_NS - taking->take.since_ns) > 0;
}

static __always_inline int has_long_turn(const struct taking *taking, const struct cb_flow *flow, __u32 number)
{
	if (flow->tuple[0].protocol == IPPROTO_TCP && flow->way[0].state == CB_FLOW_ESTABLISHED &&
	    number / CB_CARRY_TURNS % LONG_TURNS != (__u32)(taking->now >> LONG_SHIFT) % LONG_TURNS)
		return 0;
	return has_turn(taking, flow, number);
}

/* Is a flow of a router told only when it is older, or when it has been answered? */
static __always_inline int is_early(const struct taking *taking, const struct cb_flow *flow)
{
	return taking->now - flow->at_ns < YOUNG_NS ||
	       (flow->tuple[0].protocol == IPPROTO_TCP && flow->way[0].state == CB_FLOW_NEW);
}

/* Whose flow is wanted, or has been told? Notes the router in the run's state. */
static __always_inline struct address *router_of(struct taking *taking, const struct cb_flow *flow)
{
	struct address *address = address_of(flow);

	taking->router = address && address->follow & (FOLLOW_CHANGES | FOLLOW_ALL) ? address->router : 0;
	return taking->router ? address : NULL;
}

/* The same of a flow of routers, and of nobody else. */
static __always_inline int router_wants(struct taking *taking, const struct cb_flow *flow, __u32 number, __u64 life,
					__u32 *seen)
{
	__u32 sight = sight_of(life, flow->way[0].state), known = *seen;
	struct address *address;

	if (known == sight_of(life, SIGHT_OF_NOBODY) && !(taking->take.routers & ROUTERS_ANEW))
		return 0;
	if (known == sight && !(taking->take.routers & ROUTERS_ANEW) && !has_long_turn(taking, flow, number))
		return 0;
	if (known >> 3 != sight >> 3 && is_early(taking, flow))
		return 0;
	address = router_of(taking, flow);
	if (!address) {
		*seen = sight_of(life, SIGHT_OF_NOBODY);
		return 0;
	}
	if (address->follow & FOLLOW_ALL || known == sight)
		return address->follow & FOLLOW_ALL || has_long_turn(taking, flow, number);
	/* It began and ended between two looks: nobody has to know. */
	return known >> 3 == sight >> 3 || flow->way[0].state != CB_FLOW_CLOSED;
}

/* Is it to be taken out? */
static __always_inline int is_wanted(struct taking *taking, const struct cb_flow *flow, __u32 number, __u64 life,
				     __u32 *seen)
{
	__u32 follow = followed(flow->owner[0]) | followed(flow->owner[1]);

	taking->router = 0;
	if ((!follow && !taking->take.routers) || way_expired(&flow->way[0], taking->now))
		return 0;
	if (!follow)
		return router_wants(taking, flow, number, life, seen);
	if (taking->take.routers) {
		struct address *address = router_of(taking, flow);

		follow |= address ? address->follow : 0;
	}
	return *seen != sight_of(life, flow->way[0].state) || follow & FOLLOW_ALL || has_turn(taking, flow, number);
}

/* Was a flow of a router told that is over now, and not that it is? Its record has rested since, and what it was is in it still. */
static __always_inline int is_over(struct taking *taking, const struct cb_flow *flow, __u64 life, const __u32 *seen)
{
	if (!taking->take.routers || !*seen || *seen >> 3 != sight_of(life, 0) >> 3 || (*seen & 7) == SIGHT_OF_NOBODY ||
	    (*seen & 7) == CB_FLOW_CLOSED)
		return 0;
	return router_of(taking, flow) != NULL;
}

static __always_inline void fill_row(struct cb_carry *row, const struct cb_flow *flow, __u32 number,
				     const struct taking *taking, __u32 state)
{
	__builtin_memset(row, 0, sizeof(*row));
	row->left_ns = way_expired(&flow->way[0], taking->now) ? 0 : flow->way[0].expires_ns - taking->now;
	row->age_ns = taking->now - flow->at_ns;
	row->flow = number;
	row->member = flow->member;
	row->state = state;
	row->router = taking->router;
	for (__u32 side = 0; side < 2; side++) {
		row->tuple[side] = flow->tuple[side];
		row->tally[side] = flow->tally[side];
		row->vif[side] = flow->owner[side];
		row->out_net[side] = flow->way[side].out_net;
		row->fin[side] = !!(flow->way[side].flags & CB_WAY_F_FIN);
	}
}

/* Is the flow one of this walk? */
static __always_inline int is_of_walk(const struct taking *taking, const struct cb_flow *flow, __u64 life, __u32 seen)
{
	__u32 which = taking->take.which, state = flow->way[0].state;
	int is_answered = (life & 3) == CB_LIFE_LIVE && state != CB_FLOW_NEW && state != CB_FLOW_PICKED_UP;

	if (which == WHICH_ANSWERED)
		return is_answered;
	return which != WHICH_OTHERS || !is_answered || seen != sight_of(life, state);
}

/* Called for each flow. Returns 1 to stop. */
static long take_one(__u32 index, void *data __attribute__((unused)))
{
	struct taking *taking = taking_row();
	__u32 number, row_number, state, *seen;
	struct cb_carry *row;
	struct cb_flow *flow;
	__u64 life;

	if (!taking)
		return 1;
	number = taking->take.first + index;
	row_number = taking->take.count;
	flow = flow_row(number);
	seen = bpf_map_lookup_elem(&carry_seen, &number);
	if (!flow || !seen)
		return 1;
	life = *(volatile __u64 *)&flow->life;
	if (!is_of_walk(taking, flow, life, *seen))
		return 0;
	if ((life & 3) == CB_LIFE_LIVE)
		state = is_wanted(taking, flow, number, life, seen) ? flow->way[0].state : SIGHT_OF_NOBODY;
	else
		state = !(life & 3) && is_over(taking, flow, life, seen) ? CB_FLOW_CLOSED : SIGHT_OF_NOBODY;
	if (state == SIGHT_OF_NOBODY)
		return 0;
	row = bpf_map_lookup_elem(&cb_carry_1, &row_number);
	if (!row) {
		taking->take.next = number;
		return 1;
	}
	fill_row(row, flow, number, taking, state);
	/* It was another's meanwhile, or is being taken apart: that is seen the next time. */
	if (*(volatile __u64 *)&flow->life != life)
		return 0;
	*seen = sight_of(life, state);
	taking->take.count++;
	return 0;
}

/* Takes out flows of VIFs and routers that are followed, as many as there are rows. Returns 0. */
SEC("syscall")
int take_out(struct take *ctx)
{
	struct taking *taking = taking_row();

	if (!taking)
		return -1;
	taking->take = *ctx;
	taking->take.count = 0;
	taking->take.next = 0;
	taking->now = bpf_ktime_get_ns();
	bpf_loop(cfg_flows, take_one, NULL, 0);
	ctx->count = taking->take.count;
	ctx->next = taking->take.next;
	return 0;
}

struct put {
	__u32 count; /* rows to be put in */
	__u32 session; /* 16 bits */
	__u32 made;
	__u32 renewed; /* were handed over before, and no packet has passed here since */
	__u32 present; /* are known here by packets: those know better */
	__u32 refused; /* over; not of the VIF; of a member that is none here; or there is no room */
};

enum put_result { PUT_MADE, PUT_RENEWED, PUT_PRESENT, PUT_REFUSED };

/* The run that is on, as with `taking`, and the flow under construction: too much for the stack. */
struct putting {
	struct put put;
	__u64 now;
	struct adopted flow;
};

CB_ARRAY(carry_putting, 1, 0, struct putting);

static __always_inline struct putting *putting_row(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&carry_putting, &zero);
}

static __always_inline __u32 carried_flags(__u32 session)
{
	return CB_FLOW_F_CARRIED | session << CB_CARRY_SESSION_SHIFT;
}

/* Is it as it was handed over? Then no packet has passed by it here. */
static __always_inline int is_untouched(const struct cb_flow *flow)
{
	return flow->flags & CB_FLOW_F_CARRIED && !flow->way[0].stamp && !flow->way[1].stamp;
}

/* The VIF of this host that has @addr in network @net; 0: none. */
static __always_inline __u32 vif_at(__u16 net, const struct cb_addr *addr)
{
	struct cb_endpoint *ep = net ? lookup_endpoint(net, addr) : NULL;

	return ep && ep->kind == CB_ENDPOINT_VIF ? ep->vif : 0;
}

/*
 * The answers of the member of @row: where they enter, as for a flow that begins here. Returns 0; -1: there is no such member, or it is another than the flow says.
 */
static __always_inline int place_member(struct adopted *flow)
{
	struct cb_member *member = lookup_member(flow->member);
	struct cb_tuple_key *answer = &flow->tuple[1];

	if (!member || !same_address(&member->addr, &answer->src) || member->port_be != answer->sport_be)
		return -1;
	flow->vif[1] = vif_at(member->net, &member->addr);
	if (flow->vif[1])
		answer->net = member->net;
	return 0;
}

/*
 * The other end sees the port of @own by a floating IP, to which @other goes. Whether that is the port's, its packets ask. Returns 0; -1: it is not what
 * a floating IP makes of it.
 */
static __always_inline int place_outside(const struct cb_tuple_key *own, struct cb_tuple_key *other, __u16 net)
{
	struct cb_net *row = net_row(net);

	if (!row || !(row->flags & CB_NET_F_EXTERNAL) || !same_address(&other->src, &own->dst) ||
	    other->sport_be != own->dport_be || other->dport_be != own->sport_be)
		return -1;
	other->net = net;
	return 0;
}

/*
 * What of @row is known by the packet's end that the VIF is: the networks, and who is at the other end. So a record says nothing of anybody but the VIF for which it is
 * handed over. That the VIF may have the address is the agent's to look at: programs of this kind may not use an LPM trie. Returns 0; -1: there is no such VIF.
 */
static __always_inline int place_flow(struct adopted *flow, const struct cb_carry *row)
{
	__u32 side = row->vif[0] ? 0 : 1, vif = side ? row->vif[1] : row->vif[0];
	const struct cb_tuple_key *own = side ? &flow->tuple[1] : &flow->tuple[0];
	struct cb_tuple_key *other = side ? &flow->tuple[0] : &flow->tuple[1];
	__u32 other_vif;
	struct cb_vif *owner = vif ? vif_row(vif) : NULL;

	if (!owner || !owner->net)
		return -1;
	flow->tuple[0].net = owner->net;
	flow->tuple[1].net = owner->net;
	flow->vif[0] = row->vif[0];
	flow->vif[1] = row->vif[1];
	if (side)
		flow->out_net[1] = row->other_net;
	else
		flow->out_net[0] = row->other_net;
	if (flow->member)
		return side ? -1 : place_member(flow);
	if (row->outside_net)
		return place_outside(own, other, row->outside_net);
	/* Of others it is the reverse: there is no other translation here. */
	other->src = own->dst;
	other->dst = own->src;
	other->sport_be = own->dport_be;
	other->dport_be = own->sport_be;
	other->protocol = own->protocol;
	other_vif = vif_at(owner->net, &own->dst);
	if (side && !flow->vif[0])
		flow->vif[0] = other_vif;
	if (!side && !flow->vif[1])
		flow->vif[1] = other_vif;
	return 0;
}

/* The flow that @key leads to; 0: none. */
static __always_inline __u32 flow_at(const struct cb_tuple_key *key, __u32 *direction)
{
	struct cb_tuple *tuple = bpf_map_lookup_elem(&cb_tuple_1, key);
	__u64 word;

	if (!tuple)
		return 0;
	word = *(volatile __u64 *)tuple;
	*direction = (word >> 32) & 1;
	return word;
}

/* Records that are free for shares (share_is_full()). */
static __always_inline __u64 free_records(void)
{
	__u64 usable = cfg_flows - FLOW_RESERVE(cfg_flows);
	struct cb_gauge *gauge = gauge_row();

	return gauge && gauge->flows < usable ? usable - gauge->flows : 0;
}

/* Have VIF @vif (0: what passes has none) and the project room for one flow more on @side? */
static __always_inline int has_room(__u32 vif, __u16 project, __u32 side, __u64 free)
{
	return !holds_share(CB_USE_PROJECT + project, side, free) && (!vif || !holds_share(vif, side, free / 2));
}

/*
 * The port's end of @flow is in the table, as that of somebody else's flow: of a guest of this host, with which the port has it, or of another port that comes here. From now on it is the
 * port's as well, if its share has room, and so goes on with it when it leaves again. Returns whether it is in the table.
 */
static __noinline int join_flow(const struct adopted *flow, __u32 side)
{
	const struct cb_tuple_key *own = side ? &flow->tuple[1] : &flow->tuple[0];
	__u32 vif = side ? flow->vif[1] : flow->vif[0], direction = 0, number = flow_at(own, &direction);
	__u32 *seen = bpf_map_lookup_elem(&carry_seen, &number);
	struct cb_flow *known = flow_row(number);
	__u16 session = side ? flow->session[1] : flow->session[0], project = project_of(vif);
	struct cb_tuple_key *tuple;

	if (!number || !known)
		return 0;
	direction &= 1;
	tuple = direction ? &known->tuple[1] : &known->tuple[0];
	if (known->owner[direction] != vif &&
	    (known->owner[direction] || !has_room(vif, project, direction, free_records())))
		return 1;
	if (!take_busy(known))
		return 1;
	/* It may be another's record by now. */
	if (same_tuple(tuple, own)) {
		if (!known->owner[direction]) {
			known->owner[direction] = vif;
			known->project[direction] = project;
			count_use(vif, direction, 1);
			count_use(CB_USE_PROJECT + project, direction, 1);
			if (seen)
				*seen = 0;
		}
		known->session[direction] = session;
	}
	set_life(known, CB_LIFE_LIVE);
	return 1;
}

/* The same where the guest of this host is in another network, @net: there its packets and those of the port, while that is elsewhere, enter. */
static __noinline int join_in(struct adopted *flow, __u32 side, __u16 net)
{
	__u16 own = flow->tuple[0].net;
	int known;

	if (!net || net == own || flow->tuple[1].net != own || flow->member)
		return 0;
	flow->tuple[0].net = net;
	flow->tuple[1].net = net;
	known = join_flow(flow, side);
	flow->tuple[0].net = own;
	flow->tuple[1].net = own;
	return known;
}

/*
 * Makes flow @number, which was handed over before, what it is now; @also: also if a packet has passed by it here. Returns whether it is.
 */
static __noinline int renew_flow(__u32 number, const struct adopted *from, __u32 also)
{
	struct cb_flow *flow = flow_row(number);
	int renews;

	if (!flow || !(also || is_untouched(flow)) || !take_busy(flow))
		return 0;
	renews = also || is_untouched(flow);
	if (renews) {
		flow->flags = from->flags;
		for (__u32 side = 0; side < 2; side++) {
			flow->tally[side] = from->tally[side];
			flow->way[side].stamp = 0;
			flow->way[side].state = from->state;
			flow->way[side].expires_ns = from->expires_ns;
			flow->way[side].flags = from->fin[side] ? CB_WAY_F_FIN : 0;
		}
	}
	set_life(flow, CB_LIFE_LIVE);
	return renews;
}

/* Ends flow @number if it is one that was handed over and no packet has passed by. Returns whether nothing of it is left. */
static __always_inline int end_untouched(__u32 number)
{
	struct cb_flow *flow = number ? flow_row(number) : NULL;

	return !number || !flow || (is_untouched(flow) && end_flow(number));
}

/* Have the VIFs at the flow's ends room for it in their shares, and in those of their projects? */
static __always_inline int has_share(const struct adopted *flow)
{
	__u64 free = free_records();

	for (__u32 side = 0; side < 2; side++)
		if (adopted_owner(flow, side) && !has_room(flow->vif[side], adopted_project(flow, side), side, free))
			return 0;
	return 1;
}

static __noinline enum put_result put_flow(struct adopted *flow, const struct cb_carry *row, __u64 now)
{
	__u32 direction[2] = {}, there, back, side = row->vif[0] ? 0 : 1;
	int made;

	if (place_flow(flow, row) || (__s64)(now - flow->expires_ns) > 0)
		return PUT_REFUSED;
	there = flow_at(&flow->tuple[0], &direction[0]);
	back = flow_at(&flow->tuple[1], &direction[1]);
	if (there && there == back && !direction[0]) {
		join_flow(flow, side);
		return renew_flow(there, flow, 0) ? PUT_RENEWED : PUT_PRESENT;
	}
	if (join_in(flow, side, row->other_net))
		return PUT_PRESENT;
	if (!end_untouched(there) || !end_untouched(back)) {
		join_flow(flow, side);
		return PUT_PRESENT;
	}
	if (!has_share(flow))
		return PUT_REFUSED;
	made = adopt_flow(flow, now);
	return made > 0 ? PUT_MADE : made ? PUT_REFUSED : PUT_PRESENT;
}

/* What @row says of a flow, wherever it is to be put in. */
static __always_inline void read_row(struct adopted *flow, const struct cb_carry *row, __u32 session, __u64 now)
{
	__u64 timeout = flow_timeout_ns(row->tuple[0].protocol, row->state);

	__builtin_memset(flow, 0, sizeof(*flow));
	flow->tuple[0] = row->tuple[0];
	flow->tuple[1] = row->tuple[1];
	flow->tally[0] = row->tally[0];
	flow->tally[1] = row->tally[1];
	flow->expires_ns = now + (row->left_ns < timeout ? row->left_ns : timeout);
	flow->member = row->member;
	flow->flags = carried_flags(session);
	flow->session[0] = row->vif[0] ? session : 0;
	flow->session[1] = row->vif[0] ? 0 : session;
	flow->state = row->state;
	flow->fin[0] = row->fin[0];
	flow->fin[1] = row->fin[1];
}

/* Called for each row. */
static long put_one(__u32 index, void *data __attribute__((unused)))
{
	struct cb_carry *row = bpf_map_lookup_elem(&cb_carry_1, &index);
	struct putting *putting = putting_row();
	struct adopted *flow;

	if (!row || !putting)
		return 1;
	flow = &putting->flow;
	read_row(flow, row, putting->put.session, putting->now);
	switch (put_flow(flow, row, putting->now)) {
	case PUT_MADE:
		putting->put.made++;
		return 0;
	case PUT_RENEWED:
		putting->put.renewed++;
		return 0;
	case PUT_PRESENT:
		putting->put.present++;
		return 0;
	default:
		putting->put.refused++;
		return 0;
	}
}

/* Puts in the flows of the first rows. Returns 0. */
SEC("syscall")
int put_in(struct put *ctx)
{
	struct putting *putting = putting_row();

	if (!putting)
		return -1;
	__builtin_memset(&putting->put, 0, sizeof(putting->put));
	putting->put.session = ctx->session & 0xffff;
	putting->now = bpf_ktime_get_ns();
	bpf_loop(ctx->count < CB_CARRY_ROWS ? ctx->count : CB_CARRY_ROWS, put_one, NULL, 0);
	ctx->made = putting->put.made;
	ctx->renewed = putting->put.renewed;
	ctx->present = putting->put.present;
	ctx->refused = putting->put.refused;
	return 0;
}

struct sweep {
	__u32 vif;
	__u32 session; /* 16 bits */
	__u32 ended;
};

static long sweep_one(__u32 number, struct sweep *sweep)
{
	struct cb_flow *flow = flow_row(number);
	__u32 side;

	if (!flow)
		return 1;
	if ((flow->life & 3) != CB_LIFE_LIVE || !is_untouched(flow) ||
	    (flow->owner[0] != sweep->vif && flow->owner[1] != sweep->vif))
		return 0;
	side = flow->owner[0] == sweep->vif ? 0 : 1;
	if ((side ? flow->session[1] : flow->session[0]) == sweep->session)
		return 0;
	/* Another port that comes here was told it, too. */
	if (side ? flow->owner[0] && flow->session[0] : flow->owner[1] && flow->session[1])
		leave_flow(number, sweep->vif);
	else
		sweep->ended += end_flow(number);
	return 0;
}

/*
 * All flows of the VIF were handed over by the session: ends those that earlier ones handed over and this one did not, and by which no packet has passed here; those that another port
 * was told of are that one's alone. Returns 0.
 */
SEC("syscall")
int sweep_flows(struct sweep *ctx)
{
	struct sweep sweep = {.vif = ctx->vif, .session = ctx->session & 0xffff};

	bpf_loop(cfg_flows, sweep_one, &sweep, 0);
	ctx->ended = sweep.ended;
	return 0;
}

#include "carry_router.h"

char _license[] SEC("license") = "Dual BSD/GPL";
