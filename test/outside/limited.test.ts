/** QoS policies of a floating IP and of a router's gateway, with real agents and the real kernel: what passes is counted by packets, of bursts that are larger than a limit lets pass. */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Cloud, linkOf } from '../versions/cloud.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import { VersionBed } from '../versions/version-bed.ts';

const OUTSIDE = `cblim-${process.pid}`;
const MACHINE = '203.0.113.1';
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
  const run = promisify(execFile)('nsenter', [`--net=/run/netns/${netns}`, ...ping]);
  const { stdout } = await run.catch((err: { stdout: string }) => err);
  return Number(/(\d+) received/.exec(stdout)?.[1] ?? 0);
}

test('a floating IP and a gateway pass what their policies say, both ways, and change it without a lost packet', {
  timeout: 300_000,
}, async (t) => {
  const bed = new VersionBed('lim');
  t.after(() => {
    execFileSync('sh', ['-c', `ip netns del ${OUTSIDE} 2>/dev/null || true`]);
    return bed.remove();
  });
  await bed.start(CURRENT, CURRENT, CURRENT);
  const ip = (...args: readonly string[]): void => void execFileSync('ip', args);
  ip('netns', 'add', OUTSIDE);
  ip('-n', OUTSIDE, 'link', 'add', 'br0', 'up', 'type', 'bridge');
  ip('-n', OUTSIDE, 'address', 'add', `${MACHINE}/24`, 'dev', 'br0');
  for (const [host, port] of [
    [bed.h1, 'e1'],
    [bed.h2, 'e2'],
  ] as const) {
    ip('-n', host.name, 'link', 'add', 'ext0', 'up', 'type', 'veth', 'peer', 'name', port, 'netns', OUTSIDE);
    ip('-n', OUTSIDE, 'link', 'set', port, 'master', 'br0', 'up');
    await host.replace(CURRENT, '--bridge-mappings', 'physnet1:ext0');
  }
  const flat = { 'provider:network_type': 'flat', 'provider:physical_network': 'physnet1' } as const;
  const external = await bed.api.create('network', { name: 'ext', 'router:external': true, ...flat });
  const pool = { allocation_pools: [{ start: '203.0.113.10', end: '203.0.113.99' }], enable_dhcp: false };
  await bed.api.create('subnet', {
    ...{ network_id: external.id, ip_version: 4, cidr: '203.0.113.0/24', gateway_ip: MACHINE, ...pool },
  });
  const cloud = await Cloud.create(bed.api);
  await cloud.allowPing();
  const router = await bed.api.create('router', { name: 'r', external_gateway_info: { network_id: external.id } });
  const [gateway] = await bed.api.list('port', { device_id: router.id });
  assert.ok(gateway);
  await bed.api.update('port', gateway.id, { 'binding:host_id': bed.h1.name });
  const network = await cloud.createNetwork();
  const subnets = await bed.api.list('subnet', { network_id: network.id });
  const inner = subnets.find(({ ip_version: version }) => version === 4);
  assert.ok(inner);
  await bed.api.action('router', router.id, 'add_router_interface', { subnet_id: inner.id });
  const [far, near] = [await cloud.createPort(bed.h2, network), await cloud.createPort(bed.h1, network)];
  for (const [host, port] of [
    [bed.h2, far],
    [bed.h1, near],
  ] as const) {
    await cloud.active(port);
    ip('-n', host.name, 'route', 'replace', '203.0.113.0/24', 'via', String(inner.gateway_ip), 'dev', linkOf(port));
  }
  const floating = await bed.api.create('floatingip', { floating_network_id: external.id, port_id: far.id });
  const outer = floating.floating_ip_address;
  const [a, b] = [bed.h2.name, bed.h1.name];
  await eventually('the floating IP answers', async () => (await answers(OUTSIDE, outer)) === PINGS);
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
  t.diagnostic(`answered of ${PINGS}: ${await answers(OUTSIDE, outer)} right after`);
  assert.equal(await answers(b, MACHINE), PINGS, 'nobody else is');

  for (const rule of rules) await below.update('qos_bandwidth_limit_rule', rule.id, { max_kbps: 1_000_000 });
  await eventually('a raised limit holds at once', async () => (await answers(OUTSIDE, outer)) === PINGS);
  const steady = answers(OUTSIDE, outer, 1000, '-i', '0.003');
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
  await eventually('the floating IP is not', async () => (await answers(OUTSIDE, outer)) === PINGS);
});
