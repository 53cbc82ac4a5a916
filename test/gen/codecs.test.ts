import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import * as abi from '../../packages/agent/src/bpf/abi.gen.ts';
import { readBtf } from '../../scripts/gen/btf.ts';
import { parseHeader } from '../../scripts/gen/header.ts';

const HEADER = new URL('../../vrouter/include/cable_abi.h', import.meta.url).pathname;
const GENERATOR = new URL('../../scripts/gen.ts', import.meta.url).pathname;

let dir: string;

before(() => {
  dir = mkdtempSync(join(tmpdir(), 'cable-gen-test-'));
});

after(() => {
  rmSync(dir, { recursive: true, force: true });
});

/** What a C program, compiled for this machine, writes to standard output. */
function runC(name: string, body: string): Uint8Array {
  const source = join(dir, `${name}.c`);
  const binary = join(dir, name);
  writeFileSync(
    source,
    `#include <stdio.h>\n#include <stddef.h>\n#include "${HEADER}"\nint main(void)\n{\n${body}\nreturn 0;\n}\n`,
  );
  execFileSync('clang', ['-o', binary, source]);
  return new Uint8Array(execFileSync(binary));
}

test('the committed files are what the generator makes', () => {
  const flags = ['--import', 'tsx', GENERATOR, '--check'];
  const { status, stderr } = spawnSync(process.execPath, flags, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
});

test('every codec has the size that the compiler gives its struct', () => {
  const names = parseHeader(readFileSync(HEADER, 'utf8')).structs.map((s) => s.name);
  const body = names.map((name) => `printf("${name} %zu\\n", sizeof(struct ${name}));`).join('\n');
  const sizes = Buffer.from(runC('sizes', body)).toString().trim().split('\n');
  assert.equal(sizes.length, names.length);
  const codecs: Readonly<Record<string, unknown>> = abi;
  for (const line of sizes) {
    const [name = '', size] = line.split(' ');
    if (name === 'cb_addr') continue;
    const codec = codecs[name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())];
    assert.ok(typeof codec === 'object' && codec !== null && 'size' in codec, `${name} has no codec`);
    assert.equal(codec.size, Number(size), name);
  }
});

test('a struct that C wrote is read field by field, and written back to the same bytes', () => {
  const key = runC(
    'tuple_key',
    `struct cb_tuple_key k = { .net = 0x0304, .src.b = {[15] = 5}, .dst.b = {[0] = 0xfd}, .protocol = 17 };
     unsigned char *p = (unsigned char *)&k.sport_be; p[0] = 0x12; p[1] = 0x34; k.dport_be = 0x3500;
     fwrite(&k, sizeof(k), 1, stdout);`,
  );
  const decoded = abi.cbTupleKey.decode(key);
  assert.deepEqual([decoded.net, decoded.sportBe, decoded.dportBe, decoded.protocol], [0x0304, 0x1234, 53, 17]);
  assert.deepEqual([decoded.src[15], decoded.dst[0]], [5, 0xfd]);
  assert.deepEqual(abi.cbTupleKey.encode(decoded), key);
});

test('arrays of structs and of 64-bit counters survive', () => {
  const flood = runC(
    'flood',
    `struct cb_flood f = { .count = 2 };
     f.target[0].kind = CB_FLOOD_VIF; f.target[0].id = 7; f.target[1].kind = CB_FLOOD_TUNNEL; f.target[1].id = 900;
     fwrite(&f, sizeof(f), 1, stdout);`,
  );
  const decoded = abi.cbFlood.decode(flood);
  assert.equal(decoded.target.length, abi.CB_FLOOD_TARGETS);
  assert.equal(decoded.target[0]?.id, 7);
  assert.equal(decoded.target[1]?.id, 900);
  assert.deepEqual(abi.cbFlood.encode(decoded), flood);
  assert.deepEqual(
    abi.cbFlood.encode({ count: 2, target: decoded.target.slice(0, 2) }),
    flood,
    'a short list is filled up',
  );

  const flow = runC(
    'flow',
    `struct cb_flow f = { .life = ~0ull, .owner = {3, 4} }; f.way[1].stamp = 9; f.tally[1].packets = 1ull << 40;
     f.tuple[0].net = 5; fwrite(&f, sizeof(f), 1, stdout);`,
  );
  const record = abi.cbFlow.decode(flow);
  assert.equal(record.life, 2n ** 64n - 1n);
  assert.deepEqual([record.way[1]?.stamp, record.tally[1]?.packets, record.tuple[0]?.net], [9, 1n << 40n, 5]);
  assert.deepEqual(record.owner, [3, 4]);
  assert.deepEqual(abi.cbFlow.encode(record), flow);
});

test('a value that does not fit is refused with the name of its field', () => {
  const key = { prefixlen: 0, policy: 0, classId: 0, direction: 0, family: 4, protocol: 6, portBe: 0 };
  assert.throws(() => abi.cbRuleKey.encode({ ...key, portBe: 65_536 }), /cb_rule_key\.portBe: 65536/);
  assert.throws(() => abi.cbRuleKey.encode({ ...key, policy: -1 }), /cb_rule_key\.policy/);
  assert.throws(() => abi.cbRuleKey.encode({ ...key, family: 1.5 }), /cb_rule_key\.family/);
  assert.throws(
    () => abi.cbEpKey.encode({ net: 1, addr: new Uint8Array(4) }),
    /cb_ep_key\.addr: needs 16 bytes, got 4/,
  );
  assert.throws(() => abi.cbEpKey.decode(new Uint8Array(19)), /cb_ep_key: needs 20 bytes, got 19/);
  const target = { kind: 1, flags: 0, id: 1 };
  assert.throws(() => abi.cbFlood.encode({ count: 33, target: Array(33).fill(target) }), /cb_flood\.target: holds 32/);
});

test('a struct with hidden padding is refused', () => {
  const path = join(dir, 'hole.h');
  writeFileSync(path, '#include <linux/types.h>\nstruct cb_hole { __u8 a; __u32 b; };\n');
  assert.throws(() => readBtf(path, ['struct cb_hole']), /cb_hole: hidden padding before b/);
});

test('every drop reason has a number and a sentence of its own', () => {
  assert.equal(new Set(abi.DROP_REASONS.map((r) => r.code)).size, abi.DROP_REASONS.length);
  assert.equal(new Set(abi.DROP_REASONS.map((r) => r.name)).size, abi.DROP_REASONS.length);
  for (const reason of abi.DROP_REASONS) {
    assert.ok(reason.description.length > 5, reason.name);
    assert.ok(reason.code < abi.CB_REASON_MAX);
  }
});
