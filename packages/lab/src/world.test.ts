import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { STORIES } from './stories/index.ts';
import { findFaults, type World } from './world.ts';

const SOUND: World = {
  stores: ['lmdb'],
  servers: 1,
  hosts: { h1: {} },
  projects: ['blue', 'red'],
  networks: { net1: { project: 'blue', cidr: '10.0.0.0/24' } },
  groups: { web: { project: 'blue', allow: [] }, other: { project: 'red', allow: [] } },
  guests: { vm1: { kind: 'vm', dhcp: 'udhcpc', host: 'h1', network: 'net1', group: 'web' } },
};

const VM = { kind: 'vm', dhcp: 'udhcpc', host: 'h1', network: 'net1', group: 'web' } as const;

test('the world of every story can be built', () => {
  for (const story of STORIES) assert.deepEqual(findFaults(story.world), [], story.name);
});

test('the page about the lab has a row for every story', () => {
  const page = readFileSync(new URL('../../../docs/design/lab.md', import.meta.url), 'utf8');
  const missing = STORIES.filter(({ name }) => !page.includes(`\n| \`${name}\` |`)).map(({ name }) => name);
  assert.deepEqual(missing, []);
});

test('every story has a name of its own, a sentence, and checks with distinct names', () => {
  assert.equal(new Set(STORIES.map((story) => story.name)).size, STORIES.length);
  for (const { name, sentence, checks } of STORIES) {
    assert.match(name, /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/);
    assert.match(sentence, /^[A-Z].*\.$/);
    assert.ok(checks.length > 0, name);
    assert.equal(new Set(checks.map((check) => check.name)).size, checks.length, name);
  }
});

const FAULTS: readonly (readonly [string, Partial<World>, readonly string[]])[] = [
  ['nothing of a sound world', {}, []],
  [
    'an owner that is not there, also of a group called as a network',
    { groups: { web: { project: 'blue', allow: [] }, net1: { project: 'x', allow: [] } } },
    ['net1: there is no project x'],
  ],
  ['no server', { servers: 0 }, ['servers: 0 is not a number of servers']],
  ['several servers on LMDB', { servers: 3 }, ['servers: LMDB is for one server']],
  ['a guest called as a host', { guests: { h1: VM } }, ['h1: named twice']],
  ['a host called as the underlay', { hosts: { h1: {}, net: {} } }, ['net: not fit for a name']],
  ['a host called as the control plane', { hosts: { h1: {}, ctl: {} } }, ['ctl: not fit for a name']],
  ['a guest on no host', { guests: { vm1: { ...VM, host: 'h9' } } }, ['guest vm1: there is no host h9']],
  [
    'a guest in no network',
    { guests: { vm1: { ...VM, network: 'green' } } },
    ['guest vm1: there is no network green', 'guest vm1: network green and group web are of two projects'],
  ],
  [
    'a group of another project',
    { guests: { vm1: { ...VM, group: 'other' } } },
    ['guest vm1: network net1 and group other are of two projects'],
  ],
  ['the address of nobody', { guests: { vm1: { ...VM, sameAddressAs: 'vm2' } } }, ['guest vm1: there is no guest vm2']],
  [
    'an owner that is not there',
    { groups: { web: { project: 'blue', allow: [] }, x: { project: 'green', allow: [] } } },
    ['x: there is no project green'],
  ],
  [
    'a router of no network',
    { routers: { r: { project: 'blue', networks: ['x'] } } },
    ['router r: there is no network x'],
  ],
  ['a poser as nobody', { hosts: { h1: {}, h2: { posesAs: 'h9' } } }, ['host h2: there is no host h9']],
];

for (const [what, change, faults] of FAULTS) {
  test(`findFaults names ${what}`, () => assert.deepEqual(findFaults({ ...SOUND, ...change }), faults));
}
