import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { type LoadedObject, type LoadOptions, loadObject, type VerifierEffort } from './object.ts';
import { createScratch, type Scratch } from './testing.ts';

const SOURCE = (maxEntries: number): string => `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
const volatile __u32 wanted_mark = 1;
const volatile __u64 wide = 2;
const volatile __u8 address[16];
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ${maxEntries});
	__type(key, __u32);
	__type(value, __u64);
} cb_count_1 SEC(".maps");
SEC("tc")
int mark_it(struct __sk_buff *skb)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&cb_count_1, &zero);
	if (count)
		__sync_fetch_and_add(count, wide);
	skb->mark = wanted_mark + address[15];
	bpf_skb_store_bytes(skb, 0, (void *)&(__u8){0xaa}, 1, 0);
	return 0;
}
SEC("tc")
int drop_it(struct __sk_buff *skb)
{
	return 2;
}
char cb_license[] SEC("license") = "Dual BSD/GPL";
`;

const REFUSED = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("tc")
int reads_past_end(struct __sk_buff *skb)
{
	return *(int *)(long)skb->data;
}
char cb_license[] SEC("license") = "Dual BSD/GPL";
`;

const ZERO = new Uint8Array(4);
const FRAME = new Uint8Array(64);

let scratch: Scratch;
let object: string;
const open: LoadedObject[] = [];

before(() => {
  scratch = createScratch('object');
  object = scratch.compile('probe', SOURCE(2));
});

after(() => {
  for (const loaded of open) loaded.close();
  scratch.remove();
});

function load(options: Omit<LoadOptions, 'path'> & { path?: string }): LoadedObject {
  const loaded = loadObject({ path: object, ...options });
  open.push(loaded);
  return loaded;
}

function program(loaded: LoadedObject, name: string): NonNullable<ReturnType<LoadedObject['programs']['get']>> {
  const found = loaded.programs.get(name);
  assert.ok(found !== undefined, `no program ${name}`);
  return found;
}

test('constants set by name reach the program, and a test run gives packet, context and verdict', () => {
  const loaded = load({ rodata: { wanted_mark: 40, wide: 1n << 40n, address: new Uint8Array(16).fill(2) } });
  const out = program(loaded, 'mark_it').testRun({ data: FRAME, repeat: 3 });
  assert.equal(out.verdict, 0);
  assert.equal(out.context.mark, 42);
  assert.equal(out.data.length, FRAME.length);
  assert.equal(out.data[0], 0xaa);
  assert.equal(FRAME[0], 0, 'the input is not touched');
  const count = loaded.maps.get('cb_count_1')?.lookup(ZERO);
  assert.equal(Buffer.from(count ?? []).readBigUInt64LE(), 3n << 40n);
  assert.equal(program(loaded, 'drop_it').testRun({ data: FRAME }).verdict, 2);
});

test('constants that are not set keep their value', () => {
  assert.equal(program(load({}), 'mark_it').testRun({ data: FRAME }).context.mark, 1);
});

test('a constant that does not exist or does not fit is refused by name', () => {
  assert.throws(() => load({ rodata: { wanted: 1 } }), {
    code: 'ENOENT',
    message: /wanted .*: address, wanted_mark, wide/,
  });
  assert.throws(() => load({ rodata: { wanted_mark: 2 ** 32 } }), { code: 'ERANGE', message: /wanted_mark/ });
  assert.throws(() => load({ rodata: { address: new Uint8Array(4) } }), { code: 'ERANGE', message: /16 bytes, got 4/ });
});

test('a refused program comes with the log of the verifier', () => {
  const path = scratch.compile('refused', REFUSED);
  assert.throws(() => load({ path }), {
    name: 'BpfError',
    code: /EACCES|EINVAL/,
    message: /reads_past_end(.|\n)*invalid/,
  });
});

test('an object that is not there is refused by its path', () => {
  assert.throws(() => load({ path: '/nonexistent/x.o' }), { code: 'ENOENT', message: /open \/nonexistent\/x\.o/ });
});

test('a second load uses the pinned maps of the first', () => {
  const pinnedMaps = `${scratch.pins}/reuse`;
  const first = load({ pinnedMaps });
  first.maps.get('cb_count_1')?.update(ZERO, new Uint8Array(8).fill(1));
  first.close();
  const second = load({ pinnedMaps });
  assert.deepEqual(second.maps.get('cb_count_1')?.lookup(ZERO), new Uint8Array(8).fill(1));
  program(second, 'mark_it').testRun({ data: FRAME });
  assert.notDeepEqual(second.maps.get('cb_count_1')?.lookup(ZERO), new Uint8Array(8).fill(1));
});

test("a map that is each load's own is neither pinned nor taken from a pin", () => {
  const pinnedMaps = `${scratch.pins}/own`;
  const first = load({ pinnedMaps, unpinned: ['cb_count_1'] });
  program(first, 'mark_it').testRun({ data: FRAME });
  load({ pinnedMaps });
  const third = load({ pinnedMaps, unpinned: ['cb_count_1'] });
  const count = (loaded: LoadedObject): number =>
    Buffer.from(loaded.maps.get('cb_count_1')?.lookup(ZERO) ?? []).readUInt8();
  assert.ok(count(first) > 0);
  assert.equal(count(third), 0);
  assert.equal(new Set([first, third].map((loaded) => loaded.maps.get('cb_count_1')?.info.id)).size, 2);
});

test('a program that is skipped is not loaded', () => {
  assert.deepEqual([...load({ skip: ['drop_it'] }).programs.keys()], ['mark_it']);
});

test('a program tells the maps that it uses', () => {
  const loaded = load({});
  const id = loaded.maps.get('cb_count_1')?.info.id;
  assert.ok(id !== undefined);
  assert.ok(program(loaded, 'mark_it').mapIds().includes(id));
  assert.ok(!program(loaded, 'drop_it').mapIds().includes(id));
});

test('the effort of the verifier is told by program, for those that it lets pass', () => {
  const efforts = new Map<string, VerifierEffort>();
  load({ onVerified: (name, effort) => efforts.set(name, effort) });
  assert.deepEqual([...efforts.keys()].sort(), ['drop_it', 'mark_it']);
  assert.deepEqual(efforts.get('drop_it'), { instructions: 2, stackBytes: [0] });
  const { instructions, stackBytes } = efforts.get('mark_it') ?? { instructions: 0, stackBytes: [] };
  assert.ok(instructions > 10 && instructions < 100);
  assert.ok((stackBytes[0] ?? 0) >= 4);
});

test('a pinned map of another layout is refused and named', () => {
  const pinnedMaps = `${scratch.pins}/layout`;
  load({ pinnedMaps });
  const path = scratch.compile('bigger', SOURCE(3));
  const expected = { code: 'EEXIST', message: /cb_count_1 .*maxEntries is 2, the program needs 3/ };
  assert.throws(() => load({ path, pinnedMaps }), expected);
  assert.throws(() => load({ pinnedMaps, maxEntries: { cb_count_1: 3 } }), expected);
  load({ path, pinnedMaps, maxEntries: { cb_count_1: 2 } });
});

test('a size for a map that the object does not have is refused', () => {
  assert.throws(() => load({ maxEntries: { cb_other_1: 3 } }), { code: 'ENOENT', message: /cb_other_1/ });
});

test('loading leaves no file descriptor behind', () => {
  const count = (): number => readdirSync('/proc/self/fd').length;
  loadObject({ path: object }).close();
  const before = count();
  for (let i = 0; i < 3; i++) loadObject({ path: object }).close();
  assert.equal(count(), before);
});
