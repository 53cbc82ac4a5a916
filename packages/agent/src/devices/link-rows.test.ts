import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Link } from '../net/link.ts';
import { LinkRows, type ObservedLink, type RowEvent, sameRow } from './link-rows.ts';

/** A seeded random (mulberry32): a failure can be run again. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

function link(ifindex: number, name: string, mtuBytes = 1500): Link {
  return {
    ifindex,
    name,
    mtuBytes,
    kind: 'veth',
    mac: '02:00:00:00:00:01',
    operState: 'up',
    flags: 1,
    up: true,
    carrier: true,
    peerIfindex: 0,
    peerNetnsid: undefined,
    alias: '',
  };
}

/** A kernel that changes at random and tells each change. */
function kernel(random: (below: number) => number) {
  const truth = new LinkRows();
  let next = 2;
  const pick = (): ObservedLink | undefined => [...truth.values()][random(Math.max(truth.size, 1))];
  const change = (): RowEvent | undefined => {
    const row = pick();
    const name = `n${random(12)}`;
    const free = truth.byName(name) === undefined;
    const kind = random(7);
    if (kind === 0 && free) return { kind: 'link', link: link(next++, name), gone: false };
    if (row === undefined) return undefined;
    if (kind === 1 && free) return { kind: 'link', link: link(row.ifindex, name, row.mtuBytes), gone: false };
    if (kind === 2) return { kind: 'link', link: link(row.ifindex, row.name, 1400 + random(3)), gone: false };
    if (kind === 3) return { kind: 'link', link: row, gone: true };
    if (kind === 4) return { kind: 'filter', ifindex: row.ifindex, programId: [undefined, 7, 8][random(3)] };
    const address = { ifindex: row.ifindex, cidr: `10.0.0.${random(3)}/24`, linkLocal: false };
    return kind > 4 ? { kind: 'address', address, gone: kind === 5 } : undefined;
  };
  return {
    truth,
    step: (): RowEvent | undefined => {
      const event = change();
      if (event !== undefined) truth.apply(event);
      return event;
    },
  };
}

function assertSame(actual: LinkRows, wanted: LinkRows, what: string): void {
  assert.equal(actual.size, wanted.size, what);
  for (const row of wanted.values()) {
    assert.ok(sameRow(actual.get(row.ifindex), row), `${what}: ${JSON.stringify([actual.get(row.ifindex), row])}`);
    assert.equal(actual.byName(row.name)?.ifindex, row.ifindex, what);
  }
}

test('whatever happens while lists are read one after the other, what was told meanwhile makes them right', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = randomOf(seed);
    const { truth, step } = kernel(random);
    for (let i = 0; i < 30; i++) step();
    const told: RowEvent[] = [];
    const some = (): void => {
      for (let i = random(15); i > 0; i--) {
        const event = step();
        if (event !== undefined) told.push(event);
      }
    };
    const read = new LinkRows();
    some();
    for (const row of truth.values()) read.apply({ kind: 'link', link: row, gone: false });
    for (const row of read.values()) read.put({ ...row, addresses: [], programId: undefined });
    some();
    for (const row of truth.values()) {
      for (const address of row.addresses) read.apply({ kind: 'address', address, gone: false });
    }
    some();
    for (const row of truth.values()) {
      if (row.programId !== undefined) read.apply({ kind: 'filter', ifindex: row.ifindex, programId: row.programId });
    }
    some();
    for (const event of told) read.apply(event);
    assertSame(read, truth, `seed ${seed}`);
  }
});

test('events alone keep the rows and the names right, and one about an unknown device changes nothing', () => {
  for (let seed = 1; seed <= 100; seed++) {
    const { truth, step } = kernel(randomOf(seed));
    const rows = new LinkRows();
    for (let i = 0; i < 200; i++) {
      const event = step();
      if (event !== undefined) rows.apply(event);
      rows.apply({ kind: 'filter', ifindex: 9_999, programId: 1 });
    }
    assertSame(rows, truth, `seed ${seed}`);
  }
});

test('a name that goes over before its old owner is heard of leads to the new one', () => {
  const rows = new LinkRows();
  rows.apply({ kind: 'link', link: link(2, 'a'), gone: false });
  rows.apply({ kind: 'link', link: link(3, 'a'), gone: false });
  assert.equal(rows.byName('a')?.ifindex, 3);
  rows.apply({ kind: 'link', link: link(2, 'a'), gone: true });
  assert.equal(rows.byName('a')?.ifindex, 3);
});
