/**
 * The lines of protocol 2 that a server writes for one history of one small world, as they are recorded: to an agent that follows, to one that comes back,
 * and to one that holds nothing. What changes them changes the protocol for every agent in the field. UPDATE_GOLDEN=1 records them anew; if an older
 * agent would misread the new ones, `HOST_PROTOCOLS` gets an entry. The agent's tests read the same files.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { HOST_PROTOCOL } from '@cable/model';
import {
  testHost,
  testLeg,
  testNetwork,
  testPort,
  testRouter,
  testRule,
  testSubnet,
  uuid,
} from '../slices/rows.fixture.ts';
import { createRig, StreamClient, type StreamRig } from './stream.fixture.ts';

type RecordName = 'v2-stream' | 'v2-resumption' | 'v2-anew';

function fileOf(name: RecordName): URL {
  return new URL(`../../../agent/src/stream/testing/${name}.ndjson`, import.meta.url);
}

const NET = testNetwork(1);
const OTHER_NET = testNetwork(2);
const ROUTER = testRouter(0x21);
const GROUP = uuid(0x51);
const LEG = testLeg(0x22, ROUTER.id, NET);

type Played = { readonly rig: StreamRig; readonly client: StreamClient; follow(revision: number): Promise<void> };

/** The history that `v1-stream.ndjson` is a recording of too, revision by revision, but for its last. */
async function play({ rig, client, follow }: Played): Promise<void> {
  const { world } = rig;
  rig.mark = '7-a1b2';
  rig.admit = async () => ({ cluster: '3f1c', mark: rig.mark });
  rig.change(world.put('host', testHost('h1', '192.0.2.1')));
  rig.change(world.put('host', testHost('h2', '192.0.2.2')));
  rig.change(world.put('network', NET));
  rig.change(world.put('subnet', testSubnet(NET)));
  rig.change(world.put('router', ROUTER));
  rig.change();
  const rule = { ...testRule(0x52, GROUP, GROUP), protocol: 'tcp', port_range_min: 80, port_range_max: 80 } as const;
  rig.change(world.put('security_group_rule', rule));
  rig.change(world.put('port', testPort(0x11, NET, 'h1', { security_groups: [GROUP] })));
  rig.change(world.put('port', testPort(0x12, NET, 'h2', { security_groups: [GROUP] })));
  rig.change();
  const gateway = { subnet_id: testSubnet(NET).id, ip_address: '10.0.0.1' };
  rig.change(world.put('port', { ...LEG, fixed_ips: [gateway] }));
  await rig.settled();
  client.connect();
  await follow(11);
  await follow(rig.change(world.put('port', testPort(0x13, NET, 'h2'))));
  rig.change();
  rig.mark = '8-c3d4';
  await follow(rig.change(world.delete('port', uuid(0x12))));
  rig.change();
  await follow(rig.change(world.put('router', { ...ROUTER, name: 'edge' })));
  await follow(rig.change(world.put('port', testPort(0x14, NET, 'h1', { port_security_enabled: false }))));
}

/**
 * What happens while the agent is away: a slice that it needs no more, some that it did not need, items that are new, others or gone, and one slice
 * with more changes than are remembered.
 */
async function playAway({ rig }: Played): Promise<void> {
  const { world } = rig;
  // Each is a batch of its own, whatever else the machine does.
  const change = async (...changes: Parameters<typeof rig.change>): Promise<void> => {
    rig.change(...changes);
    await rig.settled();
  };
  await change(world.delete('port', LEG.id));
  await change(world.put('port', testPort(0x15, NET, 'h2')));
  await change(world.delete('port', uuid(0x13)));
  await change(world.put('port', testPort(0x11, NET, 'h1', { security_groups: [GROUP], name: 'renamed' })));
  await change(world.delete('port', uuid(0x14)));
  await change(world.put('network', OTHER_NET), world.put('subnet', testSubnet(OTHER_NET)));
  await change(world.put('port', testPort(0x16, OTHER_NET, 'h1')));
  for (let n = 0x60; n < 0x80; n += 1) {
    await change(world.put('security_group_rule', { ...testRule(n, GROUP, null), protocol: 'udp' }));
    await change(world.delete('security_group_rule', uuid(n - 1)));
  }
  rig.mark = '9-e5f6';
}

/** Runs the play against a rig, with a client whose lines are looked at. */
async function withRig<T>(act: (played: Played) => Promise<T>): Promise<T> {
  const rig = createRig();
  const client = new StreamClient(rig, 'h1');
  const follow = async (revision: number): Promise<void> => {
    await client.reached(revision);
    await rig.settled();
  };
  try {
    return await act({ rig, client, follow });
  } finally {
    await rig.stop();
  }
}

const PLAYS: Readonly<Record<RecordName, () => Promise<readonly unknown[]>>> = {
  'v2-stream': () =>
    withRig(async (played) => {
      await play(played);
      await played.follow(played.rig.change(played.rig.world.delete('port', LEG.id)));
      return [...played.client.lines];
    }),
  // First what the agent says that it holds.
  'v2-resumption': () =>
    withRig(async (played) => {
      const { rig, client, follow } = played;
      await play(played);
      client.disconnect();
      const { revision: since } = client.slices;
      const said = { type: 'resume', since, slices: client.slices.digests() };
      await playAway(played);
      client.connect();
      await follow(rig.store.revision);
      return [said, ...client.lines];
    }),
  // All of it for an agent that holds nothing, of a server that nobody has asked before: it has no whole slice at hand.
  'v2-anew': () =>
    withRig(async ({ rig, client, follow }) => {
      const unwatched = { rig, client: new StreamClient(rig, 'h0'), follow: () => rig.settled() };
      await play(unwatched);
      await playAway(unwatched);
      client.connect();
      await follow(rig.store.revision);
      return [...client.lines];
    }),
};

for (const [name, record] of Object.entries(PLAYS) as [RecordName, () => Promise<readonly unknown[]>][]) {
  test(`what a server writes in protocol ${HOST_PROTOCOL} is what is recorded: ${name}`, async () => {
    const lines = (await record()).map((line) => JSON.stringify(line));
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(fileOf(name), `${lines.join('\n')}\n`);
    assert.deepEqual(lines, readFileSync(fileOf(name), 'utf8').trimEnd().split('\n'));
    assert.deepEqual(
      lines,
      (await record()).map((line) => JSON.stringify(line)),
      'however often it is made',
    );
  });
}
