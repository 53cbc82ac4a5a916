/** NetworkPolicies as packets meet them: real agents and the real kernel, a controller at the double of Kubernetes' API server. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sleep } from '@cable/kit';
import { sourceProgram } from '@cable/kit/testing';
import type { KubeKind, KubeMeta, KubeObject } from '@cable/kube';
import type { BedHost } from '../versions/bed-host.ts';
import { CURRENT } from '../versions/previous-version.ts';
import { VersionBed } from '../versions/version-bed.ts';
import { addressOf, answers, ask, cni, ip, serve } from './sandboxes.ts';
import {
  ADMIN_NETWORK_POLICIES,
  BASELINE_POLICIES,
  CLUSTER_NETWORK_POLICIES,
  EVENTS,
  NAMESPACES,
  NETWORK_POLICIES,
  NODES,
  PODS,
  startCluster,
  undoing,
  until,
} from './world.ts';

const UPSTREAM = fileURLToPath(new URL('../../packages/agent/src/testing/dns-upstream.ts', import.meta.url));

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
  const agentOptions = ['--cluster', 'prod', '--dns-upstream', '192.0.2.1:5300'];
  for (const host of bed.hosts) await host.start(CURRENT, ...agentOptions);
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

  // Admin before NetworkPolicy before Baseline.
  await kube.delete(NETWORK_POLICIES, { namespace: 'shop', name: 'wrong' });
  await apply('db', {
    podSelector: { matchLabels: { app: 'db' } },
    ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }] }],
  });
  await becomes('other', DENIED);
  await becomes('web', 'db', 5433);

  // An annotation has what a policy decides written down, while its pods run; one that is not known has not, and its event says so.
  const logOf = (kind: KubeKind, place: { namespace?: string; name: string }, log: string): Promise<unknown> =>
    kube.patch(kind, place, { metadata: { annotations: { 'cable.io/log': log } } });
  const inShop = { namespace: 'shop', name: 'db' };
  const ofDb = { kind: 'NetworkPolicy', name: 'shop/db' };
  assert.deepEqual(linesOf(bed.h1), [], 'nobody asked');
  await logOf(NETWORK_POLICIES, inShop, 'all');
  const written = async (from: string, action: string): Promise<PolicyLine> =>
    until(
      async () => {
        await reaches(from, 5433);
        return linesOf(bed.h1).filter((one) => one.action === action && one.source_port !== undefined)[0];
      },
      (found) => found !== undefined,
    ) as Promise<PolicyLine>;
  const { id: dbPort } = ports.get('db') ?? { id: '' };
  const about = { direction: 'ingress', policies: [ofDb], port_id: dbPort, protocol: 6, destination_port: 5433 };
  for (const [from, action] of [
    ['other', 'DROP'],
    ['web', 'ACCEPT'],
  ] as const) {
    const line = await written(from, action);
    const { direction, policies, port_id, protocol, destination_port, source } = line;
    assert.deepEqual({ direction, policies, port_id, protocol, destination_port }, about, JSON.stringify(line));
    assert.ok(
      [4, 6].some((version) => addressOf(ports.get(from), version as 4 | 6) === source),
      String(source),
    );
  }
  await logOf(NETWORK_POLICIES, inShop, 'everything');
  await until(
    async () => (await kube.list<KubeObject>(EVENTS, { namespace: 'shop' })).items.map((one) => JSON.stringify(one)),
    (found) => found.some((one) => one.includes('NotLogged') && one.includes('give none, allow, drop, all')),
  );
  undo.push(echo(netnsOf('db'), 7000));
  const talk = await talkTo(netnsOf('web'), addresses[0] ?? '', 7000);
  undo.push(talk.end);
  assert.equal(await talk.says('before'), true);
  const spec = (kind: KubeKind, name: string, more: object): Promise<KubeObject> =>
    kube.create(kind, { metadata: { name }, spec: more } as unknown as KubeObject);
  const pods = (app: string) => ({
    pods: { namespaceSelector: {}, podSelector: { matchLabels: { app } } },
  });
  await spec(ADMIN_NETWORK_POLICIES, 'no-web', {
    ...{ priority: 10, subject: pods('db') },
    ingress: [{ action: 'Deny', from: [pods('web')] }],
  });
  await becomes('web', DENIED, 5433);
  await logOf(ADMIN_NETWORK_POLICIES, { name: 'no-web' }, 'drop');
  await until(
    async () => {
      await reaches('web', 5433);
      return linesOf(bed.h1).map(({ action, policies }) => JSON.stringify([action, policies]));
    },
    (found) => found.includes(JSON.stringify(['DROP', [{ kind: 'AdminNetworkPolicy', name: 'no-web' }]])),
  );
  assert.equal(await talk.says('after'), false, 'a connection that was let in before');
  assert.equal(answers(bed.h1.name, addresses[0] ?? ''), 3, 'its own node is let in');
  const traced = `/cable/v1/ports/${ports.get('web')?.id}/trace?to=${addresses[0]}&protocol=tcp&dport=5433`;
  const told = JSON.stringify(await cluster.cable.request('GET', traced));
  assert.match(told, /AdminNetworkPolicy\/no-web of the tier admin denies it \(ingress\)/);
  await spec(CLUSTER_NETWORK_POLICIES, 'ask-the-namespace', {
    ...{ tier: 'Admin', priority: 5, subject: { namespaces: {} } },
    ingress: [
      { action: 'Pass', from: [{ namespaces: {} }], protocols: [{ tcp: { destinationPort: { number: 5432 } } }] },
    ],
  });
  await becomes('web', 'db');
  assert.deepEqual(await reaches('other'), [DENIED, DENIED], 'the namespace does not let it in');
  assert.deepEqual(await reaches('web', 5433), [DENIED, DENIED], 'what is not passed on');

  const farToWeb = (): Promise<string> => ask(netnsOf('far'), addressOf(ports.get('web')), 80, 1);
  const becomesFar = (says: string): Promise<unknown> => until(farToWeb, (found) => found === says);
  await becomesFar('web');
  await spec(BASELINE_POLICIES, 'default', {
    subject: { namespaces: {} },
    ingress: [{ action: 'Deny', from: [{ namespaces: { matchLabels: { team: 'red' } } }] }],
  });
  await becomesFar(DENIED);
  await apply('web', { podSelector: { matchLabels: { app: 'web' } }, ingress: [{}] });
  await becomesFar('web');

  // What is not understood of a rule that denies is everything, and its event says so.
  await spec(CLUSTER_NETWORK_POLICIES, 'newer', {
    ...{ tier: 'Admin', priority: 1, subject: pods('web') },
    ingress: [{ action: 'Deny', from: [{ somebody: {} }] }],
  });
  await becomesFar(DENIED);
  const { items } = await kube.list<KubeObject>(EVENTS, { namespace: 'default' });
  const event = items.find((one) => (one as { reason?: string }).reason === 'NotUnderstood');
  assert.match(JSON.stringify(event), /ingress\[0\]: a peer is not understood: it denies everything/);
  for (const [kind, name] of [
    [CLUSTER_NETWORK_POLICIES, 'newer'],
    [CLUSTER_NETWORK_POLICIES, 'ask-the-namespace'],
    [ADMIN_NETWORK_POLICIES, 'no-web'],
  ] as const)
    await kube.delete(kind, { name });
  await becomes('web', 'db', 5433);
  await becomesFar('web');

  // Names: what DNS told a pod, and nothing else outside; the next agent knows it.
  undo.push(await nameServer(bed.h1.name));
  const outsiders = `cbnp-out-${process.pid}`;
  ip('netns', 'add', outsiders);
  undo.push(() => ip('netns', 'delete', outsiders));
  // No address of the host: what a name leads to is never there.
  ip('-n', bed.h1.name, 'link', 'add', 'ext0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', outsiders);
  ip('-n', bed.h1.name, 'address', 'add', '203.0.113.1/24', 'dev', 'ext0');
  ip('-n', bed.h1.name, 'link', 'set', 'ext0', 'up');
  for (const last of [80, 81]) ip('-n', outsiders, 'address', 'add', `203.0.113.${last}/24`, 'dev', 'eth0');
  ip('-n', outsiders, 'link', 'set', 'eth0', 'up');
  undo.push(serve(outsiders, 8443, 'outside', 4), echo(outsiders, 8444));
  const outside = (last: number, port = 8443): Promise<string> => ask(netnsOf('other'), `203.0.113.${last}`, port, 1);
  await until(
    () => outside(81),
    (found) => found === 'outside',
  );
  await spec(CLUSTER_NETWORK_POLICIES, 'names', {
    ...{ tier: 'Admin', priority: 20, subject: pods('other') },
    egress: [
      { action: 'Accept', to: [{ domainNames: ['*.example.com'] }], protocols: [{ tcp: {} }] },
      { action: 'Deny', to: [{ networks: ['0.0.0.0/0'] }] },
    ],
  });
  await until(
    () => outside(81),
    (found) => found === DENIED,
  );
  assert.equal(await outside(80), DENIED, 'it was not told yet');
  assert.equal(dig(netnsOf('other'), 'www.example.com'), '203.0.113.80\n');
  assert.equal(await outside(80), 'outside', 'it was told, so it passes at once');
  assert.equal(await outside(81), DENIED);
  const named = await talkTo(netnsOf('other'), '203.0.113.80', 8444);
  undo.push(named.end);
  assert.equal(await named.says('one'), true);
  await bed.h1.end('SIGKILL');
  await bed.h1.start(CURRENT, ...agentOptions);
  await bed.h1.inStep();
  assert.equal(await named.says('two'), true, 'the connection goes on');
  assert.equal(await outside(80), 'outside');
  assert.equal(await outside(81), DENIED);
});

type PolicyLine = {
  readonly action: string;
  readonly direction: string;
  readonly policies: readonly object[];
  readonly port_id: string;
  readonly protocol: number;
  readonly source: string;
  readonly source_port?: number;
  readonly destination_port?: number;
};

/** What the host has written down of what policies decide. */
function linesOf({ state }: BedHost): readonly PolicyLine[] {
  const path = join(state, 'network-policies.log');
  if (!existsSync(path)) return [];
  const whole = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  return whole.map((line) => JSON.parse(line) as PolicyLine);
}

/** What the resolver of the pod's host answers. */
function dig(netns: string, name: string): string {
  const asked = ['dig', '+short', '+tries=3', '@169.254.20.10', name];
  return execFileSync('nsenter', [`--net=/run/netns/${netns}`, ...asked], { encoding: 'utf8' });
}

/** A name server there that knows www.example.com. Gives how to end it. */
async function nameServer(netns: string): Promise<() => void> {
  const node = [process.execPath, ...sourceProgram(UPSTREAM)];
  const child = spawn('nsenter', [`--net=/run/netns/${netns}`, ...node], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return () => child.kill('SIGKILL');
}

/** Gives back what it is sent. */
function echo(netns: string, port: number): () => void {
  const socat = ['socat', `TCP6-LISTEN:${port},fork,reuseaddr,ipv6only=0`, 'SYSTEM:cat'];
  // With a group of its own: what serves a connection outlives the one that listens.
  const child = spawn('nsenter', [`--net=/run/netns/${netns}`, ...socat], { stdio: 'ignore', detached: true });
  return () => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGTERM');
  };
}

/** A connection that stays. `says`: whether what is sent comes back within a second. */
async function talkTo(netns: string, address: string, port: number) {
  const socat = ['socat', '-', `TCP:${address}:${port},connect-timeout=3,retry=10,interval=0.2`];
  const child = spawn('nsenter', [`--net=/run/netns/${netns}`, ...socat], { stdio: ['pipe', 'pipe', 'ignore'] });
  let heard = '';
  child.stdout.on('data', (chunk: Buffer) => {
    heard += chunk.toString();
  });
  const says = async (text: string): Promise<boolean> => {
    child.stdin.write(`${text}\n`);
    const deadline = performance.now() + 2000;
    while (performance.now() < deadline && !heard.includes(text)) await sleep(20);
    return heard.includes(text);
  };
  return { says, end: () => child.kill('SIGKILL') };
}
