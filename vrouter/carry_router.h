/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * carry_router.h: flows that a router's gateway translates, told to hosts that stand by (docs/design/gateway-flows.md). A part of carry.bpf.c.
 *
 * Such a flow has an end inside, at an address behind the router, and an end outside, which sees it by an address of the router's. Its tuple of what comes from outside is in the external
 * network on every host. Its tuple of what comes from inside is in the transit network; where the end inside is a VIF of the gateway's own host, in that one's network. A host that stands by
 * and has the VIF knows the connection already, as it is without the router's address: there nothing is put in, but the record that there is is turned when that host becomes the gateway's.
 */
#ifndef CABLE_CARRY_ROUTER_H
#define CABLE_CARRY_ROUTER_H

struct pass {
	__u32 count; /* rows to be put in */
	__u32 session; /* 16 bits */
	__u32 stands_by; /* 1: another host is the gateway, and what is here of its flows is old; 0: this one is, and what packets have passed by is newer */
	__u32 made;
	__u32 renewed;
	__u32 present;
	__u32 refused;
	__u32 ended;
	__u32 here; /* CB_CARRY_HERE */
	__u32 unready; /* of networks that are not programmed yet */
};

enum pass_result { PASS_MADE, PASS_RENEWED, PASS_PRESENT, PASS_REFUSED, PASS_ENDED, PASS_HERE, PASS_UNREADY };

struct passing {
	struct pass pass;
	__u64 now;
	struct adopted flow;
};

CB_ARRAY(carry_passing, 1, 0, struct passing);

static __always_inline struct passing *passing_row(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&carry_passing, &zero);
}

/* The side of @row whose packets come from inside. */
static __always_inline __u32 inner_side(const struct cb_carry *row)
{
	return row->vif[0] ? 0 : 1;
}

/* Are @inner and @outer what the two directions of one translated flow look like? */
static __always_inline int is_translated_pair(const struct cb_tuple_key *inner, const struct cb_tuple_key *outer)
{
	return same_address(&outer->src, &inner->dst) && outer->protocol == inner->protocol;
}

/* Can flow @number go, for one that the gateway has told? */
static __always_inline int gives_way(const struct passing *passing, __u32 number)
{
	if (!number)
		return 1;
	if (passing->pass.stands_by)
		return end_flow(number);
	return end_untouched(number);
}

static __noinline enum pass_result put_passing(struct passing *passing, const struct cb_carry *row)
{
	struct adopted *flow = &passing->flow;
	__u32 side = inner_side(row), direction[2] = {}, there, back;
	struct cb_tuple_key *inner = side ? &flow->tuple[1] : &flow->tuple[0];
	struct cb_tuple_key *outer = side ? &flow->tuple[0] : &flow->tuple[1];
	struct cb_net *external = net_row(row->outside_net), *transit = net_row(row->transit_net);
	int made;

	if (!external || !(external->flags & CB_NET_F_EXTERNAL) || !transit || !row->transit_net || !transit->wire_id)
		return PASS_UNREADY;
	if (!is_translated_pair(inner, outer) || vif_at(row->outside_net, &outer->src))
		return PASS_REFUSED;
	if (vif_at(row->other_net, &inner->src))
		return PASS_HERE;
	inner->net = row->transit_net;
	outer->net = row->outside_net;
	/* As owning_project(): of what comes from outside the network that it goes to. */
	if (side)
		flow->passes[1] = row->other_net ? row->other_net : row->transit_net;
	else
		flow->passes[0] = row->transit_net;
	there = flow_at(&flow->tuple[0], &direction[0]);
	back = flow_at(&flow->tuple[1], &direction[1]);
	if (row->state == CB_FLOW_CLOSED || (__s64)(passing->now - flow->expires_ns) > 0)
		return gives_way(passing, there) && gives_way(passing, there == back ? 0 : back) ? PASS_ENDED
												 : PASS_PRESENT;
	if (there && there == back && !direction[0])
		return renew_flow(there, flow, passing->pass.stands_by) ? PASS_RENEWED : PASS_PRESENT;
	if (!gives_way(passing, there) || !gives_way(passing, there == back ? 0 : back))
		return PASS_PRESENT;
	if (!has_share(flow))
		return PASS_REFUSED;
	made = adopt_flow(flow, passing->now);
	return made > 0 ? PASS_MADE : made ? PASS_REFUSED : PASS_PRESENT;
}

/* Called for each row. */
static long pass_one(__u32 index, void *data __attribute__((unused)))
{
	struct cb_carry *row = bpf_map_lookup_elem(&cb_carry_1, &index);
	struct passing *passing = passing_row();
	struct adopted *flow;

	if (!row || !passing)
		return 1;
	flow = &passing->flow;
	read_row(flow, row, passing->pass.session, passing->now);
	flow->member = 0;
	switch (put_passing(passing, row)) {
	case PASS_MADE:
		passing->pass.made++;
		return 0;
	case PASS_RENEWED:
		passing->pass.renewed++;
		return 0;
	case PASS_PRESENT:
		passing->pass.present++;
		return 0;
	case PASS_ENDED:
		passing->pass.ended++;
		return 0;
	case PASS_HERE:
		row->result = CB_CARRY_HERE;
		passing->pass.here++;
		return 0;
	case PASS_UNREADY:
		passing->pass.unready++;
		return 0;
	default:
		passing->pass.refused++;
		return 0;
	}
}

/* Puts in the flows of the first rows, which the host of a router's gateway tells. Returns 0. */
SEC("syscall")
int pass_on(struct pass *ctx)
{
	struct passing *passing = passing_row();

	if (!passing)
		return -1;
	passing->pass = *ctx;
	passing->pass.session &= 0xffff;
	passing->now = bpf_ktime_get_ns();
	bpf_loop(ctx->count < CB_CARRY_ROWS ? ctx->count : CB_CARRY_ROWS, pass_one, NULL, 0);
	*ctx = passing->pass;
	return 0;
}

struct leave {
	__u32 router; /* of carry_address */
	__u32 session; /* 16 bits */
	__u32 ended;
};

static __always_inline int is_of_router(const struct cb_flow *flow, __u32 router)
{
	struct address *address = address_of(flow);

	return address && address->router == router;
}

static long drop_one(__u32 number, struct leave *leave)
{
	struct cb_flow *flow = flow_row(number);

	if (!flow)
		return 1;
	if ((flow->life & 3) == CB_LIFE_LIVE && is_of_router(flow, leave->router) &&
	    !(flow->flags & CB_FLOW_F_CARRIED && flow->flags >> CB_CARRY_SESSION_SHIFT == leave->session))
		leave->ended += end_flow(number);
	return 0;
}

/* The session has told all flows of the router, and this host stands by: ends what there is besides. Returns 0. */
SEC("syscall")
int drop_others(struct leave *ctx)
{
	struct leave leave = {.router = ctx->router, .session = ctx->session & 0xffff};

	bpf_loop(cfg_flows, drop_one, &leave, 0);
	ctx->ended = leave.ended;
	return 0;
}

static __always_inline int tuple_is_same(const struct cb_tuple_key *a, const struct cb_tuple_key *b)
{
	return tuple_is_first(a, b) && tuple_is_first(b, a);
}

/* How long a turned flow waits for the rows that it needs: so many units of CB_HELD_SHIFT. */
#define HELD_UNITS 6

/*
 * The packets of flow @number that come from outside, in direction @side, look like @key from now on; those of the other direction are @inner as they were. Returns whether it was done.
 */
static __noinline int turn_flow(__u32 number, __u32 side, const struct cb_tuple_key *inner,
				const struct cb_tuple_key *key)
{
	struct cb_flow *flow = flow_row(number);

	if (!flow || !take_busy(flow))
		return 0;
	if (flow->member || !tuple_is_same(side ? &flow->tuple[0] : &flow->tuple[1], inner) ||
	    put_tuple(key, number, side)) {
		set_life(flow, CB_LIFE_LIVE);
		return 0;
	}
	flow->way[0].stamp = 0;
	flow->way[1].stamp = 0;
	flow->held = (__u32)(bpf_ktime_get_ns() >> CB_HELD_SHIFT) + HELD_UNITS;
	if (side) {
		bpf_map_delete_elem(&cb_tuple_1, &flow->tuple[1]);
		flow->tuple[1] = *key;
		flow->way[1].check = tuple_check(key);
	} else {
		bpf_map_delete_elem(&cb_tuple_1, &flow->tuple[0]);
		flow->tuple[0] = *key;
		flow->way[0].check = tuple_check(key);
	}
	set_life(flow, CB_LIFE_LIVE);
	return 1;
}

static __always_inline void reverse_tuple(struct cb_tuple_key *to, const struct cb_tuple_key *from)
{
	to->src = from->dst;
	to->dst = from->src;
	to->sport_be = from->dport_be;
	to->dport_be = from->sport_be;
	to->net = from->net;
	to->protocol = from->protocol;
}

/* The flow of @row, whose end inside is a VIF here and which it knows without the router's address: from now on it has that. */
static __noinline int turn_in(struct passing *passing, const struct cb_carry *row)
{
	struct adopted *flow = &passing->flow;
	__u32 side = inner_side(row), direction = 0, number, other;
	struct cb_tuple_key *inner = &flow->tuple[0], *outer = &flow->tuple[1];

	__builtin_memset(flow, 0, sizeof(*flow));
	*inner = side ? row->tuple[1] : row->tuple[0];
	*outer = side ? row->tuple[0] : row->tuple[1];
	if (!is_translated_pair(inner, outer) || !vif_at(row->other_net, &inner->src))
		return 0;
	inner->net = row->other_net;
	outer->net = row->outside_net;
	number = flow_at(inner, &direction);
	/* It was begun by the same end. */
	if (!number || direction != side)
		return 0;
	/* Told once more of what has the address already, it stays. */
	other = flow_at(outer, &direction);
	if (other == number || !gives_way(passing, other))
		return 0;
	return turn_flow(number, !side, inner, outer);
}

static long turn_one(__u32 index, void *data __attribute__((unused)))
{
	struct cb_carry *row = bpf_map_lookup_elem(&cb_carry_1, &index);
	struct passing *passing = passing_row();

	if (!row || !passing)
		return 1;
	if (turn_in(passing, row))
		passing->pass.made++;
	else
		passing->pass.refused++;
	return 0;
}

/* This host is becoming the gateway's: its own VIFs' flows of the first rows get the router's address. Returns 0. */
SEC("syscall")
int take_gateway(struct pass *ctx)
{
	struct passing *passing = passing_row();

	if (!passing)
		return -1;
	__builtin_memset(&passing->pass, 0, sizeof(passing->pass));
	passing->pass.stands_by = 1;
	passing->now = bpf_ktime_get_ns();
	bpf_loop(ctx->count < CB_CARRY_ROWS ? ctx->count : CB_CARRY_ROWS, turn_one, NULL, 0);
	ctx->made = passing->pass.made;
	ctx->refused = passing->pass.refused;
	return 0;
}

struct turn_back {
	__u32 first; /* flow to begin with */
	__u32 turned; /* rows filled */
	__u32 next; /* flow to go on with; 0: all were looked at */
};

/* What flow @number was before it was turned is in a row then. Returns 1 to stop. */
static long turn_back_one(__u32 index, struct turn_back *back)
{
	struct cb_tuple_key inner, outer = {};
	struct taking *taking = taking_row();
	__u32 side, number, row_number;
	struct address *address;
	struct cb_carry *row;
	struct cb_flow *flow;

	number = back->first + index;
	flow = flow_row(number);
	if (!flow || !taking)
		return 1;
	if ((flow->life & 3) != CB_LIFE_LIVE)
		return 0;
	address = address_of(flow);
	if (!address || !(address->follow & FOLLOW_LEAVES))
		return 0;
	side = flow->owner[0] && flow->owner[0] != CB_USE_PASSING ? 0 : 1;
	if (!flow->owner[side] || flow->owner[side] == CB_USE_PASSING)
		return 0;
	row_number = back->turned;
	row = bpf_map_lookup_elem(&cb_carry_1, &row_number);
	if (!row) {
		back->next = number;
		return 1;
	}
	taking->router = address->router;
	fill_row(row, flow, number, taking, flow->way[0].state);
	inner = side ? flow->tuple[1] : flow->tuple[0];
	reverse_tuple(&outer, &inner);
	back->turned += turn_flow(number, !side, &inner, &outer);
	return 0;
}

/*
 * This host is no longer the gateway's of routers that are marked so: its own VIFs' flows of theirs are as they are for whoever is not, as many as there are rows, and the rows say what they were.
 * Returns 0.
 */
SEC("syscall")
int leave_gateways(struct turn_back *ctx)
{
	struct turn_back back = {.first = ctx->first};
	struct taking *taking = taking_row();

	if (!taking)
		return -1;
	taking->now = bpf_ktime_get_ns();
	bpf_loop(cfg_flows, turn_back_one, &back, 0);
	ctx->turned = back.turned;
	ctx->next = back.next;
	return 0;
}

#endif /* CABLE_CARRY_ROUTER_H */
