/** HostPolicies as packets meet them: real agents and the real kernel, a controller at the double of Kubernetes' API server. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import type { KubeObject } from '@cable/kube';
import { CURRENT } from '../versions/previous-version.ts';
import { VersionBed } from '../versions/version-bed.ts';
import { type Custom, guideExamples } from './custom.ts';
import { addressOf, answers, ask, cni, ip, serve } from './sandboxes.ts';
import { HOST_POLICIES, NODES, startCluster, undoing, until } from './world.ts';

const DENIED = 'silence';

test('nodes pass what their HostPolicies let through and what they cannot be without, and nothing else', {
  timeout: 400_000,
}, async (t) => {
  const undo = undoing(t);
  const bed = new VersionBed('hostpol');
  const netnsOf = (name: string): string => `cbhp-${name}-${process.pid}`;
  const names = ['near', 'far'];
  undo.push(async () => {
    for (const one of names) execFileSync('sh', ['-c', `ip netns del ${netnsOf(one)} 2>/dev/null || true`]);
    await bed.remove();
  });
  await bed.start(CURRENT);
  for (const name of names) ip('netns', 'add', netnsOf(name));
  for (const host of bed.hosts) await host.start(CURRENT, '--cluster', 'prod');
  const { kube, ...cluster } = await startCluster(undo, bed.address);
  cluster.control('a', { podCidrs: ['10.244.0.0/16', 'fd00:10:244::/64'] });
  for (const { name, underlay } of bed.hosts) {
    await kube.create(NODES, {
      metadata: { name, labels: { role: name === bed.h1.name ? 'db' : 'none' } },
    } as KubeObject);
    const addresses = [{ type: 'InternalIP', address: underlay }];
    await kube.patch(NODES, { name }, { status: { addresses } }, 'status');
  }
  for (const [name, host] of [
    ['near', bed.h1],
    ['far', bed.h2],
  ] as const) {
    const pod = await cluster.pod(name, { node: host.name, labels: { app: name } });
    const added = await cni(host, 'ADD', pod, `c-${name}`, netnsOf(name));
    assert.equal(added.code, 0, JSON.stringify(added.json));
  }
  const ports = await cluster.ports(
    (found) => found.size === 2 && [...found.values()].every((one) => one.status === 'ACTIVE'),
  );
  const nodePorts = await bed.api.list('port', { device_owner: 'kubernetes:node' });
  const node = nodePorts.find((one) => one['binding:host_id'] === bed.h1.name);
  const inCluster = [addressOf(node), addressOf(node, 6)];
  for (const port of [9100, 9200]) undo.push(serve(bed.h1.name, port, 'h1'));
  undo.push(serve(bed.h2.name, 9100, 'h2'));
  undo.push(serve(netnsOf('near'), 80, 'near'));

  const h1From = (from: string, port = 9100) => ask(from, bed.h1.underlay, port, 1);
  const becomes = (look: () => Promise<string>, says: string): Promise<unknown> =>
    until(look, (found) => found.startsWith(says));
  await becomes(() => h1From(bed.h2.name), 'h1');
  for (const address of inCluster) await becomes(() => ask(netnsOf('near'), address, 9100, 1), 'h1');

  const apply = (name: string, spec: object): Promise<unknown> =>
    kube.create(HOST_POLICIES, { metadata: { name }, spec } as unknown as KubeObject);
  const statusOf = async (name: string): Promise<NonNullable<Custom['status']>> =>
    (await kube.get<Custom>(HOST_POLICIES, { name })).status ?? {};
  const conditionOf = async (name: string, type: string): Promise<string> => {
    const found = (await statusOf(name)).conditions?.find((one) => one['type'] === type);
    if (found === undefined) return '';
    const why = found['status'] === 'True' ? '' : `: ${found['message']}`;
    return `${found['status']} ${found['reason']}${why}`;
  };
  const from = [{ nodes: { matchLabels: { role: 'watcher' } } }, { podSelector: { matchLabels: { app: 'near' } } }];
  await apply('scrape', {
    nodeSelector: { matchLabels: { role: 'db' } },
    ingress: [{ from, ports: [{ port: 9000, endPort: 9199 }] }],
  });
  await becomes(() => conditionOf('scrape', 'InForce'), 'True OnAllNodes');
  assert.equal(await conditionOf('scrape', 'Accepted'), 'True AsAskedFor');
  const { selectedNodes, nodesInForce, notInForce, id } = await statusOf('scrape');
  assert.deepEqual({ selectedNodes, nodesInForce, notInForce }, { selectedNodes: 1, nodesInForce: 1, notInForce: [] });
  assert.deepEqual((await bed.api.get('host_policy', id ?? ''))['hosts'], [bed.h1.name]);
  assert.equal(await h1From(bed.h2.name), DENIED, 'a node that is not meant');
  assert.equal(await h1From(bed.h1.name, 9200), 'h1', 'itself');
  for (const address of inCluster) {
    assert.equal(await ask(netnsOf('near'), address, 9100, 1), 'h1', 'a pod that is meant');
    assert.equal(await ask(netnsOf('near'), address, 9200, 1), DENIED, 'another port');
    assert.equal(await ask(netnsOf('far'), address, 9100, 1), DENIED, 'another pod');
  }
  assert.equal(await ask(bed.h1.name, bed.h2.underlay, 9100, 1), 'h2', 'what it sends is another direction');
  const near = addressOf(ports.get('near'));
  assert.equal(answers(netnsOf('far'), near), 3, 'what pods exchange passes the host');
  assert.equal(await ask(bed.h1.name, near, 80, 1), 'near', 'its own pod');
  const dropped = (await bed.h1.status()) as unknown as { host_policies: { dropped: { ingress: number } } };
  assert.ok(dropped.host_policies.dropped.ingress > 0);

  // A changed label lets a node in, and has a policy hold on another.
  await kube.patch(NODES, { name: bed.h2.name }, { metadata: { labels: { role: 'watcher' } } });
  await becomes(() => h1From(bed.h2.name), 'h1');
  assert.equal(await h1From(bed.h2.name, 9200), DENIED);

  // With nothing let out the node is no less a node: its agent and its pods go on.
  await apply('closed', { nodeSelector: {}, policyTypes: ['Egress'] });
  await becomes(() => conditionOf('closed', 'InForce'), 'True OnAllNodes');
  assert.equal((await statusOf('closed'))['selectedNodes'], 2);
  assert.equal(await ask(bed.h1.name, bed.h2.underlay, 9100, 1), DENIED);
  assert.equal(await ask(bed.h1.name, near, 80, 1), 'near', 'its own pod');
  assert.equal(await h1From(bed.h2.name), DENIED, 'the other is closed, too');
  assert.equal(answers(netnsOf('far'), near), 3);
  await kube.delete(HOST_POLICIES, { name: 'closed' });
  await becomes(() => h1From(bed.h2.name), 'h1');

  // What is not understood lets nothing through, and says so.
  await apply('odd', {
    nodeSelector: { matchLabels: { role: 'nobody' } },
    ingress: [{ from: [{ ipBlock: { cidr: 'x' } }] }],
  });
  await becomes(() => conditionOf('odd', 'Accepted'), 'False NotUnderstood');
  await kube.delete(HOST_POLICIES, { name: 'odd' });

  // What the guide shows is taken.
  const shown = guideExamples().find(({ kind }) => kind === 'HostPolicy');
  await apply('shown', shown?.spec ?? {});
  await becomes(() => conditionOf('shown', 'Accepted'), 'True AsAskedFor');
  assert.equal(await conditionOf('shown', 'InForce'), 'True NoNodes');
  await kube.delete(HOST_POLICIES, { name: 'shown' });

  // Rules stay with a killed agent; a policy that went meanwhile goes with the next one.
  await bed.h1.end('SIGKILL');
  assert.equal(await h1From(bed.h2.name, 9200), DENIED, 'nobody keeps it');
  assert.equal(await h1From(bed.h2.name), 'h1');
  await kube.delete(HOST_POLICIES, { name: 'scrape' });
  await until(
    () => bed.api.list('host_policy', {}),
    (found) => found.length === 0,
  );
  assert.equal(await h1From(bed.h2.name, 9200), DENIED);
  await bed.h1.start(CURRENT, '--cluster', 'prod');
  await bed.h1.inStep();
  await becomes(() => h1From(bed.h2.name, 9200), 'h1');
  const tables = execFileSync('nsenter', [`--net=/run/netns/${bed.h1.name}`, 'nft', 'list', 'tables'], {
    encoding: 'utf8',
  });
  assert.ok(!tables.includes('cable-hosts'), tables);
});
