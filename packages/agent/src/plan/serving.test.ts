import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Candidate, chooseServing } from './serving.ts';

type One = Candidate & { readonly name: string };

const HERE = { host: 'h1', zone: 'a' };

function one(name: string, more: Partial<Candidate> = {}): One {
  return { name, isReady: true, host: '', zoneHints: [], hostHints: [], ...more };
}

/** Names of those that count, and of those that are kept. */
function chosen(all: readonly One[], isLocal = false): readonly string[] {
  const { counting, kept } = chooseServing(all, HERE, isLocal);
  return [counting, kept].map((some) => some.map(({ name }) => name).join(''));
}

const dying = { isReady: false };

for (const [what, all, wanted, isLocal] of [
  ['all that are ready count', [one('a'), one('b', { host: 'h1' })], ['ab', '']],
  ['what terminates is kept beside what is ready', [one('a'), one('b', dying)], ['a', 'b']],
  ['what terminates counts where nothing is ready', [one('a', dying), one('b', dying)], ['ab', '']],
  ['of this host alone count its own', [one('a', { host: 'h1' }), one('b', { host: 'h2' })], ['a', 'b'], true],
  ['of this host alone counts none where there is none', [one('b', { host: 'h2' })], ['', 'b'], true],
  [
    'of this host alone count its own that terminate where none of them is ready',
    [one('a', { host: 'h1', ...dying }), one('b', { host: 'h2' })],
    ['a', 'b'],
    true,
  ],
  [
    'those of the zone count where each that is ready has a hint',
    [one('a', { zoneHints: ['a'] }), one('b', { zoneHints: ['b'] }), one('c', { zoneHints: ['b', 'a'] })],
    ['ac', 'b'],
  ],
  [
    'hints count for nothing where one that is ready has none',
    [one('a', { zoneHints: ['a'] }), one('b', { zoneHints: ['b'] }), one('c')],
    ['abc', ''],
  ],
  ['hints count for nothing where none names the zone', [one('b', { zoneHints: ['b'] })], ['b', '']],
  [
    'one that terminates needs no hint',
    [one('a', { zoneHints: ['a'] }), one('b', { zoneHints: ['b'] }), one('c', dying)],
    ['a', 'bc'],
  ],
  [
    'hints of hosts go before those of zones',
    [one('a', { zoneHints: ['a'], hostHints: ['h1'] }), one('b', { zoneHints: ['a'], hostHints: ['h2'] })],
    ['a', 'b'],
  ],
  [
    'hints of zones count where those of hosts name others',
    [one('a', { zoneHints: ['a'], hostHints: ['h3'] }), one('b', { zoneHints: ['b'], hostHints: ['h2'] })],
    ['a', 'b'],
  ],
] as readonly (readonly [string, readonly One[], readonly string[], boolean?])[]) {
  test(what, () => assert.deepEqual(chosen(all, isLocal), wanted));
}
