/** Ports of one floating IP that lead to guests of two hosts, with real agents and the real kernel. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import type { BedHost } from '../versions/bed-host.ts';
import { eventually } from '../versions/program.ts';
import { answers, createGuests, createInner, createOutsideBed, enter, heard } from './outside-bed.ts';

const BYTES = 1_000_000;

/** Connects from outside; what it says when it cannot, else ''. */
function refusalOf(outside: string, address: string, port: number): string {
  try {
    const command = enter(outside, 'socat', '-u', '/dev/null', `TCP:${address}:${port},connect-timeout=1`);
    execFileSync(...command, { stdio: ['ignore', 'ignore', 'pipe'], timeout: 5_000 });
    return '';
  } catch (err) {
    return String(err);
  }
}

/** What a guest answers by UDP at `inside`, to who asks from outside at `port` of the address. */
async function asks(outside: string, guest: BedHost, inside: number, address: string, port: number): Promise<string> {
  const server = spawn(...enter(guest.name, 'timeout', '20', 'socat', `UDP-LISTEN:${inside},fork`, 'PIPE'));
  const closed = once(server, 'close');
  // Refused until the guest listens.
  const ask = (): string => {
    const command = enter(outside, 'socat', '-t', '1', 'STDIO', `UDP:${address}:${port}`);
    try {
      return execFileSync(...command, {
        ...{ input: `to ${inside}`, encoding: 'utf8', timeout: 5_000 },
        stdio: ['pipe', 'pipe', 'ignore'],
      });
    } catch {
      return '';
    }
  };
  try {
    let answer = '';
    await eventually(`an answer from ${guest.name}`, () => {
      answer = ask();
      return answer !== '';
    });
    return answer;
  } finally {
    server.kill();
    await closed;
  }
}

test('ports of one floating IP lead to guests of any host, and its other ports nowhere', {
  timeout: 240_000,
}, async (t) => {
  const world = await createOutsideBed(t, { label: 'fwd', uplinks: 1 });
  const { bed, outside, cloud, external } = world;
  await cloud.allow('tcp', 8080);
  const rule = await cloud.allow('udp', 6002);
  const [one, two] = await createGuests(world, await createInner(world), bed.hosts);
  assert.ok(one && two);
  const [port1, port2] = [one.port, two.port];

  const floating = await bed.api.create('floatingip', { floating_network_id: external.id });
  const { floating_ip_address: address } = floating;
  const forwardings = bed.api.within(floating.id);
  const forward = (port: { readonly id: string }, ports: object): Promise<{ readonly id: string }> =>
    forwardings.create('port_forwarding', { protocol: 'tcp', internal_port_id: port.id, ...ports });
  const first = await forward(port1, { external_port: 2221, internal_port: 8080 });
  const second = await forward(port2, { external_port: 2222, internal_port: 8080 });
  await forward(port2, { protocol: 'udp', external_port_range: '5000:5003', internal_port_range: '6000:6003' });

  const refusal = (port: number): string => refusalOf(outside, address, port);
  const hears = (guest: BedHost, from: string, port: number): Promise<number> =>
    heard(guest.name, { from, address, port, bytes: BYTES });
  await eventually('the address answers', () => answers(outside, address, 1) === 1);
  assert.equal(await hears(bed.h1, outside, 2221), BYTES, 'to a guest of the gateway’s host');
  assert.equal(await hears(bed.h2, outside, 2222), BYTES, 'to a guest of another host');
  assert.equal(await hears(bed.h2, bed.h1.name, 2222), BYTES, 'from a guest, by the address outside');
  assert.match(await asks(outside, bed.h2, 6002, address, 5002), /^to 6002/, 'a port of a range');
  assert.notEqual(refusal(2223), '', 'no other port');
  await cloud.revoke(rule);
  await cloud.allow('udp', 5002);
  const isShut = (): boolean =>
    execFileSync(...enter(outside, 'socat', '-t', '0.3', 'STDIO', `UDP:${address}:5002`), { input: 'x' }).length === 0;
  await eventually('the rules see the port inside', isShut);

  await forwardings.update('port_forwarding', second.id, {
    external_port: 2229,
    internal_port_id: port1.id,
    internal_port: 8081,
  });
  await forwardings.update('port_forwarding', first.id, { internal_port_id: port2.id });
  await eventually('it has moved', () => refusal(2222) !== '');
  assert.equal(await hears(bed.h2, outside, 2221), BYTES, 'to the other guest now');
  for (const one of await forwardings.list('port_forwarding')) await forwardings.delete('port_forwarding', one.id);
  await eventually('the address is nobody’s', () => answers(outside, address, 1) === 0);
  assert.equal((await bed.api.list('floatingip', { id: floating.id }))[0]?.status, 'DOWN');
});
