/** QoS policies of a floating IP and of a router's gateway, with real agents and the real kernel: what passes is counted by packets, of bursts that are larger than a limit lets pass. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { eventually } from '../versions/program.ts';
import { bindGateway, createGuests, createInner, createOutsideBed, enter, MACHINE } from './outside-bed.ts';

/** Of 1,442 bytes each as frames; the bursts below let some 70 pass at once, and 7 a second more. */
const PINGS = 300;
const LIMITED = { max_kbps: 80, max_burst_kbps: 800 };

/** How many pings, one upon the other, are answered. */
async function answers(
  netns: string,
  address: string,
  count: number = PINGS,
  ...more: readonly string[]
): Promise<number> {
  const ping = ['ping', '-q', '-f', '-s', '1400', '-c', String(count), '-W', '1', ...more, address];
  const run = promisify(execFile)(...enter(netns, ...ping));
  const { stdout } = await run.catch((err: { stdout: string }) => err);
  return Number(/(\d+) received/.exec(stdout)?.[1] ?? 0);
}

test('a floating IP and a gateway pass what their policies say, both ways, and change it without a lost packet', {
  timeout: 300_000,
}, async (t) => {
  const world = await createOutsideBed(t, { label: 'lim', uplinks: 2 });
  const { bed, outside, cloud, external, router } = world;
  await cloud.allowPing();
  await bindGateway(world, bed.h1);
  const [far] = await createGuests(world, await createInner(world), [bed.h2, bed.h1]);
  assert.ok(far);
  const floating = await bed.api.create('floatingip', { floating_network_id: external.id, port_id: far.port.id });
  const outer = floating.floating_ip_address;
  const [a, b] = [bed.h2.name, bed.h1.name];
  await eventually('the floating IP answers', async () => (await answers(outside, outer)) === PINGS);
  await eventually('by the gateway it goes, too', async () => (await answers(b, MACHINE)) === PINGS);

  const policy = await bed.api.create('qos_policy', { name: 'slow' });
  const below = bed.api.within(policy.id);
  const rules = [];
  for (const direction of ['egress', 'ingress'] as const) {
    rules.push(await below.create('qos_bandwidth_limit_rule', { direction, ...LIMITED }));
  }
  const isLimited = (got: number): boolean => got >= 5 && got < PINGS - 50;
  await bed.api.update('floatingip', floating.id, { qos_policy_id: policy.id });
  await eventually('what leaves with it, and what comes to it, is limited', async () =>
    isLimited(await answers(a, MACHINE)),
  );
  t.diagnostic(`answered of ${PINGS}: ${await answers(outside, outer)} right after`);
  assert.equal(await answers(b, MACHINE), PINGS, 'nobody else is');

  for (const rule of rules) await below.update('qos_bandwidth_limit_rule', rule.id, { max_kbps: 1_000_000 });
  await eventually('a raised limit holds at once', async () => (await answers(outside, outer)) === PINGS);
  const steady = answers(outside, outer, 1000, '-i', '0.003');
  for (let n = 1; n <= 5; n++) {
    for (const rule of rules) await below.update('qos_bandwidth_limit_rule', rule.id, { max_kbps: 1_000_000 + n });
  }
  assert.equal(await steady, 1000, 'no packet is lost while it changes');

  await bed.api.update('floatingip', floating.id, { qos_policy_id: null });
  const info = { network_id: external.id, qos_policy_id: policy.id };
  await bed.api.update('router', router.id, { external_gateway_info: info } as never);
  for (const rule of rules) await below.update('qos_bandwidth_limit_rule', rule.id, LIMITED);
  await eventually('what leaves with the router’s address is limited', async () =>
    isLimited(await answers(b, MACHINE)),
  );
  await eventually('the floating IP is not', async () => (await answers(outside, outer)) === PINGS);
});
