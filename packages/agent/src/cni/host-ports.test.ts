import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silentLogger } from '@cable/kit';
import { type Entrance, entranceKey } from '../plan/entrances.ts';
import { knownPorts, ownHealthPorts, ownPortsOf } from '../plan/own-ports.ts';
import { CniError } from './errors.ts';
import { HostPortStore } from './host-port-store.ts';
import { HostPorts } from './host-ports.ts';
import { parseCniRequest } from './request.ts';
import type { Attachment } from './result.ts';

const directory = mkdtempSync(join(tmpdir(), `cable-cni-host-ports-${process.pid}-`));
after(() => rmSync(directory, { recursive: true, force: true }));

const MADE: Attachment = {
  ...{ portId: 'p1', hostName: 'cvp1', interfaceName: 'eth0', netns: '/run/netns/pod' },
  ...{ macAddress: '', mtuBytes: 1450, routes: [], nameservers: [], needsDefault: false },
  addresses: [{ address: '10.0.0.5/24', gateway: null }],
};

const NEVER = new AbortController().signal;
const ENTRANCE: Entrance = {
  ...{ protocol: 'TCP', ipVersion: 4, port: 8080, isHostPort: true },
  to: { address: '10.0.0.5', port: 80 },
};

function requestOf(mode: 'plain' | 'cluster', mapping: object = {}) {
  const runtimeConfig = { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp', ...mapping }] };
  const conf = { cniVersion: '1.1.0', name: 'pods', runtimeConfig };
  const headers = {
    ...{ 'cni-command': 'ADD', 'cni-containerid': 'c1', 'cni-netns': '/run/netns/pod', 'cni-ifname': 'eth0' },
    'cni-args': 'K8S_POD_UID=u',
  };
  return parseCniRequest(
    headers,
    JSON.stringify({ ...conf, ...(mode === 'plain' ? { network: 'blue' } : { cluster: 'k1' }) }),
  );
}

type State = { isNode?: boolean; planned?: readonly Entrance[]; failure?: string; takes?: boolean };

let made = 0;
function bed({ isNode = true, planned = [ENTRANCE], failure, takes = false }: State) {
  made += 1;
  const store = new HostPortStore(join(directory, String(made)), silentLogger());
  const asked: (readonly Entrance[])[] = [];
  const keeper = {
    inForce: (wanted: readonly Entrance[], signal: AbortSignal): Promise<void> => {
      asked.push(wanted);
      if (takes) return Promise.resolve();
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
    },
    lacking: () => [],
    failure,
  };
  const known = new Map(planned.map((one) => [entranceKey(one), one]));
  const ownPorts = () => [
    ...ownPortsOf({ host: '127.0.0.1', port: 9699 }),
    ...knownPorts([
      { protocol: 6, first: 2379, last: 2380 },
      { protocol: 6, first: 10250, last: 10250 },
      { protocol: 6, first: 1, last: 65_535 },
    ]),
    ...ownHealthPorts(new Map([[31000, { port: 31000, service: 's', endpoints: 1 }]])),
  ];
  const deps = { store, isNode: () => isNode, planned: () => known, ownPorts, keeper };
  const hostPorts = new HostPorts(deps, { held: () => [] });
  return { store, asked, hostPorts };
}

const fails = (code: number, says: RegExp) => (err: unknown) =>
  err instanceof CniError && err.code === code && says.test(err.message);

test('without a controller, a host that is no node says what to use instead, at once', () => {
  const { store, hostPorts } = bed({ isNode: false });
  assert.throws(
    () => hostPorts.reserve(requestOf('plain'), MADE),
    (err) =>
      fails(7, /^runtimeConfig\.portMappings: this host is no node/)(err) &&
      /floating IP/.test((err as CniError).remedy),
  );
  assert.deepEqual([...store.all], []);
});

test('ADD waits for the kernel, and names why it waited in vain', async () => {
  const states: readonly (readonly [State, RegExp])[] = [
    [{ isNode: false, planned: [] }, /not in force within 20 ms: this node has no port in the cluster yet/],
    [{ planned: [] }, /this host is no node behind a router of the pod’s network/],
    [{ failure: 'EOPNOTSUPP' }, /within 20 ms: EOPNOTSUPP/],
  ];
  for (const [state, says] of states) {
    const { hostPorts } = bed(state);
    hostPorts.reserve(requestOf('cluster'), MADE);
    await assert.rejects(hostPorts.inForce(requestOf('cluster'), MADE, 20, NEVER), fails(11, says));
  }
  const { asked, hostPorts } = bed({ takes: true });
  hostPorts.reserve(requestOf('cluster'), MADE);
  await hostPorts.inForce(requestOf('cluster'), MADE, 20, NEVER);
  assert.deepEqual(asked, [[ENTRANCE]]);
});

test('whoever is told that the plug-in was ended says that, and no more', async () => {
  const { hostPorts } = bed({});
  const gone = new AbortController();
  const waiting = hostPorts.inForce(requestOf('cluster'), MADE, 60_000, gone.signal);
  gone.abort(new Error('gone'));
  await assert.rejects(waiting, /^Error: gone$/);
});

test('no pod gets a port at which the agent itself listens or receives, nor one by which others know the host', () => {
  const { store, hostPorts } = bed({});
  const reserve = (mapping: object): void => hostPorts.reserve(requestOf('cluster', mapping), MADE);
  for (const mapping of [
    { hostPort: 4789, protocol: 'udp' },
    { hostPort: 4789, hostIP: '203.0.113.1' },
    { hostPort: 9699 },
    { hostPort: 9699, hostIP: '127.0.0.1' },
    { hostPort: 31000 },
    // Who asks the node's kubelet would be answered by the pod.
    { hostPort: 10250 },
    { hostPort: 2380, hostIP: '127.0.0.1' },
  ]) {
    assert.throws(
      () => reserve(mapping),
      (err) =>
        fails(7, /^runtimeConfig\.portMappings\[0\]\.hostPort: .*is its own, for/)(err) &&
        /another hostPort/.test((err as CniError).remedy),
    );
  }
  assert.deepEqual([...store.all], []);
  reserve({ hostPort: 9699, hostIP: '203.0.113.1' });
  assert.equal([...store.all].length, 1);
});
