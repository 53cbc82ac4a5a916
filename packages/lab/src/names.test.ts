import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { hostsOf } from './build.ts';
import { labsIn } from './down.ts';
import { agentPaths, isLabName, labNames, labOfStory, MAX_LAB_NAME } from './names.ts';
import { STORIES } from './stories/index.ts';
import type { World } from './world.ts';

/** Longest path of a Unix socket. */
const SOCKET_PATH = 107;

/** All that a world's lab is called outside its own network namespaces. */
function sharedNames(lab: string, world: World): readonly string[] {
  const names = labNames(lab);
  const hosts = hostsOf(names, world);
  const guests = Object.keys({ ...world.guests, ...world.realMachines }).map((guest) => `${lab}-${guest}`);
  return [
    names.dir,
    names.underlayNamespace,
    names.controlNamespace,
    ...hosts.flatMap((host) => [host.netns, ...Object.values(agentPaths(host.name, host.root))]),
    ...guests,
  ];
}

test('whatever a lab shares with another has a name of its own, in one lab and between labs', () => {
  const all = STORIES.flatMap((story) =>
    ['a', 'ab', labOfStory(story.name)].flatMap((lab) =>
      sharedNames(`${lab}x`, story.world).map((name) => `${lab}x ${name}`),
    ),
  );
  const labs = new Map<string, Set<string>>();
  for (const entry of all) {
    const [lab = '', name = ''] = entry.split(' ');
    labs.set(name, (labs.get(name) ?? new Set()).add(lab));
  }
  assert.deepEqual(
    [...labs].filter(([, of]) => of.size > 1),
    [],
  );
  for (const { world } of STORIES) {
    const names = sharedNames('lab', world);
    assert.equal(new Set(names).size, names.length, names.join(' '));
  }
});

test('the hosts of two labs have the same addresses: each underlay is its own', () => {
  const [first] = STORIES;
  const [a, b] = ['one', 'two'].map((lab) => hostsOf(labNames(lab), first.world).map((host) => host.underlay));
  assert.deepEqual(a, b);
});

test('a host that poses as another has its name, and files of its own', () => {
  const [h1, twin] = hostsOf(labNames('x'), { hosts: { h1: {}, twin: { posesAs: 'h1' } } });
  assert.equal(twin?.name, h1?.name);
  assert.notEqual(twin?.netns, h1?.netns);
  assert.equal(twin?.root, '/run/cable-lab/x/twin');
  assert.equal(h1?.root, '');
});

test('the longest lab name makes socket paths that fit', () => {
  const names = labNames('x'.repeat(MAX_LAB_NAME));
  for (const { world } of STORIES) {
    for (const host of hostsOf(names, world)) {
      const { socket } = agentPaths(host.name, host.root);
      assert.ok(socket.length <= SOCKET_PATH, socket);
    }
  }
  assert.ok(names.serverSocket.length <= SOCKET_PATH);
});

test('each story has a lab of its own, and the demonstration’s is called lab', () => {
  const labs = STORIES.map((story) => labOfStory(story.name));
  assert.equal(new Set(labs).size, labs.length);
  assert.ok(labs.every(isLabName));
  assert.equal(labs[0], 'lab');
});

test('labsIn finds the directories of labs and nothing else', () => {
  const dir = mkdtempSync(join(tmpdir(), 'cable-labs-'));
  try {
    for (const name of ['two', 'one', 'no-lab', '.hidden']) mkdirSync(join(dir, name));
    assert.deepEqual(labsIn(dir), ['one', 'two']);
    assert.deepEqual(labsIn(join(dir, 'none')), []);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
