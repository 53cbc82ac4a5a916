/** NetworkPolicies as packets meet them: real agents and the real kernel, a controller at the double of Kubernetes' API server. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import type { KubeMeta, KubeObject } from '@cable/kube';
import { CURRENT } from '../versions/previous-version.ts';
import { VersionBed } from '../versions/version-bed.ts';
import { addressOf, answers, ask, cni, ip, serve } from './sandboxes.ts';
import { NAMESPACES, NETWORK_POLICIES, NODES, PODS, startCluster, undoing, until } from './world.ts';

test('pods pass what their NetworkPolicies allow, and nothing else', { timeout: 300_000 }, async (t) => {
  const undo = undoing(t);
  const bed = new VersionBed('netpol');
  const netnsOf = (name: string): string => `cbnp-${name}-${process.pid}`;
  const names = ['db', 'web', 'other', 'far'];
  undo.push(async () => {
    for (const one of names) execFileSync('sh', ['-c', `ip netns del ${netnsOf(one)} 2>/dev/null || true`]);
    await bed.remove();
  });
  await bed.start(CURRENT);
  for (const name of names) ip('netns', 'add', netnsOf(name));
  for (const host of bed.hosts) await host.start(CURRENT, '--cluster', 'prod');
  const { kube, ...cluster } = await startCluster(undo, bed.address);
  cluster.control('a', { podCidrs: ['10.244.0.0/16', 'fd00:10:244::/64'] });
  for (const { name } of bed.hosts) await kube.create(NODES, { metadata: { name } });
  await kube.create(NAMESPACES, { metadata: { name: 'lab', labels: { team: 'blue' } } as unknown as KubeMeta });

  const apply = async (name: string, spec: object, namespace = 'shop'): Promise<void> => {
    await kube.create(NETWORK_POLICIES, { metadata: { name, namespace }, spec } as unknown as KubeObject);
  };
  // It is there before the pod is.
  await apply('db', {
    podSelector: { matchLabels: { app: 'db' } },
    ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }], ports: [{ port: 'sql' }] }],
  });
  const places: readonly (readonly [name: string, host: number, namespace: string])[] = [
    ['db', 0, 'shop'],
    ['web', 1, 'shop'],
    ['other', 0, 'shop'],
    ['far', 1, 'lab'],
  ];
  for (const [name, at, namespace] of places) {
    const host = bed.hosts[at] ?? bed.h1;
    const namedPorts = name === 'db' ? { sql: 5432 } : {};
    const pod = await cluster.pod(name, { node: host.name, namespace, labels: { app: name }, namedPorts });
    const added = await cni(host, 'ADD', pod, `c-${name}`, netnsOf(name));
    assert.equal(added.code, 0, JSON.stringify(added.json));
  }
  const ports = await cluster.ports(
    (found) => found.size === 4 && [...found.values()].every((one) => one.status === 'ACTIVE'),
  );
  const addresses = ([4, 6] as const).map((version) => addressOf(ports.get('db'), version));
  for (const port of [5432, 5433]) undo.push(serve(netnsOf('db'), port, 'db'));
  undo.push(serve(netnsOf('web'), 80, 'web'));

  const reaches = (from: string, port = 5432): Promise<readonly string[]> =>
    Promise.all(addresses.map((address) => ask(netnsOf(from), address, port, 1)));
  const becomes = (from: string, says: string, port = 5432): Promise<unknown> =>
    until(
      () => reaches(from, port),
      (found) => found.every((one) => one === says),
    );
  const DENIED = 'silence';
  await becomes('web', 'db');
  for (const from of ['other', 'far']) assert.deepEqual(await reaches(from), [DENIED, DENIED], from);
  assert.deepEqual(await reaches('web', 5433), [DENIED, DENIED], 'another port');
  assert.equal(answers(netnsOf('web'), addresses[0] ?? ''), 0, 'a ping is no TCP');
  // Its node reaches what it runs; another node does not.
  assert.equal(answers(bed.h1.name, addresses[0] ?? ''), 3, 'its own node');
  assert.equal(answers(bed.h2.name, addresses[0] ?? ''), 0, 'another node');
  // It answers whom it may be asked by, and sends as it likes: nothing isolates it there.
  assert.equal(await ask(netnsOf('db'), addressOf(ports.get('web')), 80), 'web');

  // A changed label takes effect, either way, and a namespace's.
  const label = (name: string, app: string, namespace = 'shop'): Promise<unknown> =>
    kube.patch(PODS, { namespace, name }, { metadata: { labels: { app } } });
  await label('other', 'web');
  await becomes('other', 'db');
  await label('other', 'other');
  await becomes('other', DENIED);
  await apply('from-blue', {
    podSelector: {},
    policyTypes: ['Ingress'],
    ingress: [
      { from: [{ namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'In', values: ['blue'] }] } }] },
    ],
  });
  await becomes('far', 'db', 5433);
  await kube.patch(NAMESPACES, { name: 'lab' }, { metadata: { labels: { team: 'red' } } });
  await becomes('far', DENIED, 5433);

  // A connection ends when it is allowed no more.
  await kube.delete(NETWORK_POLICIES, { namespace: 'shop', name: 'from-blue' });
  await apply('closed', { podSelector: { matchLabels: { app: 'web' } }, policyTypes: ['Egress'], egress: [] });
  await becomes('web', DENIED);
  await kube.delete(NETWORK_POLICIES, { namespace: 'shop', name: 'closed' });
  await becomes('web', 'db');

  // Prefixes, with holes; a range of ports.
  await apply('by-prefix', {
    podSelector: { matchLabels: { app: 'db' } },
    ingress: [
      {
        from: [
          { ipBlock: { cidr: '0.0.0.0/0', except: [`${addressOf(ports.get('other'))}/32`] } },
          { ipBlock: { cidr: '::/0' } },
        ],
        ports: [{ port: 5430, endPort: 5440 }],
      },
    ],
  });
  await becomes('far', 'db', 5433);
  assert.deepEqual(await reaches('other', 5433), [DENIED, 'db']);

  // One that cannot be put in force allows nothing, and keeps isolating.
  await kube.delete(NETWORK_POLICIES, { namespace: 'shop', name: 'by-prefix' });
  await kube.delete(NETWORK_POLICIES, { namespace: 'shop', name: 'db' });
  await becomes('other', 'db', 5433);
  await apply('wrong', {
    podSelector: { matchLabels: { app: 'db' } },
    ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['11.0.0.0/8'] } }] }],
  });
  await becomes('web', DENIED);
});
