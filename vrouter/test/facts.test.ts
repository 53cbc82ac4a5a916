/**
 * What the data plane takes for granted of the kernel, so that another kernel says at once what it does otherwise. Questions, figures and
 * what follows: docs/design/kernel-facts.md.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { sourceProgram } from '@cable/kit/testing';
import koffi from 'koffi';
import { type BpfMap, fdById, openPinnedMap } from '../../packages/agent/src/bpf/map.ts';
import type { LoadedObject } from '../../packages/agent/src/bpf/object.ts';
import { removePins } from '../../packages/agent/src/bpf/pin.ts';
import { BPF_CMD } from '../../packages/agent/src/bpf/syscall.ts';
import { createScratch } from '../../packages/agent/src/bpf/testing.ts';
import { absentOn } from '../../packages/agent/src/ffi/errno.ts';
import { memoryAt } from '../../packages/agent/src/ffi/libc.ts';
import { loadFacts, program, type Results, run, runAside, runSyscall, takeResults, word } from './facts.ts';

const TC_ACT_SHOT = 2;
const TC_ACT_STOLEN = 4;
const SLOT = word(0);
const FIRED_0 = word(4);
const LOADER_MS = 60_000;
const FLOWS = 131_072;
/** Ticks that a timer of 1 ms makes in it, where it is to make none. */
const SOME_TICKS_MS = 60;

function map(object: LoadedObject, name: string): BpfMap {
  const found = object.maps.get(name);
  assert.ok(found !== undefined, name);
  return found;
}

/** Whether the kernel still has the program. */
function lives(id: number): boolean {
  const fd = absentOn(['ENOENT'], () => fdById(BPF_CMD.progFdById, id, 'look for a program'));
  if (fd !== undefined) closeSync(fd);
  return fd !== undefined;
}

/** The kernel frees programs and timers a moment after their last user. */
async function untilGone(id: number): Promise<boolean> {
  for (let tries = 0; lives(id) && tries < 3000; tries += 1) await delay(20);
  return !lives(id);
}

/** What the programs have counted since the last call, once that is so. */
async function resultsUntil(object: LoadedObject, holds: (sum: Results) => boolean, what: string): Promise<Results> {
  const deadline = performance.now() + 60_000;
  let sum = takeResults(object);
  while (!holds(sum)) {
    assert.ok(performance.now() < deadline, `in vain: ${what}`);
    await delay(5);
    const more = takeResults(object);
    sum = Object.fromEntries(
      Object.entries(sum).map(([name, count]) => [name, count + more[name as keyof Results]]),
    ) as Results;
  }
  return sum;
}

const RING_BYTES = 4096;
const RING_HEADER_BYTES = 8;
const EVENT_BYTES = 12;
/** With its header, rounded up to 8. */
const RECORD_BYTES = 24;
const PAGE_BYTES = 4096;
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;

/** Reads fact_event as linux/bpf.h says: a page with what was read, to be written; one with what is there, and the data, twice. */
class Ring {
  readonly #fd: number;
  readonly #memory: ReturnType<typeof mapMemory>[] = [];
  readonly #consumed: BigUint64Array;
  readonly #produced: BigUint64Array;
  readonly #data: DataView;

  constructor(fd: number) {
    this.#fd = fd;
    const consumer = mapMemory(fd, PAGE_BYTES, PROT_READ | PROT_WRITE, 0);
    const producer = mapMemory(fd, PAGE_BYTES + 2 * RING_BYTES, PROT_READ, PAGE_BYTES);
    this.#memory.push(consumer, producer);
    this.#consumed = new BigUint64Array(consumer.bytes.buffer, 0, 1);
    this.#produced = new BigUint64Array(producer.bytes.buffer, 0, 1);
    this.#data = new DataView(producer.bytes.buffer, PAGE_BYTES);
  }

  /** Resolves when there is something. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      const poll = koffi.node.poll(this.#fd, { readable: true }, () => {
        poll.close();
        resolve();
      });
    });
  }

  /** What the new events say: a word, its complement and the word again each. */
  read(): number[] {
    const found: number[] = [];
    let at = this.#consumed[0] ?? 0n;
    for (; at < (this.#produced[0] ?? 0n); at += BigInt(RECORD_BYTES)) {
      const offset = Number(at % BigInt(RING_BYTES));
      assert.equal(this.#data.getUint32(offset, true), EVENT_BYTES, 'the length, neither busy nor discarded');
      const [said = 0, ...others] = [0, 4, 8].map((i) => this.#data.getUint32(offset + RING_HEADER_BYTES + i, true));
      assert.deepEqual(others, [~said >>> 0, said]);
      found.push(said);
    }
    this.#consumed[0] = at;
    return found;
  }

  close(): void {
    for (const memory of this.#memory) memory.unmap();
  }
}

function mapMemory(fd: number, size: number, protection: number, offset: number) {
  const lib = koffi.load('libc.so.6');
  const mmap = lib.func('void *mmap(void *at, size_t size, int protection, int flags, int fd, long offset)');
  const munmap = lib.func('int munmap(void *at, size_t size)');
  const pointer: bigint = mmap(null, size, protection, MAP_SHARED, fd, offset);
  assert.ok(pointer !== 0xffff_ffff_ffff_ffffn, 'mmap');
  return { bytes: memoryAt(pointer, size), unmap: (): number => munmap(pointer, size) };
}

test('a pinned slot and a pinned timer outlive a loader that was killed; a newer program takes both over', async () => {
  const scratch = createScratch('facts');
  const loader = spawn(
    process.execPath,
    [...sourceProgram(fileURLToPath(new URL('./facts-loader.ts', import.meta.url))), scratch.pins],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  try {
    const [line] = (await once(loader.stdout, 'data', { signal: AbortSignal.timeout(LOADER_MS) })) as [Buffer];
    const { leaf, verdict } = JSON.parse(line.toString()) as { readonly leaf: number; readonly verdict: number };
    assert.equal(verdict, 0, 'the timer was made, got its callback and was started');
    loader.kill('SIGKILL');
    await once(loader, 'exit');

    const next = loadFacts({ pinnedMaps: scratch.pins, rodata: { cfg_build: 1 } });
    try {
      takeResults(next);
      assert.equal(run(next, 'dispatch').verdict, TC_ACT_STOLEN, 'the killed loader’s leaf still answers');
      const before = await resultsUntil(next, ({ fired0 }) => fired0 > 0, 'its timer still ticks');
      assert.deepEqual([before.leaf0, before.fired1], [1, 0]);

      map(next, 'fact_slot').update(SLOT, word(program(next, 'leaf').fd));
      assert.equal(
        run(next, 'arm').verdict,
        constants.errno.EBUSY,
        'made before; the callback and the start are accepted',
      );
      // A call of the older callback may have been under way.
      await resultsUntil(next, ({ fired1 }) => fired1 > 0, 'the newer callback is called');
      run(next, 'dispatch');
      const after = await resultsUntil(next, ({ fired1 }) => fired1 > 1, 'it is called again');
      assert.deepEqual([after.leaf0, after.leaf1], [0, 1]);
      assert.equal(after.fired0, 0, 'only the newer callback is called');
      assert.ok(await untilGone(leaf), 'nothing of the older program is left');
    } finally {
      next.close();
    }
  } finally {
    loader.kill('SIGKILL');
    scratch.remove();
  }
});

test('a timer keeps its program until the map has neither pin nor descriptor', async () => {
  const scratch = createScratch('facts-timer');
  try {
    const object = loadFacts({ pinnedMaps: scratch.pins });
    const { id } = program(object, 'arm').info;
    run(object, 'arm');
    object.close();
    const results = openPinnedMap(join(scratch.pins, 'fact_result'));
    assert.ok(results !== undefined);
    try {
      const ticks = (): number => Buffer.from(results.lookup(FIRED_0) ?? []).readUInt32LE(0);
      const before = ticks();
      for (let tries = 0; ticks() === before && tries < 3000; tries += 1) await delay(20);
      assert.ok(ticks() > before, 'it ticks with nothing but the pin');
      assert.ok(lives(id));
      removePins(scratch.pins);
      assert.ok(await untilGone(id), 'the program went with the pin');
      const last = ticks();
      await delay(SOME_TICKS_MS);
      assert.equal(ticks(), last, 'and the timer with it');
    } finally {
      results.close();
    }
  } finally {
    scratch.remove();
  }
});

test('a program array without a pin is emptied when its last descriptor goes', async () => {
  const object = loadFacts();
  const kept = map(object, 'fact_slot');
  kept.update(SLOT, word(program(object, 'leaf').fd));
  assert.equal(run(object, 'dispatch').verdict, TC_ACT_STOLEN);
  kept.close();
  // The program holds the map, but not as a user of it.
  let verdict = TC_ACT_STOLEN;
  for (let tries = 0; verdict !== TC_ACT_SHOT && tries < 3000; tries += 1) {
    await delay(20);
    verdict = run(object, 'dispatch').verdict;
  }
  assert.equal(verdict, TC_ACT_SHOT);
  for (const program of object.programs.values()) program.close();
  for (const [name, other] of object.maps) if (name !== 'fact_slot') other.close();
});

test('a slot changes between two packets, never in one, while both CPUs send', async (t) => {
  const scratch = createScratch('facts-flip');
  const first = loadFacts({ pinnedMaps: scratch.pins });
  const second = loadFacts({ pinnedMaps: scratch.pins, rodata: { cfg_build: 1 } });
  try {
    const leaves = [word(program(first, 'leaf').fd), word(program(second, 'leaf').fd)] as const;
    const slots = map(first, 'fact_slot');
    slots.update(SLOT, leaves[0]);
    takeResults(first);
    const packets = 2_000_000;
    let running = true;
    const senders = Promise.all([0, 1].map(() => runAside(first, 'dispatch', [], packets))).finally(() => {
      running = false;
    });
    const took: number[] = [];
    for (let i = 1; running; i += 1) {
      const begun = process.hrtime.bigint();
      slots.update(SLOT, leaves[i % 2 === 0 ? 0 : 1]);
      took.push(Number(process.hrtime.bigint() - begun) / 1000);
      if (i % 16 === 0) await delay(0);
    }
    await senders;
    const { entered, leaf0, leaf1, missed } = takeResults(first);
    assert.equal(entered, 2 * packets);
    assert.equal(missed, 0, 'no packet found the slot empty');
    assert.equal(leaf0 + leaf1, entered, 'each packet met one of the two programs');
    assert.ok(leaf0 > 0 && leaf1 > 0);
    const sorted = took.toSorted((x, y) => x - y);
    const at = (part: number): string => (sorted[Math.floor(part * (sorted.length - 1))] ?? 0).toFixed(0);
    t.diagnostic(`${took.length} changes: median ${at(0.5)} µs, 99 % within ${at(0.99)} µs, longest ${at(1)} µs`);
  } finally {
    first.close();
    second.close();
    scratch.remove();
  }
});

test('a syscall program walks an LRU table of 131,072 into another table and an array, again without harm', (t) => {
  const object = loadFacts();
  try {
    runSyscall(object, 'fill', FLOWS);
    takeResults(object);
    assert.equal(runSyscall(object, 'import'), 0);
    const bulk = takeResults(object);
    assert.deepEqual([bulk.made, bulk.present, bulk.refused], [FLOWS, 0, 0]);
    assert.equal(runSyscall(object, 'import'), 0);
    const again = takeResults(object);
    assert.deepEqual([again.made, again.present, again.refused], [0, FLOWS, 0]);
    t.diagnostic(`${FLOWS} entries: ${(bulk.ns / 1e6).toFixed(0)} ms; again ${(again.ns / 1e6).toFixed(0)} ms`);
  } finally {
    object.close();
  }
});

test('no soft interrupt comes into a test run of a tc program; into one of a syscall program it does', async () => {
  const object = loadFacts();
  try {
    takeResults(object);
    for (let i = 0; i < 20; i += 1) assert.equal(run(object, 'hold_tc').verdict, 0);
    const tc = takeResults(object);
    assert.equal(tc.firedInside, 0);
    assert.ok(tc.firedOutside > 0, 'the timers were due meanwhile');
    for (let i = 0; i < 20; i += 1) assert.equal(runSyscall(object, 'hold_syscall'), 0);
    assert.ok(takeResults(object).firedInside > 0);
  } finally {
    object.close();
  }
});

test('a ring buffer is read through memory of its own, and its descriptor says when there is something', async () => {
  const object = loadFacts();
  const ring = new Ring(map(object, 'fact_event').fd);
  try {
    const heard = ring.next();
    for (const said of [1, 0xffff_fffe]) run(object, 'say', [said]);
    await heard;
    assert.deepEqual(ring.read(), [1, 0xffff_fffe]);
    // Several times round the ring, with records across its end.
    for (let i = 0; i < 1000; i += 1) {
      assert.equal(run(object, 'say', [i]).verdict, 0);
      assert.deepEqual(ring.read(), [i]);
    }
  } finally {
    ring.close();
    object.close();
  }
});

test('compare and swap takes a free word once, and loses no step while both CPUs try', async () => {
  const object = loadFacts();
  try {
    const wide = (): bigint => Buffer.from(map(object, 'fact_word').lookup(SLOT) ?? []).readBigUInt64LE(0);
    assert.equal(run(object, 'take').verdict, 1);
    // Odd now: the program computes the even number below, which is not there.
    assert.equal(run(object, 'take').verdict, 0);
    const times = 500_000;
    takeResults(object);
    await Promise.all([0, 1].map(() => runAside(object, 'step', [], times)));
    assert.equal(Number(wide()) + takeResults(object).refused, 2 * times);
  } finally {
    object.close();
  }
});

test('a global function takes the context; a map value pointer is still good after it', () => {
  const object = loadFacts();
  try {
    const { verdict, context } = run(object, 'call_global');
    assert.deepEqual([verdict, context.mark], [1, 7]);
  } finally {
    object.close();
  }
});
