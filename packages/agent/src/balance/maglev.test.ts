import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Candidate, maglevTable, SLOT_COUNTS, slotCount } from './maglev.ts';

/** Numbers that are the same in each run (Park and Miller). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

function membersOf(count: number, weightOf: () => number, seed: number): readonly Candidate[] {
  return Array.from({ length: count }, (_, at) => ({ id: `member-${seed}-${at}`, weight: weightOf(), isUp: true }));
}

function ownersOf(members: readonly Candidate[]): readonly (string | undefined)[] {
  return [...maglevTable(members)].map((place) => members[place]?.id);
}

/** Part of the slots of members other than `gone` that have another owner afterwards. */
function movedPart(before: readonly unknown[], after: readonly unknown[], gone: string): number {
  const others = before.flatMap((owner, slot) => (owner === gone ? [] : [after[slot] === owner ? 0 : 1]));
  return others.reduce<number>((sum, one) => sum + one, 0) / others.length;
}

const COUNTS = [2, 3, 5, 10, 20, 40, 100];

test('a member taken away moves less than 3 % of the others’ slots', () => {
  const random = randomFrom(7);
  for (const count of COUNTS) {
    for (const weightOf of [() => 1, () => 1 + Math.floor(random() * 256)]) {
      const moved: number[] = [];
      for (let seed = 0; seed < (count > 20 ? 1 : 6); seed += 1) {
        const members = membersOf(count, weightOf, seed);
        const before = ownersOf(members);
        for (const gone of members.slice(0, 5)) {
          const after = ownersOf(members.filter((one) => one !== gone));
          // Tables of another size are another matter: the agent keeps to no size.
          if (after.length === before.length) moved.push(movedPart(before, after, gone.id));
        }
      }
      const mean = moved.reduce((sum, one) => sum + one, 0) / Math.max(1, moved.length);
      assert.ok(mean < 0.03, `${count} members: ${mean}`);
    }
  }
});

test('a member that is down gives its slots to the others by their weight, and moves none of theirs', () => {
  const random = randomFrom(11);
  for (const count of COUNTS) {
    const members = membersOf(count, () => 1 + Math.floor(random() * 256), count);
    const before = ownersOf(members);
    const down = members.map((one, at) => ({ ...one, isUp: at % 3 !== 0 }));
    const after = ownersOf(down);
    const isDown = new Set(down.filter((one) => !one.isUp).map(({ id }) => id));
    for (const [slot, owner] of before.entries()) {
      if (isDown.has(owner ?? '')) assert.equal(isDown.has(after[slot] ?? ''), false);
      else assert.equal(after[slot], owner, `slot ${slot} of ${count} members`);
    }
    assert.deepEqual(ownersOf(members), before, 'back up, each has its own again');
  }
});

test('shares are as the weights are', () => {
  const random = randomFrom(3);
  for (const count of COUNTS) {
    const members = membersOf(count, () => 1 + Math.floor(random() * 256), count);
    const total = members.reduce((sum, one) => sum + one.weight, 0);
    const table = maglevTable(members);
    const counts = members.map((_, place) => table.filter((one) => one === place).length);
    for (const [place, { weight }] of members.entries()) {
      const fair = (table.length * weight) / total;
      assert.ok(Math.abs((counts[place] ?? 0) - fair) <= 2 + fair * 0.03, `${counts[place]} slots in place of ${fair}`);
    }
  }
});

test('the order in which members are named does not matter', () => {
  const members = membersOf(9, () => 5, 1);
  assert.deepEqual(ownersOf([...members].reverse()), ownersOf(members));
});

test('nobody, one and two have tables that are small', () => {
  const one = membersOf(1, () => 256, 1);
  assert.deepEqual([...maglevTable([])], []);
  assert.deepEqual([...maglevTable(one)], [0]);
  assert.deepEqual([...maglevTable(one.map((each) => ({ ...each, isUp: false })))], []);
  assert.equal(maglevTable(membersOf(2, () => 1, 1)).length, 61);
  assert.equal(slotCount(1000), SLOT_COUNTS.at(-1));
});
