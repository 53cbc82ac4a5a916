/** Policies for hosts with real packets: a host with a link to its pods and a wire, in namespaces of their own. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, afterEach, before, test } from 'node:test';
import { silentLogger, sleep } from '@cable/kit';
import type { LocalPort, SliceKey } from '@cable/model';
import { enterOwnNamespace, type HeldNamespace, holdNamespace, ip } from '../guest/testing/own-namespace.ts';
import { deleteTable, readElements, readTable } from '../net/nft.ts';
import { NETLINK, NetlinkSocket } from '../net/socket.ts';
import { HostPolicies, removeHostPolicies } from './host-policies.ts';
import { openPortsOf, parseOpenPorts } from './open-ports.ts';
import { HOSTS_TABLE } from './table.ts';
import { FakeSlices, type PolicyRule } from './testing.ts';

const HOST = 'node-1';
const LINK = 'cb01234567-89';
const NODE = { 4: '203.0.113.1', 6: 'fd00:113::1' } as const;
const WIRE = { 4: '203.0.113.2', 6: 'fd00:113::2' } as const;
const OTHER = { 4: '203.0.113.3', 6: 'fd00:113::3' } as const;
const POD = { 4: '10.244.0.2', 6: 'fd00:244::2' } as const;
const STRANGER = { 4: '10.244.0.3', 6: 'fd00:244::3' } as const;
const TCP = 6;
const UDP = 17;
const PODS: SliceKey = 'cluster_pods:prod/-/app=web';

const undo: (() => unknown)[] = [];
let [pods, wire]: HeldNamespace[] = [];
let socket: NetlinkSocket;
let slices: FakeSlices;
let revision = 0;

before(async () => {
  enterOwnNamespace();
  socket = new NetlinkSocket({ protocol: NETLINK.netfilter });
  undo.push(() => socket.close());
  [pods, wire] = [await holdNamespace(), await holdNamespace()];
  undo.push(() => Promise.all([pods?.end(), wire?.end()]));
  for (const [link, peer, own, others] of [
    [
      LINK,
      pods,
      ['10.244.0.1/16', 'fd00:244::1/64'],
      [`${POD[4]}/16`, `${STRANGER[4]}/16`, `${POD[6]}/64`, `${STRANGER[6]}/64`],
    ],
    [
      'wire0',
      wire,
      [`${NODE[4]}/24`, `${NODE[6]}/64`],
      [`${WIRE[4]}/24`, `${OTHER[4]}/24`, `${WIRE[6]}/64`, `${OTHER[6]}/64`, `${POD[4]}/32`],
    ],
  ] as const) {
    ip(`link add ${link} up type veth peer name eth0 netns ${peer?.pid}`);
    ip('link set eth0 up', peer?.pid);
    for (const one of own) ip(`address add ${one} dev ${link}${one.includes(':') ? ' nodad' : ''}`);
    for (const one of others) ip(`address add ${one} dev eth0${one.includes(':') ? ' nodad' : ''}`, peer?.pid);
    for (const one of own)
      ip(`-${one.includes(':') ? 6 : 4} route add default via ${one.replace(/\/.*/, '')}`, peer?.pid);
  }
  for (const port of [22, 7000, 7001, 9000]) {
    serve(undefined, 'TCP4', port);
    serve(undefined, 'TCP6', port);
  }
  serve(undefined, 'UDP4', 7000);
  for (const where of [pods, wire])
    for (const port of [53, 8000, 8001]) {
      serve(where, 'TCP4', port);
      serve(where, 'TCP6', port);
    }
  for (const [from, to] of [
    [wire, `${NODE[4]}:9000`],
    [wire, `[${NODE[6]}]:9000`],
    [undefined, `${WIRE[4]}:8001`],
    [undefined, `[${POD[6]}]:8001`],
  ] as const)
    assert.equal(await allowed(from, to), 'yes', to);
});

afterEach(() => {
  removeHostPolicies(socket);
});

after(async () => {
  for (const one of undo.reverse()) await one();
});

function enter(where: HeldNamespace | undefined): readonly string[] {
  return where === undefined ? [] : ['nsenter', '-t', String(where.pid), '-n'];
}

/** Says yes to whoever asks. */
function serve(where: HeldNamespace | undefined, protocol: 'TCP4' | 'TCP6' | 'UDP4', port: number): void {
  const six = protocol === 'TCP6' ? ',ipv6only=1' : '';
  const listen = `${protocol}-${protocol === 'UDP4' ? 'RECVFROM' : 'LISTEN'}:${port},fork,reuseaddr${six}`;
  const [command = '', ...words] = [...enter(where), 'socat', listen, 'SYSTEM:echo yes'];
  const child = spawn(command, words, { stdio: 'ignore' });
  undo.push(() => child.kill('SIGTERM'));
}

/** What is said there; empty: nothing within a second, or a refusal. */
function ask(
  from: HeldNamespace | undefined,
  to: string,
  protocol: 'TCP' | 'UDP' = 'TCP',
  source = from === wire ? WIRE[to.startsWith('[') ? 6 : 4] : '',
): string {
  const bind = source === '' ? '' : `,bind=${source.includes(':') ? `[${source}]` : source}`;
  const place = `${protocol}${to.startsWith('[') ? 6 : 4}:${to}${bind}${protocol === 'TCP' ? ',connect-timeout=0.5' : ''}`;
  const [command = '', ...words] = [...enter(from), 'timeout', '2', 'socat', '-T0.5', '-', place];
  try {
    return execFileSync(command, words, { encoding: 'utf8', input: 'x\n', stdio: ['pipe', 'pipe', 'ignore'] }).trim();
  } catch {
    return '';
  }
}

/** The same, with patience: the machine may be busy. */
async function allowed(...asked: Parameters<typeof ask>): Promise<string> {
  for (let tries = 0; ; tries++) {
    const said = ask(...asked);
    if (said !== '' || tries > 40) return said;
    await sleep(50);
  }
}

function pings(from: HeldNamespace | undefined, to: string): boolean {
  const [command = '', ...words] = [...enter(from), 'ping', '-c', '1', '-W', '1', to];
  try {
    execFileSync(command, words, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

type Running = { readonly policies: HostPolicies; stop(): Promise<void> };

/** As one agent. */
function start(
  more: { readonly nodeLinks?: readonly string[]; readonly openPorts?: string; readonly graceMs?: number } = {},
): Running {
  const { nodeLinks = [LINK], openPorts = 'in:tcp:22,out:tcp:53', graceMs = 0 } = more;
  const chosen = parseOpenPorts(openPorts);
  assert.ok(typeof chosen !== 'string', String(chosen));
  const stop = new AbortController();
  const ways = { server: 'unix:/run/x', admission: null, novaMetadata: null, flowCollector: null, dns: null };
  const policies = new HostPolicies({
    ...{ host: HOST, slices, nodeLinks: () => nodeLinks, openPorts: openPortsOf(chosen, ways), graceMs },
    ...{ log: silentLogger(), signal: stop.signal, onChange: () => {} },
  });
  return {
    policies,
    stop: async () => {
      stop.abort();
      await policies.done;
    },
  };
}

async function until(holds: () => boolean, what: string): Promise<void> {
  for (let waited = 0; !holds(); waited += 5) {
    assert.ok(waited < 60_000, what);
    await sleep(5);
  }
}

/** The server has said all that is in the slices; resolves when it is in force, or cannot be. */
async function inForce({ policies }: Running, synced = true): Promise<void> {
  revision += 1;
  policies.take({ revision, synced, changes: slices.takeChanges() });
  await until(() => policies.revision === revision, 'it does not come to be in force');
}

async function withPolicies(
  run: (one: Running) => Promise<void>,
  more: Parameters<typeof start>[0] = {},
): Promise<void> {
  slices = new FakeSlices();
  const one = start(more);
  try {
    await run(one);
  } finally {
    await one.stop();
  }
}

function tcp(first: number, last = first): NonNullable<PolicyRule['ports']> {
  return [{ protocol: TCP, first, last }];
}

test('what a policy lets in comes in, of both versions of IP; the rest is dropped and counted; loopback, ports that are never closed and neighbours are not', async () => {
  await withPolicies(async (one) => {
    slices.setPolicy(
      HOST,
      ['ingress'],
      [
        {
          direction: 'ingress',
          peers: [
            { cidr: '203.0.113.0/24', except: [`${OTHER[4]}/32`] },
            { cidr: 'fd00:113::/64', except: [`${OTHER[6]}/128`] },
          ],
          ports: [...tcp(7000, 7001), { protocol: UDP, first: 7000, last: 7000 }],
        },
      ],
    );
    await inForce(one);
    assert.equal(one.policies.failure, undefined);
    for (const to of [
      `${NODE[4]}:7000`,
      `[${NODE[6]}]:7000`,
      `${NODE[4]}:7001`,
      `[${NODE[6]}]:7001`,
      `${NODE[4]}:22`,
      `[${NODE[6]}]:22`,
    ])
      assert.equal(await allowed(wire, to), 'yes', to);
    assert.equal(await allowed(wire, `${NODE[4]}:7000`, 'UDP'), 'yes');
    assert.deepEqual(one.policies.view.dropped, { ingress: 0, egress: 0 });
    for (const to of [`${NODE[4]}:9000`, `[${NODE[6]}]:9000`]) assert.equal(ask(wire, to), '', to);
    assert.equal(ask(wire, `${NODE[4]}:7000`, 'TCP', OTHER[4]), '', 'a hole of the prefix');
    assert.equal(ask(wire, `[${NODE[6]}]:7000`, 'TCP', OTHER[6]), '', 'a hole of the prefix');
    assert.equal(await allowed(undefined, `${NODE[4]}:9000`), 'yes', 'the host itself');
    assert.equal(await allowed(undefined, '[::1]:9000'), 'yes', 'the host itself');
    assert.equal(pings(wire, NODE[4]), false, 'a ping is no port');
    slices.setHeader('services:s', { scopeId: 's', cidrs: [], routerIds: [] });
    const service = { id: 'w', name: 'shop/web', projectId: 'p', clusterIps: [], externalIps: [], ports: [] };
    slices.setItem('services:s', 'w', { ...service, healthCheckNodePort: 9000 });
    await inForce(one);
    assert.equal(await allowed(wire, `${NODE[4]}:9000`), 'yes', 'where the agent tells of the health of a Service');
    slices.setItem('services:s', 'w', undefined);
    await inForce(one);
    const { dropped, policies, ingress, egress } = one.policies.view;
    assert.ok(dropped.ingress >= 5 && dropped.egress === 0, JSON.stringify(dropped));
    assert.deepEqual({ policies, ingress, egress }, { policies: ['p1'], ingress: true, egress: false });
    assert.equal(await allowed(undefined, `${WIRE[4]}:8000`), 'yes', 'what leaves is another direction');
    ip('neigh flush all', wire?.pid);
    ip('neigh flush all');
    assert.equal(await allowed(wire, `[${NODE[6]}]:7000`), 'yes', 'neighbours are found');
    slices.setPolicy(HOST, ['ingress'], [{ direction: 'ingress', ports: [{ protocol: 1 }, { protocol: 58 }] }]);
    await inForce(one);
    assert.ok(pings(wire, NODE[4]) && pings(wire, NODE[6]), 'ICMP of both versions');
    assert.equal(ask(wire, `${NODE[4]}:7000`), '', 'a changed policy');
    assert.ok(one.policies.view.dropped.ingress > dropped.ingress, 'counters go on');
    slices.setPolicy(HOST, [], []);
    await inForce(one);
    assert.equal(readTable(socket, HOSTS_TABLE), undefined, 'no table without a policy');
    assert.equal(await allowed(wire, `${NODE[4]}:9000`), 'yes');
  });
});

test('pods are meant by the link of the node alone, and one that comes or goes changes its address, not the table', async () => {
  await withPolicies(async (one) => {
    const member = (...addresses: readonly string[]) => ({ portId: 'a', networkId: 'n', addresses });
    slices.setHeader('cluster_pods:prod/-/app=web', { id: 'prod/-/app=web' });
    slices.setPolicy(HOST, ['ingress'], [{ direction: 'ingress', peers: [{ pods: [PODS] }], ports: tcp(7000) }]);
    await inForce(one);
    assert.equal(ask(pods, '10.244.0.1:7000'), '', 'nobody is a member');
    slices.setItem('cluster_pods:prod/-/app=web', 'a', member(POD[4], POD[6]));
    const { shape } = readTable(socket, HOSTS_TABLE) ?? {};
    await inForce(one);
    for (const [to, source] of [
      ['10.244.0.1:7000', POD[4]],
      ['[fd00:244::1]:7000', POD[6]],
      [`${NODE[4]}:7000`, POD[4]],
    ] as const)
      assert.equal(await allowed(pods, to, 'TCP', source), 'yes', `${source} at ${to}`);
    assert.equal(ask(pods, '10.244.0.1:7000', 'TCP', STRANGER[4]), '', 'another pod');
    assert.equal(ask(pods, '10.244.0.1:7001', 'TCP', POD[4]), '', 'another port');
    assert.equal(ask(wire, `${NODE[4]}:7000`, 'TCP', POD[4]), '', 'whoever says on the wire that he is the pod');
    slices.setItem('cluster_pods:prod/-/app=web', 'a', undefined);
    await inForce(one);
    assert.equal(ask(pods, '10.244.0.1:7000', 'TCP', POD[4]), '');
    assert.equal(readTable(socket, HOSTS_TABLE)?.shape, shape);
  });
});

test('what leaves is what a policy lets out, and always what a node needs: its own pods, API servers, ports that are never closed', async () => {
  await withPolicies(async (one) => {
    const port = {
      vifKind: 'veth',
      fixedIps: [
        { subnetId: 's', ipAddress: POD[4] },
        { subnetId: 't', ipAddress: POD[6] },
      ],
    };
    slices.setPolicy(
      HOST,
      ['egress'],
      [{ direction: 'egress', peers: [{ cidr: `${WIRE[4]}/32`, except: [] }], ports: tcp(8000) }],
    );
    await inForce(one);
    assert.equal(await allowed(undefined, `${WIRE[4]}:8000`), 'yes');
    for (const to of [`${WIRE[4]}:8001`, `[${WIRE[6]}]:8000`, `${POD[4]}:8000`, `[${POD[6]}]:8000`])
      assert.equal(ask(undefined, to), '', to);
    assert.equal(await allowed(undefined, `[${WIRE[6]}]:53`), 'yes', 'a port that is never closed');
    assert.equal(await allowed(wire, `${NODE[4]}:9000`), 'yes', 'answers to who came in');
    assert.ok(one.policies.view.dropped.egress >= 4);
    slices.setItem(`host:${HOST}`, 'p', port as unknown as LocalPort);
    await inForce(one);
    assert.equal(await allowed(undefined, `${POD[4]}:8000`), 'yes', 'a pod of this host');
    assert.equal(await allowed(undefined, `[${POD[6]}]:8000`), 'yes', 'a pod of this host');
    assert.equal(ask(undefined, `${STRANGER[4]}:8000`), '', 'no pod of this host');
    slices.setHeader('services:s', { scopeId: 's', cidrs: [], routerIds: [] });
    const service = { id: 'k', name: 'default/kubernetes', projectId: 'p', clusterIps: [WIRE[6]], externalIps: [] };
    slices.setItem('services:s', 'k', { ...service, ports: [{ name: '', protocol: 'TCP', port: 8000 }] });
    const ports = [{ name: '', protocol: 'TCP', port: 8001 }] as const;
    slices.setItem('backends:s', 'k/1', { serviceId: 'k', ipAddress: WIRE[4], ports });
    await inForce(one);
    assert.equal(await allowed(undefined, `[${WIRE[6]}]:8000`), 'yes', 'the address of the API server’s Service');
    assert.equal(await allowed(undefined, `${WIRE[4]}:8001`), 'yes', 'the API server itself');
    assert.equal(ask(undefined, `[${WIRE[6]}]:8001`), '');
  });
});

test('a connection that runs goes on when a policy comes that would not have let it in', async () => {
  await withPolicies(
    async (one) => {
      const [command = '', ...words] = [...enter(undefined), 'socat', 'TCP4-LISTEN:7500,reuseaddr', 'EXEC:cat'];
      const server = spawn(command, words, { stdio: 'ignore' });
      const client = spawn(
        'nsenter',
        [...enter(wire).slice(1), 'socat', '-', `TCP4:${NODE[4]}:7500,retry=50,interval=0.05`],
        {
          stdio: ['pipe', 'pipe', 'ignore'],
        },
      );
      try {
        assert.equal(await echoed(client, 'before'), 'before\n');
        slices.setPolicy(HOST, ['ingress', 'egress'], []);
        const coming = inForce(one);
        await sleep(200);
        assert.equal(
          await echoed(client, 'meanwhile'),
          'meanwhile\n',
          'nothing is refused before connections are known',
        );
        await coming;
        assert.equal(await echoed(client, 'after'), 'after\n');
        assert.equal(ask(wire, `${NODE[4]}:9000`), '');
      } finally {
        client.kill('SIGKILL');
        server.kill('SIGKILL');
      }
    },
    { nodeLinks: [], graceMs: 2500 },
  );
});

async function echoed(client: ChildProcess, text: string): Promise<string> {
  client.stdin?.write(`${text}\n`);
  const [data] = (await once(client.stdout as NonNullable<ChildProcess['stdout']>, 'data')) as [Buffer];
  return data.toString();
}

test('the table stays when the agent ends; one that knows nothing leaves it, and it goes when the server says that there is no policy', async () => {
  await withPolicies(async (one) => {
    slices.setPolicy(HOST, ['ingress'], []);
    await inForce(one);
  });
  assert.equal(ask(wire, `${NODE[4]}:9000`), '', 'the agent has ended');
  await withPolicies(async (next) => {
    await sleep(50);
    assert.equal(ask(wire, `${NODE[4]}:9000`), '', 'it has heard nothing');
    slices.setPolicy(HOST, [], []);
    await inForce(next, false);
    assert.equal(ask(wire, `${NODE[4]}:9000`), '', 'it is not in sync');
    await inForce(next);
    assert.equal(await allowed(wire, `${NODE[4]}:9000`), 'yes');
    assert.equal(readTable(socket, HOSTS_TABLE), undefined);
  });
});

test('a table that somebody takes away, or changes, is put back; what cannot be put in force leaves what is there', async () => {
  await withPolicies(async (one) => {
    slices.setPolicy(HOST, ['ingress'], [{ direction: 'ingress', ports: tcp(7000) }]);
    await inForce(one);
    deleteTable(socket, HOSTS_TABLE);
    await until(() => readTable(socket, HOSTS_TABLE) !== undefined && one.policies.view.restored === 1, 'put back');
    assert.equal(ask(wire, `${NODE[4]}:9000`), '');
    assert.equal(await allowed(wire, `${NODE[4]}:7000`), 'yes');
    const many = Array.from({ length: 66_000 }, (_, n) => `198.${18 + (n >> 16)}.${(n >> 8) & 0xff}.${n & 0xff}/32`);
    slices.setHeader('group:g', { id: 'g', addresses: many });
    slices.setPolicy(HOST, ['ingress'], [{ direction: 'ingress', peers: [{ addresses: 'group:g' }] }]);
    await inForce(one);
    assert.match(one.policies.failure ?? '', /name 660\d\d addresses and ports, and at most 65536/);
    assert.equal(one.policies.view.error, one.policies.failure);
    assert.equal(await allowed(wire, `${NODE[4]}:7000`), 'yes', 'what was there stays');
    slices.setHeader('group:g', { id: 'g', addresses: [WIRE[4]] });
    await inForce(one);
    await until(() => one.policies.failure === undefined, 'well again');
    assert.equal(await allowed(wire, `${NODE[4]}:9000`), 'yes');
    assert.equal(ask(wire, `${NODE[4]}:9000`, 'TCP', OTHER[4]), '');
  });
});

test('thousands of pods and prefixes are in force in one step', async () => {
  await withPolicies(async (one) => {
    slices.setHeader('cluster_pods:prod/-/app=web', { id: 'prod/-/app=web' });
    for (let n = 0; n < 5000; n += 1) {
      const [high, low] = [n >> 8, n & 0xff];
      const addresses = [`10.9.${high}.${low}`, `fd00:9::${high.toString(16)}:${low.toString(16)}`];
      slices.setItem('cluster_pods:prod/-/app=web', String(n), { portId: String(n), networkId: 'n', addresses });
    }
    const prefixes = Array.from({ length: 1000 }, (_, n) => ({
      cidr: `100.${64 + (n >> 8)}.${n & 0xff}.0/24`,
      except: [],
    }));
    slices.setPolicy(
      HOST,
      ['ingress', 'egress'],
      [
        {
          direction: 'ingress',
          peers: [{ pods: [PODS] }, ...prefixes, { cidr: `${WIRE[4]}/31`, except: [] }],
          ports: tcp(7000),
        },
        {
          direction: 'egress',
          peers: [{ pods: [PODS] }, ...prefixes, { cidr: `${WIRE[4]}/31`, except: [] }],
          ports: tcp(8000),
        },
      ],
    );
    await inForce(one);
    assert.equal(one.policies.failure, undefined);
    assert.equal(readElements(socket, HOSTS_TABLE, 'pods-0-6')?.length, 5000);
    assert.equal(readElements(socket, HOSTS_TABLE, 'prefixes-1-4')?.length, 1001);
    assert.equal(await allowed(wire, `${NODE[4]}:7000`), 'yes');
    assert.equal(await allowed(undefined, `${WIRE[4]}:8000`), 'yes');
    assert.equal(ask(wire, `${NODE[4]}:7001`), '');
  });
});
