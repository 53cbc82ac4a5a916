/** Two VPNs that import each other, on one host and between hosts, beside one that has the addresses of the first. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { VpnPlace } from '@cable/model';
import { sampleLabel, sampleVpn } from '../plan/testing/sample-vpn.ts';
import { type AgentBed, type BedHost, createAgentBed, eventually } from '../testing/agent-bed.ts';
import { carries, Inside } from '../testing/traffic.ts';
import { addVpnGuest, answers, VPN_MTU_BYTES, type VpnGuest, vpnPlaces, vpnWorld } from './testing.ts';

const [BLUE, OTHER, RED] = [1, 2, 11];
let bed: AgentBed;
let hosts: readonly [BedHost, BedHost];
let guests: readonly [VpnGuest, VpnGuest, VpnGuest, VpnGuest];
const services = new Inside();

before(async () => {
  bed = await createAgentBed('btw', 2);
  const [h1, h2] = bed.hosts;
  assert.ok(h1 && h2);
  hosts = [h1, h2];
  guests = [
    addVpnGuest(1, BLUE, 1, h1),
    addVpnGuest(2, OTHER, 1, h1),
    addVpnGuest(3, RED, 5, h1),
    addVpnGuest(4, RED, 6, h2),
  ];
});

after(async () => {
  await services.end();
  for (const { netns } of guests) netns.remove();
  await bed.remove();
});

/** As another VPN that imports it has them. */
function importedOf(vpn: number): ReadonlyMap<string, VpnPlace> {
  return new Map(
    vpnPlaces(guests, vpn).map(({ port, host, underlay }) => {
      const prefixes = port.fixedIps.map(({ ipAddress: one }) => `${one}/${one.includes(':') ? 128 : 32}`);
      return [`${vpn}/${port.id}`, { host, underlay, prefixes, label: sampleLabel(vpn) }];
    }),
  );
}

test('ports of both reach each other, and the third VPN neither', async () => {
  const blue = sampleVpn(BLUE, vpnPlaces(guests, BLUE), { more: importedOf(RED) });
  const red = sampleVpn(RED, vpnPlaces(guests, RED), { more: importedOf(BLUE) });
  bed.server.set(vpnWorld(hosts, guests, [blue, red, sampleVpn(OTHER, vpnPlaces(guests, OTHER))]));
  await Promise.all(hosts.map((host) => host.start()));
  const [from, other, ...reds] = guests;
  for (const { netns, port } of reds) {
    for (const { ipAddress } of port.fixedIps) {
      await services.serve(netns.path, ipAddress);
      await eventually(`${ipAddress} answers`, () => answers(from.netns, ipAddress));
      await carries(from.netns, ipAddress, `to ${ipAddress}`, VPN_MTU_BYTES);
      assert.ok(!answers(other.netns, ipAddress), `${ipAddress} from a VPN that does not import it`);
    }
    for (const { ipAddress } of from.port.fixedIps) assert.ok(answers(netns, ipAddress), `back to ${ipAddress}`);
  }
});
