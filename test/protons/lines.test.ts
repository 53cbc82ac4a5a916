/** Lines of the proton `circuit` from the API to frames: a real server, two real agents, and guests that send whatever they like. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { RawGuest } from '../../packages/agent/src/testing/raw-guest.ts';
import { eventually } from '../versions/program.ts';
import { WireBed } from './wire-bed.ts';

const BASE = 'circuit/v1.0';
const [TO, FROM] = ['020000000002', '020000000001'];

/** In hexadecimal. */
const FRAMES: Readonly<Record<string, string>> = {
  LLDP: `0180c200000e${FROM}88cc020704${FROM}0403053031060200780000`,
  ARP: `ffffffffffff${FROM}08060001080006040001${FROM}0a0900010000000000000a090002`,
  'two VLAN tags': `${TO}${FROM}88a8200581000007${'0806'}${'ab'.repeat(28)}`,
  'IPv4 from an address of nobody': `${TO}${FROM}08004500001c00000000401100000b0b0b0b0c0c0c0c0001000200080000`,
};

let world: WireBed;

before(async () => {
  world = await WireBed.start('line', 'rp_tunnelled:100000:100000');
  await world.install('circuit');
});
after(() => world?.remove());

type End = { readonly id: string; readonly tap: RawGuest };

async function end(host: 'h1' | 'h2'): Promise<End> {
  const id = await world.make(`${BASE}/ports`, { mac_address: world.mac() });
  const tap = world.plugTap(id, world[host]);
  assert.equal(await world.bind(id, world[host]), 'tap');
  return { id, tap };
}

/** True when a frame comes as it was sent. */
async function passes(what: string, from: End, to: End): Promise<void> {
  const hex = FRAMES[what] ?? '';
  to.tap.take();
  const come = (): boolean => {
    from.tap.send(Buffer.from(hex, 'hex'));
    return to.tap.take().some((frame) => frame.toString('hex') === hex);
  };
  await eventually(`${what} comes`, come);
}

test('a line between two hosts carries every frame, until it is deleted', async () => {
  const [a, z] = [await end('h1'), await end('h2')];
  const line = await world.make(`${BASE}/lines`, { a_port_id: a.id, z_port_id: z.id, guaranteed_kbps: 60_000 });
  await world.becomes(`/proton/${BASE}/lines/${line}`, 'ACTIVE');
  for (const what of Object.keys(FRAMES)) {
    await passes(what, a, z);
    await passes(what, z, a);
  }

  const [b, y] = [await end('h1'), await end('h2')];
  const more = { a_port_id: b.id, z_port_id: y.id, guaranteed_kbps: 40_001 };
  const { status, body } = await world.ask('POST', `/proton/${BASE}/lines`, more);
  assert.equal(status, 409, JSON.stringify(body));
  assert.match(JSON.stringify(body), /guaranteed_kbps.*has 100000 kbit\/s of egress on rp_tunnelled/);
  await world.make(`${BASE}/lines`, { ...more, guaranteed_kbps: 40_000 });
  await passes('LLDP', b, y);
  a.tap.take();
  z.tap.take();
  b.tap.send(Buffer.from(FRAMES['ARP'] ?? '', 'hex'));
  await eventually('it came where it belongs', () => y.tap.take().length > 0);
  assert.deepEqual([a.tap.take().length, z.tap.take().length], [0, 0], 'lines are apart');

  assert.equal((await world.ask('DELETE', `/proton/${BASE}/lines/${line}`)).status, 204);
  const isOver = async (): Promise<boolean> => {
    z.tap.take();
    for (let n = 0; n < 10; n += 1) a.tap.send(Buffer.from(FRAMES['LLDP'] ?? '', 'hex'));
    await new Promise((resolve) => setTimeout(resolve, 200));
    return z.tap.take().length === 0;
  };
  await eventually('nothing passes any more', isOver);
  await passes('LLDP', y, b);
});
