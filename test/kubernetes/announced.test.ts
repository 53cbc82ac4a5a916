/** Addresses of load balancers that nodes announce: a client on their link finds one by ARP and ND, and another when that one dies. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import type { KubeObject } from '@cable/kube';
import type { BedHost } from '../versions/bed-host.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { eventually } from '../versions/program.ts';
import { VersionBed } from '../versions/version-bed.ts';
import { ask, ip, serve } from './sandboxes.ts';
import { EVENTS, NODES, SERVICES, SLICES, startCluster, undoing } from './world.ts';

const PORT = 80;
const POOL = ['192.0.2.240/28', '2001:db8::f0:0/112'];

/** To which MAC the namespace sends what is for the address; empty: it does not know. */
function neighbour(netns: string, address: string): string {
  const text = execFileSync('ip', ['-n', netns, '-j', 'neigh', 'show', address], { encoding: 'utf8' });
  return (JSON.parse(text) as { lladdr?: string }[])[0]?.lladdr ?? '';
}

function macOf({ name }: BedHost): string {
  const text = execFileSync('ip', ['-n', name, '-j', 'link', 'show', 'eth0'], { encoding: 'utf8' });
  return (JSON.parse(text) as { address: string }[])[0]?.address ?? '';
}

async function announces(host: BedHost, address: string): Promise<boolean> {
  const status = await host.status();
  return status?.announced?.addresses.some((one) => one.address === address && one.state === 'here') === true;
}

test('a client on the link finds the node that announces a load balancer, and the next one when it dies', {
  timeout: 300_000,
}, async (t) => {
  const undo = undoing(t);
  const bed = new VersionBed('announced', 1);
  const client = `cbann-${process.pid}`;
  undo.push(async () => {
    execFileSync('sh', ['-c', `ip netns del ${client} 2>/dev/null || true`]);
    await bed.remove();
  });
  await bed.start(CURRENT);
  const wire = bed.h1.name.replace(/-h1$/, '-wire');
  ip('netns', 'add', client);
  ip('-n', client, 'link', 'add', 'eth0', 'up', 'type', 'veth', 'peer', 'name', 'client', 'netns', wire);
  ip('-n', wire, 'link', 'set', 'client', 'master', 'br0', 'up');
  ip('-n', client, 'address', 'add', '192.0.2.100/24', 'dev', 'eth0');
  ip('-n', client, 'address', 'add', '2001:db8::100/64', 'dev', 'eth0', 'nodad');
  const [h1, h2, far] = bed.hosts;
  assert.ok(h1 && h2 && far);
  for (const [n, host] of bed.hosts.entries()) {
    ip('-n', host.name, 'address', 'add', `2001:db8::${n + 1}/64`, 'dev', 'eth0', 'nodad');
    // The endpoint is on one that announces nothing.
    const more = host === far ? ['--announce-on', 'none'] : [];
    await host.start(CURRENT, '--cluster', 'prod', ...more);
  }
  const cluster = await startCluster(undo, bed.address);
  cluster.control('a', {
    podCidrs: ['10.244.0.0/16', 'fd00:10:244::/64'],
    serviceCidrs: ['10.96.0.0/12', 'fd96::/112'],
    loadBalancerCidrs: POOL,
  });
  const { kube } = cluster;
  for (const [n, { name, underlay }] of bed.hosts.entries()) {
    await kube.create(NODES, { metadata: { name } });
    const addresses = [underlay, `2001:db8::${n + 1}`].map((address) => ({ type: 'InternalIP', address }));
    await kube.patch(NODES, { name }, { status: { addresses } }, 'status');
  }
  const metadata = { name: 'web', namespace: 'shop' };
  const spec = {
    ...{ type: 'LoadBalancer', clusterIP: '10.96.0.20', clusterIPs: ['10.96.0.20', 'fd96::20'] },
    ports: [{ name: '', protocol: 'TCP', port: PORT }],
  };
  await kube.create(SERVICES, { metadata, spec } as KubeObject);
  for (const [addressType, address] of [
    ['IPv4', far.underlay],
    ['IPv6', '2001:db8::3'],
  ] as const) {
    const labels = { 'kubernetes.io/service-name': 'web' };
    await kube.create(SLICES, {
      metadata: { ...metadata, name: `web-${addressType.toLowerCase()}`, labels },
      ...{ addressType, ports: [{ name: '', protocol: 'TCP', port: 8080 }] },
      endpoints: [{ addresses: [address], nodeName: far.name, conditions: { ready: true } }],
    } as KubeObject);
  }
  undo.push(serve(far.name, 8080, 'served'));
  const [v4, v6] = ['192.0.2.241', '2001:db8::f0:1'];
  for (const address of [v4, v6]) {
    await eventually(`the client reaches ${address}`, async () => (await ask(client, address, PORT, 1)) === 'served');
  }
  const holderOf = async (address: string): Promise<BedHost> => {
    const holders = await Promise.all([h1, h2].map(async (one) => ((await announces(one, address)) ? [one] : [])));
    assert.equal(holders.flat().length, 1, `${holders.flat().length} nodes announce ${address}`);
    return holders.flat()[0] ?? h1;
  };
  const [holder, holder6] = [await holderOf(v4), await holderOf(v6)];
  assert.deepEqual([neighbour(client, v4), neighbour(client, v6)], [macOf(holder), macOf(holder6)]);
  assert.equal(await ask(client, v4, PORT + 1, 1), 'silence', 'it has no other ports, the host’s neither');
  await eventually('an event says which node', async () => {
    const { items } = await kube.list<KubeObject & { message: string; reason: string }>(EVENTS, { namespace: 'shop' });
    const told = items.flatMap(({ reason, message }) => (reason === 'nodeAssigned' ? [message] : [])).sort();
    return (
      String(told) ===
      String([`announcing ${v4} from node "${holder.name}"`, `announcing ${v6} from node "${holder6.name}"`].sort())
    );
  });

  // The node answers without its agent, and the next agent moves nothing.
  await holder.end('SIGKILL');
  const forget = (): void => ip('-n', client, 'neigh', 'flush', 'dev', 'eth0');
  forget();
  for (const address of [v4, v6])
    assert.equal(await ask(client, address, PORT), 'served', `${address} without the agent`);
  await holder.start(CURRENT, '--cluster', 'prod');
  await holder.inStep();
  for (const address of [v4, v6])
    assert.equal(await ask(client, address, PORT), 'served', `${address} with another agent`);
  assert.equal(neighbour(client, v4), macOf(holder));

  // Its node dies: another takes it, and says so to who knew the old place.
  const other = holder === h1 ? h2 : h1;
  await holder.end('SIGKILL');
  ip('-n', holder.name, 'link', 'set', 'eth0', 'down');
  const died = performance.now();
  for (const address of [v4, v6]) {
    await eventually(`another node has ${address}`, () => neighbour(client, address) === macOf(other));
    assert.equal(await ask(client, address, PORT), 'served', `${address} by the other node`);
  }
  t.diagnostic(`taken over within ${Math.round(performance.now() - died)} ms`);

  // It comes back, as from a boot: nothing of what it had in its kernel is there. And nothing moves.
  rmSync(holder.pins, { recursive: true, force: true });
  ip('-n', holder.name, 'link', 'set', 'eth0', 'up');
  ip('-n', holder.name, 'address', 'replace', `2001:db8::${holder === h1 ? 1 : 2}/64`, 'dev', 'eth0', 'nodad');
  await holder.start(CURRENT, '--cluster', 'prod');
  await holder.inStep();
  await eventually('it waits', async () => {
    const status = await holder.status();
    return status?.announced?.addresses.filter(({ state }) => state !== 'here').length === 2;
  });
  forget();
  for (const address of [v4, v6]) {
    assert.equal(await ask(client, address, PORT), 'served');
    assert.equal(neighbour(client, address), macOf(other));
  }
});
