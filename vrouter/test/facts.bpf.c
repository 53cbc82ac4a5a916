// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * facts.bpf.c: programs that ask the kernel about what the data plane rests on (docs/design/kernel-facts.md). They are no part of the product.
 * What a program is given stands in cb[] (tc) or in its context (syscall); what it found, in fact_result or fact_note.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MONOTONIC 1
#define MS 1000000ULL
#define US 1000ULL
/* Since Linux 6.7; Debian's headers are older. */
#define TIMER_CPU_PIN 2

/* Of which of two loads of this object a callback or a leaf is. */
const volatile __u32 cfg_build;

/* --- results --- */

enum result {
	RESULT_ENTERED,
	RESULT_LEAF_0,
	RESULT_LEAF_1,
	RESULT_MISSED,
	RESULT_FIRED_0,
	RESULT_FIRED_1,
	RESULT_FIRED_INSIDE,
	RESULT_FIRED_OUTSIDE,
	RESULT_MADE,
	RESULT_PRESENT,
	RESULT_REFUSED,
	RESULT_NS,
	RESULT_SWEPT,
	RESULT_MAX,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RESULT_MAX);
	__type(key, __u32);
	__type(value, __u64);
} fact_result SEC(".maps");

static __always_inline void add(__u32 which, __u64 amount)
{
	__u64 *result = bpf_map_lookup_elem(&fact_result, &which);

	if (result)
		__sync_fetch_and_add(result, amount);
}

/* --- slots: a dispatcher, and what its slots may hold --- */

#define SLOT_LEAF 0
#define SLOT_CHAIN 1

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u32);
} fact_slot SEC(".maps");

SEC("tc")
int dispatch(struct __sk_buff *ctx)
{
	add(RESULT_ENTERED, 1);
	bpf_tail_call(ctx, &fact_slot, SLOT_LEAF);
	add(RESULT_MISSED, 1);
	return TC_ACT_SHOT;
}

SEC("tc")
int leaf(struct __sk_buff *ctx)
{
	add(cfg_build ? RESULT_LEAF_1 : RESULT_LEAF_0, 1);
	return TC_ACT_STOLEN;
}

/* Calls itself until the kernel's bound of tail calls. */
SEC("tc")
int chain(struct __sk_buff *ctx)
{
	bpf_tail_call(ctx, &fact_slot, SLOT_CHAIN);
	return TC_ACT_OK;
}

/* The same by an index that the verifier does not know. */
SEC("tc")
int chain_variable(struct __sk_buff *ctx)
{
	bpf_tail_call(ctx, &fact_slot, ctx->cb[0]);
	return TC_ACT_OK;
}

SEC("tc")
int nothing(struct __sk_buff *ctx)
{
	return TC_ACT_OK;
}

/* --- timers --- */

struct clock {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct clock);
} fact_clock SEC(".maps");

static int tick(void *map, __u32 *key, struct clock *clock)
{
	add(cfg_build ? RESULT_FIRED_1 : RESULT_FIRED_0, 1);
	bpf_timer_start(&clock->timer, MS, 0);
	return 0;
}

/* Returns what bpf_timer_init (0, or -EBUSY when it was made before) and set_callback and start said, a byte each. */
SEC("tc")
int arm(struct __sk_buff *ctx)
{
	__u32 zero = 0;
	struct clock *clock = bpf_map_lookup_elem(&fact_clock, &zero);
	int made, set, started;

	if (!clock)
		return -1;
	made = -bpf_timer_init(&clock->timer, &fact_clock, MONOTONIC);
	set = -bpf_timer_set_callback(&clock->timer, tick);
	started = -bpf_timer_start(&clock->timer, MS, 0);
	return (made & 0xff) | (set & 0xff) << 8 | (started & 0xff) << 16;
}

/* --- bottom halves: may a soft interrupt come while a program runs? --- */

struct inside {
	__u32 flag;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct inside);
} fact_inside SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct clock);
} fact_interrupt SEC(".maps");

static int interrupt(void *map, __u32 *key, struct clock *clock)
{
	__u32 zero = 0;
	struct inside *inside = bpf_map_lookup_elem(&fact_inside, &zero);

	if (inside)
		add(inside->flag ? RESULT_FIRED_INSIDE : RESULT_FIRED_OUTSIDE, 1);
	return 0;
}

static long spin(__u32 index, __u64 *until_ns)
{
	return bpf_ktime_get_ns() > *until_ns;
}

/* A timer of this CPU is due while the program still runs on it. */
static __always_inline int hold(void)
{
	__u32 zero = 0;
	struct clock *clock = bpf_map_lookup_elem(&fact_interrupt, &zero);
	struct inside *inside = bpf_map_lookup_elem(&fact_inside, &zero);
	__u64 until_ns = bpf_ktime_get_ns() + 2 * MS;

	if (!clock || !inside)
		return -1;
	bpf_timer_init(&clock->timer, &fact_interrupt, MONOTONIC);
	if (bpf_timer_set_callback(&clock->timer, interrupt))
		return -2;
	inside->flag = 1;
	if (bpf_timer_start(&clock->timer, 200 * US, TIMER_CPU_PIN))
		return -3;
	bpf_loop(1 << 20, spin, &until_ns, 0);
	inside->flag = 0;
	return 0;
}

SEC("tc")
int hold_tc(struct __sk_buff *ctx)
{
	return hold();
}

SEC("syscall")
int hold_syscall(void *ctx)
{
	return hold();
}

/* --- a table walked into another --- */

#define TABLE 131072

struct old_key {
	__u32 word[11];
};

struct old_value {
	__u64 word[12];
};

struct new_key {
	__u32 word[10];
};

struct new_value {
	__u32 id;
	__u32 gen;
};

struct record {
	__u32 gen;
	__u32 pad;
	__u64 word[39];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2 * TABLE);
	__type(key, struct old_key);
	__type(value, struct old_value);
} fact_old SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * TABLE);
	__type(key, struct new_key);
	__type(value, struct new_value);
} fact_new SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TABLE);
	__type(key, __u32);
	__type(value, struct record);
} fact_record SEC(".maps");

struct walk {
	__u64 made;
	__u64 present;
	__u64 refused;
};

static long fill_one(__u32 index, void *unused)
{
	struct old_key key = {.word = {index, index * 0x9e3779b1}};
	struct old_value value = {.word = {index}};

	bpf_map_update_elem(&fact_old, &key, &value, BPF_ANY);
	return 0;
}

SEC("syscall")
int fill(__u32 *count)
{
	bpf_loop(*count, fill_one, NULL, 0);
	return 0;
}

static long import_one(void *map, struct old_key *key, struct old_value *value, struct walk *walk)
{
	struct new_key to = {.word = {key->word[0], key->word[1]}};
	struct new_key back = {.word = {key->word[1], key->word[0], 1}};
	struct new_value entry = {.id = value->word[0]};
	struct record *record;
	long result = bpf_map_update_elem(&fact_new, &to, &entry, BPF_NOEXIST);

	if (result == -17) {
		walk->present++;
		return 0;
	}
	record = bpf_map_lookup_elem(&fact_record, &entry.id);
	if (result || !record || bpf_map_update_elem(&fact_new, &back, &entry, BPF_NOEXIST)) {
		walk->refused++;
		return 0;
	}
	record->gen = 1;
	record->word[0] = value->word[0];
	walk->made++;
	return 0;
}

static __always_inline int import_all(void)
{
	struct walk walk = {};
	__u64 begun = bpf_ktime_get_ns();

	bpf_for_each_map_elem(&fact_old, import_one, &walk, 0);
	add(RESULT_NS, bpf_ktime_get_ns() - begun);
	add(RESULT_MADE, walk.made);
	add(RESULT_PRESENT, walk.present);
	add(RESULT_REFUSED, walk.refused);
	return 0;
}

SEC("syscall")
int import(void *ctx)
{
	return import_all();
}

/* A slice of the array looked at, as a collection does. cb[0]: first, cb[1]: how many. */
static long sweep_one(__u32 index, __u32 *first)
{
	__u32 id = (*first + index) & (TABLE - 1);
	struct record *record = bpf_map_lookup_elem(&fact_record, &id);

	if (record && (record->gen & 1) && record->word[1] > 1)
		add(RESULT_SWEPT, 1);
	return 0;
}

SEC("tc")
int sweep(struct __sk_buff *ctx)
{
	__u32 first = ctx->cb[0];

	bpf_loop(ctx->cb[1], sweep_one, &first, 0);
	return 0;
}

/* --- atomics --- */

struct word {
	__u64 wide;
	__u32 gen;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct word);
} fact_word SEC(".maps");

/* Takes it, if it is free (even), as a slot of the flow table is: returns 1, or 0 when another has it. */
SEC("tc")
int take(struct __sk_buff *ctx)
{
	__u32 zero = 0;
	struct word *word = bpf_map_lookup_elem(&fact_word, &zero);
	__u32 even;

	if (!word)
		return -1;
	even = *(volatile __u32 *)&word->gen & ~1u;
	return __sync_val_compare_and_swap(&word->gen, even, even + 1) == even;
}

/* Adds one by compare and swap; a lost race is not tried again but counted as refused. */
SEC("tc")
int step(struct __sk_buff *ctx)
{
	__u32 zero = 0;
	struct word *word = bpf_map_lookup_elem(&fact_word, &zero);
	__u64 was;

	if (!word)
		return -1;
	was = *(volatile __u64 *)&word->wide;
	if (__sync_val_compare_and_swap(&word->wide, was, was + 1) != was)
		add(RESULT_REFUSED, 1);
	return 0;
}

/* --- global functions --- */

__attribute__((noinline)) int global_mark(struct __sk_buff *ctx)
{
	ctx->mark = 7;
	return bpf_skb_pull_data(ctx, 0);
}

/* A map value pointer that was taken before the call is used after it; packet pointers are taken anew. */
SEC("tc")
int call_global(struct __sk_buff *ctx)
{
	__u32 zero = 0;
	struct word *word = bpf_map_lookup_elem(&fact_word, &zero);
	void *data, *end;

	if (!word || global_mark(ctx))
		return -1;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + ETH_HLEN > end)
		return -2;
	return word->pad == 0 && ((struct ethhdr *)data)->h_proto == bpf_htons(ETH_P_IP) ? 1 : -3;
}

/* --- what a device gives on --- */

struct note {
	__u32 packets;
	__u32 mark;
	__u32 priority;
	__u32 queue_mapping;
	__u32 length;
	__u32 pad;
	__u8 head[128];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct note);
} fact_note SEC(".maps");

SEC("tc")
int note(struct __sk_buff *ctx)
{
	__u32 key = ctx->ifindex;
	struct note note = {
		.packets = 1,
		.mark = ctx->mark,
		.priority = ctx->priority,
		.queue_mapping = ctx->queue_mapping,
		.length = ctx->len,
	};
	struct note *before = bpf_map_lookup_elem(&fact_note, &key);
	__u32 size = ctx->len < sizeof(note.head) ? ctx->len : sizeof(note.head);
	void *data, *end;

	/* Others' packets (neighbour discovery) are none of the test's. */
	if (size < 60 || bpf_skb_load_bytes(ctx, 0, note.head, 60))
		return TC_ACT_OK;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (size == sizeof(note.head))
		bpf_skb_load_bytes(ctx, 0, note.head, sizeof(note.head));
	if (data + ETH_HLEN > end || ((struct ethhdr *)data)->h_dest[0] & 1)
		return TC_ACT_OK;
	if (before)
		note.packets += before->packets;
	bpf_map_update_elem(&fact_note, &key, &note, BPF_ANY);
	return TC_ACT_STOLEN;
}

/* cb[0]: the device, cb[1]: mark, cb[2]: priority. */
SEC("tc")
int send(struct __sk_buff *ctx)
{
	__u32 ifindex = ctx->cb[0];

	ctx->mark = ctx->cb[1];
	ctx->priority = ctx->cb[2];
	ctx->queue_mapping = 1;
	return bpf_clone_redirect(ctx, ifindex, 0) ? TC_ACT_SHOT : TC_ACT_OK;
}

const volatile __u32 cfg_to;
const volatile __u32 cfg_priority;

/* On a device's ingress: on to another device, as delivery does. */
SEC("tc")
int pass_on(struct __sk_buff *ctx)
{
	ctx->priority = cfg_priority;
	return bpf_redirect(cfg_to, 0);
}

/* On a device's ingress: a copy to another device, while this CPU's record is in use. */
SEC("tc")
int copy_inside(struct __sk_buff *ctx)
{
	__u32 zero = 0;
	struct inside *inside = bpf_map_lookup_elem(&fact_inside, &zero);

	if (!inside)
		return TC_ACT_SHOT;
	inside->flag = 1;
	bpf_clone_redirect(ctx, cfg_to, 0);
	inside->flag = 0;
	return TC_ACT_SHOT;
}

/* Where the copy arrives: whether that record is in use. */
SEC("tc")
int look_inside(struct __sk_buff *ctx)
{
	__u32 zero = 0;
	struct inside *inside = bpf_map_lookup_elem(&fact_inside, &zero);

	if (inside)
		add(inside->flag ? RESULT_FIRED_INSIDE : RESULT_FIRED_OUTSIDE, 1);
	return TC_ACT_SHOT;
}

/* --- encapsulation --- */

#define ENCAP_FLAGS                                                                              \
	(BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET | \
	 BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN) | BPF_F_ADJ_ROOM_ENCAP_L2_ETH)

struct vxlan {
	__u32 flags_be;
	__u32 vni_be;
};

struct outer4 {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	struct vxlan vxlan;
	struct ethhdr inner;
} __attribute__((packed));

struct outer6 {
	struct ethhdr eth;
	struct ipv6hdr ip;
	struct udphdr udp;
	struct vxlan vxlan;
	struct ethhdr inner;
} __attribute__((packed));

const volatile __u8 cfg_next_hop4[4];
const volatile __u8 cfg_next_hop6[16];

/* memcpy would take what is volatile for what the compiler knows: zeros. */
static __always_inline void copy_config(void *to, const volatile __u8 *from, const __u32 size)
{
	__u8 *bytes = to;

	for (__u32 i = 0; i < size; i++)
		bytes[i] = from[i];
}

/* To a next hop that is not the outer destination. */
SEC("tc")
int encap4(struct __sk_buff *ctx)
{
	struct bpf_redir_neigh next = {.nh_family = 2};
	struct outer4 outer = {
		.eth.h_proto = bpf_htons(ETH_P_IP),
		.ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = 17, .daddr = bpf_htonl(0xcb007101)},
		.udp = {.source = bpf_htons(0xc000), .dest = bpf_htons(4789)},
	};
	__u32 inner = ctx->len;

	outer.ip.tot_len = bpf_htons(inner + sizeof(outer) - 2 * ETH_HLEN);
	outer.udp.len = bpf_htons(inner + sizeof(outer.udp) + sizeof(outer.vxlan));
	copy_config(&next.ipv4_nh, cfg_next_hop4, sizeof(cfg_next_hop4));
	if (bpf_skb_load_bytes(ctx, 0, &outer.inner, ETH_HLEN))
		return TC_ACT_SHOT;
	if (bpf_skb_adjust_room(ctx, sizeof(outer) - ETH_HLEN, BPF_ADJ_ROOM_MAC,
				BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | ENCAP_FLAGS))
		return TC_ACT_SHOT;
	if (bpf_skb_store_bytes(ctx, 0, &outer, sizeof(outer), 0))
		return TC_ACT_SHOT;
	return bpf_redirect_neigh(cfg_to, &next, sizeof(next), 0);
}

SEC("tc")
int encap6(struct __sk_buff *ctx)
{
	struct bpf_redir_neigh next = {.nh_family = 10};
	struct outer6 outer = {
		.eth.h_proto = bpf_htons(ETH_P_IPV6),
		.ip = {.version = 6, .hop_limit = 64, .nexthdr = 17},
		.udp = {.source = bpf_htons(0xc000), .dest = bpf_htons(4789)},
	};
	__u32 inner = ctx->len;

	outer.ip.daddr.in6_u.u6_addr8[0] = 0x20;
	outer.ip.payload_len = bpf_htons(inner + sizeof(outer.udp) + sizeof(outer.vxlan));
	outer.udp.len = outer.ip.payload_len;
	copy_config(next.ipv6_nh, cfg_next_hop6, sizeof(cfg_next_hop6));
	if (bpf_skb_load_bytes(ctx, 0, &outer.inner, ETH_HLEN))
		return TC_ACT_SHOT;
	if (bpf_skb_adjust_room(ctx, sizeof(outer) - ETH_HLEN, BPF_ADJ_ROOM_MAC,
				BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 | ENCAP_FLAGS))
		return TC_ACT_SHOT;
	if (bpf_skb_store_bytes(ctx, 0, &outer, sizeof(outer), 0))
		return TC_ACT_SHOT;
	return bpf_redirect_neigh(cfg_to, &next, sizeof(next), 0);
}

/* --- events --- */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} fact_event SEC(".maps");

/* cb[0]: what to say. Three words, so that records do not divide the ring and some lie across its end. */
SEC("tc")
int say(struct __sk_buff *ctx)
{
	__u32 *event = bpf_ringbuf_reserve(&fact_event, 3 * sizeof(*event), 0);

	if (!event)
		return -1;
	event[0] = ctx->cb[0];
	event[1] = ~ctx->cb[0];
	event[2] = ctx->cb[0];
	bpf_ringbuf_submit(event, 0);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
