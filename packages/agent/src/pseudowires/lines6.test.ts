/** A line between hosts that have IPv6 in the underlay. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CB_PW_TAKEN } from '../bpf/abi.gen.ts';
import { type AgentBed, type BedHost, createAgentBed, eventually } from '../testing/agent-bed.ts';
import { carries, Inside } from '../testing/traffic.ts';
import { addWireGuest, countOf, GUEST_MTU_BYTES, line, viewOf, type WireGuest, wireWorld } from './testing.ts';

let bed: AgentBed;
let hosts: readonly [BedHost, BedHost];
let guests: readonly [WireGuest, WireGuest];
const services = new Inside();

before(async () => {
  bed = await createAgentBed('pw6', 2, 6);
  const [h1, h2] = bed.hosts;
  assert.ok(h1 && h2);
  hosts = [h1, h2];
  guests = [addWireGuest(1, h1), addWireGuest(2, h2)];
});

after(async () => {
  await services.end();
  for (const { netns } of guests) netns.remove();
  await bed.remove();
});

test('everything passes between hosts', async () => {
  const [from, to] = guests;
  bed.server.set(wireWorld(hosts, guests, line(1, from, to)));
  await Promise.all(hosts.map((host) => host.start()));
  for (const host of hosts)
    await eventually('the wires are there', async () => (await viewOf(host))?.wires.length === 2);
  for (const address of ['10.9.0.2', '2001:db8:9::2']) {
    await services.serve(to.netns.path, address);
    await carries(from.netns, address, `to ${address}`, GUEST_MTU_BYTES);
  }
  assert.ok((await countOf(hosts[1], CB_PW_TAKEN)) > 1000);
});
