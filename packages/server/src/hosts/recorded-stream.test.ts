/**
 * The lines of protocol 2 that a server writes for one history of one small world, as they are recorded: what changes them changes the protocol for every
 * agent in the field. UPDATE_GOLDEN=1 records them anew; if an older agent would misread the new ones, `HOST_PROTOCOLS` gets an entry. The agent's
 * tests read the same file.
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
import { createRig, StreamClient } from './stream.fixture.ts';

const RECORDED = new URL('../../../agent/src/stream/testing/v2-stream.ndjson', import.meta.url);

const NET = testNetwork(1);
const ROUTER = testRouter(0x21);
const GROUP = uuid(0x51);
const LEG = testLeg(0x22, ROUTER.id, NET);

/** The history that `v1-stream.ndjson` is a recording of too, revision by revision. */
async function playHistory(): Promise<readonly string[]> {
  const rig = createRig();
  const { world } = rig;
  rig.mark = '7-a1b2';
  rig.admit = async () => ({ cluster: '3f1c', mark: rig.mark });
  const client = new StreamClient(rig, 'h1');
  const follow = async (revision: number): Promise<void> => {
    await client.reached(revision);
    await rig.settled();
  };
  try {
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
    await follow(rig.change(world.delete('port', LEG.id)));
    return client.lines.map((line) => JSON.stringify(line));
  } finally {
    await rig.stop();
  }
}

test(`what a server writes in protocol ${HOST_PROTOCOL} is what is recorded`, async () => {
  const lines = await playHistory();
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(RECORDED, `${lines.join('\n')}\n`);
  assert.deepEqual(lines, readFileSync(RECORDED, 'utf8').trimEnd().split('\n'));
});

test('the record is the same however often it is made', async () => {
  assert.deepEqual(await playHistory(), await playHistory());
});
