import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drawWorld } from './draw.ts';
import { STORIES } from './stories/index.ts';

test('a world is drawn with its hosts, guests, underlay and networks', () => {
  const drawing = drawWorld({
    stores: ['lmdb', 'etcd'],
    servers: 1,
    hosts: { h1: {}, h2: {} },
    projects: ['blue'],
    networks: { front: { project: 'blue', cidr: '10.1.0.0/24' }, back: { project: 'blue', cidr: '10.2.0.0/24' } },
    routers: { r: { project: 'blue', networks: ['front', 'back'] } },
    groups: { web: { project: 'blue', allow: ['ping', 'service'] } },
    guests: {
      vm1: { kind: 'vm', dhcp: 'udhcpc', host: 'h1', network: 'front', group: 'web' },
      pod1: { kind: 'pod', host: 'h1', network: 'back', group: 'web' },
    },
  });
  assert.equal(
    drawing,
    [
      'server at https://10.255.254.1:9697, a router away from the hosts, store: lmdb or etcd',
      '┌ h1 ─────────────────────────┐  ┌ h2 ─────────────────┐',
      '│ vm1   VM, udhcpc      front │  │                     │',
      '│ pod1  pod, cable-cni  back  │  │                     │',
      '└ up0 10.255.255.1 ───────────┘  └ up0 10.255.255.2 ───┘',
      '    ║                                ║',
      '═══ underlay, MTU 1500 ═════════════════════════════════',
      '',
      'project blue',
      '  network front  10.1.0.0/24         ── r ── back',
      '  network back   10.2.0.0/24         ── r ── front',
      '  group web: allows ping, service',
    ].join('\n'),
  );
});

test('everything that a story declares is in its drawing, and no line is wider than a terminal', () => {
  for (const { name, world } of STORIES) {
    const drawing = drawWorld(world);
    const parts = [world.hosts, world.networks, world.groups, world.guests, world.routers, world.realMachines];
    for (const part of parts.flatMap((names) => Object.keys(names ?? {}))) {
      assert.match(drawing, new RegExp(`\\b${part}\\b`), `${part} of ${name}`);
    }
    for (const line of drawing.split('\n')) assert.ok(line.length <= 120, line);
  }
});

test('boxes that do not fit beside each other stand below', () => {
  const hosts = Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`host${index + 1}`, {}]));
  const [first] = STORIES;
  const drawing = drawWorld({ ...first.world, hosts, guests: {}, realMachines: {} });
  assert.equal(drawing.match(/┌ host\d/g)?.length, 9);
  assert.ok(drawing.split('\n').filter((line) => line.startsWith('┌')).length > 1);
});
