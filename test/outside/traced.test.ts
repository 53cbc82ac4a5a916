/** Traces of what a machine on a physnetwork sends, beside what really becomes of it: with real agents and the real kernel. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../versions/program.ts';
import { answers, createGuests, createInner, createOutsideBed, gatewayOf, heard, MACHINE } from './outside-bed.ts';

const BYTES = 1000;

type Told = {
  readonly verdict: string;
  readonly cause: { readonly reason: string; readonly way: string } | null;
  readonly receiver: { readonly id: string } | null;
  readonly there: readonly { readonly host: string; readonly steps: readonly { readonly text: string }[] }[];
  readonly back: readonly { readonly steps: readonly { readonly text: string }[] }[];
};

test('a trace from outside says what becomes of a packet for a floating IP, at its host and at the gateway’s, and of the answer', {
  timeout: 110_000,
}, async (t) => {
  const world = await createOutsideBed(t, { label: 'trc', uplinks: 1 });
  const { bed, outside, cloud, external } = world;
  await cloud.allowPing();
  await cloud.allow('tcp', 8080);
  const guests = await createGuests(world, await createInner(world), bed.hosts);
  const trace = async (to: string, more: Readonly<Record<string, string>> = {}): Promise<Told> => {
    const query = new URLSearchParams({ to, source: MACHINE, ...more });
    return (await bed.api.request('GET', `/cable/v1/networks/${external.id}/trace?${query}`)) as Told;
  };
  const own = (await gatewayOf(world)).fixed_ips[0]?.ip_address ?? '';
  await eventually('the router answers outside', () => answers(outside, own) === 5);
  const router = await trace(own);
  assert.deepEqual([router.verdict, router.cause], ['passes', null], JSON.stringify(router));

  for (const { host, port } of guests) {
    const floating = await bed.api.create('floatingip', { floating_network_id: external.id, port_id: port.id });
    const address = String(floating['floating_ip_address']);
    await eventually(`a trace to ${address} passes`, async () => (await trace(address)).verdict === 'passes');
    const ping = await trace(address);
    assert.equal(ping.receiver?.id, port.id);
    assert.equal(ping.there.at(-1)?.host, host.name);
    const texts = [...ping.there, ...ping.back].flatMap(({ steps }) => steps.map(({ text }) => text));
    assert.ok(texts.includes(`its source becomes ${address}`), texts.join('\n'));
    assert.ok(texts.includes('leaves by the uplink of the physical network'), texts.join('\n'));
    assert.equal(answers(outside, address), 5, 'and so it is');

    const open = await trace(address, { protocol: 'tcp', dport: '8080' });
    assert.equal(open.verdict, 'passes', JSON.stringify(open));
    assert.equal(await heard(host.name, { from: outside, address, bytes: BYTES }), BYTES);
    const closed = await trace(address, { protocol: 'tcp', dport: '8081' });
    assert.deepEqual([closed.verdict, closed.cause?.reason], ['dropped', 'policy_ingress']);
    const forged = await trace(address, { source: String(port.fixed_ips[0]?.ip_address) });
    assert.deepEqual([forged.verdict, forged.cause?.reason], ['dropped', 'reverse_path']);
    const far = await trace(address, { source: '198.51.100.7' });
    assert.equal(far.verdict, 'passes', JSON.stringify(far));
  }
});
