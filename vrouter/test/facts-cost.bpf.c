// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * facts-cost.bpf.c: what look-ups and insertions cost (docs/design/kernel-facts.md). For each kind of map a program that looks up and one that
 * inserts, both many times a run: cb[0] entries, a power of two; cb[1] how often.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#define ENTRIES (1 << 18)
/* An odd number: steps of it visit every entry of a power of two, each far from the one before. */
#define STRIDE 0x9e3779b1

struct run {
	__u32 mask;
	__u32 found;
	__u32 last; /* what the look-up before found: the next one waits for it, as a packet's next step does */
};

/* What differs comes first, so that the whole hash waits for the look-up before; a packet's waits for its headers. */
#define MAKE_KEY(index)                                                    \
	{                                                                  \
		.word = {(index), (index)*3, 0x0a000000 | ((index) >> 8) } \
	}

#define DEFINE_KIND(name, map_type, flags, entries, words, value_words)           \
	struct name##_key {                                                       \
		__u32 word[words];                                                \
	};                                                                        \
	struct name##_value {                                                     \
		__u64 word[value_words];                                          \
	};                                                                        \
	struct {                                                                  \
		__uint(type, map_type);                                           \
		__uint(max_entries, entries);                                     \
		__uint(map_flags, flags);                                         \
		__type(key, struct name##_key);                                   \
		__type(value, struct name##_value);                               \
	} name SEC(".maps");                                                      \
	static long name##_put_one(__u32 index, struct run *run)                  \
	{                                                                         \
		struct name##_key key = MAKE_KEY(index);                          \
		struct name##_value value = {.word = {index}};                    \
                                                                                  \
		run->found += !bpf_map_update_elem(&name, &key, &value, BPF_ANY); \
		return 0;                                                         \
	}                                                                         \
	SEC("tc")                                                                 \
	int put_##name(struct __sk_buff *ctx)                                     \
	{                                                                         \
		struct run run = {};                                              \
                                                                                  \
		bpf_loop(ctx->cb[1], name##_put_one, &run, 0);                    \
		return run.found;                                                 \
	}                                                                         \
	static long name##_get_one(__u32 index, struct run *run)                  \
	{                                                                         \
		__u32 i = (run->last + STRIDE) & run->mask;                       \
		struct name##_key key = MAKE_KEY(i);                              \
		struct name##_value *value = bpf_map_lookup_elem(&name, &key);    \
                                                                                  \
		if (value) {                                                      \
			run->last = value->word[0];                               \
			run->found += run->last == i;                             \
		}                                                                 \
		return 0;                                                         \
	}                                                                         \
	SEC("tc")                                                                 \
	int get_##name(struct __sk_buff *ctx)                                     \
	{                                                                         \
		struct run run = {.mask = ctx->cb[0] - 1};                        \
                                                                                  \
		bpf_loop(ctx->cb[1], name##_get_one, &run, 0);                    \
		return run.found;                                                 \
	}                                                                         \
	static long name##_drop_one(__u32 index, struct run *run)                 \
	{                                                                         \
		struct name##_key key = MAKE_KEY(index);                          \
                                                                                  \
		run->found += !bpf_map_delete_elem(&name, &key);                  \
		return 0;                                                         \
	}                                                                         \
	SEC("tc")                                                                 \
	int drop_##name(struct __sk_buff *ctx)                                    \
	{                                                                         \
		struct run run = {};                                              \
                                                                                  \
		bpf_loop(ctx->cb[1], name##_drop_one, &run, 0);                   \
		return run.found;                                                 \
	}

DEFINE_KIND(hash_12, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, ENTRIES, 3, 1)
DEFINE_KIND(hash_16, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, ENTRIES, 4, 1)
DEFINE_KIND(hash_20, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, ENTRIES, 5, 1)
DEFINE_KIND(hash_40, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, ENTRIES, 10, 1)
DEFINE_KIND(hash_40_ready, BPF_MAP_TYPE_HASH, 0, ENTRIES, 10, 1)
DEFINE_KIND(lru_44, BPF_MAP_TYPE_LRU_HASH, 0, ENTRIES, 11, 12)

/* Arrays and tries take another key. */
struct row {
	__u64 word[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct row);
} rows SEC(".maps");

struct record {
	__u64 word[40];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << 17);
	__type(key, __u32);
	__type(value, struct record);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct row);
} counters SEC(".maps");

#define DEFINE_ARRAY(name)                                       \
	static long name##_get_one(__u32 index, struct run *run) \
	{                                                        \
		__u32 i = (run->last + STRIDE) & run->mask;      \
		__u64 *value = bpf_map_lookup_elem(&name, &i);   \
                                                                 \
		if (value) {                                     \
			run->last = i + *value;                  \
			run->found += *value == 0;               \
		}                                                \
		return 0;                                        \
	}                                                        \
	SEC("tc")                                                \
	int get_##name(struct __sk_buff *ctx)                    \
	{                                                        \
		struct run run = {.mask = ctx->cb[0] - 1};       \
                                                                 \
		bpf_loop(ctx->cb[1], name##_get_one, &run, 0);   \
		return run.found;                                \
	}

DEFINE_ARRAY(rows)
DEFINE_ARRAY(records)
DEFINE_ARRAY(counters)

struct trie_key {
	__u32 prefixlen;
	__u32 scope;
	__u32 word[4];
};

struct trie_value {
	__u64 word[1];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, ENTRIES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct trie_key);
	__type(value, struct trie_value);
} trie SEC(".maps");

/* The address's bytes are in network order: the lowest bits of the index are the last. */
#define TRIE_KEY(bits, index)                                                                                    \
	{                                                                                                        \
		.prefixlen = (bits), .word = { [2] = 0xffff0000, [3] = __builtin_bswap32(0x0a000000 | (index)) } \
	}

static long trie_put_one(__u32 index, struct run *run)
{
	struct trie_key key = TRIE_KEY(160, index);
	struct trie_value value = {.word = {index}};

	run->found += !bpf_map_update_elem(&trie, &key, &value, BPF_ANY);
	return 0;
}

SEC("tc")
int put_trie(struct __sk_buff *ctx)
{
	struct run run = {};

	bpf_loop(ctx->cb[1], trie_put_one, &run, 0);
	return run.found;
}

static long trie_get_one(__u32 index, struct run *run)
{
	__u32 i = (run->last + STRIDE) & run->mask;
	struct trie_key key = TRIE_KEY(160, i);
	struct trie_value *value = bpf_map_lookup_elem(&trie, &key);

	if (value) {
		run->last = value->word[0];
		run->found += run->last == i;
	}
	return 0;
}

SEC("tc")
int get_trie(struct __sk_buff *ctx)
{
	struct run run = {.mask = ctx->cb[0] - 1};

	bpf_loop(ctx->cb[1], trie_get_one, &run, 0);
	return run.found;
}

/* The loop and the making of a 40-byte key alone. */
static long key_get_one(__u32 index, struct run *run)
{
	__u32 i = (run->last + STRIDE) & run->mask;
	struct hash_40_key key = MAKE_KEY(i);

	asm volatile("" : : "r"(&key) : "memory");
	run->last = key.word[0];
	run->found += run->last == i;
	return 0;
}

SEC("tc")
int get_key(struct __sk_buff *ctx)
{
	struct run run = {.mask = ctx->cb[0] - 1};

	bpf_loop(ctx->cb[1], key_get_one, &run, 0);
	return run.found;
}

char _license[] SEC("license") = "Dual BSD/GPL";
