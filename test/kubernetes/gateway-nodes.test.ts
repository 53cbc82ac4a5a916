/** Subnets that leave by named nodes, as somebody outside sees them: real agents and the real kernel, the plug-in, a controller at the double of the API server. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import type { BedHost } from '../versions/bed-host.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import { VersionBed } from '../versions/version-bed.ts';
import { customsOf } from './custom.ts';
import { ask, cni, ip, serve } from './sandboxes.ts';
import { NAMESPACES, NODES, startCluster, undoing, until } from './world.ts';

const OUTSIDE = '203.0.113.1';
const [AS_H1, AS_H2] = ['seen 203.0.113.11', 'seen 203.0.113.12'];

test('a centralized subnet leaves by the node that it names, by the next when that dies, and by each pod’s own again', {
  timeout: 600_000,
}, async (t) => {
  const undo = undoing(t);
  const bed = new VersionBed('exits');
  const netns = (name: string): string => `cbex-${name}-${process.pid}`;
  const names = ['a1', 'b2', 'v1', 'p1'];
  const [outside, a, b, vpc, plain] = ['out', ...names].map(netns) as [string, string, string, string, string];
  const all = [outside, a, b, vpc, plain];
  undo.push(async () => {
    for (const one of all) execFileSync('sh', ['-c', `ip netns del ${one} 2>/dev/null || true`]);
    await bed.remove();
  });
  await bed.start(CURRENT);
  for (const one of all) ip('netns', 'add', one);
  ip('-n', outside, 'link', 'add', 'br0', 'up', 'type', 'bridge');
  ip('-n', outside, 'address', 'add', `${OUTSIDE}/24`, 'dev', 'br0');
  for (const [n, { name }] of [bed.h1, bed.h2].entries()) {
    ip('-n', name, 'link', 'add', 'ext0', 'up', 'type', 'veth', 'peer', 'name', `h${n + 1}`, 'netns', outside);
    ip('-n', name, 'address', 'add', `203.0.113.1${n + 1}/24`, 'dev', 'ext0');
    ip('-n', outside, 'link', 'set', `h${n + 1}`, 'master', 'br0', 'up');
  }
  for (const host of bed.hosts) await host.start(CURRENT, '--cluster', 'prod');
  const cluster = await startCluster(undo, bed.address);
  cluster.control('a');
  for (const name of ['team', 'other']) await cluster.kube.create(NAMESPACES, { metadata: { name } });
  for (const { name, underlay } of bed.hosts) {
    await cluster.kube.create(NODES, { metadata: { name } });
    const addresses = [{ type: 'InternalIP', address: underlay }];
    await cluster.kube.patch(NODES, { name }, { status: { addresses } }, 'status');
  }
  const { create, change, ready, refused, get } = customsOf(cluster);
  const mine = 'kube-system';
  await create('Subnet', 'own', { cidrBlock: '10.9.0.0/24', namespaces: ['shop'] }, mine);
  await create('Vpc', 'wide', {}, mine);
  await create('Subnet', 'far', { vpc: 'wide', cidrBlock: '10.7.0.0/24', namespaces: ['team'] }, mine);
  await ready('Subnet', 'own', mine);
  await ready('Subnet', 'far', mine);
  const place = (name: string): BedHost => (name.endsWith('1') ? bed.h1 : bed.h2);
  const namespaceOf = (name: string): string => (name === 'v1' ? 'team' : name === 'p1' ? 'other' : 'shop');
  for (const name of names) {
    const pod = await cluster.pod(name, { namespace: namespaceOf(name), node: place(name).name });
    const added = await cni(place(name), 'ADD', pod, `c-${name}`, netns(name));
    assert.equal(added.code, 0, JSON.stringify(added));
  }
  undo.push(serve(outside, 8080, 'seen $SOCAT_PEERADDR', 4), serve(bed.h2.name, 8082, 'seen $SOCAT_PEERADDR', 4));
  const seen = (from: string): Promise<string> => ask(from, OUTSIDE, 8080, 1);
  const allSeen = async (): Promise<string> => (await Promise.all([a, b, vpc, plain].map(seen))).join(', ');
  const eventuallySeen = (what: string, ...wanted: readonly string[]): Promise<unknown> =>
    eventually(what, async () => (await allSeen()) === wanted.join(', '));
  await eventuallySeen('each pod leaves by its own node', AS_H1, AS_H2, AS_H1, AS_H1);

  const central = { gatewayType: 'centralized', gatewayNodes: [bed.h2.name, bed.h1.name] };
  await change('Subnet', 'own', central, mine);
  // As Kube-OVN’s users have it.
  await change('Subnet', 'far', { gatewayType: 'centralized', gatewayNode: bed.h2.name }, mine);
  await eventuallySeen('pods of both leave by the node that is named, others do not', AS_H2, AS_H2, AS_H2, AS_H1);
  const { status } = await ready('Subnet', 'own', mine);
  assert.equal(status?.['gatewayNode'], bed.h2.name);
  assert.equal(await ask(a, bed.h2.underlay, 8082), `seen ${bed.h1.underlay}`, 'nodes are reached by one’s own');
  // What is outside of a pod’s network and inside of the cluster stays so.
  undo.push(serve(plain, 8083, 'seen $SOCAT_PEERADDR', 4), serve(b, 8083, 'b', 4));
  assert.equal(await ask(a, addressIn(b), 8083), 'b', 'in its subnet');
  assert.match(await ask(a, addressIn(plain), 8083), /^seen 10\.9\.0\./, 'another subnet');

  // The node dies.
  ip('-n', bed.h2.name, 'link', 'set', 'eth0', 'down');
  const diedMs = performance.now();
  await eventually('the next takes its place', async () => (await seen(a)) === AS_H1);
  const tookMs = performance.now() - diedMs;
  t.diagnostic(`the next node had the subnet ${Math.round(tookMs)} ms after the other died`);
  assert.equal(await seen(vpc), 'silence', 'who names no other leaves by none');
  const [subnet] = await cluster.cable.list('subnet', { cidr: '10.9.0.0/24' });
  await until(
    async () => (await cluster.cable.get('subnet', subnet?.id ?? ''))['cable:gateway_node'],
    (node) => node === bed.h1.name,
  );
  await change('Subnet', 'own', { description: 'looked at anew' }, mine);
  await until(
    () => get('Subnet', 'own', mine),
    (one) => one?.status?.['gatewayNode'] === bed.h1.name,
  );

  // Who comes back stays behind, until somebody says otherwise.
  ip('-n', bed.h2.name, 'link', 'set', 'eth0', 'up');
  await eventuallySeen('it is back', AS_H1, AS_H1, AS_H2, AS_H1);
  await bed.h1.end('SIGKILL');
  await bed.h1.start(CURRENT, '--cluster', 'prod');
  await bed.h1.inStep();
  assert.equal(await allSeen(), [AS_H1, AS_H1, AS_H2, AS_H1].join(', '), 'with another agent');
  await change('Subnet', 'own', { gatewayNodes: [bed.h2.name] }, mine);
  await eventuallySeen('a list that is another begins with its first', AS_H2, AS_H2, AS_H2, AS_H1);
  await change('Subnet', 'own', { gatewayNodes: [bed.h2.name, 'nobody'] }, mine);
  assert.match(await refused('Subnet', 'own', 'WaitsFor', mine), /no node nobody/);
  assert.equal(await seen(a), AS_H2);

  for (const name of ['own', 'far']) await change('Subnet', name, { gatewayType: 'distributed' }, mine);
  await eventuallySeen('each pod leaves by its own node again', AS_H1, AS_H2, AS_H1, AS_H1);
});

/** The IPv4 address of a sandbox. */
function addressIn(netns: string): string {
  const words = ['-n', netns, '-j', '-4', 'address', 'show', 'dev', 'eth0'];
  const [link] = JSON.parse(execFileSync('ip', words, { encoding: 'utf8' })) as [
    { addr_info: readonly { local: string }[] },
  ];
  return link.addr_info[0]?.local ?? '';
}
